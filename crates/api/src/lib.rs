//! The contract: what sources, sinks, converters, transformations and the worker agree on.
//!
//! No I/O lives here, and everyone depends on it. The words are Kafka Connect's. A connector never knows the
//! worker and the worker never knows a connector: what one needs of the other is a trait in this crate, and the
//! trait's documentation is the specification (ordering, duplicates, durability, cancellation).
//!
//! | module | holds |
//! |---|---|
//! | [`schema`], [`value`] | Connect's data model |
//! | [`record`], [`offset`] | what travels: records, headers, batches, positions |
//! | [`config`] | [`config::ConfigDef`], declared once: parse, validate, print |
//! | [`connector`], [`source`], [`sink`] | connectors and their tasks |
//! | [`convert`], [`transform`] | converters, transformations, predicates |
//! | [`topic_log`] | a topic as a log: schema history, signals, notifications |
//! | [`error`], [`metrics`], [`envelope`], [`pattern`] | kinds of failure, figures, Debezium's names, Java's regular expressions |
//! | [`cache`], [`adjust`] | what is derived from a schema, kept by its identity; names that Avro can hold |

pub mod adjust;
pub mod cache;
pub mod config;
pub mod connector;
pub mod convert;
pub mod envelope;
pub mod error;
pub mod metrics;
pub mod offset;
pub mod pattern;
pub mod record;
pub mod schema;
mod schema_ref;
pub mod sink;
pub mod source;
pub mod topic_log;
pub mod transform;
pub mod value;

pub use error::{Error, Kind, Result};
pub use record::{Header, Headers, Record};
pub use schema::{Field, Schema, SchemaRef, Type};
pub use value::{Struct, Value};

/// The Kafka Connect release whose behaviour, texts and plugin versions are reproduced.
pub const KAFKA_VERSION: &str = "4.3.1";
/// The Debezium release whose events are reproduced; it stands in every event's `source.version`.
pub const DEBEZIUM_VERSION: &str = "3.6.1.Final";
