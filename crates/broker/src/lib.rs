//! The embedded broker: one node that keeps topics on local disk and speaks the Kafka protocol.
