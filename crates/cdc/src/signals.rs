//! What signals ask for, done between two messages of the log: incremental snapshots, and blocking ones that are asked for.
//!
//! The stream calls in: with the records that went out, with what the signal table says, and where it stands. Chunks are read
//! in between, by a session of the source's own, while the stream waits; they are small.
//!
//! With `read.only`, or without a signal table, no watermark is written. A chunk's window then closes where the log ended when
//! the chunk had been read: every change that the chunk may have seen, and may have missed, comes before.

use std::collections::VecDeque;
use std::future::Future;

use tapline_api::offset::{Offset, Partition};
use tapline_api::{Record, Result};
use tokio::sync::mpsc;

use crate::channels::Outside;
use crate::clock::Instant;
use crate::headers::new_uuid;
use crate::incremental::{Incremental, KeyPart};
use crate::notification::{Aggregate, Notifier};
use crate::signal::{Action, CLOSE, Execute, OPEN, Signal};

/// What a source lends for it: a session to read chunks and to write watermarks by, and where records go.
pub trait Chunks: Send {
    /// A row that waits for its window to close.
    type Row: Send;
    /// A place in the log.
    type Place: Send;
    /// What to say of a signal `schema-changes`.
    const SCHEMA_CHANGES: &'static str;

    /// Whether incremental snapshots can be asked for: there is a signal table, or `read.only` is set.
    fn can_read(&self) -> bool;

    /// Whether windows close by the log, and no watermark is written.
    fn close_by_log(&self) -> bool;

    /// Whether a window closes by the deletion of its first watermark (`insert_delete`).
    fn delete_watermarks(&self) -> bool;

    /// Where the stream stands, for the signal `log`: `{lsn=…}`.
    fn place(&self) -> String;

    /// The names of the captured tables, sorted.
    fn tables(&mut self) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Reads the next rows of the table at hand into the window. What the server refuses is no error, but `Nothing`.
    fn read(&mut self, of: &mut Incremental<Self::Row>) -> impl Future<Output = Result<Filled>> + Send;

    /// Where the log ends now.
    fn log_end(&mut self) -> impl Future<Output = Result<Self::Place>> + Send;

    /// Writes a watermark to the signal table.
    fn write_watermark(
        &mut self,
        id: &str,
        kind: &str,
        data: &str,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Deletes a watermark from the signal table.
    fn delete_watermark(&mut self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// The table at hand is no more.
    fn forget(&mut self);

    /// A row goes out, as what an incremental snapshot read.
    fn emit(&mut self, row: Self::Row);

    /// A notification goes out.
    fn tell(&mut self, record: Record);
}

/// What came of reading a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Rows wait in the window.
    Rows,
    /// Why there are no rows, as notifications say it.
    Nothing(&'static str),
}

/// A connector's signals. `R` are rows that wait, `P` places in the log.
#[derive(Debug)]
pub struct Signals<R, P> {
    incremental: Incremental<R>,
    notifier: Notifier,
    outside: Option<mpsc::Receiver<Outside>>,
    /// Without watermarks: where the window closes.
    closes: Option<P>,
    /// Blocking snapshots that are asked for, the oldest first.
    blocking: VecDeque<Execute>,
    /// A chunk's rows are on their way.
    finished: bool,
}

/// The source partition under which the place in the signal topic is stored.
pub fn signals_partition(server: &str) -> Partition {
    Partition::new([
        ("server".to_owned(), server.into()),
        ("tapline".to_owned(), "signals".into()),
    ])
}

impl<R: Send, P: Send> Signals<R, P> {
    /// Goes on as `stored` says. `outside` gives signals that do not come by the log.
    pub fn new(
        stored: Option<&Offset>,
        notifier: Notifier,
        outside: Option<mpsc::Receiver<Outside>>,
    ) -> Self {
        Self {
            incremental: stored.map(Incremental::from_offset).unwrap_or_default(),
            notifier,
            outside,
            closes: None,
            blocking: VecDeque::new(),
            finished: false,
        }
    }

    /// What offsets say of it.
    pub fn entries(&self) -> Vec<(&'static str, serde_json::Value)> {
        self.incremental.entries()
    }

    /// Waits for a signal from outside; cancel-safe.
    pub async fn outside(&mut self) -> Outside {
        if let Some(outside) = &mut self.outside {
            match outside.recv().await {
                Some(signal) => return signal,
                None => self.outside = None,
            }
        }
        std::future::pending().await
    }

    /// The next blocking snapshot that is asked for, once.
    pub fn take_blocking(&mut self) -> Option<Execute> {
        self.blocking.pop_front()
    }

    /// Whether one is asked for.
    pub fn wants_blocking(&self) -> bool {
        !self.blocking.is_empty()
    }

    /// Whether a chunk has ended since the last call: its end is to be stored soon, so that a kill repeats little.
    pub fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.finished)
    }

