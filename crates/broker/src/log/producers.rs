//! The sequence numbers of idempotent producers in one partition (KIP-98), and what they say about the next batch.
//!
//! Of each producer id the epoch and the last five batches are kept: a client has at most five requests in flight, so
//! a batch that is sent again is always among them, and is answered with the offset it got the first time.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, BufMut};

use super::batch::{Header, sequence_after};

/// `max.in.flight.requests.per.connection` of an idempotent producer can't be more.
const KEPT: usize = 5;
/// `producer.id.expiration.ms`
pub(crate) const EXPIRATION_MS: i64 = 86_400_000;
/// A bound on memory against clients that ask for a new id again and again: about 200 bytes each.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
    /// When it was appended, if the log keeps that, else -1.
    append_time: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// When it last wrote, by our clock; after a recovery, by its batches'.
    seen: i64,
    batches: VecDeque<Batch>,
}

/// What a partition knows of the producers that wrote to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Producers(HashMap<i64, Producer>);

/// What to do with a batch that carries a producer id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It is here already, at these offsets.
    Duplicate {
        base_offset: i64,
        last_offset: i64,
        append_time: i64,
    },
    /// `INVALID_PRODUCER_EPOCH`
    OldEpoch(i16),
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`
    OutOfOrder {
        expected: i32,
    },
}

impl Producers {
    /// Judges a batch before it is appended. A producer that is not known here (it is new, or its state expired) may
    /// start at any sequence number, as with Kafka since 2.4.
    pub(crate) fn check(&self, header: &Header) -> Verdict {
        let Some(known) = self.0.get(&header.producer_id) else {
            return Verdict::Append;
        };
        if header.producer_epoch < known.epoch {
            return Verdict::OldEpoch(known.epoch);
        }
        if header.producer_epoch > known.epoch {
            return match header.base_sequence {
                0 => Verdict::Append,
                _ => Verdict::OutOfOrder { expected: 0 },
            };
        }
        let same = |batch: &&Batch| {
            batch.first_sequence == header.base_sequence && batch.last_sequence == header.last_sequence()
        };
        if let Some(batch) = known.batches.iter().find(same) {
            return Verdict::Duplicate {
                base_offset: batch.base_offset,
                last_offset: batch.last_offset,
                append_time: batch.append_time,
            };
        }
        match known
            .batches
            .back()
            .map(|last| sequence_after(last.last_sequence, 1))
        {
            Some(expected) if expected != header.base_sequence => Verdict::OutOfOrder { expected },
            _ => Verdict::Append,
        }
    }

    /// Remembers a batch that was appended; its header carries the offsets it got.
    pub(crate) fn appended(&mut self, header: &Header, now: i64) {
        if !header.has_producer() || header.is_control() {
            return;
        }
        if self.0.len() >= MOST && !self.0.contains_key(&header.producer_id) {
            self.forget_oldest();
        }
        let producer = self.0.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            seen: now,
            batches: VecDeque::with_capacity(KEPT),
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.seen = now;
        if producer.batches.len() == KEPT {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Batch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            append_time: if header.has_log_append_time() {
                header.max_timestamp
            } else {
                -1
            },
        });
    }

    /// Forgets producers that have not written for a day.
    pub(crate) fn expire(&mut self, now: i64) {
        self.0
            .retain(|_, producer| now.saturating_sub(producer.seen) < EXPIRATION_MS);
    }

    /// Whether compaction must keep this batch's header although none of its records is left.
    pub(crate) fn needs(&self, header: &Header) -> bool {
        self.0.get(&header.producer_id).is_some_and(|producer| {
            producer.epoch == header.producer_epoch
                && producer
                    .batches
                    .back()
                    .is_some_and(|last| last.base_offset == header.base_offset)
        })
    }

    fn forget_oldest(&mut self) {
        if let Some(id) = self
            .0
            .iter()
            .min_by_key(|(_, producer)| producer.seen)
            .map(|(id, _)| *id)
        {
            self.0.remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Per producer: id, epoch, seen, number of batches; per batch: first and last sequence, base and last offset,
    /// append time. Big-endian.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (id, producer) in &self.0 {
            out.put_i64(*id);
            out.put_i16(producer.epoch);
            out.put_i64(producer.seen);
            out.put_u8(u8::try_from(producer.batches.len()).unwrap_or(u8::MAX));
            for batch in &producer.batches {
                out.put_i32(batch.first_sequence);
                out.put_i32(batch.last_sequence);
                out.put_i64(batch.base_offset);
                out.put_i64(batch.last_offset);
                out.put_i64(batch.append_time);
            }
        }
    }

    /// Reads `count` producers; none when the bytes are not what [`Producers::encode`] wrote.
    pub(crate) fn decode(mut bytes: &[u8], count: u32) -> Option<Self> {
        let mut producers = HashMap::new();
        for _ in 0..count {
            let id = bytes.try_get_i64().ok()?;
            let epoch = bytes.try_get_i16().ok()?;
            let seen = bytes.try_get_i64().ok()?;
            let mut batches = VecDeque::with_capacity(KEPT);
            for _ in 0..bytes.try_get_u8().ok()? {
                batches.push_back(Batch {
                    first_sequence: bytes.try_get_i32().ok()?,
                    last_sequence: bytes.try_get_i32().ok()?,
                    base_offset: bytes.try_get_i64().ok()?,
                    last_offset: bytes.try_get_i64().ok()?,
                    append_time: bytes.try_get_i64().ok()?,
                });
            }
            producers.insert(id, Producer { epoch, seen, batches });
        }
        bytes.is_empty().then_some(Self(producers))
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::batch;
    use super::*;

    fn header(id: i64, epoch: i16, sequence: i32, count: usize, offset: i64) -> Header {
        let mut header = Header::parse(&batch((id, epoch, sequence), 0, &vec![(None, None); count])).unwrap();
        header.base_offset = offset;
        header
    }

    #[test]
    fn sequences_decide_as_in_kafka() {
        let mut producers = Producers::default();
        producers.appended(&header(1, 2, 10, 5, 100), 0); // sequences 10..=14 at offsets 100..=104
        producers.appended(&header(1, 2, 15, 1, 105), 0);
        let first = Verdict::Duplicate {
            base_offset: 100,
            last_offset: 104,
            append_time: -1,
        };
        for (what, batch, verdict) in [
            ("the next one", header(1, 2, 16, 3, 0), Verdict::Append),
            ("sent again", header(1, 2, 10, 5, 0), first),
            (
                "a gap",
                header(1, 2, 18, 1, 0),
                Verdict::OutOfOrder { expected: 16 },
            ),
            (
                "an old one cut differently",
                header(1, 2, 10, 4, 0),
                Verdict::OutOfOrder { expected: 16 },
            ),
            ("an old epoch", header(1, 1, 16, 1, 0), Verdict::OldEpoch(2)),
            ("a new epoch from 0", header(1, 3, 0, 1, 0), Verdict::Append),
            (
                "a new epoch from elsewhere",
                header(1, 3, 4, 1, 0),
                Verdict::OutOfOrder { expected: 0 },
            ),
            (
                "an unknown producer from elsewhere",
                header(9, 0, 77, 1, 0),
                Verdict::Append,
            ),
        ] {
            assert_eq!(producers.check(&batch), verdict, "{what}");
        }
    }

    #[test]
    fn the_last_five_batches_are_known_again_and_no_more() {
        let mut producers = Producers::default();
        for n in 0..6 {
            producers.appended(&header(1, 0, n, 1, i64::from(n)), 0);
        }
        assert_eq!(
            producers.check(&header(1, 0, 0, 1, 0)),
            Verdict::OutOfOrder { expected: 6 }
        );
        assert!(matches!(
            producers.check(&header(1, 0, 1, 1, 0)),
            Verdict::Duplicate { base_offset: 1, .. }
        ));
    }

    #[test]
    fn sequences_go_on_at_zero_after_the_greatest() {
        let mut producers = Producers::default();
        producers.appended(&header(1, 0, i32::MAX - 1, 2, 0), 0);
        assert_eq!(producers.check(&header(1, 0, 0, 1, 0)), Verdict::Append);
    }

    #[test]
    fn producers_are_read_as_they_were_written_and_expire_after_a_day() {
        let mut producers = Producers::default();
        for id in 0..40 {
            for n in 0..id {
                producers.appended(&header(id, 3, i32::try_from(n).unwrap(), 1, n), id);
            }
        }
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        let count = u32::try_from(producers.len()).unwrap();
        assert_eq!(Producers::decode(&bytes, count), Some(producers.clone()));
        assert_eq!(Producers::decode(&bytes[..bytes.len() - 1], count), None);
        producers.expire(EXPIRATION_MS + 19);
        assert_eq!(producers.len(), 20);
    }

    #[test]
    fn new_producer_ids_without_end_push_out_the_oldest() {
        let mut producers = Producers::default();
        for id in 0..=i64::try_from(MOST).unwrap() {
            producers.appended(&header(id, 0, 0, 1, id), id);
        }
        assert_eq!(producers.len(), MOST);
        assert_eq!(producers.check(&header(0, 0, 5, 1, 0)), Verdict::Append);
    }
}
