//! One file of a partition, and walking its batches.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{HEADER, Header};
use super::index::{self, Entry, State};
use super::producers::Producers;

/// Batches from `base` on, in `BASE.log`; described in `BASE.state`.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: i64,
    pub(crate) size: u32,
    /// The offset after its last batch.
    pub(crate) next: i64,
    /// The greatest record time in it; -1 when there is none.
    pub(crate) max_time: i64,
    /// The index, while it is in memory: of the segment that is written, and of one that is not known to be synced.
    pub(crate) entries: Option<Vec<Entry>>,
    /// The producers' state at its end, while the segment waits to be synced and described.
    pub(crate) unsealed: Option<Producers>,
    pub(crate) file: Option<Arc<File>>,
}

pub(crate) fn log_path(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

pub(crate) fn state_path(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.state"))
}

impl Segment {
    pub(crate) fn new(base: i64) -> Self {
        Self {
            base,
            size: 0,
            next: base,
            max_time: -1,
            entries: Some(Vec::new()),
            unsealed: None,
            file: None,
        }
    }

    /// The file, opened when it is not; appending to it goes to its end, reading is by position.
    pub(crate) fn open(&mut self, folder: &Path) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let path = log_path(folder, self.base);
        let file = Arc::new(
            File::options()
                .read(true)
                .append(true)
                .create(self.size == 0)
                .open(path)?,
        );
        self.file = Some(file.clone());
        Ok(file)
    }

    /// The index, read from the file when it is not in memory.
    pub(crate) fn index(&self, folder: &Path) -> Option<Vec<Entry>> {
        match &self.entries {
            Some(entries) => Some(entries.clone()),
            None => State::read(&state_path(folder, self.base)).map(|state| state.entries),
        }
    }

    /// Notes a batch that was written at the segment's end.
    pub(crate) fn appended(&mut self, header: &Header) {
        let relative = self.relative(header.base_offset);
        if let Some(entries) = &mut self.entries {
            index::note(entries, relative, self.size, self.max_time);
        }
        self.size = self.size.saturating_add(header.size);
        self.next = header.next_offset();
        self.max_time = self.max_time.max(header.max_timestamp);
    }

    /// An offset as the index keeps it.
    pub(crate) fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset.saturating_sub(self.base).max(0)).unwrap_or(u32::MAX)
    }

    /// Whether a batch still belongs here, in a segment of at most `limit` bytes.
    pub(crate) fn takes(&self, header: &Header, limit: u32) -> bool {
        let fits = self
            .size
            .checked_add(header.size)
            .is_some_and(|size| size <= limit);
        let near = header.last_offset().saturating_sub(self.base) <= i64::from(i32::MAX);
        self.size == 0 || (fits && near)
    }

    pub(crate) fn state(&self, producers: Producers) -> State {
        State {
            covered: self.size,
            next: self.next,
            max_time: self.max_time,
            entries: self.entries.clone().unwrap_or_default(),
            producers,
        }
    }
}

/// Appends a batch in two pieces, so that its records are not copied to join them.
pub(crate) fn write(mut file: &File, head: &[u8], records: &[u8]) -> io::Result<()> {
    let mut both = [IoSlice::new(head), IoSlice::new(records)];
    let mut left = both.as_mut_slice();
    while left.iter().any(|slice| !slice.is_empty()) {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Walks batch headers from `position`, which must be the start of one, up to `end`. Reads 64 KiB at a time, so many
/// small batches cost one read and large ones are skipped.
pub(crate) struct Walk<'a> {
    file: &'a File,
    position: u32,
    end: u32,
    buffer: Vec<u8>,
    /// Where the buffer's first byte stands in the file.
    buffered: u32,
}

impl<'a> Walk<'a> {
    const CHUNK: usize = 64 << 10;

    pub(crate) fn new(file: &'a File, position: u32, end: u32) -> Self {
        Self {
            file,
            position,
            end,
            buffer: Vec::new(),
            buffered: position,
        }
    }

    /// The next batch and where it begins; none at the end, or where no batch is.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u32, Header)>> {
        if self.end.saturating_sub(self.position) < u32::try_from(HEADER).unwrap_or(u32::MAX) {
            return Ok(None);
        }
        let from = self.position.wrapping_sub(self.buffered) as usize;
        if self.buffer.get(from..).is_none_or(|rest| rest.len() < HEADER) {
            let length = Self::CHUNK.min((self.end - self.position) as usize);
            self.buffer.resize(length, 0);
            self.file
                .read_exact_at(&mut self.buffer, u64::from(self.position))?;
            self.buffered = self.position;
        }
        let from = (self.position - self.buffered) as usize;
        let Ok(header) = Header::parse(self.buffer.get(from..).unwrap_or_default()) else {
            return Ok(None);
        };
        let at = self.position;
        match at.checked_add(header.size) {
            Some(after) if after <= self.end => self.position = after,
            _ => return Ok(None),
        }
        Ok(Some((at, header)))
    }
}
