//! What is compressed: MySQL's transaction payloads, MariaDB's events.
//!
//! A payload is decompressed piece by piece, so that a transaction of any size passes through a bounded buffer; an event
//! of MariaDB's is decompressed whole, up to a limit. What can't be decompressed is an error, never a gap.

use std::io::Read;

use bytes::{Bytes, BytesMut};

use super::Malformed;
use super::event::HEADER;
use super::reader::Reader;

/// The largest event that is accepted from inside a payload, and the largest uncompressed event of MariaDB's: what
/// `max_allowed_packet` can be.
const LARGEST: usize = 1 << 30;
/// How much is decompressed at once.
const PIECE: usize = 256 * 1024;

/// The events of a TRANSACTION_PAYLOAD, one after the other.
pub(crate) struct Payload {
    source: Source,
    buf: BytesMut,
    ended: bool,
}

enum Source {
    Plain(Bytes),
    Zstd(Box<zstd::stream::read::Decoder<'static, std::io::BufReader<bytes::buf::Reader<Bytes>>>>),
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}

impl Payload {
    /// Of the body of the event.
    pub(crate) fn new(body: &Bytes) -> Result<Self, Malformed> {
        const WHAT: &str = "a TRANSACTION_PAYLOAD event";
        let mut r = Reader::new(body, WHAT);
        // zstd unless it says 255, none.
        let mut compression = 0;
        loop {
            let field = r.lenenc()?;
            if field == 0 {
                break;
            }
            let length = r.length()?;
            let value = r.take(length)?;
            if field == 2 {
                compression = Reader::new(value, WHAT).lenenc()?;
            }
        }
        let content = body.slice(r.at()..);
        let source = match compression {
            0 => {
                use bytes::Buf;
                let decoder = zstd::stream::read::Decoder::new(content.reader())
                    .map_err(|e| Malformed::bad(format!("zstd can't be started: {e}")))?;
                Source::Zstd(Box::new(decoder))
            }
            255 => Source::Plain(content),
            other => {
                return Err(Malformed::bad(format!(
                    "{WHAT} has compression {other}, which is not known"
                )));
            }
        };
        Ok(Self {
            source,
            buf: BytesMut::new(),
            ended: false,
        })
    }

