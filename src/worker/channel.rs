//! A channel bounded in bytes, from a task to its thread.
//!
//! Back-pressure is this channel being full: the sender waits, and nothing else buffers. An item larger than the
//! bound goes through alone.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout_at;

/// Items at most, whatever their size.
const ITEMS: usize = 64;

/// The sending half.
pub struct Sender<T> {
    items: mpsc::Sender<(T, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    bound: usize,
}

/// The receiving half, for a thread that may block.
pub struct Receiver<T>(mpsc::Receiver<(T, OwnedSemaphorePermit)>);

/// Room for one item.
pub struct Reserved<'a, T> {
    slot: mpsc::Permit<'a, (T, OwnedSemaphorePermit)>,
    room: OwnedSemaphorePermit,
}

/// What came until a moment.
pub enum Received<T> {
    /// An item, which counts as held until the permit is dropped.
    Item(T, OwnedSemaphorePermit),
    /// Nothing.
    Late,
    /// The sender has gone and everything is received.
    Ended,
}

/// A channel for `bound` bytes.
pub fn bounded<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let (items, receiver) = mpsc::channel(ITEMS);
    let sender = Sender {
        items,
        room: Arc::new(Semaphore::new(bound)),
        bound,
    };
    (sender, Receiver(receiver))
}

impl<T> Sender<T> {
    /// Waits until there is room for an item of `bytes`. Cancel-safe. `None` when the receiver has gone.
    pub async fn reserve(&self, bytes: usize) -> Option<Reserved<'_, T>> {
        let bytes = u32::try_from(bytes.clamp(1, self.bound)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(bytes).await.ok()?;
        let slot = self.items.reserve().await.ok()?;
        Some(Reserved { slot, room })
    }
}

impl<T> Reserved<'_, T> {
    /// Sends it.
    pub fn send(self, item: T) {
        self.slot.send((item, self.room));
    }
}

impl<T> Receiver<T> {
    /// Waits for an item, which counts as held until the permit is dropped. `None` when the sender has gone and
    /// everything is received. Blocks.
    pub fn recv(&mut self) -> Option<(T, OwnedSemaphorePermit)> {
        self.0.blocking_recv()
    }

    /// As [`recv`](Self::recv), until `due`.
    pub fn recv_until(&mut self, due: Instant, runtime: &Handle) -> Received<T> {
        let received = match self.0.try_recv() {
            Ok(item) => Ok(Some(item)),
            Err(_) => runtime.block_on(async { timeout_at(due.into(), self.0.recv()).await }),
        };
        match received {
            Ok(Some((item, held))) => Received::Item(item, held),
            Ok(None) => Received::Ended,
            Err(_) => Received::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_channel_makes_the_sender_wait_and_an_item_larger_than_it_goes_alone() {
        let (sender, mut receiver) = bounded(10);
        sender.reserve(6).await.unwrap().send('a');
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), sender.reserve(6)).await;
        assert!(waiting.is_err());
        let (item, held) = receiver.0.recv().await.unwrap();
        assert_eq!(item, 'a');
        drop(held);
        sender.reserve(1000).await.unwrap().send('b');
        drop(receiver);
        assert!(sender.reserve(1).await.is_none());
    }
}
