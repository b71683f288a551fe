//! Reading a partition, by offset and by time, up to what is synced. Files are read outside the lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Inner, Log, lock};
use crate::log::batch::{HEADER, Header};
use crate::log::index::{self, Entry};
use crate::log::segment::{Segment, Walk};
use crate::log::{Refusal, record};

/// A read of no more than this is made at once; a larger one is streamed to the socket.
const SMALL_READ: u32 = 64 << 10;

/// Some batches, whole but for the last one when the reader's limit cuts it.
#[derive(Debug, Clone)]
pub(crate) enum Slice {
    Bytes(Bytes),
    File {
        file: Arc<File>,
        position: u64,
        length: u32,
    },
}

impl Slice {
    pub(crate) fn len(&self) -> usize {
        match self {
            Slice::Bytes(bytes) => bytes.len(),
            Slice::File { length, .. } => *length as usize,
        }
    }
}

impl Log {
    /// Batches from the one that holds `offset` on, at most `max` bytes of one segment; with `whole`, at least one whole
    /// batch, if there is one. Empty at the high watermark. Few bytes, at most `inline`, are read at once. Blocks.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` below the start or above the end, `KAFKA_STORAGE_ERROR` when the disk fails.
    pub(crate) fn read(&self, offset: i64, max: u32, whole: bool, inline: usize) -> Result<Slice, Refusal> {
        let nothing = Ok(Slice::Bytes(Bytes::new()));
        let mut at = offset;
        loop {
            let (file, from, end, boundary, next) = {
                let mut inner = lock(&self.inner);
                self.check_range(offset, &inner)?;
                if at >= self.high_watermark() {
                    return nothing;
                }
                let Some(found) = self.locate(&mut inner, at, max)? else {
                    return nothing;
                };
                found
            };
            let mut walk = Walk::new(&file, from, end);
            let mut first = None;
            while let Some((position, header)) = walk.next()? {
                if header.last_offset() >= at {
                    first = Some((position, header.size));
                    break;
                }
            }
            // A compacted segment may end before the next one begins.
            let Some((position, size)) = first else {
                if next <= at {
                    return nothing;
                }
                at = next;
                continue;
            };
            let length = match () {
                () if end - position <= max => end - position,
                () if size > max => {
                    if !whole {
                        return nothing;
                    }
                    size
                }
                () => boundary
                    .filter(|boundary| *boundary > position)
                    .map_or(max, |boundary| boundary - position),
            };
            if length > SMALL_READ || length as usize > inline {
                return Ok(Slice::File {
                    file,
                    position: u64::from(position),
                    length,
                });
            }
            let mut bytes = vec![0; length as usize];
            file.read_exact_at(&mut bytes, u64::from(position))?;
            return Ok(Slice::Bytes(bytes.into()));
        }
    }

