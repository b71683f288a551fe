//! The schema history topic: Debezium's records, written and read, and the recovery from them.
//!
//! A statement that changes a table is recorded before any offset behind it is stored. So a connector that starts at
//! an offset finds in the history how the tables were there: each record whose position is at or before it counts.
//! Debezium and this connector read each other's records; a connector moves over, and back, with its topic.

mod event;
mod filter;
mod json;
mod kept;
mod position;
mod record;
mod recovery;
mod topic;

pub use event::{SchemaChangeRecords, SchemaChangeSource};
pub use filter::{DdlFilter, Kept};
pub use kept::KeptTables;
pub use position::Position;
pub use record::{HistoryRecord, TableChange, TableChangeKind};
pub use recovery::{Recovered, Recovery};
pub use topic::{SchemaHistory, topic_name};

#[cfg(test)]
mod tests;
