//! Incremental snapshots: tables read anew in small chunks while the log is streamed (DBLog's watermarks).
//!
//! ```text
//!  log   ──── open ────── changes of keys in the chunk ────── close ────▶
//!                │ chunk is read here, some time │
//!                └ what is read waits; a change that comes removes its key ┘ then the rest goes out
//! ```
//!
//! This is what is known between two messages of the log, and Debezium's offset entries for it, so that a connector can be
//! stopped in the middle and go on, here or there. Reading and writing watermarks is the source's.

mod java;

use std::collections::VecDeque;

use serde_json::Value as Json;
use tapline_api::offset::Offset;

use crate::signal::Execute;
pub use java::KeyPart;

const PRIMARY_KEY: &str = "incremental_snapshot_primary_key";
const MAXIMUM_KEY: &str = "incremental_snapshot_maximum_key";
const COLLECTIONS: &str = "incremental_snapshot_collections";
const CORRELATION_ID: &str = "incremental_snapshot_correlation_id";
const ID: &str = "incremental_snapshot_collections_id";
const CONDITION: &str = "incremental_snapshot_collections_additional_condition";
const SURROGATE_KEY: &str = "incremental_snapshot_collections_surrogate_key";

/// A table to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its name, `schema.table`.
    pub id: String,
    /// What goes into WHERE; empty for none.
    pub condition: String,
    /// Column to order by; empty for the primary key.
    pub surrogate_key: String,
}

/// How far it is. `W` is a row that waits for its window to close.
#[derive(Clone, Debug)]
pub struct Incremental<W> {
    correlation: Option<String>,
    collections: VecDeque<Collection>,
    paused: bool,
    sent: Option<Vec<KeyPart>>,
    end: Option<Vec<KeyPart>>,
    maximum: Option<Vec<KeyPart>>,
    chunk: Option<String>,
    open: bool,
    window: Vec<Waiting<W>>,
    /// Rows of the current table read so far.
    pub rows: u64,
}

#[derive(Clone, Debug)]
struct Waiting<W> {
    key: String,
    position: Vec<KeyPart>,
    row: W,
}

impl<W> Default for Incremental<W> {
    fn default() -> Self {
        Self {
            correlation: None,
            collections: VecDeque::new(),
            paused: false,
            sent: None,
            end: None,
            maximum: None,
            chunk: None,
            open: false,
            window: Vec::new(),
            rows: 0,
        }
    }
}

impl<W> Incremental<W> {
    /// From a stored offset.
    pub fn from_offset(offset: &Offset) -> Self {
        let text = |name: &str| offset.get(name).and_then(Json::as_str);
        let key = |name: &str| text(name).and_then(java::decode);
        let collections: Option<Vec<Json>> =
            text(COLLECTIONS).and_then(|collections| serde_json::from_str(collections).ok());
        let collections = collections.into_iter().flatten().filter_map(|collection| {
            let text = |name: &str| collection.get(name).and_then(Json::as_str).map(str::to_owned);
            Some(Collection {
                id: text(ID)?,
                condition: text(CONDITION).unwrap_or_default(),
                surrogate_key: text(SURROGATE_KEY).unwrap_or_default(),
            })
        });
        let end = key(PRIMARY_KEY);
        Self {
            correlation: text(CORRELATION_ID).map(str::to_owned),
            collections: collections.collect(),
            sent: end.clone(),
            // A maximum without a position would skip nothing; it is found anew.
            maximum: key(MAXIMUM_KEY),
            end,
            ..Self::default()
        }
    }

    /// Debezium's offset entries; none while nothing is to be read.
    pub fn entries(&self) -> Vec<(&'static str, Json)> {
        if !self.is_running() {
            return Vec::new();
        }
        let collections: Vec<String> = self
            .collections
            .iter()
            .map(|collection| {
                let text = |text: &str| Json::from(text).to_string();
                format!(
                    "{{\"{ID}\":{},\"{CONDITION}\":{},\"{SURROGATE_KEY}\":{}}}",
                    text(&collection.id),
                    text(&collection.condition),
                    text(&collection.surrogate_key)
                )
            })
            .collect();
        vec![
            (PRIMARY_KEY, java::encode(self.sent.as_deref()).into()),
            (MAXIMUM_KEY, java::encode(self.maximum.as_deref()).into()),
            (COLLECTIONS, format!("[{}]", collections.join(",")).into()),
            (
                CORRELATION_ID,
                self.correlation.clone().map_or(Json::Null, Json::from),
            ),
        ]
    }

    /// Whether there is something to read.
    pub fn is_running(&self) -> bool {
        !self.collections.is_empty()
    }

    /// Whether it is held.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Holds it, or lets it go on; false when it is so already or nothing runs.
    pub fn pause(&mut self, pause: bool) -> bool {
        let changes = self.is_running() && self.paused != pause;
        if changes {
            self.paused = pause;
        }
        changes
    }

    /// Adds what a signal asks for; true when nothing ran before.
    pub fn add(&mut self, signal: &str, execute: &Execute, captured: &[String]) -> bool {
        let idle = !self.is_running();
        self.correlation = Some(signal.to_owned());
        for id in execute.expand(captured) {
            if self.collections.iter().any(|known| known.id == id) {
                continue;
            }
            self.collections.push_back(Collection {
                condition: execute.condition(&id).unwrap_or_default().to_owned(),
                surrogate_key: execute.surrogate_key.clone().unwrap_or_default(),
                id,
            });
        }
        idle
    }

