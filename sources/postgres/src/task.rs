//! The task that the worker calls; the work is done by the [`Driver`] beside it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tapline_api::offset::{CommittedOffsets, SourceBatch};
use tapline_api::source::{SourceContext, SourceTask};
use tapline_api::{Error, Result};
use tapline_cdc::channels::Outside;
use tapline_cdc::metrics::{QueueMetrics, SourceMetrics};
use tapline_cdc::snapshot::{COMPLETED, Progress, RUNNING};
use tapline_cdc::transaction::Transactions;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Options;
use crate::driver::{self, Driver};
use crate::lsn::Lsn;
use crate::output::{self, Batches};
use crate::position::{Cluster, Position, SnapshotState, cluster_partition, partition};
use crate::signals::{Signals, signals_partition};

/// One run of the connector's only task.
#[derive(Debug, Default)]
pub(crate) struct Task {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    options: Arc<Options>,
    batches: Batches,
    queue: QueueMetrics,
    confirmed: watch::Sender<Lsn>,
    /// The number of what a snapshot has stored.
    stored: watch::Sender<u64>,
    cancel: CancellationToken,
    /// Until it has ended and been looked at.
    driver: Option<JoinHandle<()>>,
}

impl Running {
    /// Tells a running snapshot how much of it is stored.
    fn snapshot_stored(&self, number: Option<u64>) {
        self.stored.send_if_modified(|stored| match number {
            Some(number) if number > *stored => {
                *stored = number;
                true
            }
            _ => false,
        });
    }
}

/// Signals that do not come by the log, from where the last run stopped.
async fn listen(context: &SourceContext, options: &Options) -> Result<Option<mpsc::Receiver<Outside>>> {
    if !options.channels.has_outside() {
        return Ok(None);
    }
    let partition = signals_partition(options.naming.prefix());
    let stored = context.offsets.offset(&partition).await?;
    let from = stored
        .and_then(|stored| stored.get("offset")?.as_i64())
        .map_or(0, |offset| offset + 1);
    let (sender, receiver) = mpsc::channel(16);
    let listening = options
        .channels
        .clone()
        .listen(context.logs.clone(), from, sender);
    let cancel = context.cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = listening => {}
        }
    });
    Ok(Some(receiver))
}

/// How long a stop waits for the driver's goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, context: SourceContext) -> Result<()> {
        let options = Options::new(&context.config)?;
        let prefix = options.naming.prefix();
        let offset = context.offsets.offset(&partition(prefix)).await?;
        let position = offset.as_ref().map(Position::from_offset).transpose()?;
        let cluster = context.offsets.offset(&cluster_partition(prefix)).await?;
        let transactions = options
            .transactions
            .then(|| Transactions::load(options.naming.transaction(), offset.as_ref()));
        let metrics = SourceMetrics::new(context.metrics.clone(), "postgres", prefix, &options.metric_tags);
        let queue = metrics.queue("streaming", options.queue_records, options.batch_bytes * 3);
        let (output, batches) = output::channel(partition(prefix), queue.clone());
        let (confirmed, confirmations) = watch::channel(Lsn::NONE);
        let (stored, chunks) = watch::channel(0);
        let cancel = context.cancel.child_token();
        let outside = listen(&context, &options).await?;
        let signals = options
            .has_signals()
            .then(|| Signals::new(offset.as_ref(), options.notifier.clone(), outside));
        let driver = Driver {
            options: options.clone(),
            signals,
            task: context.task,
            position,
            transactions,
            metrics,
            cluster: cluster.as_ref().and_then(Cluster::from_offset),
            output,
            offsets: context.offsets.clone(),
            stored: chunks,
            confirmed: confirmations,
            cancel: cancel.clone(),
        };
        let driver = tokio::spawn(driver.run());
        self.running = Some(Running {
            options: Arc::new(options),
            batches,
            queue,
            confirmed,
            stored,
            cancel,
            driver: Some(driver),
        });
        Ok(())
    }

    async fn poll(&mut self) -> Result<SourceBatch> {
        let Some(running) = &mut self.running else {
            return Err(Error::fatal("the task was polled before it was started"));
        };
        match running.batches.recv().await {
            Some(batch) => {
                if let Ok(batch) = &batch {
                    running.queue.taken(batch.records.len(), batch.bytes);
                }
                batch
            }
            None => {
                if let Some(driver) = &mut running.driver {
                    let ended = driver.await;
                    running.driver = None;
                    if ended.is_err() {
                        return Err(Error::fatal(
                            "the source's driver ended unexpectedly; the log has more",
                        ));
                    }
                }
                // All done (initial_only), or stopped: there will be nothing more.
                std::future::pending().await
            }
        }
    }

    async fn commit(&mut self, offsets: &CommittedOffsets) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let ours = partition(running.options.naming.prefix());
        for (committed, offset) in &offsets.0 {
            let Some(offset) = offset else {
                continue;
            };
            if *committed != ours {
                running.snapshot_stored(Progress::number(offset));
                continue;
            }
            let position = Position::from_offset(offset)?;
            running.snapshot_stored(Some(match position.snapshot {
                Some(SnapshotState::Running) => RUNNING,
                Some(SnapshotState::Completed) | None => COMPLETED,
            }));
            // As Debezium confirms: the last commit, or before the first one the last event.
            if let Some(lsn) = position.last_commit.or(position.processed) {
                running.confirmed.send_if_modified(|confirmed| {
                    let forward = lsn > *confirmed;
                    *confirmed = lsn.max(*confirmed);
                    forward
                });
            }
        }
        Ok(())
    }

    async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.cancel.cancel();
        running.batches.close();
        if let Some(mut driver) = running.driver.take()
            && tokio::time::timeout(GOODBYE, &mut driver).await.is_err()
        {
            driver.abort();
        }
        if running.options.slot_drop_on_stop {
            driver::drop_slot(&running.options).await;
        }
    }
}
