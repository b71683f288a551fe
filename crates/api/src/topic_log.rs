//! A topic as a log: how connectors keep a schema history, hear signals and send notifications without knowing
//! Kafka's clients.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::config::Config;
use crate::error::Result;

/// A record of a log, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// The partition it lies in, or shall.
    pub partition: i32,
    /// Its offset; ignored when appending.
    pub offset: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
    /// Milliseconds since the epoch; `None` when appending takes the time of the append.
    pub timestamp: Option<i64>,
}

/// Opens topics as logs.
#[async_trait]
pub trait TopicLogs: Send + Sync {
    /// Opens a topic, with client settings on top of the worker's (`bootstrap.servers` among them, to reach
    /// another cluster). It is created, if missing, when `create` says how.
    async fn open(
        &self,
        topic: &str,
        clients: &Config,
        create: Option<NewTopic>,
    ) -> Result<Arc<dyn TopicLog>>;
}

/// How to create a topic.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas; -1 for the cluster's default.
    pub replication_factor: i32,
    /// Topic settings, such as `cleanup.policy`.
    pub settings: Vec<(String, String)>,
}

/// One topic.
///
/// - **Order.** Appends of one caller are in order within a partition.
/// - **Durability.** [`append`](Self::append) returns when all replicas in sync have the records.
/// - **Cancellation.** A dropped append may or may not have happened.
#[async_trait]
pub trait TopicLog: Send + Sync {
    /// Appends records and waits for the acknowledgement.
    async fn append(&self, records: Vec<LogRecord>) -> Result<()>;

    /// Hands over every record from the beginning to the end as it was at the call, each partition in order.
    async fn read_to_end(&self, each: &mut (dyn FnMut(LogRecord) -> Result<()> + Send)) -> Result<()>;

    /// Reads on from an offset per partition (from the end where none is given).
    async fn tail(&self, from: &[(i32, i64)]) -> Result<Box<dyn LogTail>>;
}

/// A reader that follows a log.
#[async_trait]
pub trait LogTail: Send {
    /// Waits for the next records; cancel-safe.
    async fn next(&mut self) -> Result<Vec<LogRecord>>;
}
