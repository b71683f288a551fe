//! Which positions may be stored: those before which everything is acknowledged (`SubmittedRecords`). Pure.
//!
//! Batches are acknowledged in any order; positions move in the order in which batches were submitted. The queue
//! keeps what is not settled, and folds what is into the newest position per source partition.

use std::collections::{HashMap, VecDeque};

use tapline_api::offset::{CommittedOffsets, Offset, OffsetMark, Partition};

/// What tells whether a batch is settled.
pub trait Settled {
    /// Whether every record is acknowledged, or let go.
    fn is_settled(&self) -> bool;
}

/// Batches in flight, and the positions behind them that may be stored.
pub struct SubmittedRecords<D> {
    queue: VecDeque<Submitted<D>>,
    committable: Vec<(Partition, Option<Offset>)>,
    /// Where each partition stands in it, by its entries in order of their names: a snapshot of many tables has as many.
    places: HashMap<String, usize>,
    /// Settled batches whose marks the source waits for.
    awaited: usize,
}

struct Submitted<D> {
    delivery: D,
    marks: Vec<OffsetMark>,
    flush: bool,
}

impl<D> Default for SubmittedRecords<D> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            committable: Vec::new(),
            places: HashMap::new(),
            awaited: 0,
        }
    }
}

impl<D: Settled> SubmittedRecords<D> {
    /// A batch was handed to the producer; `flush` when the source waits for its marks.
    pub fn submit(&mut self, delivery: D, marks: Vec<OffsetMark>, flush: bool) {
        self.queue.push_back(Submitted {
            delivery,
            marks,
            flush,
        });
        self.advance();
    }

    /// How many batches that the source waits for have settled since the last call.
    pub fn awaited(&mut self) -> usize {
        self.advance();
        std::mem::take(&mut self.awaited)
    }

    /// How many batches are not settled, or stand behind one that is not.
    pub fn in_flight(&mut self) -> usize {
        self.advance();
        self.queue.len()
    }

    /// Looks at every batch that is not settled, until one is an error.
    pub fn each<E>(&self, look: impl FnMut(&D) -> Result<(), E>) -> Result<(), E> {
        self.queue.iter().map(|batch| &batch.delivery).try_for_each(look)
    }

    /// Takes the positions that may be stored, the newest per source partition.
    pub fn take(&mut self) -> CommittedOffsets {
        self.advance();
        self.places.clear();
        CommittedOffsets(std::mem::take(&mut self.committable))
    }

    /// Gives back positions that could not be stored, which counts as a batch to be awaited; newer ones that have come
    /// meanwhile win.
    pub fn give_back(&mut self, offsets: CommittedOffsets) {
        self.awaited += 1;
        let newer = std::mem::take(&mut self.committable);
        self.places.clear();
        for (partition, offset) in offsets.0.into_iter().chain(newer) {
            self.newest(partition, offset);
        }
    }

    fn advance(&mut self) {
        while self
            .queue
            .front()
            .is_some_and(|batch| batch.delivery.is_settled())
        {
            if let Some(batch) = self.queue.pop_front() {
                self.awaited += usize::from(batch.flush);
                for mark in batch.marks {
                    self.newest(mark.partition, mark.offset);
                }
            }
        }
    }

    fn newest(&mut self, partition: Partition, offset: Option<Offset>) {
        let mut entries: Vec<_> = partition.0.iter().collect();
        entries.sort_by(|a, b| a.0.cmp(b.0));
        let name = serde_json::to_string(&entries).unwrap_or_default();
        match self
            .places
            .get(&name)
            .and_then(|place| self.committable.get_mut(*place))
        {
            Some(entry) => entry.1 = offset,
            None => {
                self.places.insert(name, self.committable.len());
                self.committable.push((partition, offset));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    impl Settled for Rc<Cell<bool>> {
        fn is_settled(&self) -> bool {
            self.get()
        }
    }

    fn mark(partition: u8, position: usize) -> OffsetMark {
        OffsetMark {
            after: 0,
            partition: Partition::new([("p".to_owned(), json!(partition))]),
            offset: Some(Offset::new([("n".to_owned(), json!(position))])),
        }
    }

    fn positions(offsets: &CommittedOffsets) -> Vec<(u64, u64)> {
        let mut found: Vec<_> = offsets
            .0
            .iter()
            .map(|(partition, offset)| {
                let position = offset.as_ref().unwrap().get("n").unwrap().as_u64().unwrap();
                (partition.0["p"].as_u64().unwrap(), position)
            })
            .collect();
        found.sort_unstable();
        found
    }

    proptest! {
        /// Whatever is acknowledged in whatever order, a position is stored only when all before it are, none is
        /// stored twice, and at the end none is missing.
        #[test]
        fn positions_move_only_over_acknowledged_batches(
            partitions in prop::collection::vec(0u8..3, 1..40),
            acks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..120),
        ) {
            let mut submitted = SubmittedRecords::default();
            let flags: Vec<_> = partitions.iter().map(|_| Rc::new(Cell::new(false))).collect();
            for (position, (partition, flag)) in partitions.iter().zip(&flags).enumerate() {
                submitted.submit(flag.clone(), vec![mark(*partition, position)], false);
            }
            let mut stored = [None; 3];
            let mut check = |submitted: &mut SubmittedRecords<Rc<Cell<bool>>>, fails: bool| {
                let offsets = submitted.take();
                let settled = flags.iter().take_while(|flag| flag.get()).count();
                for (partition, position) in positions(&offsets) {
                    let partition = usize::try_from(partition).unwrap();
                    let position = usize::try_from(position).unwrap();
                    prop_assert!(position < settled);
                    prop_assert!(stored[partition] < Some(position));
                    prop_assert_eq!(partitions[..settled].iter().rposition(|p| *p as usize == partition), Some(position));
                    if !fails {
                        stored[partition] = Some(position);
                    }
                }
                if fails {
                    submitted.give_back(offsets);
                }
                Ok(())
            };
            for (index, fails) in acks {
                index.get(&flags).set(true);
                check(&mut submitted, fails)?;
            }
            flags.iter().for_each(|flag| flag.set(true));
            check(&mut submitted, false)?;
            prop_assert_eq!(submitted.in_flight(), 0);
            for partition in 0..3u8 {
                prop_assert_eq!(stored[partition as usize], partitions.iter().rposition(|p| *p == partition));
            }
        }
    }
}
