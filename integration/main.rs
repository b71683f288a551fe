//! Scenarios that drive the built binary from outside, as a user would, on real servers.
//!
//! The servers are started once, when the first scenario asks for them, and shared: a scenario takes a database, a
//! slot and a topic prefix named after itself.
#![allow(unreachable_pub, reason = "a program has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code stops at the first surprise"
)]

mod conformance;
mod faults;
#[allow(dead_code, reason = "recording is the command's alone")]
mod golden;
mod oracle;
mod scenarios;

use std::sync::OnceLock;
use tapline_harness::mysql::Kind;
use tapline_harness::{Ferretdb, Kafka, Mysql, Postgres};

/// The binary under test.
const TAPLINE: &str = env!("CARGO_BIN_EXE_tapline");

/// The run's PostgreSQL server.
fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]))
}

/// The run's PostgreSQL 18, with pgvector and PostGIS.
fn postgres_18() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start_version(18, &[]))
}

/// The run's MySQL 9.
fn mysql() -> &'static Mysql {
    static SERVER: OnceLock<Mysql> = OnceLock::new();
    SERVER.get_or_init(|| Mysql::start(Kind::MySql, &[]))
}

/// The run's MariaDB.
fn mariadb() -> &'static Mysql {
    static SERVER: OnceLock<Mysql> = OnceLock::new();
    SERVER.get_or_init(|| Mysql::start(Kind::MariaDb, &[]))
}

/// The run's Apache Kafka.
fn kafka() -> &'static Kafka {
    static SERVER: OnceLock<Kafka> = OnceLock::new();
    SERVER.get_or_init(|| Kafka::start(&[]))
}

/// The run's document server.
fn ferretdb() -> &'static Ferretdb {
    static SERVER: OnceLock<Ferretdb> = OnceLock::new();
    SERVER.get_or_init(Ferretdb::start)
}
