//! What the integration tests stand on: real servers, the built binary, and clients to look at both.
//!
//! ```text
//!  Postgres, Mysql, Kafka … ─ start ─▶ integration/servers/*.sh    Worker ── spawns ──▶ tapline worker …
//!       └─ sql(), topics ◀────────── a scenario ──────────▶ rest() ────┘
//!                                      └─ run::folder, run::guard: all of it ends when the run ends
//! ```
//!
//! Everything blocks: a scenario reads from top to bottom. A server is shared by the scenarios of a run, so each takes
//! a database, a slot and a topic prefix of its own. Waiting is always [`eventually`], never a bare sleep.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code stops at the first surprise, and its settings are the environment's"
)]

mod connect;
mod ferretdb;
mod http;
mod kafka;
pub mod mysql;
pub mod pipeline;
mod postgres;
mod random;
mod run;
mod sql;
mod topic;
mod worker;

pub use connect::Connect;
pub use ferretdb::Ferretdb;
pub use http::{Response, request};
pub use kafka::Kafka;
pub use mysql::Mysql;
pub use postgres::Postgres;
pub use random::Random;
pub use run::{Process, folder, free_port, guard, script};
pub use sql::Sql;
pub use topic::{
    Record, create_topic, create_topics, end_offset, end_offsets, leaders, produce, produce_all,
    produce_keyed, read_topic, scan_topic, topic_names, wait_for_records,
};
pub use worker::{Worker, properties};

use std::time::{Duration, Instant};

/// Asks `ready` again and again until it gives a value; panics with `what` and the last reason after `deadline`.
///
/// # Panics
/// When time is up.
pub fn eventually<T>(what: &str, deadline: Duration, mut ready: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match ready() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > deadline => panic!("{what}: not within {deadline:?}: {reason}"),
            Err(_) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(100));
            }
        }
    }
}

/// `true` where nothing may be skipped.
pub fn strict() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}
