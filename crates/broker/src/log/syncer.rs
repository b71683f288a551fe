//! Group commit: who writes asks for a sync, and everyone who asked before it begins shares it.
//!
//! A log is synced by one thread at a time. What is written meanwhile waits for the sync after that, so an idle disk
//! answers at once and a busy one gathers. Several logs are synced side by side, since a journaling file system
//! commits them together.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::partition::Log;

/// Logs that are synced at the same time.
const SIDE_BY_SIDE: usize = 16;

const IDLE: u8 = 0;
const ASKED: u8 = 1;
const SYNCING: u8 = 2;
const ASKED_AGAIN: u8 = 3;

/// A log's place in the queue.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicU8);

impl Turn {
    /// Whether the log must be put into the queue.
    fn ask(&self) -> bool {
        let asked = |turn| match turn {
            IDLE => Some(ASKED),
            SYNCING => Some(ASKED_AGAIN),
            _ => None,
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, asked) == Ok(IDLE)
    }

    fn begin(&self) {
        self.0.store(SYNCING, Ordering::Release);
    }

    /// Whether it has to go into the queue again.
    fn end(&self) -> bool {
        if self
            .0
            .compare_exchange(SYNCING, IDLE, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            return false;
        }
        self.0.store(ASKED, Ordering::Release);
        true
    }
}

/// Runs the syncs, on the runtime's blocking threads.
#[derive(Debug, Clone)]
pub(crate) struct Syncer {
    runtime: Handle,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    logs: VecDeque<Arc<Log>>,
    threads: usize,
}

impl Syncer {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            queue: Arc::default(),
        }
    }

    /// Has everything synced that is written to the log now. The log's [`Mark`](super::Mark) tells when.
    pub(crate) fn ask(&self, log: &Arc<Log>) {
        if !log.turn.ask() {
            return;
        }
        let mut queue = self.queue();
        queue.logs.push_back(log.clone());
        if queue.threads < SIDE_BY_SIDE {
            queue.threads += 1;
            let syncer = self.clone();
            drop(self.runtime.spawn_blocking(move || syncer.work()));
        }
    }

    fn work(&self) {
        loop {
            let log = {
                let mut queue = self.queue();
                let Some(log) = queue.logs.pop_front() else {
                    queue.threads -= 1;
                    return;
                };
                log
            };
            log.turn.begin();
            log.sync();
            if log.turn.end() {
                self.queue().logs.push_back(log);
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
