//! Compaction: of all records with the same key the last one stays, at its offset (`cleanup.policy=compact`).
//!
//! First the keys of what is new are mapped to their last offsets; then the segments are written again without the
//! records that have a later one. Small segments are joined. The new file is synced and renamed over the first of those
//! it replaces, then the others are removed; whichever of these steps is the last before a kill, recovery finds every
//! record that should stay, since it drops a segment that the one before it reaches into.
//!
//! A tombstone stays until `delete.retention.ms` after it was first compacted, so that a reader on its way sees it
//! (KIP-534). Compressed batches stay as they are: their keys can't be read here.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use super::Log;
use super::batch::{HEADER, Header};
use super::producers::Producers;
use super::record::{Record, records};
use super::segment::{Segment, Walk, log_path, state_path};

/// Keys that are mapped in one run: about 12 MiB while it lasts. What lies behind is compacted by the next run.
const MOST_KEYS: usize = 1 << 18;
/// Up to which offset the log is compacted.
const MARKER: &str = "compacted";

/// A topic's settings, as far as compaction asks for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compaction {
    pub(crate) delete_retention_ms: i64,
    pub(crate) min_lag_ms: i64,
    pub(crate) min_dirty_ratio: f64,
    pub(crate) segment_bytes: u32,
}

/// The last offset of each key, by two hashes of it: 128 bits, as in Kafka.
#[derive(Default)]
struct Last {
    hashers: [RandomState; 2],
    offsets: HashMap<(u64, u64), i64>,
    /// The offset behind the last one that was mapped.
    end: i64,
}

impl Last {
    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let [one, two] = &self.hashers;
        (one.hash_one(key), two.hash_one(key))
    }

    fn note(&mut self, header: &Header, body: &[u8]) {
        if !header.is_compressed() && !header.is_control() {
            for record in records(body, header.count).map_while(Result::ok) {
                if let Some(key) = record.key {
                    let hash = self.hash(key);
                    self.offsets
                        .insert(hash, header.base_offset.saturating_add(record.offset_delta));
                }
            }
        }
        self.end = header.next_offset();
    }

    /// Whether no later record has this one's key.
    fn is_last(&self, key: Option<&[u8]>, offset: i64) -> bool {
        let Some(key) = key else { return false };
        offset >= self.end
            || self
                .offsets
                .get(&self.hash(key))
                .is_none_or(|last| *last <= offset)
    }
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    AsItIs,
    Rewritten(Header, Vec<u8>),
    Nothing,
}

/// The batch without the records that `is_last` denies and the tombstones whose time has come.
fn filter(
    header: &Header,
    body: &[u8],
    last: &Last,
    producers: &Producers,
    rules: &Compaction,
    now: i64,
) -> Kept {
    if header.is_compressed() || header.is_control() || header.base_offset >= last.end {
        return Kept::AsItIs;
    }
    let Ok(all) = records(body, header.count).collect::<Result<Vec<_>, _>>() else {
        return Kept::AsItIs;
    };
    let horizon = header.delete_horizon();
    let stays = |record: &&Record<'_>| {
        let offset = header.base_offset.saturating_add(record.offset_delta);
        let expired = record.value.is_none() && horizon.is_some_and(|horizon| horizon <= now);
        last.is_last(record.key, offset) && !expired
    };
    let kept: Vec<_> = all.iter().filter(stays).collect();
    let begins_to_expire = horizon.is_none() && kept.iter().any(|record| record.value.is_none());
    if kept.len() == all.len() && !begins_to_expire {
        return Kept::AsItIs;
    }
    if kept.is_empty() && !producers.needs(header) {
        return Kept::Nothing;
    }
    let mut new = *header;
    if begins_to_expire {
        new.set_delete_horizon(now.saturating_add(rules.delete_retention_ms));
    }
    let later = new.base_timestamp.saturating_sub(header.base_timestamp);
    let mut out = Vec::with_capacity(body.len());
    for record in &kept {
        record.put(&mut out, later);
    }
    if !header.has_log_append_time() {
        let time = |record: &&&Record<'_>| header.base_timestamp.saturating_add(record.timestamp_delta);
        new.max_timestamp = kept
            .iter()
            .map(|record| time(&record))
            .max()
            .unwrap_or(header.max_timestamp);
    }
    new.count = i32::try_from(kept.len()).unwrap_or(i32::MAX);
    new.size = u32::try_from(HEADER + out.len()).unwrap_or(u32::MAX);
    new.crc = new.crc_with(&out);
    Kept::Rewritten(new, out)
}

