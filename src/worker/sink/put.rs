//! Putting: a batch as often as it takes, its records one by one to find the one that is at fault.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tapline_api::{Error, Kind, Result};
use tokio::time::Instant;

use super::Loop;
use super::events::Batch;
use crate::worker::backoff::Backoff;
use crate::worker::task::Retries;

/// The longest wait before a batch is put again.
pub(super) const PUT_AGAIN: Duration = Duration::from_secs(10);

impl Loop<'_> {
    /// Puts a batch, as often as it takes.
    pub(super) async fn put(&mut self, batch: Batch, retries: &mut Retries) -> Result<()> {
        let tolerance = self.reporter.tolerance.clone();
        // Without a limit of its own a batch is put again for ever, as Java redelivers it.
        let limit = tolerance.retry_timeout().filter(|limit| !limit.is_zero());
        let mut backoff = Backoff::new(tolerance.retry_delay_max().min(PUT_AGAIN));
        let started = Instant::now();
        let mut batch = batch;
        loop {
            let (left, error) = match self.try_put(batch).await {
                Ok(()) => {
                    retries.reset();
                    return Ok(());
                }
                Err(failed) => failed,
            };
            if error.kind() != Kind::Retriable {
                return Err(unrecoverable(error));
            }
            if limit.is_some_and(|limit| started.elapsed() > limit) {
                let limit = limit.unwrap_or_default();
                return Err(unrecoverable(
                    Error::fatal(format!(
                        "gave up putting a batch after errors.retry.timeout={limit:?}"
                    ))
                    .cause(error),
                ));
            }
            tolerance.retried();
            tracing::warn!("task {} will put a batch again: {error}", self.context.id);
            self.waiting.push_front(left);
            self.wait(backoff.wait()).await;
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            if self.context.cancel.is_cancelled() {
                return Ok(());
            }
            match self.waiting.pop_front() {
                Some(next) => batch = next,
                // A rebalance has taken it.
                None => return Ok(()),
            }
        }
    }

    /// Waits, but hears out a rebalance meanwhile.
    pub(super) async fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = self.context.cancel.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                () = self.shared.rebalancing.notified() => {}
            }
            // The thread waits in the rebalance, behind what it told before.
            while self.shared.rebalances.load(Ordering::Acquire) > 0 {
                let Some(event) = self.events.recv().await else {
                    return;
                };
                if let Err(error) = Box::pin(self.hear(event)).await {
                    self.broken.get_or_insert(error);
                    return;
                }
            }
        }
    }

    /// Puts a batch once, letting records go whose data is at fault where that is tolerated. A failure gives the
    /// rest of the batch back.
    pub(super) async fn try_put(&mut self, mut batch: Batch) -> Result<(), (Batch, Error)> {
        if !batch.raw.is_empty() {
            *self
                .reporter
                .current
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = batch.raw.clone();
        }
        // Parts are put on their own to find a record that the sink did not name.
        let mut part = batch.records.len();
        while !batch.records.is_empty() {
            part = part.min(batch.records.len()).max(1);
            let Some(now) = batch.records.get(..part) else {
                break;
            };
            let started = Instant::now();
            let error = match self.task.put(now).await {
                Ok(()) => {
                    self.figures.put(part, started.elapsed());
                    if part == batch.records.len() {
                        // To free what the records hold takes as long as to plan the next batch.
                        let written = std::mem::take(&mut batch.records);
                        tokio::task::spawn_blocking(move || drop(written));
                    }
                    batch.records.drain(..part.min(batch.records.len()));
                    part = batch.records.len();
                    continue;
                }
                Err(error) => error,
            };
            if error.kind() != Kind::Data {
                return Err((batch, error));
            }
            let bad = match error.record() {
                Some(index) if index < part => index,
                _ if part == 1 => 0,
                _ if self.reporter.tolerance.is_tolerant() => {
                    part /= 2;
                    continue;
                }
                _ => return Err((batch, error)),
            };
            let Some(record) = batch.records.get(bad) else {
                return Err((batch, error));
            };
            let error = at(record, error);
            let refused = tokio::task::block_in_place(|| self.reporter.refuse(record, error));
            if let Err(error) = refused {
                return Err((batch, error));
            }
            batch.records.remove(bad);
            part = batch.records.len();
        }
        self.accepted.extend(batch.next);
        Ok(())
    }
}

/// Names the record that a sink refused.
fn at(record: &tapline_api::record::SinkRecord, error: Error) -> Error {
    let origin = &record.origin;
    Error::data(format!(
        "Error writing record of topic '{}' partition {} at offset {}",
        origin.topic, origin.partition, origin.offset
    ))
    .cause(error)
}

pub(super) fn unrecoverable(error: Error) -> Error {
    Error::fatal("Exiting WorkerSinkTask due to unrecoverable exception.").cause(error)
}
