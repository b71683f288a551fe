//! The document sink, in the vocabulary of MongoDB's Kafka connector.
//!
//! ```text
//!  put ─▶ message      key and value as documents, when something needs them
//!      ─▶ cdc, or processors and a write model strategy: one write a record
//!         (straight: in one go, where nothing changes the document)
//!      ─▶ bulk         commands of writes of one kind, in order, cut by bytes
//!      ─▶ task         sends them, reads what each write came to
//! ```
//!
//! The invariant: when `put` returns, the server has acknowledged every write of its records, but for those that were refused
//! and tolerated. Writes are made so that a batch that comes again does no harm: replacements by `_id`, and ids that depend on
//! the record alone.

mod bulk;
mod cdc;
mod client;
mod connector;
mod document;
mod id;
mod message;
mod namespace;
mod nulls;
mod options;
mod processors;
mod projection;
mod rename;
mod settings;
mod straight;
mod task;
mod write;

use tapline_api::connector::{AnyConnector, ConnectorPlugin};

pub use options::CONFIG;

/// `com.mongodb.kafka.connect.MongoSinkConnector`.
pub const PLUGIN: ConnectorPlugin = ConnectorPlugin {
    class: "com.mongodb.kafka.connect.MongoSinkConnector",
    task_class: "com.mongodb.kafka.connect.sink.MongoSinkTask",
    version: "3.0.1",
    config: &CONFIG,
    connector: AnyConnector::Sink(&connector::Connector),
};
