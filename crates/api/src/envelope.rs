//! Names of Debezium's change event envelope, shared by sources, transformations and sinks.
//!
//! Source: Debezium 3.6, `io.debezium.data.Envelope`; schema version 2.

/// Schema names of envelopes end in it.
pub const ENVELOPE_SUFFIX: &str = ".Envelope";
/// The row before the change.
pub const BEFORE: &str = "before";
/// The row after the change.
pub const AFTER: &str = "after";
/// Where the change came from.
pub const SOURCE: &str = "source";
/// The transaction block.
pub const TRANSACTION: &str = "transaction";
/// The operation.
pub const OP: &str = "op";
/// When the connector handled it, in milliseconds.
pub const TS_MS: &str = "ts_ms";
/// When the connector handled it, in microseconds.
pub const TS_US: &str = "ts_us";
/// When the connector handled it, in nanoseconds.
pub const TS_NS: &str = "ts_ns";

/// Values of [`OP`].
pub mod op {
    /// Read by a snapshot.
    pub const READ: &str = "r";
    /// Inserted.
    pub const CREATE: &str = "c";
    /// Updated.
    pub const UPDATE: &str = "u";
    /// Deleted.
    pub const DELETE: &str = "d";
    /// The table was truncated.
    pub const TRUNCATE: &str = "t";
    /// A logical decoding message.
    pub const MESSAGE: &str = "m";
}

/// Stands for a TOASTed value that the database did not send; `unavailable.value.placeholder` changes it.
pub const UNAVAILABLE_VALUE: &str = "__debezium_unavailable_value";
/// Header of the delete in a key change: the new key.
pub const NEW_KEY_HEADER: &str = "__debezium.newkey";
/// Header of the create in a key change: the old key.
pub const OLD_KEY_HEADER: &str = "__debezium.oldkey";