    /// The next event, or `None` at the end.
    pub(crate) fn next_event(&mut self) -> Result<Option<Bytes>, Malformed> {
        loop {
            let needed = match self.buf.get(9..13).and_then(<[u8]>::first_chunk::<4>) {
                Some(length) => usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX),
                None => HEADER,
            };
            if !(HEADER..=LARGEST).contains(&needed) {
                return Err(Malformed::bad(format!(
                    "an event in a TRANSACTION_PAYLOAD has impossible length {needed}"
                )));
            }
            if self.buf.len() >= HEADER && self.buf.len() >= needed {
                return Ok(Some(self.buf.split_to(needed).freeze()));
            }
            if self.ended {
                return if self.buf.is_empty() {
                    Ok(None)
                } else {
                    Err(Malformed::Short("a TRANSACTION_PAYLOAD event"))
                };
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Malformed> {
        match &mut self.source {
            Source::Plain(bytes) => {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                self.ended = bytes.is_empty();
                self.buf.extend_from_slice(&piece);
            }
            Source::Zstd(decoder) => {
                let at = self.buf.len();
                self.buf.resize(at + PIECE, 0);
                let read = decoder
                    .read(self.buf.get_mut(at..).unwrap_or_default())
                    .map_err(|e| Malformed::bad(format!("a compressed transaction is damaged: {e}")))?;
                self.buf.truncate(at + read);
                self.ended = read == 0;
            }
        }
        Ok(())
    }
}

/// Decompresses what MariaDB compressed (`log_bin_compress`): the statement of a QUERY_COMPRESSED event, the rows of a
/// compressed rows event.
pub(crate) fn mariadb(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    const WHAT: &str = "a compressed event";
    let mut r = Reader::new(bytes, WHAT);
    let head = r.u8()?;
    let algorithm = (head & 0x70) >> 4;
    if head & 0x80 == 0 || algorithm != 0 {
        return Err(Malformed::bad(format!(
            "{WHAT} has algorithm {algorithm}, which is not known"
        )));
    }
    let size = r.uint_be(usize::from(head & 0x07))?;
    inflate(r.rest(), usize::try_from(size).unwrap_or(usize::MAX), WHAT)
}

/// A value of a `COMPRESSED` column of MariaDB's.
pub(crate) fn mariadb_column(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    const WHAT: &str = "a compressed column";
    let mut r = Reader::new(bytes, WHAT);
    if r.is_empty() {
        return Ok(Vec::new());
    }
    let head = r.u8()?;
    if head == 0 {
        return Ok(r.rest().to_vec());
    }
    if head >> 4 != 8 {
        return Err(Malformed::bad(format!(
            "{WHAT} has method {}, which is not known",
            head >> 4
        )));
    }
    // The highest byte first, as store_compressed writes it.
    let size = r.uint_be(usize::from(head & 0x07))?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if head & 0x08 == 0 {
        return inflate(r.rest(), size, WHAT);
    }
    read_all(flate2::read::DeflateDecoder::new(r.rest()), size, WHAT)
}

fn inflate(bytes: &[u8], size: usize, what: &'static str) -> Result<Vec<u8>, Malformed> {
    read_all(flate2::read::ZlibDecoder::new(bytes), size, what)
}

/// Exactly `size` bytes; memory grows with what really comes.
fn read_all(from: impl Read, size: usize, what: &'static str) -> Result<Vec<u8>, Malformed> {
    if size > LARGEST {
        return Err(Malformed::bad(format!("{what} says that it has {size} bytes")));
    }
    let mut out = Vec::with_capacity(size.min(PIECE));
    from.take(size as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|e| Malformed::bad(format!("{what} is damaged: {e}")))?;
    if out.len() != size {
        return Err(Malformed::bad(format!(
            "{what} says that it has {size} bytes, and has another number"
        )));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn event(size: usize) -> Vec<u8> {
        let mut event = vec![3; size];
        event[9..13].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        event
    }

    fn payload(content: &[u8], zstd: bool) -> Bytes {
        let mut out = vec![2, 1, 0];
        if zstd {
            out.push(0);
            out.extend(::zstd::encode_all(content, 3).unwrap());
        } else {
            out = vec![2, 3, 0xfc, 255, 0, 0];
            out.extend(content);
        }
        out.into()
    }

    #[test]
    fn a_payload_gives_its_events_whatever_their_size() {
        let sizes = [19, 40, 300_000, 19];
        let content: Vec<u8> = sizes.iter().flat_map(|size| event(*size)).collect();
        for zstd in [true, false] {
            let mut payload = Payload::new(&payload(&content, zstd)).unwrap();
            for size in sizes {
                assert_eq!(payload.next_event().unwrap().unwrap().len(), size);
            }
            assert_eq!(payload.next_event().unwrap(), None);
        }
    }

    #[test]
    fn a_damaged_payload_is_an_error_and_no_gap() {
        let whole = payload(&event(5000), true);
        let mut cut = Payload::new(&whole.slice(..whole.len() - 3)).unwrap();
        assert!(cut.next_event().is_err());
        let mut short = Payload::new(&payload(&event(50)[..30], false)).unwrap();
        assert!(short.next_event().is_err());
    }

    #[test]
    fn mariadbs_compression_is_undone() {
        let text = b"insert into t values (1)".repeat(50);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&text).unwrap();
        let mut bytes = vec![0x82];
        bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(zlib.finish().unwrap());
        assert_eq!(mariadb(&bytes).unwrap(), text);
        assert_eq!(mariadb_column(&bytes).unwrap(), text);
        bytes[2] += 1;
        assert!(mariadb(&bytes).is_err());
        assert!(mariadb(&bytes[..20]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = mariadb(&bytes);
            let _ = mariadb_column(&bytes);
            if let Ok(mut payload) = Payload::new(&bytes.into()) {
                while let Ok(Some(_)) = payload.next_event() {}
            }
        }
    }
}
