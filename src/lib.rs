//! Tapline: Kafka Connect and Debezium in one binary.
//!
//! This crate is what Kafka Connect's runtime is: the worker, the herder, the seam over Kafka's clients, REST and
//! the command line. Sources, sinks, converters and transformations are crates of their own; [`plugins`] lists them.

pub mod cli;
pub mod herder;
pub mod kafka;
pub mod plugins;
pub mod rest;
pub mod worker;

/// What the binary was built from, where the build says so.
pub const COMMIT: &str = match option_env!("TAPLINE_COMMIT") {
    Some(commit) => commit,
    None => concat!("tapline-", env!("CARGO_PKG_VERSION")),
};
