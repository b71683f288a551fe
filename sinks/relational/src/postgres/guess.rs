//! Rows that are taken to be new.
//!
//! Events tell of rows that were read or created, and mostly no such row is in the target. A COPY then costs the server
//! half of what an upsert costs, and writes the same. Where a row is there after all (the event comes again, somebody
//! else wrote it), the key's index refuses the COPY, and the batch is upserted. Each refusal doubles how many batches of
//! the table are upserted without asking, so that a topic that is read again from its begin costs a few refusals.

use std::collections::HashMap;

use crate::names::TableId;

/// How many batches are upserted between two guesses at most.
const MOST: u32 = 256;
/// Tables that are remembered.
const TABLES: usize = 1000;

/// Whether to guess, by table.
#[derive(Debug, Default)]
pub(super) struct Guesses(HashMap<TableId, Pause>);

#[derive(Debug, Default)]
struct Pause {
    /// Batches to come that are not to be guessed at.
    left: u32,
    /// As many after the next refusal.
    next: u32,
}

impl Guesses {
    /// Whether the new rows of a statement may go by a COPY. Asked once for each.
    pub(super) fn may(&mut self, table: &TableId) -> bool {
        match self.0.get_mut(table) {
            Some(pause) if pause.left > 0 => {
                pause.left -= 1;
                false
            }
            _ => true,
        }
    }

    /// They were new.
    pub(super) fn held(&mut self, table: &TableId) {
        if let Some(pause) = self.0.get_mut(table) {
            pause.next /= 2;
        }
    }

    /// They were refused.
    pub(super) fn refuted(&mut self, table: &TableId) {
        if self.0.len() >= TABLES {
            self.0.clear();
        }
        let pause = self.0.entry(table.clone()).or_default();
        pause.left = pause.next.max(1);
        pause.next = (pause.left * 2).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_grow_rare_and_success_makes_guesses_frequent_again() {
        let table = TableId {
            schema: None,
            name: "t".into(),
        };
        let mut guesses = Guesses::default();
        let mut tried = 0;
        for _ in 0..1000 {
            if guesses.may(&table) {
                tried += 1;
                guesses.refuted(&table);
            }
        }
        assert_eq!(tried, 11);
        for _ in 0..1000 {
            if guesses.may(&table) {
                guesses.held(&table);
                tried += 1;
            }
        }
        assert!(tried > 700, "{tried}");
    }
}
