//! Opening a partition's folder: which segments there are, what they hold, and where a torn tail begins.
//!
//! Everything acknowledged was synced, so after a kill only the end of a file can be torn. What a `.state` file covers
//! is taken as it is; behind it every batch is read, its CRC checked, its offsets required to rise, and the producers'
//! sequence numbers followed. The file is cut at the first batch that fails, and what comes after it is removed.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::batch::{HEADER, Header};
use super::index::State;
use super::producers::Producers;
use super::segment::{Segment, log_path, state_path};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    pub(crate) producers: Producers,
    /// Bytes that had to be read, since no `.state` covered them.
    pub(crate) scanned: u64,
    /// Bytes of torn or corrupt batches that were cut off.
    pub(crate) cut: u64,
}

/// Reads the folder, which need not exist.
pub(crate) fn recover(folder: &Path, now: i64) -> io::Result<Recovered> {
    let mut found = Recovered::default();
    let bases = match bases(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        bases => bases?,
    };
    let last = bases.last().copied();
    let mut broken = false;
    for base in bases {
        let path = log_path(folder, base);
        let size = fs::metadata(&path)?.len();
        // Compaction had merged it into the one before, and was killed before it could remove it.
        let merged = found.segments.last().is_some_and(|before| before.next > base);
        // A later segment was begun only after this one; without its end, the later one's offsets hang in the air.
        if broken || merged {
            found.cut += if merged { 0 } else { size };
            fs::remove_file(&path)?;
            let _ = fs::remove_file(state_path(folder, base));
            continue;
        }
        let mut segment = Segment::new(base);
        let mut described = false;
        let state = State::read(&state_path(folder, base))
            .filter(|state| u64::from(state.covered) <= size && state.next >= base);
        if let Some(state) = state {
            described = u64::from(state.covered) == size;
            segment.size = state.covered;
            segment.next = state.next;
            segment.max_time = state.max_time;
            segment.entries = Some(state.entries);
            found.producers = state.producers;
        }
        if u64::from(segment.size) < size {
            found.scanned += size - u64::from(segment.size);
            scan(&path, size, &mut segment, &mut found.producers, now)?;
            let torn = size - u64::from(segment.size);
            if torn > 0 {
                let file = File::options().write(true).open(&path)?;
                file.set_len(u64::from(segment.size))?;
                file.sync_all()?;
                found.cut += torn;
                broken = true;
            }
        }
        if Some(base) == last || broken {
            found.segments.push(segment);
        } else if segment.size > 0 {
            if described {
                segment.entries = None;
            } else {
                segment.unsealed = Some(found.producers.clone());
            }
            found.segments.push(segment);
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(found)
}

/// The base offsets of the folder's segments, in order. Removes what an interrupted write left.
fn bases(folder: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some(base) = name.strip_suffix(".log").and_then(|base| base.parse().ok()) {
            bases.push(base);
        } else if name.ends_with(".new") {
            fs::remove_file(entry.path())?;
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Reads whole batches from the segment's end on, and notes them in it and in `producers`.
fn scan(
    path: &Path,
    size: u64,
    segment: &mut Segment,
    producers: &mut Producers,
    now: i64,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(u64::from(segment.size)))?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut head = [0; HEADER];
    let mut chunk = vec![0; 64 << 10];
    while size - u64::from(segment.size) >= HEADER as u64 {
        reader.read_exact(&mut head)?;
        let Ok(header) = Header::parse(&head) else { break };
        if u64::from(segment.size) + u64::from(header.size) > size || header.base_offset < segment.next {
            break;
        }
        let mut crc = header.crc_of_header();
        let mut left = header.size as usize - HEADER;
        while left > 0 {
            let Some(part) = chunk.get_mut(..left.min(64 << 10)) else {
                break;
            };
            reader.read_exact(part)?;
            crc = crc32c::crc32c_append(crc, part);
            left -= part.len();
        }
        if crc != header.crc {
            break;
        }
        segment.appended(&header);
        producers.appended(&header, now);
    }
    Ok(())
}
