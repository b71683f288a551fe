//! Flushing, and committing what is flushed.

use tapline_api::sink::SinkOffsets;
use tapline_api::{Error, Kind, Result};
use tokio::time::{Instant, timeout};

use super::Loop;
use super::put::{PUT_AGAIN, unrecoverable};
use crate::worker::backoff::Backoff;
use crate::worker::task::Retries;

impl Loop<'_> {
    /// Flushes, as often as it takes.
    pub(super) async fn flush_or_wait(&mut self, retries: &mut Retries) -> Result<()> {
        let mut backoff = Backoff::new(PUT_AGAIN);
        loop {
            match self.flush().await {
                Ok(()) => {
                    retries.reset();
                    return Ok(());
                }
                // What was accepted may be gone with the connection: only a fresh task reads it again.
                Err(error) if error.kind() == Kind::Retriable && backoff.attempts() < 1 => {
                    tracing::warn!("task {} will flush again: {error}", self.context.id);
                    self.wait(backoff.wait()).await;
                    if let Some(error) = self.broken.take() {
                        return Err(error);
                    }
                    if self.context.cancel.is_cancelled() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == Kind::Retriable => return Err(error),
                Err(error) => return Err(unrecoverable(error)),
            }
        }
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        self.task.flush().await?;
        if let Some(dead_letters) = &self.reporter.dead_letters {
            dead_letters.flush().await?;
        }
        self.durable.clone_from(&self.accepted);
        self.figures.flush();
        self.flushed = Instant::now();
        Ok(())
    }

    /// Commits what is durable; a failure is told, and made good by the next commit.
    pub(super) async fn commit_or_later(&mut self) {
        if let Err(error) = self.commit().await {
            tracing::warn!(
                "task {} could not commit its offsets, and will again: {error}",
                self.context.id
            );
        }
    }

    pub(super) async fn commit(&mut self) -> Result<()> {
        let started = Instant::now();
        self.figures.committed_at = started;
        let news: SinkOffsets = self
            .durable
            .iter()
            .filter(|(key, offset)| self.committed.get(*key) != Some(*offset))
            .map(|(key, offset)| (key.clone(), *offset))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let Some(consumer) = self.member.consumer() else {
            return Ok(());
        };
        let offsets = news.clone();
        let committing = tokio::task::spawn_blocking(move || consumer.commit(&offsets));
        let patience = self.context.worker.config.millis("offset.flush.timeout.ms");
        let committed = match timeout(patience, committing).await {
            Ok(committed) => {
                committed.unwrap_or_else(|error| Err(Error::fatal("a commit was cut off").cause(error)))
            }
            Err(_) => Err(Error::retriable("the group's coordinator did not answer in time")),
        };
        self.figures.committed(started.elapsed(), committed.is_ok());
        committed?;
        self.committed.extend(news);
        Ok(())
    }
}
