//! The task that the worker calls; the work is done by the [`Driver`] beside it.

use std::time::Duration;

use async_trait::async_trait;
use tapline_api::offset::{CommittedOffsets, Partition, SourceBatch};
use tapline_api::source::{SourceContext, SourceTask};
use tapline_api::{Error, Result};
use tapline_cdc::channels::Outside;
use tapline_cdc::metrics::{QueueMetrics, SourceMetrics};
use tapline_cdc::snapshot::{COMPLETED, Progress, RUNNING};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Options;
use crate::ddl::Flavor;
use crate::driver::Driver;
use crate::output::{self, Batches};
use crate::position::{Position, partition};
use crate::signals::{Signals, signals_partition};

/// One run of the connector's only task.
#[derive(Debug)]
pub(crate) struct Task {
    flavor: Flavor,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// The source partition.
    of: Partition,
    batches: Batches,
    /// The number of what a snapshot has stored.
    stored: watch::Sender<u64>,
    queue: QueueMetrics,
    cancel: CancellationToken,
    /// Until it has ended and been looked at.
    driver: Option<JoinHandle<()>>,
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

/// How long a stop waits for the driver.
const GOODBYE: Duration = Duration::from_secs(3);

impl Task {
    pub(crate) fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            running: None,
        }
    }
}

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, context: SourceContext) -> Result<()> {
        let options = Options::new(&context.config, self.flavor)?;
        let of = partition(options.naming.prefix());
        let stored = context.offsets.offset(&of).await?;
        let position = stored.as_ref().map(Position::from_offset).transpose()?;
        let metrics = SourceMetrics::new(
            context.metrics.clone(),
            options.connector(),
            options.naming.prefix(),
            &options.metric_tags,
        );
        let queue = metrics.queue("streaming", options.queue_records, options.batch_bytes * 3);
        let (output, batches) = output::channel(of.clone(), queue.clone());
        let (stored_numbers, numbers) = watch::channel(0);
        let cancel = context.cancel.child_token();
        let outside = listen(&context, &options).await?;
        // Rows of a table that was held may still be on their way.
        let goes_on = stored.as_ref().is_some_and(Signals::is_under_way);
        let signals =
            (goes_on || options.has_signals()).then(|| Signals::new(&options, stored.as_ref(), outside));
        let driver = Driver {
            options,
            task: context.task,
            stored,
            position,
            signals,
            metrics,
            offsets: context.offsets,
            logs: context.logs,
            output,
            numbers,
            cancel: cancel.clone(),
        };
        self.running = Some(Running {
            of,
            batches,
            stored: stored_numbers,
            queue,
            cancel,
            driver: Some(tokio::spawn(driver.run())),
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
        // The server keeps no position of ours.
        let Some(running) = &self.running else {
            return Ok(());
        };
        for (of, offset) in &offsets.0 {
            let Some(offset) = offset else { continue };
            let number = match *of == running.of {
                false => Progress::number(offset),
                true if Position::from_offset(offset)?.snapshot => Some(RUNNING),
                true => Some(COMPLETED),
            };
            running.stored.send_if_modified(|stored| match number {
                Some(number) if number > *stored => {
                    *stored = number;
                    true
                }
                _ => false,
            });
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
    }
}
