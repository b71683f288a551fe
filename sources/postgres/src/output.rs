//! Batches on their way from the driver to `poll`.
//!
//! The channel holds two; a batch is bounded in records and bytes, and the one being built waits for room. So what is read
//! ahead is three batches at most, and a full channel stops the reading, not the answering of keepalives.

use serde_json::Value as Json;
use tapline_api::offset::{Offset, OffsetMark, Partition, SourceBatch};
use tapline_api::{Record, Result};
use tapline_cdc::metrics::QueueMetrics;
use tokio::sync::mpsc;

use crate::position::Position;

/// How many batches wait between driver and `poll`.
const WAITING: usize = 2;

/// The receiving end, which `poll` reads.
pub(crate) type Batches = mpsc::Receiver<Result<SourceBatch>>;

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    sender: mpsc::Sender<Result<SourceBatch>>,
    partition: Partition,
    /// Marks of other partitions, which go out with the next batch, once.
    also: Vec<(Partition, Offset)>,
    /// What every offset says beside the position.
    further: Vec<(String, Json)>,
    queue: QueueMetrics,
}

/// Makes both ends, for the source partition of positions.
pub(crate) fn channel(partition: Partition, queue: QueueMetrics) -> (Output, Batches) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (
        Output {
            sender,
            partition,
            also: Vec::new(),
            further: Vec::new(),
            queue,
        },
        receiver,
    )
}

impl Output {
    /// Sends a further mark with the next batch.
    pub(crate) fn send_also(&mut self, partition: Partition, offset: Offset) {
        self.also.push((partition, offset));
    }

    /// Sets what offsets say beside the position from now on.
    pub(crate) fn keep(&mut self, further: Vec<(String, Json)>) {
        self.further = further;
    }

    /// A batch that ends at `position`.
    pub(crate) fn batch(
        &mut self,
        records: Vec<Record>,
        bytes: usize,
        position: Option<&Position>,
    ) -> SourceBatch {
        let after = records.len();
        self.queue.put(after, bytes);
        let mark = |partition: Partition, offset: Offset| OffsetMark {
            after,
            partition,
            offset: Some(offset),
        };
        let mut marks = Vec::with_capacity(2);
        for (partition, offset) in self.also.drain(..) {
            marks.push(mark(partition, offset));
        }
        marks.extend(
            position.map(|position| mark(self.partition.clone(), position.to_offset_with(&self.further))),
        );
        SourceBatch {
            records,
            marks,
            bytes,
            flush: false,
        }
    }

    /// What counts the batches.
    pub(crate) fn queue(&self) -> &QueueMetrics {
        &self.queue
    }

    /// The offset of a position.
    pub(crate) fn offset(&self, position: &Position) -> Offset {
        position.to_offset_with(&self.further)
    }

    /// Waits for room; cancel-safe. `None` when nobody receives any more.
    pub(crate) async fn room(
        sender: &mpsc::Sender<Result<SourceBatch>>,
    ) -> Option<mpsc::Permit<'_, Result<SourceBatch>>> {
        sender.reserve().await.ok()
    }

    /// A handle to wait for room with, while the output itself builds.
    pub(crate) fn sender(&self) -> mpsc::Sender<Result<SourceBatch>> {
        self.sender.clone()
    }

    /// Sends what ended the driver.
    pub(crate) async fn fail(&self, error: tapline_api::Error) {
        // Nobody receives when the task is being stopped.
        let _ = self.sender.send(Err(error)).await;
    }
}
