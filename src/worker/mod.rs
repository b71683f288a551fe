//! The worker: runs connectors' tasks between Kafka and their systems.

pub mod config;
