//! Which changes go out before a snapshot is resumed.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::chunks::KeyOrder;
use super::progress::{Change, Progress, Verdict};

/// What a killed snapshot has done of the tables that the next one reads, by a table's name of type `T`.
#[derive(Debug)]
pub struct Sieve<T> {
    tables: HashMap<T, Table>,
}

#[derive(Debug)]
struct Table {
    progress: Progress,
    /// How the key's values are ordered, where we can order them as the server does.
    orders: Vec<KeyOrder>,
}

impl<T> Default for Sieve<T> {
    fn default() -> Self {
        Self {
            tables: HashMap::new(),
        }
    }
}

impl<T: Hash + Eq> Sieve<T> {
    /// A table that the next snapshot reads whole, but for what `progress` says is done.
    pub fn add(&mut self, table: T, progress: Progress, orders: Vec<KeyOrder>) {
        self.tables.insert(table, Table { progress, orders });
    }

    /// The names of the columns that a table is cut by.
    pub fn key<Q: Hash + Eq + ?Sized>(&self, table: &Q) -> Option<&[String]>
    where
        T: Borrow<Q>,
    {
        self.tables.get(table).map(|table| table.progress.key.as_slice())
    }

    /// Whether a change goes out. `key` is none where the change does not tell all of it; `saw` says whether a snapshot of
    /// that name saw the change's transaction.
    pub fn passes<Q: Hash + Eq + ?Sized>(
        &self,
        table: &Q,
        change: Change,
        key: Option<&[&str]>,
        saw: impl Fn(&str) -> bool,
    ) -> bool
    where
        T: Borrow<Q>,
    {
        // A table that no snapshot reads, or not all of: what is not told of here is never told of.
        self.tables
            .get(table)
            .is_none_or(|table| table.progress.verdict(change, key, &table.orders, saw) == Verdict::Emit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Chunks;
    use super::*;

    #[test]
    fn changes_of_a_table_that_is_not_read_all_go_out() {
        let mut sieve = Sieve::default();
        let mut begun = Progress::new(vec!["id".into()], Chunks::new(vec![vec!["10".into()]]));
        begun.finish(0, "A");
        sieve.add("begun".to_owned(), begun, vec![KeyOrder::Integer]);
        sieve.add("fresh".to_owned(), Progress::default(), Vec::new());
        let passes =
            |table: &str, change, key: &str| sieve.passes(table, change, Some(&[key]), |seen| seen == "B");
        for (table, change, key, goes) in [
            ("begun", Change::Row, "9", true),
            ("begun", Change::Row, "10", false),
            ("begun", Change::Delete, "10", true),
            ("fresh", Change::Row, "1", false),
            ("fresh", Change::Delete, "1", true),
            ("another", Change::Row, "1", true),
        ] {
            assert_eq!(passes(table, change, key), goes, "{table} {change:?} {key}");
        }
        assert_eq!(sieve.key("begun"), Some(&["id".to_owned()][..]));
    }
}
