//! Record batches, format v2, built record by record. Pure.
//!
//! A batch is written once: each record is encoded where it will be compressed from, by lz4 while the batch grows, and the
//! header is put in front when the batch gets its place in the producer's sequence. Kafka's protocol guide, "Record Batch".

use std::io::Write as _;

use bytes::Bytes;
use tapline_api::{Error, Result};

use super::lz4::{self, Scratch};

/// Bytes of a batch before its first record.
pub(super) const HEADER: usize = 61;
/// `batchLength` counts what follows it.
const BEFORE_LENGTH: usize = 12;
const CRC_AT: usize = 17;
const CRC_COVERS_FROM: usize = 21;
const PRODUCER_AT: usize = 43;
/// What one record takes at most besides key, value and headers.
const OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5;

/// How a batch is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip(u32),
    Lz4,
    Zstd(i32),
}

impl Codec {
    /// As the batch's attributes say it.
    fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip(_) => 1,
            Self::Lz4 => 3,
            Self::Zstd(_) => 4,
        }
    }
}

/// Whose batch it is, and its place among that producer's records in a partition (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) producer: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

/// Records on their way to become a batch.
#[derive(Debug)]
pub(super) struct Records {
    codec: Codec,
    /// What is not compressed yet.
    bytes: Vec<u8>,
    /// The batch as it will be sent, as far as it is compressed; its header is empty.
    packed: Vec<u8>,
    /// Bytes that were compressed.
    done: usize,
    count: i32,
    first: i64,
    last: i64,
}

/// Headers as a record holds them: their number, then each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Of `count` headers, to be [`push`](Self::push)ed.
    pub fn new(count: usize) -> Self {
        let mut bytes = Vec::with_capacity(64);
        put_length(&mut bytes, count);
        Self(bytes)
    }

    /// Appends one.
    pub fn push(&mut self, key: &str, value: Option<&[u8]>) {
        put_length(&mut self.0, key.len());
        self.0.extend_from_slice(key.as_bytes());
        put_nullable(&mut self.0, value);
    }
}

/// No headers.
const NONE: &[u8] = &[0];

impl Records {
    /// With a buffer that was used before.
    pub(super) fn reusing(codec: Codec, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self {
            codec,
            bytes,
            packed: Vec::new(),
            done: 0,
            count: 0,
            first: 0,
            last: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// Bytes so far, before they are compressed; the batch's header included.
    pub(super) fn size(&self) -> usize {
        self.done + self.bytes.len() + HEADER
    }

    /// Bytes that it takes, the batch's header included.
    pub(super) fn held(&self) -> usize {
        self.packed.len().max(HEADER) + self.bytes.len()
    }

    /// What a record takes at most.
    pub(super) fn size_of(key: Option<&[u8]>, value: Option<&[u8]>, headers: Option<&Headers>) -> usize {
        key.map_or(0, <[u8]>::len)
            + value.map_or(0, <[u8]>::len)
            + headers.map_or(1, |headers| headers.0.len())
            + OVERHEAD
    }

    /// Appends a record; `timestamp` in milliseconds since the epoch.
    pub(super) fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<&Headers>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        if self.codec == Codec::Lz4 && self.bytes.len() + Self::size_of(key, value, headers) > lz4::BLOCK {
            self.pack(scratch)?;
        }
        if self.count == 0 {
            (self.first, self.last) = (timestamp, timestamp);
        }
        self.last = self.last.max(timestamp);
        let headers = headers.map_or(NONE, |headers| &headers.0);
        let delta = timestamp.saturating_sub(self.first);
        let length = 1
            + length_of(delta)
            + length_of(i64::from(self.count))
            + length_of_nullable(key)
            + length_of_nullable(value)
            + headers.len();
        put_length(&mut self.bytes, length);
        self.bytes.push(0);
        put_varint(&mut self.bytes, delta);
        put_varint(&mut self.bytes, i64::from(self.count));
        put_nullable(&mut self.bytes, key);
        put_nullable(&mut self.bytes, value);
        self.bytes.extend_from_slice(headers);
        self.count += 1;
        Ok(())
    }

    /// Compresses what is not compressed yet.
    fn pack(&mut self, scratch: &mut Scratch) -> Result<()> {
        let out = &mut self.packed;
        let begins = out.is_empty();
        if begins {
            out.reserve(HEADER + self.bytes.len() / if self.codec == Codec::None { 1 } else { 3 });
            out.extend_from_slice(&[0; HEADER]);
        }
        match self.codec {
            Codec::Lz4 => {
                if begins {
                    lz4::begin(out);
                }
                lz4::append(&self.bytes, out, scratch)
            }
            codec => compress(codec, &self.bytes, out),
        }
        .map_err(|error| Error::fatal("could not compress a batch").cause(error))?;
        self.done += self.bytes.len();
        self.bytes.clear();
        Ok(())
    }

    /// The batch without a place yet, and the buffer for others.
    pub(super) fn seal(mut self, scratch: &mut Scratch) -> Result<(Sealed, Vec<u8>)> {
        self.pack(scratch)?;
        let mut out = self.packed;
        if self.codec == Codec::Lz4 {
            lz4::end(&mut out);
        }
        let length = i32::try_from(out.len() - BEFORE_LENGTH)
            .map_err(|_| Error::data("a batch of records is larger than 2 GiB"))?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&0_i64.to_be_bytes()); // base offset: the broker's
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&(-1_i32).to_be_bytes()); // leader epoch: the broker's
        header.push(2); // magic
        header.extend_from_slice(&0_u32.to_be_bytes()); // crc: with the place
        header.extend_from_slice(&[0, self.codec.id()]);
        header.extend_from_slice(&(self.count - 1).to_be_bytes());
        header.extend_from_slice(&self.first.to_be_bytes());
        header.extend_from_slice(&self.last.to_be_bytes());
        if let (Some(to), Some(from)) = (out.get_mut(..PRODUCER_AT), header.get(..PRODUCER_AT)) {
            to.copy_from_slice(from);
        }
        put_at(&mut out, HEADER - 4, &self.count.to_be_bytes());
        let sealed = Sealed {
            bytes: out,
            count: self.count,
        };
        Ok((sealed, self.bytes))
    }
}

