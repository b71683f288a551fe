//! Source connectors and tasks: from a database's log to batches of records.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::offset::{CommittedOffsets, Offset, Partition, SourceBatch};
use crate::topic_log::TopicLogs;

/// Reads a source and gives batches of records with positions.
///
/// # The contract
///
/// - **One caller.** The worker calls one method at a time; nothing here needs a lock.
/// - **Order.** Records of a batch, and batches, are in the source's order. The worker produces them in it, and
///   order within a key survives to the topic.
/// - **Position.** A batch's marks are positions to *restart from*: started with a mark's offset, the task gives
///   everything after it and may repeat what came before. A mark may stand without a record.
/// - **Acknowledgement.** The worker first has the records acknowledged, then the offset record that holds the
///   mark, and only then calls [`commit`](Self::commit) with it. So a source's server is never told to forget
///   what the offsets topic can't bring back. Marks of several batches may arrive as one commit; the newest counts.
/// - **Duplicates.** At-least-once: after a kill, records since the last stored mark come again.
/// - **Cancellation.** [`poll`](Self::poll) is dropped while it waits, to commit or to stop; dropping it must lose
///   nothing: what a poll has taken from its channel it returns without another await.
/// - **Back-pressure.** The worker does not poll while its channel is full. A source whose server needs to hear
///   from it (Postgres' keepalives) does that from a task of its own, and bounds in bytes what it reads ahead.
/// - **Errors.** [`Kind::Retriable`](crate::Kind::Retriable): the worker waits
///   (`retriable.restart.connector.wait.ms`, at most `errors.max.retries` times), calls [`stop`](Self::stop), and
///   starts a fresh task from the stored offset; it stays RUNNING meanwhile. Any other kind: the task is FAILED.
#[async_trait]
pub trait SourceTask: Send {
    /// Connects and positions itself after the stored offset (or decides on a snapshot). Long work belongs into
    /// [`poll`](Self::poll): a start should take seconds.
    async fn start(&mut self, context: SourceContext) -> Result<()>;

    /// Waits for the next batch. An empty batch is allowed, but not in a tight loop.
    async fn poll(&mut self) -> Result<SourceBatch>;

    /// These offsets are acknowledged in the offsets topic: confirm them to the server.
    async fn commit(&mut self, offsets: &CommittedOffsets) -> Result<()>;

    /// Ends connections and background tasks. Called once, also after a failed start; never fails.
    async fn stop(&mut self);
}

/// What a source task gets from the worker.
#[derive(Clone)]
pub struct SourceContext {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number.
    pub task: u32,
    /// The task's configuration, as [`SourceConnector::task_configs`] made it.
    pub config: Config,
    /// The stored offsets of this connector.
    pub offsets: Arc<dyn OffsetReader>,
    /// Topics as logs, for schema history, signals and notifications.
    pub logs: Arc<dyn TopicLogs>,
    /// Figures under this task's labels.
    pub metrics: Metrics,
    /// Cancelled when the task is to end; background tasks end by it.
    pub cancel: CancellationToken,
}

/// Reads stored offsets.
#[async_trait]
pub trait OffsetReader: Send + Sync {
    /// The newest offset stored for a source partition of this connector.
    async fn offset(&self, partition: &Partition) -> Result<Option<Offset>>;
}

/// Validates a source's configuration and cuts it into tasks. It holds no state.
#[async_trait]
pub trait SourceConnector: Send + Sync {
    /// Checks against the live system what the definition alone can't: the host answers, `wal_level` is logical,
    /// rights are there. Findings are `(option, message)`; an empty list is a valid configuration. Called after
    /// the definition's own checks passed, with a deadline of some seconds.
    async fn validate(&self, _config: &Config) -> Vec<(String, String)> {
        Vec::new()
    }

    /// One configuration per task, `max_tasks` at most. The worker adds `task.class` and what is its own.
    fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>>;

    /// A task, not yet started.
    fn task(&self) -> Box<dyn SourceTask>;

    /// Checks offsets that a user wants to store (KIP-875); `None` as an offset deletes. Returns whether the
    /// connector keeps no offsets elsewhere, so that the answer may say that all is done.
    fn alter_offsets(&self, _config: &Config, _offsets: &[(Partition, Option<Offset>)]) -> Result<bool> {
        Ok(false)
    }

    /// Looks a configuration over against the live system and says, per finding, what to run to mend it
    /// (`tapline doctor`). The default repeats [`validate`](Self::validate).
    async fn diagnose(&self, config: &Config) -> Vec<Finding> {
        let found = self.validate(config).await;
        found
            .into_iter()
            .map(|(subject, message)| Finding {
                subject,
                ok: false,
                message,
                cure: None,
            })
            .collect()
    }
}

/// One line of `tapline doctor`.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The option or the thing looked at: `wal_level`, `publication`.
    pub subject: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub message: String,
    /// What to run or set to mend it.
    pub cure: Option<String>,
}
