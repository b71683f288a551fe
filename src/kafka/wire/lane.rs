//! One partition's batches in their order, until the broker has them. Pure.
//!
//! ```text
//!  queued ──take──▶ sent: [outstanding …][to be sent again …] ──acknowledged──▶ gone
//!                        ▲                        │
//!                        └── a failure: nothing is sent until every answer is in, then all again, in order
//! ```
//!
//! A batch gets its sequence number when it is first sent and keeps it, so that the broker drops what it has already
//! and refuses what would leave a gap (KIP-98). That needs the order kept: after a failure the later batches on their
//! way fail too, and the whole rest goes again from the first. At most five are on their way, which is how many a broker
//! remembers.
//!
//! A broker that does not know the producer takes any number for the first (`ProducerAppendInfo.checkSequence`). So at the
//! beginning, and after a failure, one batch goes alone: were two on their way and the first refused, as by a broker that has
//! not heard of its new topic yet, the second might be appended before it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::batch::{Place, Placed, Sealed, sequence_after};

/// Of one partition. `L` is what hangs on a batch.
#[derive(Debug)]
pub(super) struct Lane<L> {
    queued: VecDeque<(Sealed, L)>,
    sent: VecDeque<Sent<L>>,
    /// The sequence number of the next batch.
    next: i32,
    /// Something failed, and other answers are still to come.
    broken: bool,
    /// The broker has acknowledged something since the last failure.
    sure: bool,
    /// Not before then, after a failure.
    resting: Option<Instant>,
    /// The connection of what is outstanding.
    link: u64,
}

#[derive(Debug)]
struct Sent<L> {
    placed: Placed,
    sequence: i32,
    outstanding: bool,
    load: L,
}

impl<L> Default for Lane<L> {
    fn default() -> Self {
        Self {
            queued: VecDeque::new(),
            sent: VecDeque::new(),
            next: 0,
            broken: false,
            sure: false,
            resting: None,
            link: 0,
        }
    }
}

impl<L> Lane<L> {
    /// Queues a batch.
    pub(super) fn push(&mut self, sealed: Sealed, load: L) {
        self.queued.push_back((sealed, load));
    }

    /// Whether there is anything to send, now or later.
    pub(super) fn has_next(&self) -> bool {
        !self.broken
            && (self.sure || self.outstanding() == 0)
            && (self.first_again().is_some() || !self.queued.is_empty())
    }

    /// Not before then.
    pub(super) fn resting(&self) -> Option<Instant> {
        self.resting
    }

    /// Whether a batch may go over this connection: what is outstanding on another must be answered first.
    pub(super) fn may_use(&self, link: u64) -> bool {
        self.link == link || self.outstanding() == 0
    }

    /// The next batch to send over `link`, and its sequence number.
    pub(super) fn take(&mut self, link: u64, producer: (i64, i16)) -> Option<(i32, Bytes)> {
        if !self.has_next() || !self.may_use(link) {
            return None;
        }
        self.link = link;
        self.resting = None;
        let again = self.first_again();
        if let Some(sent) = again.and_then(|at| self.sent.get_mut(at)) {
            sent.outstanding = true;
            return Some((sent.sequence, sent.placed.bytes.clone()));
        }
        let (sealed, load) = self.queued.pop_front()?;
        let sequence = self.next;
        self.next = sequence_after(sequence, sealed.count);
        let placed = sealed.place(Place {
            producer: producer.0,
            epoch: producer.1,
            sequence,
        });
        let bytes = placed.bytes.clone();
        self.sent.push_back(Sent {
            placed,
            sequence,
            outstanding: true,
            load,
        });
        Some((sequence, bytes))
    }

    /// The broker has it.
    pub(super) fn acknowledged(&mut self, sequence: i32) -> Option<L> {
        self.sure = true;
        self.remove(sequence)
    }

    /// The broker will never have it. What was sent after it no longer follows what the broker has: the producer must
    /// be [renewed](Self::renewed).
    pub(super) fn rejected(&mut self, sequence: i32) -> Option<L> {
        self.broken |= self.outstanding() > 1;
        self.remove(sequence)
    }

