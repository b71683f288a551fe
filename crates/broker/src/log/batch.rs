//! The header of a record batch, format v2, and the two places where a broker may write into it.
//!
//! A batch is kept as its producer made it. The CRC (Castagnoli) covers everything from the attributes on; the base
//! offset and the leader epoch stand before it and are the broker's to set. Kafka's protocol guide, "Record Batch".

use bytes::Buf;

/// Bytes of a batch before its first record.
pub(crate) const HEADER: usize = 61;
/// `batchLength` counts what follows it.
const BEFORE_LENGTH: u32 = 12;
const CRC_COVERS_FROM: usize = 21;

const COMPRESSION: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// The fields of a batch's header, in their order on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Of the whole batch, header included.
    pub(crate) size: u32,
    pub(crate) leader_epoch: i32,
    pub(crate) magic: i8,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

/// Why bytes are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corrupt {
    Short,
    Length,
    Magic(i8),
    Offsets,
}

impl Header {
    /// Reads a header from the start of `bytes`; the records need not be there.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self, Corrupt> {
        if bytes.len() < HEADER {
            return Err(Corrupt::Short);
        }
        let base_offset = bytes.get_i64();
        let length = bytes.get_i32();
        let header = Self {
            base_offset,
            size: u32::try_from(length)
                .map_err(|_| Corrupt::Length)?
                .saturating_add(BEFORE_LENGTH),
            leader_epoch: bytes.get_i32(),
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            count: bytes.get_i32(),
        };
        // The magic stands at the same place in every format, so an older batch is named as such.
        if header.magic != 2 {
            return Err(Corrupt::Magic(header.magic));
        }
        if (header.size as usize) < HEADER {
            return Err(Corrupt::Length);
        }
        if header.base_offset < 0 || header.last_offset_delta < 0 {
            return Err(Corrupt::Offsets);
        }
        Ok(header)
    }

    /// Writes the header, with `crc` as it stands in the struct.
    pub(crate) fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let mut rest = out.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (to, after) = std::mem::take(&mut rest).split_at_mut(field.len());
            to.copy_from_slice(field);
            rest = after;
        };
        put(&self.base_offset.to_be_bytes());
        put(&(self.size - BEFORE_LENGTH).to_be_bytes());
        put(&self.leader_epoch.to_be_bytes());
        put(&self.magic.to_be_bytes());
        put(&self.crc.to_be_bytes());
        put(&self.attributes.to_be_bytes());
        put(&self.last_offset_delta.to_be_bytes());
        put(&self.base_timestamp.to_be_bytes());
        put(&self.max_timestamp.to_be_bytes());
        put(&self.producer_id.to_be_bytes());
        put(&self.producer_epoch.to_be_bytes());
        put(&self.base_sequence.to_be_bytes());
        put(&self.count.to_be_bytes());
        out
    }

    /// The checksum over this header's covered fields, to be continued with the records.
    pub(crate) fn crc_of_header(&self) -> u32 {
        crc32c::crc32c(self.bytes().get(CRC_COVERS_FROM..).unwrap_or_default())
    }

    /// The checksum that a batch with this header and these records must carry.
    pub(crate) fn crc_with(&self, records: &[u8]) -> u32 {
        crc32c::crc32c_append(self.crc_of_header(), records)
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after this batch.
    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence numbers wrap to 0 after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        sequence_after(self.base_sequence, self.last_offset_delta)
    }

    pub(crate) fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & COMPRESSION != 0
    }

    /// Of the codecs that Kafka knows (none, gzip, snappy, lz4, zstd).
    pub(crate) fn has_known_compression(&self) -> bool {
        self.attributes & COMPRESSION <= 4
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Every record's time becomes that of the append (`message.timestamp.type=LogAppendTime`).
    pub(crate) fn set_log_append_time(&mut self, now: i64) {
        self.attributes |= LOG_APPEND_TIME;
        self.max_timestamp = now;
    }

    /// Until when the tombstones of a compacted batch stay, if it has any (KIP-534): it stands where the base
    /// timestamp was, and the records' deltas count from it.
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    pub(crate) fn set_delete_horizon(&mut self, horizon: i64) {
        self.attributes |= DELETE_HORIZON;
        self.base_timestamp = horizon;
    }
}

/// The sequence number `delta` after `sequence`.
pub(crate) fn sequence_after(sequence: i32, delta: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(delta);
    // Both are non-negative, so the sum wraps once at most.
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    /// A batch of uncompressed records `(key, value)`, as a producer would send it.
    pub(crate) fn batch(producer: (i64, i16, i32), time: i64, records: &[KeyValue<'_>]) -> Vec<u8> {
        let mut body = Vec::new();
        for (delta, (key, value)) in records.iter().enumerate() {
            super::super::record::put(&mut body, 0, i64::try_from(delta).unwrap(), *key, *value);
        }
        let mut header = Header {
            base_offset: 0,
            size: u32::try_from(HEADER + body.len()).unwrap(),
            leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: i32::try_from(records.len()).unwrap() - 1,
            base_timestamp: time,
            max_timestamp: time,
            producer_id: producer.0,
            producer_epoch: producer.1,
            base_sequence: producer.2,
            count: i32::try_from(records.len()).unwrap(),
        };
        header.crc = header.crc_with(&body);
        let mut out = header.bytes().to_vec();
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn a_header_is_written_as_it_was_read() {
        let bytes = batch(
            (7, 1, 3),
            1_700_000_000_000,
            &[(Some(b"k"), Some(b"v")), (None, None)],
        );
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.bytes(), bytes[..HEADER]);
        assert_eq!(header.size as usize, bytes.len());
        assert_eq!(header.crc_with(&bytes[HEADER..]), header.crc);
        assert_eq!(header.crc, crc32c::crc32c(&bytes[21..]));
        assert_eq!((header.last_offset(), header.last_sequence()), (1, 4));
    }

    #[test]
    fn older_formats_and_impossible_lengths_are_named() {
        let mut bytes = batch((-1, -1, -1), 0, &[(None, Some(b"v"))]);
        assert_eq!(Header::parse(&bytes[..60]), Err(Corrupt::Short));
        bytes[16] = 1;
        assert_eq!(Header::parse(&bytes), Err(Corrupt::Magic(1)));
        bytes[16] = 2;
        bytes[8..12].copy_from_slice(&(-5_i32).to_be_bytes());
        assert_eq!(Header::parse(&bytes), Err(Corrupt::Length));
        bytes[8..12].copy_from_slice(&40_i32.to_be_bytes());
        assert_eq!(Header::parse(&bytes), Err(Corrupt::Length));
    }

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
        assert_eq!(sequence_after(5, 0), 5);
    }
}
