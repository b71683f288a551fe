//! The thread behind a sink task: consumes, converts, transforms, and hands batches to the loop.
//!
//! While the loop is busy the thread waits; when that takes long it pauses its partitions and goes on polling, so
//! that the group keeps it as a member.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tapline_api::Result;
use tapline_api::metrics::Metric;
use tapline_api::record::TopicPartition;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::decode::Decoder;
use super::events::{Batch, Event, Shared};
use crate::kafka::consumer::Consumer;

/// How long the thread waits for the loop before it pauses its partitions.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a poll waits for news.
const POLL: Duration = Duration::from_millis(100);
/// Bytes that are read at once, as they lie in the topic: what stays in a core's cache until it is converted.
const READ_BYTES: usize = 256 << 10;
/// Bytes of one batch, converted: the schema that every JSON message repeats is not among them.
const BATCH_BYTES: usize = 2 << 20;

pub(super) struct Reader {
    pub(super) consumer: Consumer,
    pub(super) decoder: Decoder,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) shared: Arc<Shared>,
    pub(super) runtime: Handle,
    pub(super) cancel: CancellationToken,
    pub(super) batch_records: usize,
    pub(super) paused: bool,
    pub(super) read: Metric,
    pub(super) seen: Box<dyn Fn(&str) + Send>,
}

impl Reader {
    /// Until the task is to end.
    pub(super) fn run(mut self) -> Result<()> {
        while !self.cancel.is_cancelled() {
            self.pause(self.shared.paused.load(Ordering::Acquire))?;
            let (mut batch, _) = self.consume(POLL, self.batch_records)?;
            if batch.is_empty() {
                continue;
            }
            // A batch is a transaction of the target: as large as what is there already makes it.
            let mut bytes = batch.size();
            while batch.records.len() < self.batch_records && bytes < BATCH_BYTES {
                let wanted = self.batch_records - batch.records.len();
                let (more, gone) = self.consume(Duration::ZERO, wanted)?;
                batch.forget(&gone);
                if more.is_empty() {
                    break;
                }
                bytes += more.size();
                batch.append(more);
            }
            if batch.is_empty() {
                continue;
            }
            for key in batch.next.keys() {
                (self.seen)(&key.topic);
            }
            self.hand_over(batch)?;
        }
        Ok(())
    }

    /// Up to so many records, converted, and nothing of partitions that have gone meanwhile.
    fn consume(&mut self, wait: Duration, records: usize) -> Result<(Batch, Vec<TopicPartition>)> {
        let mut raw = self.consumer.poll(wait, records, READ_BYTES)?;
        let gone = self.gone();
        if !gone.is_empty() {
            raw.retain(|r| {
                !gone
                    .iter()
                    .any(|p| p.partition == r.partition && p.topic == r.topic)
            });
        }
        self.read.add(i64::try_from(raw.len()).unwrap_or(i64::MAX));
        Ok((self.decoder.batch(raw)?, gone))
    }

    /// Waits for the loop to take the batch, staying in the group.
    fn hand_over(&mut self, mut batch: Batch) -> Result<()> {
        let events = self.events.clone();
        loop {
            let patience = if self.paused { Duration::ZERO } else { PATIENCE };
            let room = self.runtime.block_on(async {
                tokio::select! {
                    room = events.reserve() => Some(room),
                    () = tokio::time::sleep(patience) => None,
                    () = self.cancel.cancelled() => None,
                }
            });
            match room {
                Some(Ok(room)) => {
                    room.send(Event::Batch(batch));
                    return Ok(());
                }
                Some(Err(_)) => return Ok(()),
                None if self.cancel.is_cancelled() => return Ok(()),
                None => {}
            }
            self.pause(true)?;
            // Nothing comes from paused partitions; rebalances are heard.
            let late = self.consumer.poll(POLL, 1, 1)?;
            batch.forget(&self.gone());
            if !late.is_empty() {
                let late = self.decoder.batch(late)?;
                batch.append(late);
            }
            if batch.is_empty() {
                return Ok(());
            }
        }
    }

    fn gone(&self) -> Vec<TopicPartition> {
        std::mem::take(&mut *self.shared.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pause(&mut self, paused: bool) -> Result<()> {
        if self.paused != paused {
            if paused {
                self.consumer.pause()
            } else {
                self.consumer.resume()
            }?;
            self.paused = paused;
        }
        Ok(())
    }
}
