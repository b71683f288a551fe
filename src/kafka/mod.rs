//! The one seam over Kafka's clients: everything above sees topics, records, groups and acknowledgements.
//!
//! | module | holds |
//! |---|---|
//! | [`options`], `jaas` | Java's option names in librdkafka's words (pure) |
//! | [`clients`] | which settings each client gets |
//! | [`producer`] | records out, acknowledged by batch |
//! | [`wire`] | likewise for sources, by a producer of our own |
//! | [`consumer`] | records in, by batch, as a member of a group |
//! | [`admin`] | topics, groups, the cluster's id |
//! | [`describe`] | a topic in detail |
//! | [`log`] | a topic as a log |

pub mod admin;
pub mod clients;
pub mod consumer;
pub mod describe;
pub mod error;
mod jaas;
pub mod log;
pub mod options;
pub mod producer;
pub mod wire;
