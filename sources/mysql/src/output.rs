//! Batches on their way from the driver to `poll`.
//!
//! The channel holds two; a batch is bounded in records and bytes, and the one being built waits for room. So what is read
//! ahead is three batches at most, and a full channel stops the reading.

use tapline_api::offset::{Offset, OffsetMark, Partition, SourceBatch};
use tapline_api::{Record, Result};
use tapline_cdc::metrics::QueueMetrics;
use tokio::sync::mpsc;

/// How many batches wait between driver and `poll`.
const WAITING: usize = 2;

/// The receiving end, which `poll` reads.
pub(crate) type Batches = mpsc::Receiver<Result<SourceBatch>>;

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    sender: mpsc::Sender<Result<SourceBatch>>,
    partition: Partition,
    queue: QueueMetrics,
}

/// Makes both ends, for the source partition of positions; `queue` counts what lies in between.
pub(crate) fn channel(partition: Partition, queue: QueueMetrics) -> (Output, Batches) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let output = Output {
        sender,
        partition,
        queue,
    };
    (output, receiver)
}

impl Output {
    /// A batch that ends at `position`, with further marks before it.
    pub(crate) fn batch(
        &self,
        records: Vec<Record>,
        bytes: usize,
        mut marks: Vec<OffsetMark>,
        position: Option<Offset>,
    ) -> SourceBatch {
        let after = records.len();
        self.queue.put(after, bytes);
        marks.extend(position.map(|offset| OffsetMark {
            after,
            partition: self.partition.clone(),
            offset: Some(offset),
        }));
        SourceBatch {
            records,
            marks,
            bytes,
            flush: false,
        }
    }

    /// A handle to wait for room with, while the output itself builds.
    pub(crate) fn sender(&self) -> mpsc::Sender<Result<SourceBatch>> {
        self.sender.clone()
    }

    /// What counts the batches.
    pub(crate) fn queue(&self) -> &QueueMetrics {
        &self.queue
    }

    /// Sends a batch, or says that the task is being stopped.
    pub(crate) async fn deliver(&self, batch: SourceBatch) -> Result<()> {
        match self.send(batch).await {
            true => Ok(()),
            false => Err(tapline_api::Error::retriable("the task is being stopped")),
        }
    }

    /// Sends records that move no position.
    pub(crate) async fn send_all(&self, records: Vec<Record>, bytes: usize) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.deliver(self.batch(records, bytes, Vec::new(), None)).await
    }

    /// Sends a batch, waiting for room. False when nobody receives any more.
    pub(crate) async fn send(&self, batch: SourceBatch) -> bool {
        self.sender.send(Ok(batch)).await.is_ok()
    }

    /// Sends what ended the driver.
    pub(crate) async fn fail(&self, error: tapline_api::Error) {
        // Nobody receives when the task is being stopped.
        let _ = self.sender.send(Err(error)).await;
    }
}