/// A batch that lacks nothing but its place.
#[derive(Debug)]
pub(super) struct Sealed {
    bytes: Vec<u8>,
    pub(super) count: i32,
}

impl Sealed {
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch at `place`; a batch that was placed before may be placed anew.
    pub(super) fn place(mut self, place: Place) -> Placed {
        put_at(&mut self.bytes, PRODUCER_AT, &place.producer.to_be_bytes());
        put_at(&mut self.bytes, PRODUCER_AT + 8, &place.epoch.to_be_bytes());
        put_at(&mut self.bytes, PRODUCER_AT + 10, &place.sequence.to_be_bytes());
        let crc = crc32c::crc32c(self.bytes.get(CRC_COVERS_FROM..).unwrap_or_default());
        put_at(&mut self.bytes, CRC_AT, &crc.to_be_bytes());
        Placed {
            bytes: self.bytes.into(),
            count: self.count,
        }
    }
}

/// A batch as it is sent.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) bytes: Bytes,
    pub(super) count: i32,
}

impl Placed {
    /// Gives up its place.
    pub(super) fn displaced(self) -> Sealed {
        Sealed {
            bytes: self.bytes.into(),
            count: self.count,
        }
    }
}

/// The sequence number `count` after `sequence`: they wrap to 0 after `i32::MAX`.
pub(super) fn sequence_after(sequence: i32, count: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

fn compress(codec: Codec, bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    match codec {
        // Those of lz4 are compressed as they come.
        Codec::None | Codec::Lz4 => out.extend_from_slice(bytes),
        Codec::Gzip(level) => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
            encoder.write_all(bytes)?;
            encoder.finish()?;
        }
        Codec::Zstd(level) => zstd::stream::copy_encode(bytes, out, level)?,
    }
    Ok(())
}

