//! Single message transformations and predicates.

use crate::error::Result;
use crate::record::{Origin, Record};

/// Changes or drops a record.
///
/// - A task has its own chain, so a transformation may cache by [`Schema::id`](crate::Schema::id) without a lock:
///   the new schema, and where each field comes from. Per record there is no look-up by string. Caches are bounded.
/// - Order is kept; one record in, one or none out.
/// - A record that can't be transformed is a data error.
pub trait Transformation: Send {
    /// The transformed record, or `None` to drop it. `origin` is where a sink's record lay; `None` for sources.
    fn apply(&mut self, record: Record, origin: Option<&Origin>) -> Result<Option<Record>>;
}

/// Decides whether a transformation applies to a record.
pub trait Predicate: Send {
    /// Whether it holds for this record.
    fn test(&mut self, record: &Record) -> Result<bool>;
}