    fn check_range(&self, offset: i64, inner: &Inner) -> Result<(), Refusal> {
        if let Some(closed) = self.mark.borrow().closed {
            return Err(closed.into());
        }
        let end = inner.segments.last().map_or(0, |segment| segment.next);
        if offset < self.start() || offset > end {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        Ok(())
    }

    /// The file that holds `offset`; from where to walk it and to where it is synced; a good end for `max` bytes; the
    /// offset with which the next segment begins.
    #[expect(clippy::type_complexity, reason = "used in one place")]
    fn locate(
        &self,
        inner: &mut Inner,
        offset: i64,
        max: u32,
    ) -> io::Result<Option<(Arc<File>, u32, u32, Option<u32>, i64)>> {
        let after = inner.segments.partition_point(|segment| segment.base <= offset);
        let at = after.saturating_sub(1);
        let next = inner
            .segments
            .get(at + 1)
            .map_or(i64::MIN, |segment| segment.base);
        let Some((file, entries, end)) = self.reading(inner, at)? else {
            return Ok(None);
        };
        let Some(segment) = inner.segments.get(at) else {
            return Ok(None);
        };
        let entries = entries
            .as_deref()
            .or(segment.entries.as_ref())
            .map_or(&[][..], Vec::as_slice);
        let from = index::position_of(entries, segment.relative(offset));
        let boundary = index::boundary_within(entries, from, from.saturating_add(max).min(end));
        Ok(Some((file, from, end, boundary, next)))
    }

    /// A segment's file, its index when that is not in memory, and how far it is synced.
    #[expect(clippy::type_complexity, reason = "used in two places")]
    fn reading(
        &self,
        inner: &mut Inner,
        at: usize,
    ) -> io::Result<Option<(Arc<File>, Option<Arc<Vec<Entry>>>, u32)>> {
        let synced = inner.synced;
        let Some(segment) = inner.segments.get_mut(at) else {
            return Ok(None);
        };
        let base = segment.base;
        let end = match base.cmp(&synced.0) {
            std::cmp::Ordering::Less => segment.size,
            std::cmp::Ordering::Equal => synced.1,
            std::cmp::Ordering::Greater => 0,
        };
        let file = segment.open(&self.folder)?;
        if segment.entries.is_some() {
            return Ok(Some((file, None, end)));
        }
        if let Some((_, entries)) = inner.reading.as_ref().filter(|(reading, _)| *reading == base) {
            return Ok(Some((file, Some(entries.clone()), end)));
        }
        let entries = Arc::new(segment.index(&self.folder).unwrap_or_default());
        if let Some((old, _)) = inner.reading.replace((base, entries.clone())) {
            // One file besides the one being written stays open, however many there are.
            if let Some(old) = inner
                .segments
                .iter_mut()
                .find(|segment| segment.base == old && segment.entries.is_none())
            {
                old.file = None;
            }
        }
        Ok(Some((file, Some(entries), end)))
    }

    /// The offset and time of the first record at or after `time`; none when all are older. Inside a compressed batch,
    /// the first offset of the batch: a reader that starts there misses nothing. Blocks.
    pub(crate) fn find_time(&self, time: i64) -> io::Result<Option<(i64, i64)>> {
        let mut at = 0;
        loop {
            let (file, from, end) = {
                let mut inner = lock(&self.inner);
                let newer = |segment: &Segment| segment.max_time >= time;
                let Some(found) = inner.segments.iter().skip(at).position(newer) else {
                    return Ok(None);
                };
                at += found;
                let Some((file, entries, end)) = self.reading(&mut inner, at)? else {
                    return Ok(None);
                };
                let Some(segment) = inner.segments.get(at) else {
                    return Ok(None);
                };
                let entries = entries
                    .as_deref()
                    .or(segment.entries.as_ref())
                    .map_or(&[][..], Vec::as_slice);
                (file, index::position_of_time(entries, time), end)
            };
            let mut walk = Walk::new(&file, from, end);
            while let Some((position, header)) = walk.next()? {
                if header.max_timestamp >= time
                    && header.last_offset() >= self.start()
                    && let Some(found) = self.time_in_batch(&file, position, &header, time)?
                {
                    return Ok(Some(found));
                }
            }
            at += 1;
        }
    }

    fn time_in_batch(
        &self,
        file: &File,
        position: u32,
        header: &Header,
        time: i64,
    ) -> io::Result<Option<(i64, i64)>> {
        let start = self.start();
        if header.is_compressed() || header.has_log_append_time() {
            return Ok(Some((header.base_offset.max(start), header.max_timestamp)));
        }
        let mut records = vec![0; header.size as usize - HEADER];
        file.read_exact_at(&mut records, u64::from(position) + HEADER as u64)?;
        let found = record::records(&records, header.count)
            .filter_map(Result::ok)
            .find_map(|record| {
                let offset = header.base_offset.saturating_add(record.offset_delta);
                let at = header.base_timestamp.saturating_add(record.timestamp_delta);
                (at >= time && offset >= start).then_some((offset, at))
            });
        Ok(found)
    }

    /// The greatest time of any record; none when there is no record with one.
    pub(crate) fn max_time(&self) -> Option<i64> {
        let time = lock(&self.inner)
            .segments
            .iter()
            .map(|segment| segment.max_time)
            .max()?;
        (time >= 0).then_some(time)
    }
}
