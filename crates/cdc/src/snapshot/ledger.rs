//! Who reads which chunk, and what is to be stored when one is done.

use std::collections::VecDeque;

use tapline_api::offset::{Offset, Partition};

use super::chunks::Key;
use super::progress::Progress;

/// A chunk that somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The table, as [`Ledger::add`] numbered it.
    pub table: usize,
    /// The chunk.
    pub chunk: u32,
}

/// The chunks of all tables of a running snapshot. Chunks are given out in order, one table after the other.
#[derive(Debug, Default)]
pub struct Ledger {
    tables: Vec<Table>,
    queue: VecDeque<Claim>,
    number: u64,
}

#[derive(Debug)]
struct Table {
    partition: Partition,
    progress: Progress,
    /// Whether chunks are stored one by one, or the table only as a whole.
    by_chunk: bool,
    /// Chunks not yet read.
    unread: usize,
    /// Chunks read and not yet stored, of a table that is stored as a whole.
    waiting: Vec<u32>,
    /// Chunks not yet done.
    undone: usize,
}

impl Ledger {
    /// Numbers of stored offsets begin after `number`.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Adds a table with what is left of it. `by_chunk` when its chunks mean the same in another snapshot. Of one that
    /// `grows`, the last chunk is not done, and given out by [`extend`](Self::extend).
    pub fn add(&mut self, partition: Partition, progress: Progress, by_chunk: bool, grows: bool) -> usize {
        let table = self.tables.len();
        let left = progress.left();
        let given = left.len().saturating_sub(grows.into());
        self.queue
            .extend(left.iter().take(given).map(|&chunk| Claim { table, chunk }));
        self.tables.push(Table {
            partition,
            by_chunk,
            unread: left.len(),
            undone: left.len(),
            waiting: Vec::new(),
            progress,
        });
        table
    }

    /// Gives out the last chunk of a table that grows, up to `bound`, behind which there is another one then.
    pub fn extend(&mut self, table: usize, bound: Option<Key>) {
        let Some(growing) = self.tables.get_mut(table) else {
            return;
        };
        let chunk = growing.progress.chunks.count() - 1;
        self.queue.push_back(Claim { table, chunk });
        if let Some(bound) = bound {
            growing.progress.chunks.push(bound);
            growing.unread += 1;
            growing.undone += 1;
        }
    }

    /// The next chunk to read, of the tables added so far.
    pub fn claim(&mut self) -> Option<Claim> {
        self.queue.pop_front()
    }

    /// All rows of the chunk are read; true when it was the last of its table.
    pub fn read(&mut self, claim: Claim) -> bool {
        let Some(table) = self.tables.get_mut(claim.table) else {
            return false;
        };
        table.unread = table.unread.saturating_sub(1);
        table.unread == 0
    }

    /// Chunks whose rows have all gone out: what to store behind them, and its number, which a stored offset shows.
    pub fn done(&mut self, claims: &[Claim], seen: &str) -> (Vec<(Partition, Offset)>, u64) {
        let mut changed: Vec<usize> = Vec::new();
        for claim in claims {
            let Some(table) = self.tables.get_mut(claim.table) else {
                continue;
            };
            table.undone = table.undone.saturating_sub(1);
            if table.by_chunk {
                table.progress.finish(claim.chunk, seen);
            } else {
                table.waiting.push(claim.chunk);
                if table.undone > 0 {
                    continue;
                }
                for chunk in table.waiting.drain(..) {
                    table.progress.finish(chunk, seen);
                }
            }
            if !changed.contains(&claim.table) {
                changed.push(claim.table);
            }
        }
        if !changed.is_empty() {
            self.number += 1;
        }
        let offsets = changed
            .into_iter()
            .filter_map(|table| self.tables.get(table))
            .map(|table| (table.partition.clone(), table.progress.to_offset(self.number)))
            .collect();
        (offsets, self.number)
    }

    /// Every partition that may hold an offset.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.tables.iter().map(|table| &table.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Chunks, progress_partition};
    use super::*;

    fn progress(chunks: u32) -> Progress {
        let bounds = (1..chunks).map(|n| vec![n.to_string()]).collect();
        Progress::new(vec!["id".into()], Chunks::new(bounds))
    }

    #[test]
    fn chunks_are_given_out_in_order_and_stored_as_they_are_done() {
        let mut ledger = Ledger::new(1);
        let (a, b) = (progress_partition("g", "a"), progress_partition("g", "b"));
        let mut half = progress(3);
        half.finish(0, "V");
        ledger.add(a.clone(), half, true, false);
        ledger.add(b.clone(), progress(2), false, false);
        let claims: Vec<Claim> = std::iter::from_fn(|| ledger.claim()).collect();
        let places: Vec<_> = claims.iter().map(|claim| (claim.table, claim.chunk)).collect();
        assert_eq!(places, [(0, 1), (0, 2), (1, 0), (1, 1)]);
        assert!(!ledger.read(claims[0]));
        assert!(ledger.read(claims[1]));
        let (stored, number) = ledger.done(&claims[1..2], "W");
        assert_eq!((stored.len(), number), (1, 2));
        assert_eq!(Progress::from_offset(&stored[0].1).unwrap().left(), [1]);
        // A table that is stored as a whole says nothing before its end.
        assert_eq!(ledger.done(&claims[2..3], "W").0.len(), 0);
        let (stored, number) = ledger.done(&claims[3..4], "W");
        assert_eq!((stored[0].0.clone(), number), (b, 3));
        assert!(Progress::from_offset(&stored[0].1).unwrap().left().is_empty());
    }

    #[test]
    fn a_table_that_grows_is_given_out_as_it_is_cut() {
        let mut ledger = Ledger::new(1);
        let mut half = progress(2);
        half.finish(0, "V");
        let table = ledger.add(progress_partition("g", "a"), half, true, true);
        assert_eq!(ledger.claim(), None);
        ledger.extend(table, Some(vec!["7".into()]));
        let first = ledger.claim().unwrap();
        assert_eq!((first.chunk, ledger.read(first)), (1, false));
        ledger.extend(table, None);
        let last = ledger.claim().unwrap();
        assert_eq!((last.chunk, ledger.read(last)), (2, true));
        let (stored, _) = ledger.done(&[first, last], "W");
        let stored = Progress::from_offset(&stored[0].1).unwrap();
        assert!(stored.left().is_empty());
        assert_eq!(stored.chunks.count(), 3);
    }
}