/// Compacts the log, if enough of it is new. What is being appended meanwhile is not touched. Blocks.
pub(crate) fn compact(log: &Log, rules: &Compaction, now: i64) -> io::Result<()> {
    let marker = log.folder().join(MARKER);
    let done = fs::read_to_string(&marker)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0_i64);
    let size = log.size();
    let clean: u64 = log
        .sealed()
        .0
        .iter()
        .filter(|(base, ..)| *base < done)
        .map(|(_, size, _)| u64::from(*size))
        .sum();
    let dirty = size - clean.min(size);
    // Both are far below what an f64 counts exactly.
    #[allow(clippy::cast_precision_loss)]
    if dirty == 0 || (dirty as f64) < rules.min_dirty_ratio * size as f64 {
        return Ok(());
    }
    log.roll()?;
    log.sync();
    let (mut sealed, producers) = log.sealed();
    if rules.min_lag_ms > 0 {
        let old = sealed
            .iter()
            .take_while(|(.., time)| *time <= now.saturating_sub(rules.min_lag_ms))
            .count();
        sealed.truncate(old);
    }
    let last = map(log, &sealed, done)?;
    let mut from = 0;
    while let Some(&(first, ..)) = sealed.get(from) {
        let mut group = Group::new(log, first)?;
        while let Some(&(base, size, _)) = sealed.get(from) {
            if !group.add(base, size, &last, &producers, rules, now)? {
                break;
            }
            from += 1;
        }
        group.finish(producers.clone())?;
    }
    fs::write(&marker, last.end.to_string())?;
    tracing::info!(folder = %log.folder().display(), before = size, after = log.size(), "compacted");
    Ok(())
}

/// Maps the keys behind `done`.
fn map(log: &Log, sealed: &[(i64, u32, i64)], done: i64) -> io::Result<Last> {
    let mut last = Last {
        end: done,
        ..Last::default()
    };
    for &(base, size, _) in sealed {
        let file = File::open(log_path(log.folder(), base))?;
        let mut walk = Walk::new(&file, 0, size);
        while let Some((position, header)) = walk.next()? {
            if header.base_offset < done {
                continue;
            }
            if last.offsets.len() >= MOST_KEYS {
                return Ok(last);
            }
            last.note(&header, &body(&file, position, &header)?);
        }
    }
    Ok(last)
}

fn body(file: &File, position: u32, header: &Header) -> io::Result<Vec<u8>> {
    let mut body = vec![0; header.size as usize - HEADER];
    file.read_exact_at(&mut body, u64::from(position) + HEADER as u64)?;
    Ok(body)
}

/// Segments that become one.
struct Group<'a> {
    log: &'a Log,
    segment: Segment,
    bases: Vec<i64>,
    out: BufWriter<File>,
}

impl<'a> Group<'a> {
    fn new(log: &'a Log, base: i64) -> io::Result<Self> {
        let out = BufWriter::new(File::create(
            log_path(log.folder(), base).with_extension("log.new"),
        )?);
        Ok(Self {
            log,
            segment: Segment::new(base),
            bases: Vec::new(),
            out,
        })
    }

    /// Takes in one more segment, unless what they would become is too large.
    fn add(
        &mut self,
        base: i64,
        size: u32,
        last: &Last,
        producers: &Producers,
        rules: &Compaction,
        now: i64,
    ) -> io::Result<bool> {
        let far = base.saturating_sub(self.segment.base) > i64::from(i32::MAX / 2);
        let large = self
            .segment
            .size
            .checked_add(size)
            .is_none_or(|size| size > rules.segment_bytes);
        if !self.bases.is_empty() && (far || large) {
            return Ok(false);
        }
        let file = File::open(log_path(self.log.folder(), base))?;
        let mut walk = Walk::new(&file, 0, size);
        while let Some((position, header)) = walk.next()? {
            let old = body(&file, position, &header)?;
            let (header, body) = match filter(&header, &old, last, producers, rules, now) {
                Kept::AsItIs => (header, old),
                Kept::Rewritten(header, body) => (header, body),
                Kept::Nothing => continue,
            };
            self.out.write_all(&header.bytes())?;
            self.out.write_all(&body)?;
            self.segment.appended(&header);
        }
        self.bases.push(base);
        Ok(true)
    }

    /// Puts the new file in the place of the old ones.
    fn finish(mut self, producers: Producers) -> io::Result<()> {
        let folder = self.log.folder();
        let path = log_path(folder, self.segment.base);
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let (base, empty) = (self.segment.base, self.segment.size == 0);
        let state = state_path(folder, base);
        let described = self.segment.state(producers);
        // It describes the old file; without it the new one would be read at the next start.
        let _ = fs::remove_file(&state);
        self.segment.entries = None;
        let new = path.with_extension("log.new");
        self.log
            .replace(&self.bases, self.segment, || fs::rename(new, &path))?;
        File::open(folder)?.sync_all()?;
        described.write(&state)?;
        for old in self.bases.iter().filter(|old| **old != base) {
            fs::remove_file(log_path(folder, *old))?;
            let _ = fs::remove_file(state_path(folder, *old));
        }
        if empty {
            fs::remove_file(&path)?;
            let _ = fs::remove_file(&state);
        }
        Ok(())
    }
}