    /// Takes out tables by patterns, or all; gives their names, and whether one of them was being read.
    pub fn remove(&mut self, patterns: &[String]) -> (Vec<String>, bool) {
        let first = self.collections.front().map(|collection| collection.id.clone());
        let mut removed = Vec::new();
        self.collections.retain(|collection| {
            let out = patterns.is_empty() || crate::signal::matches(patterns, &collection.id);
            if out {
                removed.push(collection.id.clone());
            }
            !out
        });
        let current = first.is_some_and(|first| removed.contains(&first));
        if current {
            self.reset();
        }
        (removed, current)
    }

    /// The table that is read.
    pub fn current(&self) -> Option<&Collection> {
        self.collections.front()
    }

    /// The names of what is left, the one that is read first.
    pub fn names(&self) -> Vec<String> {
        self.collections
            .iter()
            .map(|collection| collection.id.clone())
            .collect()
    }

    /// The id of the signal that asked last.
    pub fn correlation(&self) -> Option<&str> {
        self.correlation.as_deref()
    }

    /// Goes on to the next table.
    pub fn next(&mut self) {
        self.collections.pop_front();
        self.reset();
    }

    fn reset(&mut self) {
        (self.sent, self.end, self.maximum) = (None, None, None);
        self.window.clear();
        self.open = false;
        self.rows = 0;
    }

    /// A chunk's window has this id from now on.
    pub fn start_chunk(&mut self, id: String) {
        self.chunk = Some(id);
        self.open = false;
    }

    /// The id of the chunk's window.
    pub fn chunk(&self) -> Option<&str> {
        self.chunk.as_deref()
    }

    /// The key that the last chunk ended at.
    pub fn end(&self) -> Option<&[KeyPart]> {
        self.end.as_deref()
    }

    /// The greatest key of the table when it was begun.
    pub fn maximum(&self) -> Option<&[KeyPart]> {
        self.maximum.as_deref()
    }

    /// Sets the greatest key.
    pub fn set_maximum(&mut self, key: Vec<KeyPart>) {
        self.maximum = Some(key);
    }

    /// A row of the chunk; `key` tells its record's key from others, `position` is where it stands in the table.
    pub fn wait(&mut self, key: String, position: Vec<KeyPart>, row: W) {
        self.end = Some(position.clone());
        self.rows += 1;
        self.window.push(Waiting { key, position, row });
    }

    /// Whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// The watermark of this id opens the window, if it is the chunk's.
    pub fn open(&mut self, id: &str) {
        if self.is_chunk(id) {
            self.open = true;
        }
    }

    /// Whether changes take their keys out of the window.
    pub fn is_open(&self) -> bool {
        self.open && !self.window.is_empty()
    }

    /// Whether the watermark is this chunk's: others are of a former run.
    pub fn is_chunk(&self, id: &str) -> bool {
        self.chunk.as_deref().is_some_and(|chunk| id.starts_with(chunk))
    }

    /// A change of this key has come: what was read of it is old.
    pub fn changed(&mut self, key: &str) {
        self.window.retain(|waiting| waiting.key != key);
    }

    /// The window closes: what is left in it, in the order in which it was read.
    pub fn close(&mut self) -> Vec<W> {
        self.open = false;
        self.chunk = None;
        let rows: Vec<W> = std::mem::take(&mut self.window)
            .into_iter()
            .map(|waiting| {
                self.sent = Some(waiting.position);
                waiting.row
            })
            .collect();
        // Rows that changes have taken the place of are behind, too.
        self.sent = self.end.clone().or(self.sent.take());
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execute(tables: &[&str]) -> Execute {
        Execute {
            blocking: false,
            collections: tables.iter().map(|&table| table.to_owned()).collect(),
            conditions: vec![("a".into(), "n > 1".into())],
            surrogate_key: None,
        }
    }

    #[test]
    fn a_changed_key_leaves_the_window_and_the_rest_goes_out_in_order() {
        let mut one: Incremental<u8> = Incremental::default();
        assert!(one.add("s", &execute(&["a", "b"]), &["a".into(), "b".into()]));
        assert!(!one.add("t", &execute(&["a"]), &["a".into()]));
        assert_eq!(one.names(), ["a", "b"]);
        one.start_chunk("id".into());
        for n in 1..=3 {
            one.wait(n.to_string(), vec![KeyPart::Int(n.into())], n);
        }
        assert!(!one.is_open());
        one.open("other-open");
        assert!(!one.is_open());
        one.open("id-open");
        one.changed("2");
        assert_eq!(one.close(), [1, 3]);
        assert_eq!(one.end(), Some(&[KeyPart::Int(3)][..]));
        assert_eq!(one.remove(&["a".into()]), (vec!["a".to_owned()], true));
        assert_eq!((one.end(), one.rows), (None, 0));
    }

    #[test]
    fn what_is_stored_is_debeziums_and_reads_back() {
        let mut one: Incremental<()> = Incremental::default();
        assert!(one.entries().is_empty());
        one.add("s", &execute(&["a"]), &["a".into()]);
        one.set_maximum(vec![KeyPart::Int(100), KeyPart::Text("x".into())]);
        one.start_chunk("id".into());
        one.wait("k".into(), vec![KeyPart::Int(5), KeyPart::Text("y".into())], ());
        one.close();
        let entries = one.entries();
        let offset = Offset::new(
            entries
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        assert_eq!(
            offset.get(COLLECTIONS).unwrap(),
            "[{\"incremental_snapshot_collections_id\":\"a\",\"incremental_snapshot_collections_additional_condition\":\
             \"n > 1\",\"incremental_snapshot_collections_surrogate_key\":\"\"}]"
        );
        let back: Incremental<()> = Incremental::from_offset(&offset);
        assert_eq!(back.end(), one.end());
        assert_eq!(back.maximum(), one.maximum());
        assert_eq!(back.current(), one.current());
        assert_eq!(back.entries(), entries);
    }
}
