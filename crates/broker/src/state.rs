//! The small state: topics and their settings, group positions, producer ids. `sled` keeps it, behind [`Store`].
//!
//! Values are JSON, so that they can be read without this program. What a client is told of was flushed before; as with
//! the logs, those who wait for a flush at the same time share one. Why sled, and what would replace it:
//! `docs/decisions/0001-sled-for-small-state.md`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::{Error, Result};

/// A change: a value to put, or none to remove the key.
pub(crate) type Change = (String, Option<Vec<u8>>);

/// An ordered map of keys to values.
///
/// A set of changes is applied whole or not at all, and is visible at once, to [`Store::scan`] as to later changes. It
/// survives a kill of the process or the machine only after a [`Store::flush`] that began later.
pub(crate) trait Store: Send + Sync {
    /// Everything whose key begins with `prefix`, in the order of keys.
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>>;
    fn apply(&self, changes: Vec<Change>) -> Result<()>;
    /// Blocks until everything applied before is on disk.
    fn flush(&self) -> Result<()>;
}

fn state_error(error: impl std::fmt::Display) -> Error {
    Error::State(error.to_string())
}

impl Store for sled::Db {
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let text = |key: sled::IVec| String::from_utf8_lossy(&key).into_owned();
        let pairs = self
            .scan_prefix(prefix)
            .map(|pair| pair.map(|(key, value)| (text(key), value.to_vec())));
        pairs.collect::<sled::Result<_>>().map_err(state_error)
    }

    fn apply(&self, changes: Vec<Change>) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_bytes(), value),
                None => batch.remove(key.as_bytes()),
            }
        }
        self.apply_batch(batch).map_err(state_error)
    }

    fn flush(&self) -> Result<()> {
        sled::Tree::flush(self).map(drop).map_err(state_error)
    }
}

/// Opens the sled database in `folder`.
pub(crate) fn open(folder: &Path) -> Result<sled::Db> {
    sled::Config::new()
        .path(folder)
        // Everything is read once, at open, and kept by those who need it.
        .cache_capacity(1 << 20)
        .mode(sled::Mode::LowSpace)
        // We flush when someone waits for it.
        .flush_every_ms(None)
        .open()
        .map_err(state_error)
}

/// A [`Store`] whose flushes are shared.
#[derive(Clone)]
pub(crate) struct State(Arc<Inner>);

struct Inner {
    store: Box<dyn Store>,
    runtime: Handle,
    rounds: Mutex<Rounds>,
    /// The last round that was flushed; none once a flush has failed.
    flushed: watch::Sender<Option<u64>>,
}

/// A change belongs to the round that begins after it.
#[derive(Default)]
struct Rounds {
    begun: u64,
    running: bool,
    asked: bool,
}

/// Waits for a flush.
pub(crate) struct Flush {
    round: u64,
    flushed: watch::Receiver<Option<u64>>,
}

impl Flush {
    /// # Errors
    /// When the disk failed; from then on nothing is flushed until the broker is started again.
    pub(crate) async fn wait(mut self) -> Result<()> {
        let round = self.round;
        let seen = self
            .flushed
            .wait_for(|flushed| flushed.is_none_or(|flushed| flushed >= round))
            .await;
        match seen.ok().and_then(|flushed| *flushed) {
            Some(_) => Ok(()),
            None => Err(Error::State("it can't be flushed to disk".to_owned())),
        }
    }
}

impl State {
    pub(crate) fn new(store: Box<dyn Store>, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            store,
            runtime,
            rounds: Mutex::default(),
            flushed: watch::Sender::new(Some(0)),
        }))
    }

    /// Everything below `prefix`: the rest of the key, and the value.
    pub(crate) fn list<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>> {
        let read = |(key, value): (String, Vec<u8>)| {
            let value =
                serde_json::from_slice(&value).map_err(|error| Error::State(format!("{key}: {error}")))?;
            Ok((key.strip_prefix(prefix).unwrap_or(&key).to_owned(), value))
        };
        self.0.store.scan(prefix)?.into_iter().map(read).collect()
    }

    /// Applies changes at once, in the order of the calls. They are durable when the returned [`Flush`] is over.
    pub(crate) fn apply(&self, changes: Vec<Change>) -> Result<Flush> {
        self.0.store.apply(changes)?;
        let mut rounds = self.rounds();
        if !rounds.running {
            rounds.running = true;
            let state = self.clone();
            drop(self.0.runtime.spawn_blocking(move || state.work()));
        }
        rounds.asked = true;
        Ok(Flush {
            round: rounds.begun + 1,
            flushed: self.0.flushed.subscribe(),
        })
    }

    fn work(&self) {
        loop {
            let round = {
                let mut rounds = self.rounds();
                if !std::mem::take(&mut rounds.asked) {
                    rounds.running = false;
                    return;
                }
                rounds.begun += 1;
                rounds.begun
            };
            let done = self.0.store.flush();
            if let Err(error) = &done {
                tracing::error!(%error, "can't flush");
            }
            self.0.flushed.send_modify(|flushed| {
                *flushed = match done {
                    Ok(()) => flushed.map(|_| round),
                    Err(_) => None,
                }
            });
        }
    }

    fn rounds(&self) -> std::sync::MutexGuard<'_, Rounds> {
        self.0.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes now. Blocks.
    pub(crate) fn flush(&self) -> Result<()> {
        self.0.store.flush()
    }
}

/// `key` with `value` as JSON.
pub(crate) fn put(key: String, value: &impl Serialize) -> Change {
    // Only maps with keys that are no strings, and failing serializers, make an error; these are plain structs.
    (key, Some(serde_json::to_vec(value).unwrap_or_default()))
}

/// `key` removed.
pub(crate) fn remove(key: String) -> Change {
    (key, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::Folder;

    #[tokio::test]
    async fn a_flushed_change_is_there_after_reopening() {
        let folder = Folder::new();
        let state = State::new(Box::new(open(&folder.0).unwrap()), Handle::current());
        let flushes: Vec<_> = (0..20)
            .map(|n| {
                state
                    .apply(vec![put(format!("a/{n:02}"), &n), put("b/x".to_owned(), &n)])
                    .unwrap()
            })
            .collect();
        state
            .apply(vec![remove("a/03".to_owned())])
            .unwrap()
            .wait()
            .await
            .unwrap();
        for flush in flushes {
            flush.wait().await.unwrap();
        }
        drop(state);
        let db = loop {
            // sled's lock goes with its last thread
            if let Ok(db) = open(&folder.0) {
                break db;
            }
            tokio::task::yield_now().await;
        };
        let state = State::new(Box::new(db), Handle::current());
        let list = state.list::<u32>("a/").unwrap();
        assert_eq!(list.len(), 19);
        assert_eq!(list[3], ("04".to_owned(), 4));
        assert_eq!(state.list::<u32>("b/").unwrap(), [("x".to_owned(), 19)]);
    }

    #[tokio::test]
    async fn a_failed_flush_is_told_to_everyone_from_then_on() {
        struct Broken;
        impl Store for Broken {
            fn scan(&self, _: &str) -> Result<Vec<(String, Vec<u8>)>> {
                Ok(Vec::new())
            }
            fn apply(&self, _: Vec<Change>) -> Result<()> {
                Ok(())
            }
            fn flush(&self) -> Result<()> {
                Err(Error::State("broken".to_owned()))
            }
        }
        let state = State::new(Box::new(Broken), Handle::current());
        assert!(state.apply(Vec::new()).unwrap().wait().await.is_err());
        assert!(state.apply(Vec::new()).unwrap().wait().await.is_err());
    }
}
