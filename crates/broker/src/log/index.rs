//! The sparse index of one segment, and the `.state` file that keeps it.
//!
//! An entry says where a batch begins, and the greatest record time before it; there is one for the first batch and
//! then about every 64 KiB, so 100 GiB of log have 25 MiB of index, of which only that of the segment being written
//! is in memory. From an entry on, batch headers are walked.
//!
//! A `.state` file says: the first `covered` bytes of the `.log` beside it are whole and synced; this is their index,
//! and these are the producers' sequence numbers after them. So recovery reads only what lies behind, and after a
//! clean stop nothing. It is written whole under another name and renamed; it carries a CRC, and when it is missing or
//! damaged the log is read instead.

use std::fs;
use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};

use super::producers::Producers;

/// Bytes of log between two entries.
const INTERVAL: u32 = 64 << 10;
const MAGIC: u32 = u32::from_be_bytes(*b"TLS1");
const HEADER: usize = 44;
const ENTRY: usize = 16;

/// Where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Base offset of the batch, less that of the segment.
    pub(crate) relative: u32,
    /// Byte of the file.
    pub(crate) position: u32,
    /// The greatest record time before this batch; -1 when there is none.
    pub(crate) max_time_before: i64,
}

/// Notes a batch at `position`, if it is time for an entry.
pub(crate) fn note(entries: &mut Vec<Entry>, relative: u32, position: u32, max_time_before: i64) {
    if entries
        .last()
        .is_none_or(|last| position - last.position >= INTERVAL)
    {
        entries.push(Entry {
            relative,
            position,
            max_time_before,
        });
    }
}

/// From which byte to walk to find the batch that holds `relative`.
pub(crate) fn position_of(entries: &[Entry], relative: u32) -> u32 {
    let after = entries.partition_point(|entry| entry.relative <= relative);
    after
        .checked_sub(1)
        .and_then(|at| entries.get(at))
        .map_or(0, |entry| entry.position)
}

/// From which byte to walk to find the first batch with a record at or after `time`.
pub(crate) fn position_of_time(entries: &[Entry], time: i64) -> u32 {
    let after = entries.partition_point(|entry| entry.max_time_before < time);
    after
        .checked_sub(1)
        .and_then(|at| entries.get(at))
        .map_or(0, |entry| entry.position)
}

/// The greatest beginning of a batch that is known to lie in `(from, to]`.
pub(crate) fn boundary_within(entries: &[Entry], from: u32, to: u32) -> Option<u32> {
    let after = entries.partition_point(|entry| entry.position <= to);
    let position = entries.get(after.checked_sub(1)?)?.position;
    (position > from).then_some(position)
}

/// What a `.state` file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Bytes of the log, from its start, that this describes.
    pub(crate) covered: u32,
    /// The offset after them.
    pub(crate) next: i64,
    /// The greatest record time among them.
    pub(crate) max_time: i64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) producers: Producers,
}

impl State {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.entries.len() * ENTRY + self.producers.len() * 200);
        out.put_u32(MAGIC);
        out.put_u32(0); // the CRC of what follows
        out.put_u32(self.covered);
        out.put_i64(self.next);
        out.put_i64(self.max_time);
        out.put_u64(self.entries.len() as u64);
        out.put_u64(self.producers.len() as u64);
        for entry in &self.entries {
            out.put_u32(entry.relative);
            out.put_u32(entry.position);
            out.put_i64(entry.max_time_before);
        }
        self.producers.encode(&mut out);
        let crc = out.get(8..).map_or(0, crc32c::crc32c);
        if let Some(field) = out.get_mut(4..8) {
            field.copy_from_slice(&crc.to_be_bytes());
        }
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u32().ok()? != MAGIC || bytes.try_get_u32().ok()? != crc32c::crc32c(bytes) {
            return None;
        }
        let covered = bytes.try_get_u32().ok()?;
        let next = bytes.try_get_i64().ok()?;
        let max_time = bytes.try_get_i64().ok()?;
        let count = usize::try_from(bytes.try_get_u64().ok()?).ok()?;
        let producers = u32::try_from(bytes.try_get_u64().ok()?).ok()?;
        let (mut list, rest) = bytes.split_at_checked(count.checked_mul(ENTRY)?)?;
        let mut entries = Vec::with_capacity(count);
        while list.has_remaining() {
            entries.push(Entry {
                relative: list.try_get_u32().ok()?,
                position: list.try_get_u32().ok()?,
                max_time_before: list.try_get_i64().ok()?,
            });
        }
        Some(Self {
            covered,
            next,
            max_time,
            entries,
            producers: Producers::decode(rest, producers)?,
        })
    }

    /// Reads the file; none when it is missing or damaged.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        Self::decode(&fs::read(path).ok()?)
    }

    /// Replaces the file. It is not synced: it is only an abbreviation of what the log says.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("state.new");
        fs::write(&new, self.encode())?;
        fs::rename(&new, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let mut entries = Vec::new();
        for n in 0..1000_u32 {
            note(&mut entries, n * 10, n * 1000, i64::from(n) * 7 - 1);
        }
        entries
    }

    #[test]
    fn there_is_an_entry_about_every_64_kib_and_one_for_the_first_batch() {
        let entries = entries();
        assert_eq!(entries.len(), 1000 / 66 + 1);
        assert_eq!(
            entries[0],
            Entry {
                relative: 0,
                position: 0,
                max_time_before: -1
            }
        );
        assert_eq!(entries[1].position, 66_000);
    }

    #[test]
    fn look_ups_start_at_or_before_what_they_look_for() {
        let entries = entries();
        assert_eq!(position_of(&entries, 659), 0);
        assert_eq!(position_of(&entries, 660), 66_000);
        assert_eq!(position_of(&entries, u32::MAX), 990_000);
        assert_eq!(position_of_time(&entries, 0), 0);
        // the entry at 66_000 has seen times up to 461, so 461 lies before it and 462 does not
        assert_eq!(position_of_time(&entries, 461), 0);
        assert_eq!(position_of_time(&entries, 462), 66_000);
        assert_eq!(boundary_within(&entries, 0, 65_999), None);
        assert_eq!(boundary_within(&entries, 0, 140_000), Some(132_000));
        assert_eq!(boundary_within(&[], 0, 9), None);
    }

    #[test]
    fn a_state_file_is_read_as_it_was_written_and_refused_when_damaged() {
        let state = State {
            covered: 999_999,
            next: 10_000,
            max_time: 6_993,
            entries: entries(),
            producers: Producers::default(),
        };
        let mut bytes = state.encode();
        assert_eq!(State::decode(&bytes), Some(state));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(State::decode(&bytes), None, "byte {at}");
            bytes[at] ^= 1;
        }
        assert_eq!(State::decode(&bytes[..bytes.len() - 1]), None);
    }
}
