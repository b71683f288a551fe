//! The relational sink, in the vocabularies of Debezium's and Confluent's JDBC sinks: rows of topics become rows of tables.
//!
//! ```text
//!  put ─▶ shape      where the row is in a record: once per schema
//!      ─▶ batch      steps: of each key, what remains; one statement per table, layout and action
//!      ─▶ evolve     missing tables and columns, before the transaction
//!      ─▶ dialect    one transaction, one round trip
//! ```
//!
//! The invariant: when `put` returns, exactly its records are committed, and when it fails, none of them is. So a batch
//! that comes again after a kill is harmless with `insert.mode=upsert`, which overwrites each row with itself.
//!
//! What differs from Debezium's sink: values that the source did not send (unchanged TOAST) leave their column as it is;
//! a batch is one transaction over all tables instead of one per table and 500 records; lost connections are always
//! retried; a VariableScaleDecimal becomes `numeric`; names are always quoted, in the case that unquoted ones would have.

mod batch;
mod config;
mod confluent;
mod connector;
mod dialect;
mod digits;
mod evolve;
mod json;
mod keys;
mod layout;
mod meaning;
mod misfit;
mod mysql;
mod names;
mod offsets;
mod options;
mod planner;
mod postgres;
mod primary_key;
mod reduce;
mod shape;
mod sqlite;
mod task;
mod time;
mod unavailable;

use tapline_api::connector::{AnyConnector, ConnectorPlugin};

pub use config::CONFIG;
use options::Vocabulary;

/// The version of Debezium's JDBC sink that REST shows.
const VERSION: &str = "3.6.0.Final";

/// `io.debezium.connector.jdbc.JdbcSinkConnector`.
pub const PLUGIN: ConnectorPlugin = ConnectorPlugin {
    class: "io.debezium.connector.jdbc.JdbcSinkConnector",
    task_class: "io.debezium.connector.jdbc.JdbcSinkConnectorTask",
    version: VERSION,
    config: &CONFIG,
    connector: AnyConnector::Sink(&connector::Connector(Vocabulary::Debezium)),
};

/// `io.confluent.connect.jdbc.JdbcSinkConnector`.
pub const CONFLUENT: ConnectorPlugin = ConnectorPlugin {
    class: "io.confluent.connect.jdbc.JdbcSinkConnector",
    task_class: "io.confluent.connect.jdbc.sink.JdbcSinkTask",
    version: "10.9.0",
    config: &confluent::CONFIG,
    connector: AnyConnector::Sink(&connector::Connector(Vocabulary::Confluent)),
};
