//! Partitions that come and go with the group's rebalances.

use tapline_api::record::TopicPartition;
use tapline_api::sink::{Assigned, SinkOffsets};
use tapline_api::{Kind, Result};

use super::Loop;
use super::put::PUT_AGAIN;
use crate::worker::backoff::Backoff;

impl Loop<'_> {
    pub(super) async fn open(&mut self, partitions: Vec<Assigned>) -> Result<SinkOffsets> {
        let mut backoff = Backoff::new(PUT_AGAIN);
        let starts = loop {
            match self.task.open(&partitions).await {
                Err(error) if error.kind() == Kind::Retriable && !self.context.cancel.is_cancelled() => {
                    tracing::warn!(
                        "task {} could not open partitions, and will again: {error}",
                        self.context.id
                    );
                    self.wait(backoff.wait()).await;
                }
                opened => break opened?,
            }
        };
        self.owned
            .extend(partitions.into_iter().map(|assigned| assigned.partition));
        self.figures
            .partitions
            .set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
        tracing::debug!("task {} has partitions {:?}", self.context.id, self.owned);
        Ok(starts)
    }

    /// Partitions go: makes what was put of them durable and commits it, unless they are lost already.
    pub(super) async fn release(&mut self, partitions: Vec<TopicPartition>, lost: bool) -> Result<()> {
        if !lost {
            // One try each: what fails comes again, to whoever has the partitions next.
            for batch in std::mem::take(&mut self.waiting) {
                if let Err(error) = self.try_put(batch).await {
                    tracing::warn!(
                        "task {} gives partitions up unfinished: {}",
                        self.context.id,
                        error.1
                    );
                    self.waiting.push_back(error.0);
                }
            }
            match self.flush().await {
                Ok(()) => self.commit_or_later().await,
                Err(error) => {
                    tracing::warn!("task {} gives partitions up unflushed: {error}", self.context.id)
                }
            }
        }
        for batch in &mut self.waiting {
            batch.forget(&partitions);
        }
        self.waiting.retain(|batch| !batch.is_empty());
        for offsets in [&mut self.accepted, &mut self.durable, &mut self.committed] {
            offsets.retain(|key, _| !partitions.contains(key));
        }
        self.owned.retain(|key| !partitions.contains(key));
        self.figures
            .partitions
            .set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
        self.task.close(&partitions).await
    }
}