fn put_at(out: &mut [u8], at: usize, field: &[u8]) {
    if let Some(to) = out.get_mut(at..at + field.len()) {
        to.copy_from_slice(field);
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push((raw & 0x7f) as u8);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, i64::try_from(length).unwrap_or(i64::MAX));
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn length_of(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros().min(63);
    bits.div_ceil(7) as usize
}

fn length_of_nullable(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => length_of(i64::try_from(bytes.len()).unwrap_or(i64::MAX)) + bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::RecordBatchDecoder;
    use proptest::prelude::*;

    use super::*;

    type Row = (i64, Option<Vec<u8>>, Option<Vec<u8>>, bool);

    const PLACE: Place = Place {
        producer: 77,
        epoch: 3,
        sequence: 12,
    };

    fn headers() -> Headers {
        let mut headers = Headers::new(2);
        headers.push("one", Some(b"1"));
        headers.push("none", None);
        headers
    }

    fn built(rows: &[Row], codec: Codec) -> Bytes {
        let mut scratch = Scratch::default();
        let mut records = Records::reusing(codec, Vec::new());
        for (time, key, value, with) in rows {
            let headers = with.then(headers);
            let (key, value) = (key.as_deref(), value.as_deref());
            let (before, held) = (records.size(), records.held());
            assert!(records.count() > 0 || held == HEADER);
            records
                .push(*time, key, value, headers.as_ref(), &mut scratch)
                .unwrap();
            assert!(records.size() - before <= Records::size_of(key, value, headers.as_ref()));
        }
        records.seal(&mut scratch).unwrap().0.place(PLACE).bytes
    }

    fn uncompressed(mut batch: Bytes, codec: Codec) -> Bytes {
        let rest = batch.split_off(HEADER);
        let mut plain = batch.to_vec();
        match codec {
            Codec::None => plain.extend_from_slice(&rest),
            Codec::Gzip(_) => {
                assert!(std::io::copy(&mut flate2::read::GzDecoder::new(&rest[..]), &mut plain).is_ok())
            }
            Codec::Lz4 => {
                assert!(
                    std::io::copy(&mut lz4_flex::frame::FrameDecoder::new(&rest[..]), &mut plain).is_ok()
                );
            }
            Codec::Zstd(_) => zstd::stream::copy_decode(&rest[..], &mut plain).unwrap(),
        }
        plain[22] = 0;
        let length = i32::try_from(plain.len() - BEFORE_LENGTH).unwrap();
        plain[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&plain[CRC_COVERS_FROM..]);
        plain[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        plain.into()
    }

    proptest! {
        #[test]
        fn a_batch_reads_as_its_records_in_every_codec(
            rows in proptest::collection::vec(
                (0..2_000_000_000_000_i64, proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
                 proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)), any::<bool>()), 1..40),
            codec in prop_oneof![Just(Codec::None), Just(Codec::Gzip(6)), Just(Codec::Lz4), Just(Codec::Zstd(3))],
        ) {
            let batch = built(&rows, codec);
            let crc = u32::from_be_bytes(batch[CRC_AT..CRC_AT + 4].try_into().unwrap());
            prop_assert_eq!(crc, crc32c::crc32c(&batch[CRC_COVERS_FROM..]));
            prop_assert_eq!(batch[22], codec.id());
            let set = RecordBatchDecoder::decode(&mut uncompressed(batch, codec)).unwrap();
            prop_assert_eq!(set.records.len(), rows.len());
            for (n, (read, (time, key, value, with))) in set.records.iter().zip(&rows).enumerate() {
                prop_assert_eq!(read.timestamp, *time);
                prop_assert_eq!(read.key.as_deref(), key.as_deref());
                prop_assert_eq!(read.value.as_deref(), value.as_deref());
                prop_assert_eq!((read.producer_id, read.producer_epoch), (77, 3));
                prop_assert_eq!(read.sequence, 12 + i32::try_from(n).unwrap());
                prop_assert_eq!(read.headers.len(), if *with { 2 } else { 0 });
            }
        }

        #[test]
        fn the_length_of_a_varint_is_what_it_takes(value: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), length_of(value));
        }
    }

    #[test]
    fn a_batch_of_many_blocks_reads_as_its_records_and_takes_less_than_they() {
        let mut rows: Vec<Row> = (0..2_000_i64)
            .map(|n| (n, Some(n.to_be_bytes().to_vec()), Some(vec![b'x'; 300]), true))
            .collect();
        rows.insert(700, (5, None, Some(vec![b'y'; 3 * lz4::BLOCK]), false));
        let batch = built(&rows, Codec::Lz4);
        let plain: usize = rows
            .iter()
            .map(|(_, _, value, _)| value.as_ref().unwrap().len())
            .sum();
        assert!(batch.len() < plain / 10, "{} of {plain}", batch.len());
        let set = RecordBatchDecoder::decode(&mut uncompressed(batch, Codec::Lz4)).unwrap();
        assert_eq!(set.records.len(), rows.len());
        for (read, (_, key, value, _)) in set.records.iter().zip(&rows) {
            assert_eq!(
                (read.key.as_deref(), read.value.as_deref()),
                (key.as_deref(), value.as_deref())
            );
        }
    }

    #[test]
    fn a_batch_may_be_placed_anew() {
        let rows = [(5, Some(b"k".to_vec()), None, true)];
        let mut scratch = Scratch::default();
        let mut records = Records::reusing(Codec::None, Vec::new());
        records
            .push(5, Some(b"k"), None, Some(&headers()), &mut scratch)
            .unwrap();
        let elsewhere = Place {
            producer: 1,
            epoch: 0,
            sequence: 900,
        };
        let placed = records.seal(&mut scratch).unwrap().0.place(elsewhere);
        assert_eq!(placed.displaced().place(PLACE).bytes, built(&rows, Codec::None));
    }

    #[test]
    fn lengths_of_varints_at_their_edges() {
        let cases = [
            (0, 1),
            (-1, 1),
            (63, 1),
            (64, 2),
            (-64, 1),
            (-65, 2),
            (i64::MIN, 10),
            (i64::MAX, 10),
        ];
        for (value, length) in cases {
            assert_eq!(length_of(value), length, "{value}");
        }
    }

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(5, 3), 8);
    }
}
