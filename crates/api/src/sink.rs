//! Sink connectors and tasks: from topics to a target.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::record::{SinkRecord, TopicPartition};

/// Next offsets to consume, per partition as consumed.
pub type SinkOffsets = HashMap<TopicPartition, i64>;

/// Writes batches of records to a target.
///
/// # The contract
///
/// - **One caller.** One method at a time.
/// - **Order.** Records of a partition come in its order. Records of one key therefore come in order too; a task
///   that reorders or runs in parallel keeps order within a key.
/// - **Accepted and durable.** [`put`](Self::put) *accepts*: when it returns, the batch is the task's to keep in
///   order; it may still be in a buffer, bounded in bytes. [`flush`](Self::flush) makes it *durable*: after it
///   returns, the target has every row put before. Only then are consumer offsets committed.
/// - **Duplicates.** At-least-once: after a kill or a retriable error the same records may come again. A sink with
///   keys makes that harmless; a sink that keeps offsets in its target (exactly-once) returns them from
///   [`open`](Self::open), advances them in the transaction that writes the rows, and skips what it has.
/// - **Cancellation.** `put` and `flush` are not dropped in their midst, except when the worker gives up on a
///   graceful stop; then the target's own transaction decides what is there.
/// - **Errors.** Retriable: the worker puts the same batch again after a pause, with the consumer paused and kept
///   alive. Data: the record is named by [`Error::at_record`]; tolerance and the dead letter queue decide. Others:
///   the task is FAILED. A batch that failed must leave no row whose repeat would show, or be in one transaction.
#[async_trait]
pub trait SinkTask: Send {
    /// Connects.
    async fn start(&mut self, context: SinkContext) -> Result<()>;

    /// Partitions are now this task's. Returns where to start those for which the target itself knows better than
    /// the group (the greater of both wins).
    async fn open(&mut self, _partitions: &[Assigned]) -> Result<SinkOffsets> {
        Ok(SinkOffsets::new())
    }

    /// Accepts a batch; see the contract.
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()>;

    /// Makes everything accepted durable.
    async fn flush(&mut self) -> Result<()>;

    /// Partitions are no longer this task's; they have been flushed unless they were lost.
    async fn close(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Ends connections. Called once, also after a failed start; never fails.
    async fn stop(&mut self);
}

/// A partition given to a task.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// The partition.
    pub partition: TopicPartition,
    /// The topic's id, where the cluster has one; a topic made anew has another (KIP-516).
    pub topic_id: Option<[u8; 16]>,
    /// The group's next offset, if it has one.
    pub group_offset: Option<i64>,
}

/// What a sink task gets from the worker.
#[derive(Clone)]
pub struct SinkContext {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number.
    pub task: u32,
    /// The task's configuration.
    pub config: Config,
    /// The Kafka cluster's id: offsets kept in a target are of one cluster.
    pub cluster_id: Arc<str>,
    /// Takes single records that the target refused, where the configuration tolerates it.
    pub errant: Arc<dyn ErrantRecordReporter>,
    /// Figures under this task's labels.
    pub metrics: Metrics,
    /// Cancelled when the task is to end.
    pub cancel: CancellationToken,
}

/// Takes records that a target refused one by one (`ErrantRecordReporter`, KIP-610).
#[async_trait]
pub trait ErrantRecordReporter: Send + Sync {
    /// Reports one record. An error means that it is not tolerated: the task must return it from `put`.
    async fn report(&self, record: &SinkRecord, error: Error) -> Result<()>;
}

/// Validates a sink's configuration and cuts it into tasks. It holds no state.
#[async_trait]
pub trait SinkConnector: Send + Sync {
    /// As [`SourceConnector::validate`](crate::source::SourceConnector::validate).
    async fn validate(&self, _config: &Config) -> Vec<(String, String)> {
        Vec::new()
    }

    /// One configuration per task, `max_tasks` of them unless the sink has a reason.
    fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>> {
        Ok(vec![config.clone(); max_tasks as usize])
    }

    /// Fields of a change event's envelope that the tasks never look at. Where no transformation stands in between they
    /// may be null: to read a `source` block takes longer than to read a row.
    fn ignores(&self, _config: &Config) -> &'static [&'static str] {
        &[]
    }

    /// A task, not yet started.
    fn task(&self) -> Box<dyn SinkTask>;

    /// Checks consumer offsets that a user wants to set (KIP-875), and sets those kept in the target; `None`
    /// deletes. Returns whether all offsets are now as asked, in the target too.
    async fn alter_offsets(
        &self,
        _config: &Config,
        _offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<bool> {
        Ok(false)
    }
}
