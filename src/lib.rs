//! Tapline: Kafka Connect and Debezium in one binary.
//!
//! This crate is what Kafka Connect's runtime is: the worker, the herder, the seam over Kafka's clients, REST and
//! the command line. Sources, sinks, converters and transformations are crates of their own; [`plugins`] lists them.

pub mod herder;
pub mod plugins;
pub mod worker;