    /// It is to be sent again, with all that came after it, not before `then`.
    pub(super) fn failed(&mut self, sequence: i32, then: Instant) {
        let Some(at) = self.position(sequence) else { return };
        if let Some(sent) = self.sent.get_mut(at) {
            sent.outstanding = false;
        }
        self.sure = false;
        self.rest(then);
        self.broken = self.outstanding() > 0;
    }

    /// Nothing is to be sent before `then`.
    pub(super) fn rest(&mut self, then: Instant) {
        self.resting = self.resting.max(Some(then));
    }

    /// Whether nothing that was sent before it waits for an answer or to be sent again.
    pub(super) fn is_first(&self, sequence: i32) -> bool {
        self.position(sequence) == Some(0)
    }

    /// How many batches wait for an answer.
    pub(super) fn outstanding(&self) -> usize {
        self.sent.iter().filter(|sent| sent.outstanding).count()
    }

    /// There is another producer id: what is not acknowledged gets new numbers. Only when nothing is outstanding.
    pub(super) fn renewed(&mut self) {
        while let Some(sent) = self.sent.pop_back() {
            self.queued.push_front((sent.placed.displaced(), sent.load));
        }
        self.next = 0;
        self.broken = false;
        self.sure = false;
    }

    /// Everything that is not acknowledged.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = L> {
        let sent = std::mem::take(&mut self.sent).into_iter().map(|sent| sent.load);
        let queued = std::mem::take(&mut self.queued).into_iter().map(|(_, load)| load);
        self.broken = false;
        sent.chain(queued)
    }

    /// What is oldest.
    pub(super) fn oldest(&self) -> Option<&L> {
        let queued = || self.queued.front().map(|(_, load)| load);
        self.sent.front().map(|sent| &sent.load).or_else(queued)
    }

    fn first_again(&self) -> Option<usize> {
        self.sent.iter().position(|sent| !sent.outstanding)
    }

    fn position(&self, sequence: i32) -> Option<usize> {
        self.sent.iter().position(|sent| sent.sequence == sequence)
    }

    fn remove(&mut self, sequence: i32) -> Option<L> {
        let at = self.position(sequence)?;
        let sent = self.sent.remove(at)?;
        self.broken = self.broken && self.outstanding() > 0;
        Some(sent.load)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::{Codec, Records};
    use super::super::lz4::Scratch;
    use super::*;

    const ID: (i64, i16) = (9, 0);

    fn sealed(count: usize) -> Sealed {
        let mut scratch = Scratch::default();
        let mut records = Records::reusing(Codec::None, Vec::new());
        for _ in 0..count {
            records.push(0, None, Some(b"v"), None, &mut scratch).unwrap();
        }
        records.seal(&mut scratch).unwrap().0
    }

    fn lane(counts: &[usize]) -> Lane<usize> {
        let mut lane = Lane::default();
        for (n, count) in counts.iter().enumerate() {
            lane.push(sealed(*count), n);
        }
        lane
    }

    fn sequences(lane: &mut Lane<usize>, link: u64) -> Vec<i32> {
        std::iter::from_fn(|| lane.take(link, ID).map(|(sequence, _)| sequence)).collect()
    }

    /// A lane whose broker knows the producer: the first of these batches is acknowledged.
    fn known(counts: &[usize]) -> Lane<usize> {
        let mut lane = lane(counts);
        assert_eq!(sequences(&mut lane, 1), [0], "the first goes alone");
        assert_eq!(lane.acknowledged(0), Some(0));
        lane
    }

    #[test]
    fn after_a_failure_all_goes_again_in_order_once_every_answer_is_in_the_first_alone() {
        let now = Instant::now();
        let mut lane = known(&[1, 2, 3, 1]);
        assert_eq!(sequences(&mut lane, 1), [1, 3, 6]);
        lane.failed(1, now);
        assert!(!lane.has_next(), "two answers are still to come");
        lane.push(sealed(1), 4);
        lane.failed(3, now);
        lane.failed(6, now);
        assert_eq!(sequences(&mut lane, 2), [1]);
        assert_eq!(lane.acknowledged(1), Some(1));
        assert_eq!(sequences(&mut lane, 2), [3, 6, 7]);
        assert_eq!(lane.acknowledged(1), None);
        assert!(lane.is_first(3));
        assert_eq!(lane.drain().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn a_batch_waits_for_the_answers_over_the_old_connection() {
        let mut lane = known(&[1, 1, 1]);
        assert_eq!(lane.take(1, ID).map(|(sequence, _)| sequence), Some(1));
        assert!(lane.take(2, ID).is_none());
        assert_eq!(lane.acknowledged(1), Some(1));
        assert_eq!(lane.take(2, ID).map(|(sequence, _)| sequence), Some(2));
    }

    #[test]
    fn after_a_rejected_batch_a_new_producer_numbers_anew() {
        let mut lane = known(&[1, 4, 2, 2]);
        assert_eq!(sequences(&mut lane, 1), [1, 5, 7]);
        assert_eq!(lane.rejected(1), Some(1));
        assert!(!lane.has_next());
        lane.failed(5, Instant::now());
        lane.failed(7, Instant::now());
        lane.renewed();
        assert_eq!(sequences(&mut lane, 1), [0]);
        assert_eq!(lane.oldest(), Some(&2));
        assert_eq!(lane.acknowledged(0), Some(2));
        assert_eq!(sequences(&mut lane, 1), [2]);
    }

    /// A broker as KIP-98 has it: batches in sequence are appended, known ones acknowledged again, gaps refused; but any
    /// number is taken for the first.
    #[derive(Default)]
    struct Broker {
        next: Option<i32>,
        appended: Vec<i32>,
    }

    impl Broker {
        fn append(&mut self, sequence: i32, count: i32) -> Result<(), ()> {
            if self.appended.contains(&sequence) {
                return Ok(());
            }
            if self.next.is_some_and(|next| next != sequence) {
                return Err(());
            }
            self.appended.push(sequence);
            self.next = Some(sequence + count);
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn whatever_is_lost_every_batch_is_appended_once_and_in_order(
            counts in proptest::collection::vec(1..5_usize, 1..30),
            chances in proptest::collection::vec(0..4_u8, 400),
            most in 1..6_usize,
        ) {
            let mut lane = lane(&counts);
            let mut broker = Broker::default();
            let mut chances = chances.into_iter().chain(std::iter::repeat(3));
            let (mut flying, mut link, mut done) = (VecDeque::new(), 1, Vec::new());
            while done.len() < counts.len() {
                while flying.len() < most && let Some((sequence, bytes)) = lane.take(link, ID) {
                    let count = i32::from_be_bytes(bytes[57..61].try_into().unwrap());
                    flying.push_back((sequence, count));
                }
                let (sequence, count) = flying.pop_front().expect("no standstill");
                match chances.next() {
                    // the request is lost, and with it the connection and all that follows
                    Some(0) => {
                        lane.failed(sequence, Instant::now());
                        for (sequence, _) in flying.drain(..) {
                            lane.failed(sequence, Instant::now());
                        }
                        link += 1;
                    }
                    // the answer is lost
                    Some(1) => {
                        let _ = broker.append(sequence, count);
                        lane.failed(sequence, Instant::now());
                    }
                    // the broker refuses for a while
                    Some(2) => lane.failed(sequence, Instant::now()),
                    _ => match broker.append(sequence, count) {
                        Ok(()) => done.extend(lane.acknowledged(sequence)),
                        Err(()) => {
                            prop_assert!(!lane.is_first(sequence));
                            lane.failed(sequence, Instant::now());
                        }
                    },
                }
            }
            prop_assert!(broker.appended.is_sorted());
            prop_assert_eq!(broker.appended.len(), counts.len());
            prop_assert!(lane.oldest().is_none());
        }
    }
}
