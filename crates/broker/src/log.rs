//! Partitions on disk: segment files that hold record batches as they were received.

mod batch;
mod compact;
mod index;
mod partition;
mod producers;
mod record;
mod recover;
mod segment;
mod syncer;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use compact::{Compaction, compact};
pub(crate) use partition::{Appended, LEADER_EPOCH, Log, Mark, Rules, Slice, Watching};
pub(crate) use syncer::Syncer;

use kafka_protocol::ResponseError;

/// Why a partition does not do what a request asks: Kafka's error code, and words for those clients that show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: ResponseError,
    pub(crate) message: Option<String>,
}

impl Refusal {
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: Some(message.into()),
        }
    }
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "a partition's file failed");
        Self::new(ResponseError::KafkaStorageError, error.to_string())
    }
}