    /// Whether a window closes by the log.
    pub fn is_waiting(&self) -> bool {
        self.closes.is_some()
    }

    /// Whether rows wait, so that changes of their keys count.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.incremental.is_open()
    }

    /// Records that changes have made to `topic`, which is that of the table at hand: what was read of their keys is old.
    pub fn changed(&mut self, topic: &str, records: &[Record]) {
        for record in records.iter().filter(|record| *record.topic == *topic) {
            self.incremental.changed(&format!("{:?}", record.key));
        }
    }

    /// Streaming begins: a chunk that a former run had not finished is read again.
    pub async fn begin<C: Chunks<Row = R, Place = P>>(&mut self, chunks: &mut C) -> Result<()> {
        if self.incremental.is_running() && self.incremental.chunk().is_none() {
            tracing::info!("an incremental snapshot is under way and goes on");
            self.read_chunk(chunks).await?;
        }
        Ok(())
    }

    /// The stream stands between two transactions, at a place of which `is_behind` tells whether another lies there or before.
    pub async fn reached<C: Chunks<Row = R, Place = P>>(
        &mut self,
        is_behind: impl Fn(&P) -> bool + Send,
        chunks: &mut C,
    ) -> Result<()> {
        while self.closes.as_ref().is_some_and(&is_behind) {
            self.closes = None;
            self.close(chunks).await?;
        }
        Ok(())
    }

    /// A row was deleted from the signal table.
    pub async fn deleted<C: Chunks<Row = R, Place = P>>(&mut self, id: &str, chunks: &mut C) -> Result<()> {
        match chunks.delete_watermarks() && self.incremental.is_chunk(id) {
            true => self.close(chunks).await,
            false => Ok(()),
        }
    }

    /// Does what a signal asks for.
    pub async fn act<C: Chunks<Row = R, Place = P>>(
        &mut self,
        signal: &Signal,
        chunks: &mut C,
    ) -> Result<()> {
        let Some(action) = signal.action() else {
            return Ok(());
        };
        match action {
            Action::Log(message) => tracing::info!("{}", message.replace("{}", &chunks.place())),
            Action::Execute(execute) if execute.blocking => self.blocking.push_back(execute),
            Action::Execute(_) if !chunks.can_read() => tracing::warn!(
                id = signal.id,
                "an incremental snapshot is asked for, but neither signal.data.collection nor read.only is set"
            ),
            Action::Execute(execute) => self.read_again(&signal.id, &execute, chunks).await?,
            Action::Stop(patterns) => self.stop(&patterns, chunks),
            Action::Pause => {
                if self.incremental.pause(true) {
                    self.notify("PAUSED", &[("data_collections", self.names())], chunks);
                }
            }
            Action::Resume => {
                if self.incremental.pause(false) {
                    self.notify("RESUMED", &[("data_collections", self.names())], chunks);
                    if self.incremental.chunk().is_none() {
                        self.read_chunk(chunks).await?;
                    }
                }
            }
            Action::OpenWindow(id) => self.incremental.open(&id),
            Action::CloseWindow(id) => {
                if self.incremental.is_chunk(&id) {
                    self.close(chunks).await?;
                }
            }
            Action::SchemaChanges(_) => tracing::warn!(id = signal.id, "{}", C::SCHEMA_CHANGES),
        }
        Ok(())
    }

    /// Reads tables by chunks, or asks for a blocking snapshot of them.
    pub async fn read_again<C: Chunks<Row = R, Place = P>>(
        &mut self,
        id: &str,
        execute: &Execute,
        chunks: &mut C,
    ) -> Result<()> {
        if execute.blocking {
            self.blocking.push_back(execute.clone());
            return Ok(());
        }
        let captured = chunks.tables().await?;
        if self.incremental.add(id, execute, &captured) {
            self.notify("STARTED", &[("data_collections", self.names())], chunks);
            self.read_chunk(chunks).await?;
        }
        Ok(())
    }

    fn stop<C: Chunks<Row = R, Place = P>>(&mut self, patterns: &[String], chunks: &mut C) {
        let (removed, current) = self.incremental.remove(patterns);
        if removed.is_empty() {
            tracing::info!("no incremental snapshot of these tables is under way: nothing to stop");
            return;
        }
        if current {
            chunks.forget();
            self.closes = None;
        }
        let data = [("data_collections", removed.join(","))];
        self.notify("ABORTED", if patterns.is_empty() { &[] } else { &data }, chunks);
    }

    /// What is left in the window goes out, and the next chunk is read.
    async fn close<C: Chunks<Row = R, Place = P>>(&mut self, chunks: &mut C) -> Result<()> {
        for row in self.incremental.close() {
            chunks.emit(row);
        }
        self.finished = true;
        self.read_chunk(chunks).await
    }

    async fn read_chunk<C: Chunks<Row = R, Place = P>>(&mut self, chunks: &mut C) -> Result<()> {
        if !self.incremental.is_running() || self.incremental.is_paused() {
            return Ok(());
        }
        let id = new_uuid();
        self.incremental.start_chunk(id.clone());
        let opened = Instant::now().java_text();
        let open = format!("{{\"openWindowTimestamp\": \"{opened}\"}}");
        let (first, by_log) = (format!("{id}{OPEN}"), chunks.close_by_log());
        if !by_log {
            chunks
                .write_watermark(&first, "snapshot-window-open", &open)
                .await?;
        }
        while self.incremental.is_running() {
            match chunks.read(&mut self.incremental).await? {
                Filled::Rows => {
                    self.in_progress(chunks);
                    break;
                }
                Filled::Nothing(status) => self.table_done(status, chunks),
            }
        }
        if by_log {
            self.incremental.open(&id);
            self.closes = Some(chunks.log_end().await?);
            return Ok(());
        }
        if chunks.delete_watermarks() {
            return chunks.delete_watermark(&first).await;
        }
        let close = format!(
            "{{\"openWindowTimestamp\": \"{opened}\", \"closeWindowTimestamp\": \"{}\"}}",
            Instant::now().java_text()
        );
        chunks
            .write_watermark(&format!("{id}{CLOSE}"), "snapshot-window-close", &close)
            .await
    }

    fn in_progress<C: Chunks<Row = R, Place = P>>(&self, chunks: &mut C) {
        let join = |key: Option<&[KeyPart]>| {
            let parts: Vec<String> = key.unwrap_or_default().iter().map(ToString::to_string).collect();
            parts.join(",")
        };
        let current = self.incremental.current().map(|table| table.id.clone());
        let data = [
            ("data_collections", self.names()),
            ("current_collection_in_progress", current.unwrap_or_default()),
            ("maximum_key", join(self.incremental.maximum())),
            ("last_processed_key", join(self.incremental.end())),
        ];
        self.notify("IN_PROGRESS", &data, chunks);
    }

    fn table_done<C: Chunks<Row = R, Place = P>>(&mut self, status: &str, chunks: &mut C) {
        let table = self.incremental.current().map(|table| table.id.clone());
        tracing::info!(
            table,
            rows = self.incremental.rows,
            status,
            "incremental snapshot of a table has ended"
        );
        let data = [
            ("scanned_collection", table.unwrap_or_default()),
            ("total_rows_scanned", self.incremental.rows.to_string()),
            ("status", status.to_owned()),
            ("data_collections", self.names()),
        ];
        self.notify("TABLE_SCAN_COMPLETED", &data, chunks);
        self.incremental.next();
        chunks.forget();
        if !self.incremental.is_running() {
            self.notify("COMPLETED", &[], chunks);
        }
    }

    fn names(&self) -> String {
        self.incremental.names().join(",")
    }

    fn notify<C: Chunks<Row = R, Place = P>>(&self, kind: &str, data: &[(&str, String)], chunks: &mut C) {
        let id = match self.incremental.correlation() {
            Some(id) => id.to_owned(),
            None => new_uuid(),
        };
        let record = self
            .notifier
            .notify(&id, Aggregate::Incremental, kind, data, Instant::now());
        if let Some(record) = record {
            chunks.tell(record);
        }
    }
}
