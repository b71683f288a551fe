//! A partition's log: appended to under one lock, synced by group commit, read up to what is synced.
//!
//! ```text
//!  segments   [ 0 ……… ][ 5210 ……… ][ 9970 …………┊…… ]
//!             └ start                   high watermark ┊      └ next
//!               offset                  = synced       ┊ written
//! ```
//!
//! The high watermark is the end of what is synced: a batch is acknowledged, and shown to consumers, only below it. So
//! no consumer ever holds a record that a power cut takes back.

mod check;
mod read;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use tokio::sync::{Notify, watch};

use super::Refusal;
use super::batch::Header;
use super::index::Entry;
use super::producers::{Producers, Verdict};
use super::recover::recover;
use super::segment::{self, Segment, log_path, state_path};

pub(crate) use check::Rules;
pub(crate) use read::Slice;

/// Bytes between two descriptions of the segment being written: what a recovery reads at most.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// The epoch of every leader here: a single node never loses an offset that a client has seen.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// How far the log is synced, and whether it takes part no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) high_watermark: i64,
    /// Its disk failed (`KAFKA_STORAGE_ERROR`), or its topic was deleted (`UNKNOWN_TOPIC_OR_PARTITION`).
    pub(crate) closed: Option<ResponseError>,
}

/// A batch that was written, or was there already; acknowledged when the high watermark reaches `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) end: i64,
    /// -1 when records keep their own times.
    pub(crate) append_time: i64,
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    /// Written to `topic.id`, so that a folder is never taken for that of a later topic of the same name.
    topic_id: uuid::Uuid,
    inner: Mutex<Inner>,
    mark: watch::Sender<Mark>,
    start: AtomicI64,
    /// Fetches that wait for the high watermark to move.
    waiting: Mutex<Vec<Arc<Notify>>>,
    syncing: Mutex<()>,
    pub(super) turn: super::syncer::Turn,
}

