//! The loop's hold on its consumer: however the loop ends, the group is left on a thread that may wait.
//!
//! To drop a consumer takes a round trip, and hears of the partitions that go. A loop that is cut off, because its put takes
//! longer than the end may, is dropped on a thread of the runtime, where waiting is not allowed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::events::Shared;
use crate::kafka::consumer::Consumer;

/// A consumer in its group.
pub(super) struct Member {
    consumer: Option<Consumer>,
    shared: Arc<Shared>,
}

impl Member {
    pub(super) fn new(consumer: Consumer, shared: Arc<Shared>) -> Self {
        Self {
            consumer: Some(consumer),
            shared,
        }
    }

    /// The consumer, until the group is left.
    pub(super) fn consumer(&self) -> Option<Consumer> {
        self.consumer.clone()
    }

    /// Leaves the group, unless others hold the consumer too: then the last of them does. Nobody hears of partitions any more.
    pub(super) fn leave(&mut self) -> Option<JoinHandle<()>> {
        let consumer = self.consumer.take()?;
        self.shared.closing.store(true, Ordering::Release);
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn_blocking(move || drop(consumer)))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.leave());
    }
}
