//! Tapline: Kafka Connect and Debezium in one binary.