#[derive(Debug, Default)]
struct Inner {
    /// In order; the last one is written to. None before the first append: then there is no folder either.
    segments: Vec<Segment>,
    producers: Producers,
    /// What is synced: the segment and the byte.
    synced: (i64, u32),
    folder_changed: bool,
    since_checkpoint: u64,
    /// The segment, other than the last, whose file is open for reading, and its index.
    reading: Option<(i64, Arc<Vec<Entry>>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking holder left is judged by the next CRC, not by the lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// Opens the folder and recovers what it holds. It is created by the first append.
    pub(crate) fn open(folder: PathBuf, topic_id: uuid::Uuid, start: i64, now: i64) -> io::Result<Self> {
        let found = recover(&folder, now)?;
        if found.scanned > 0 {
            // What a killed process wrote but did not sync is as good as the rest, once it is.
            if let Some(last) = found.segments.last() {
                File::open(log_path(&folder, last.base))?.sync_all()?;
            }
            tracing::info!(folder = %folder.display(), bytes = found.scanned, "recovered");
        }
        if found.cut > 0 {
            tracing::warn!(folder = %folder.display(), bytes = found.cut, "cut a torn tail, which was never acknowledged");
        }
        let first = found.segments.first().map_or(0, |segment| segment.base);
        let last = found.segments.last();
        let next = last.map_or(0, |segment| segment.next);
        let inner = Inner {
            synced: last.map_or((0, 0), |segment| (segment.base, segment.size)),
            since_checkpoint: found.scanned + found.cut,
            producers: found.producers,
            segments: found.segments,
            ..Inner::default()
        };
        Ok(Self {
            folder,
            topic_id,
            inner: Mutex::new(inner),
            mark: watch::Sender::new(Mark {
                high_watermark: next,
                closed: None,
            }),
            start: AtomicI64::new(start.clamp(first, next.max(first))),
            waiting: Mutex::default(),
            syncing: Mutex::default(),
            turn: super::syncer::Turn::default(),
        })
    }

    /// The first offset that can be read.
    pub(crate) fn start(&self) -> i64 {
        self.start.load(Ordering::Acquire)
    }

    pub(crate) fn high_watermark(&self) -> i64 {
        self.mark.borrow().high_watermark
    }

    pub(crate) fn mark(&self) -> watch::Receiver<Mark> {
        self.mark.subscribe()
    }

    /// Bytes on disk.
    pub(crate) fn size(&self) -> u64 {
        lock(&self.inner)
            .segments
            .iter()
            .map(|segment| u64::from(segment.size))
            .sum()
    }

    /// Writes one batch, with its offsets set. It is neither durable nor visible before [`Log::sync`].
    ///
    /// # Errors
    /// Those of Kafka's Produce API; the log is as it was.
    pub(crate) fn append(&self, batch: &[u8], rules: &Rules, now: i64) -> Result<Appended, Refusal> {
        let (mut header, records) = check::batch(batch, rules, now)?;
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        if let Some(closed) = self.mark.borrow().closed {
            return Err(closed.into());
        }
        if header.has_producer() {
            match inner.producers.check(&header) {
                Verdict::Append => {}
                Verdict::Duplicate {
                    base_offset,
                    last_offset,
                    append_time,
                } => {
                    return Ok(Appended {
                        base_offset,
                        end: last_offset + 1,
                        append_time,
                    });
                }
                Verdict::OldEpoch(epoch) => {
                    let message = format!("epoch {} is older than {epoch}", header.producer_epoch);
                    return Err(Refusal::new(ResponseError::InvalidProducerEpoch, message));
                }
                Verdict::OutOfOrder { expected } => {
                    let message = format!("sequence {} where {expected} is next", header.base_sequence);
                    return Err(Refusal::new(ResponseError::OutOfOrderSequenceNumber, message));
                }
            }
        }
        header.base_offset = inner.segments.last().map_or(0, |segment| segment.next);
        header.leader_epoch = LEADER_EPOCH;
        if rules.log_append_time {
            header.set_log_append_time(now);
            header.crc = header.crc_with(records);
        }
        self.write(inner, &header, records, rules.segment_bytes)?;
        inner.producers.appended(&header, now);
        inner.since_checkpoint += u64::from(header.size);
        let append_time = if rules.log_append_time { now } else { -1 };
        Ok(Appended {
            base_offset: header.base_offset,
            end: header.next_offset(),
            append_time,
        })
    }

    fn write(
        &self,
        inner: &mut Inner,
        header: &Header,
        records: &[u8],
        segment_bytes: u32,
    ) -> io::Result<()> {
        if inner
            .segments
            .last()
            .is_none_or(|last| !last.takes(header, segment_bytes))
        {
            if inner.segments.is_empty() {
                self.create_folder()?;
            }
            if let Some(full) = inner.segments.last_mut() {
                full.unsealed = Some(inner.producers.clone());
            }
            inner.segments.push(Segment::new(header.base_offset));
            inner.folder_changed = true;
        }
        let Some(active) = inner.segments.last_mut() else {
            return Ok(());
        };
        let file = active.open(&self.folder)?;
        if let Err(error) = segment::write(&file, &header.bytes(), records) {
            // Half a batch would be in the way of the next one.
            if file.set_len(u64::from(active.size)).is_err() {
                self.close(ResponseError::KafkaStorageError);
            }
            return Err(error);
        }
        active.appended(header);
        Ok(())
    }

    fn create_folder(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        fs::write(self.folder.join("topic.id"), self.topic_id.to_string())
    }

    /// Makes durable what is written, and moves the high watermark there. Blocks.
    ///
    /// A failed sync closes the log: the kernel may have dropped the pages, and a second sync would not tell.
    pub(crate) fn sync(&self) {
        self.sync_and_describe(CHECKPOINT_BYTES);
    }

    /// Syncs, and describes everything, so that the next start reads nothing. Blocks.
    pub(crate) fn finish(&self, now: i64) {
        lock(&self.inner).producers.expire(now);
        self.sync_and_describe(1);
    }

    fn sync_and_describe(&self, undescribed: u64) {
        let _one_at_a_time = lock(&self.syncing);
        if let Err(error) = self.try_sync(undescribed) {
            tracing::error!(folder = %self.folder.display(), %error, "can't sync; the partition is offline until restart");
            self.close(ResponseError::KafkaStorageError);
        }
    }

    fn try_sync(&self, undescribed: u64) -> io::Result<()> {
        let mut files = Vec::new();
        let mut states = Vec::new();
        let (folder_changed, reached, next) = {
            let mut inner = lock(&self.inner);
            let inner = &mut *inner;
            let from = inner.synced.0;
            for segment in inner
                .segments
                .iter_mut()
                .filter(|one| one.base >= from || one.unsealed.is_some())
            {
                if segment.size > 0 {
                    files.push(segment.open(&self.folder)?);
                }
                if let Some(producers) = &segment.unsealed {
                    states.push((segment.base, segment.state(producers.clone())));
                }
            }
            let Some(last) = inner.segments.last() else {
                return Ok(());
            };
            if inner.since_checkpoint >= undescribed {
                inner.since_checkpoint = 0;
                states.push((last.base, last.state(inner.producers.clone())));
            }
            (
                std::mem::take(&mut inner.folder_changed),
                (last.base, last.size),
                last.next,
            )
        };
        for file in files {
            file.sync_data()?;
        }
        if folder_changed {
            File::open(&self.folder)?.sync_all()?;
            if let Some(parent) = self.folder.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        lock(&self.inner).synced = reached;
        self.mark
            .send_modify(|mark| mark.high_watermark = mark.high_watermark.max(next));
        for waiting in std::mem::take(&mut *lock(&self.waiting)) {
            waiting.notify_one();
        }
        for (base, state) in &states {
            state.write(&state_path(&self.folder, *base))?;
        }
        let mut inner = lock(&self.inner);
        for segment in inner
            .segments
            .iter_mut()
            .filter(|segment| segment.unsealed.is_some())
        {
            if states.iter().any(|(base, _)| *base == segment.base) {
                (segment.entries, segment.unsealed, segment.file) = (None, None, None);
            }
        }
        Ok(())
    }

    /// Takes the log out of service, and tells everyone who waits.
    pub(crate) fn close(&self, why: ResponseError) {
        self.mark
            .send_modify(|mark| mark.closed = mark.closed.or(Some(why)));
        for waiting in std::mem::take(&mut *lock(&self.waiting)) {
            waiting.notify_one();
        }
    }

    /// Wakes `waiting` once when the high watermark moves or the log closes, until the guard is dropped.
    pub(crate) fn watch(self: &Arc<Self>, waiting: &Arc<Notify>) -> Watching {
        lock(&self.waiting).push(waiting.clone());
        Watching {
            log: self.clone(),
            waiting: waiting.clone(),
        }
    }

    /// Forgets the records before `offset`, at most those before the high watermark, and removes the files that hold
    /// no other. Returns the new start. Blocks.
    pub(crate) fn delete_before(&self, offset: i64) -> io::Result<i64> {
        let start = offset.min(self.high_watermark());
        let start = self.start.fetch_max(start, Ordering::AcqRel).max(start);
        let gone: Vec<i64> = {
            let mut inner = lock(&self.inner);
            let last = inner.segments.len().saturating_sub(1);
            let full = inner
                .segments
                .iter()
                .take(last)
                .take_while(|segment| segment.next <= start)
                .count();
            inner.segments.drain(..full).map(|segment| segment.base).collect()
        };
        for base in gone {
            fs::remove_file(log_path(&self.folder, base))?;
            let _ = fs::remove_file(state_path(&self.folder, base));
        }
        Ok(start)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Goes on in a new file, if the current one holds anything. The file is there at once: its name keeps the end
    /// offset when compaction takes the last record before it.
    pub(super) fn roll(&self) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        if let Some(full) = inner.segments.last_mut().filter(|segment| segment.size > 0) {
            let mut new = Segment::new(full.next);
            new.open(&self.folder)?;
            full.unsealed = Some(inner.producers.clone());
            inner.segments.push(new);
            inner.folder_changed = true;
        }
        Ok(())
    }

    /// The segments that are not written any more: base, bytes, greatest time. And the producers as they are now.
    pub(super) fn sealed(&self) -> (Vec<(i64, u32, i64)>, Producers) {
        let inner = lock(&self.inner);
        let sealed = inner.segments.iter().rev().skip(1).rev();
        let sealed = sealed.filter(|segment| segment.unsealed.is_none());
        (
            sealed
                .map(|segment| (segment.base, segment.size, segment.max_time))
                .collect(),
            inner.producers.clone(),
        )
    }

    /// Puts one segment in the place of some, at the moment when `rename` puts its file in the place of the first of
    /// theirs: files are opened under the same lock. Readers that hold the old ones finish.
    pub(super) fn replace(
        &self,
        bases: &[i64],
        with: Segment,
        rename: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut inner = lock(&self.inner);
        rename()?;
        inner.reading = None;
        let Some(at) = inner
            .segments
            .iter()
            .position(|segment| bases.contains(&segment.base))
        else {
            return Ok(());
        };
        inner.segments.retain(|segment| !bases.contains(&segment.base));
        if with.size > 0 {
            inner.segments.insert(at, with);
        }
        Ok(())
    }
}

/// Undoes [`Log::watch`].
pub(crate) struct Watching {
    log: Arc<Log>,
    waiting: Arc<Notify>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        lock(&self.log.waiting).retain(|other| !Arc::ptr_eq(other, &self.waiting));
    }
}

/// What the tests of other modules look at.
#[cfg(test)]
impl Log {
    pub(crate) fn producers(&self) -> Producers {
        lock(&self.inner).producers.clone()
    }

    pub(crate) fn bases(&self) -> Vec<i64> {
        lock(&self.inner)
            .segments
            .iter()
            .map(|segment| segment.base)
            .collect()
    }
}
