//! How schemas are shared.
//!
//! A record names a handful of schemas, and the threads that make records and those that write them would count each of
//! those references up and down in the same place: a cache line that goes back and forth per schema and row, which is a
//! tenth of what a row costs. So what every row of a table names is [kept](SchemaRef::keep) as long as the process lives,
//! and not counted. The set grows by the versions of the captured tables, and only up to a limit.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::schema::Schema;

/// Fields of schemas that are kept, about 100 bytes each; what comes later is counted.
const KEPT_FIELDS: usize = 250_000;

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

#[derive(Default)]
struct Kept {
    /// By name and number of fields.
    schemas: HashMap<(Option<Arc<str>>, usize), Vec<&'static Schema>>,
    fields: usize,
}

/// A shared schema. Two are equal when the schemas are.
#[derive(Clone)]
pub struct SchemaRef(Shared);

#[derive(Clone)]
enum Shared {
    Counted(Arc<Schema>),
    Kept(&'static Schema),
}

impl SchemaRef {
    pub(crate) fn new(schema: Schema) -> Self {
        Self(Shared::Counted(Arc::new(schema)))
    }

    /// The same schema, copies of which cost nothing, for what the rows of a table share. One that is the same to the last
    /// detail and was kept before takes its place, with its identity, so that a task that starts again adds nothing.
    #[must_use]
    pub fn keep(self) -> Self {
        let Shared::Counted(counted) = &self.0 else {
            return self;
        };
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        let alike = kept
            .schemas
            .entry((counted.name().cloned(), counted.fields().len()))
            .or_default();
        if let Some(known) = alike.iter().find(|known| known.is_exactly(counted)) {
            return Self(Shared::Kept(known));
        }
        let fields = 1 + counted.fields().len();
        if kept.fields + fields > KEPT_FIELDS {
            return self;
        }
        kept.fields += fields;
        // Its fields and their schemas are shared with whoever still counts it.
        let schema: &'static Schema = Box::leak(Box::new(counted.copied()));
        alike.push(schema);
        Self(Shared::Kept(schema))
    }
}

impl Deref for SchemaRef {
    type Target = Schema;

    #[inline]
    fn deref(&self) -> &Schema {
        match &self.0 {
            Shared::Counted(schema) => schema,
            Shared::Kept(schema) => schema,
        }
    }
}

impl PartialEq for SchemaRef {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_is_kept_again_is_the_one_that_was_kept() {
        let build = |order: [&str; 2]| {
            let field = Schema::string().parameter(order[0], "1").parameter(order[1], "1");
            Schema::structure()
                .name("kept.Value")
                .field("id", field.build())
                .build()
        };
        let (first, again, turned) = (build(["a", "b"]), build(["a", "b"]), build(["b", "a"]));
        let id = first.id();
        let kept = first.keep();
        assert_eq!(kept.id(), id);
        assert_eq!(again.keep().id(), id);
        // Equal, but written in another order.
        assert_eq!(kept, turned);
        assert_ne!(turned.keep().id(), id);
    }
}
