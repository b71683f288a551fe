//! The Postgres change source, `io.debezium.connector.postgresql.PostgresConnector`: snapshot and logical replication.
//!
//! ```text
//!   Connector ── validate, doctor          Task ── start, poll, commit, stop
//!                                           │ spawns             ▲ batches
//!                                         Driver ── slot, publication, gap checks
//!                                           ├─ Snapshot ── COPY ─┤      Plan: one table version's decoders
//!                                           └─ Stream ── pgoutput┘      Events: envelopes, keys, tombstones
//!                                                │
//!                                             wire ── frames of one read, log-in, TLS by `tapline-databases`
//! ```
//!
//! Pure: `pgoutput`, `copy`, `value`, `types`, `default`, `table`, `event`, `position`, and the check in `slot`. The rest
//! does I/O and little else.

mod catalog;
mod config;
mod connector;
mod copy;
mod default;
mod doctor;
mod driver;
mod event;
mod lsn;
mod message;
mod output;
mod pgoutput;
mod position;
mod publication;
mod replica_identity;
mod reselect;
mod signals;
mod slot;
mod snapshot;
mod source_type;
mod stream;
mod table;
mod task;
mod types;
mod value;
mod wal;
mod wire;

use tapline_api::DEBEZIUM_VERSION;
use tapline_api::connector::{AnyConnector, ConnectorPlugin};

/// The plugin.
pub const PLUGIN: ConnectorPlugin = ConnectorPlugin {
    class: "io.debezium.connector.postgresql.PostgresConnector",
    task_class: "io.debezium.connector.postgresql.PostgresConnectorTask",
    version: DEBEZIUM_VERSION,
    config: &config::OPTIONS,
    connector: AnyConnector::Source(&connector::Connector),
};
