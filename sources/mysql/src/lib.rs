//! The MySQL and MariaDB change source, `io.debezium.connector.mysql.MySqlConnector` and
//! `io.debezium.connector.mariadb.MariaDbConnector`: snapshot, binlog and schema history.
//!
//! ```text
//!   Connector ── validate, doctor          Task ── start, poll, stop
//!                                           │ spawns             ▲ batches
//!                                         Driver ── settings, gap checks, recovery of schemas
//!                                           ├─ Snapshot ── SELECT ─┐      Plan: one table version's schemas
//!                                           └─ Stream ── binlog ───┴──▶   Events: envelopes, keys, tombstones
//!                                                │
//!                                             wire ── packets of one read, log-in, TLS by `tapline-databases`
//! ```
//!
//! Pure: `binlog`, `value`, `types`, `table`, `event`, `position`, `ddl`, `schema`, and most of `history`. The rest does
//! I/O and little else.

mod ahead;
mod binlog;
mod catalog;
mod config;
mod connector;
pub mod ddl;
mod driver;
mod event;
pub mod history;
mod output;
mod position;
mod quarantine;
pub mod schema;
mod signals;
mod snapshot;
mod stream;
mod table;
mod task;
mod types;
mod value;
mod wire;
mod zero_date;

use tapline_api::DEBEZIUM_VERSION;
use tapline_api::connector::{AnyConnector, ConnectorPlugin};

/// The plugin for MySQL.
pub const MYSQL: ConnectorPlugin = ConnectorPlugin {
    class: "io.debezium.connector.mysql.MySqlConnector",
    task_class: "io.debezium.connector.mysql.MySqlConnectorTask",
    version: DEBEZIUM_VERSION,
    config: &config::OPTIONS,
    connector: AnyConnector::Source(&connector::Connector(ddl::Flavor::MySql)),
};

/// The plugin for MariaDB.
pub const MARIADB: ConnectorPlugin = ConnectorPlugin {
    class: "io.debezium.connector.mariadb.MariaDbConnector",
    task_class: "io.debezium.connector.mariadb.MariaDbConnectorTask",
    version: DEBEZIUM_VERSION,
    config: &config::OPTIONS,
    connector: AnyConnector::Source(&connector::Connector(ddl::Flavor::MariaDb)),
};
