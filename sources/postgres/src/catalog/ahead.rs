//! What the catalog says of a table, read before the stream names the table.
//!
//! The first change of each table needs its definition. After a pause a stream may name thousands of tables in a row; asked
//! for one by one they would be as many round trips. So while the stream is behind, each table that is not known makes the
//! next ones be read with it: one more each time, so that a stream which names few tables reads few, and one which names
//! ten thousand asks some 140 times.
//!
//! A definition that was read ahead holds for what was committed before it was read. A later change may follow a later
//! ALTER TABLE: its table is asked for anew.

use std::collections::HashMap;

use tapline_api::Result;

use super::Catalog;
use crate::config::Options;
use crate::lsn::Lsn;
use crate::publication::captured_tables;
use crate::table::Table;

/// How many definitions are kept at most, which is some 20 MB.
const MOST: usize = 10_000;

/// Reads definitions ahead of a stream.
#[derive(Debug)]
pub(crate) struct Ahead {
    known: HashMap<(String, String), Table>,
    /// Everything that was committed before here is in what is known.
    until: Lsn,
    /// Tables that nobody has read yet; `None` before they were first asked for.
    unread: Option<Vec<(String, String)>>,
    /// How often, while the stream was behind, the table that was wanted was not known.
    misses: usize,
}

impl Ahead {
    /// For a stream that is behind as long as it is before `end`.
    pub(crate) fn new(end: Lsn) -> Self {
        Self {
            known: HashMap::new(),
            until: end,
            unread: None,
            misses: 0,
        }
    }

    /// A table that a transaction which was committed at `commit` names, as the catalog has it then or later.
    pub(crate) async fn table(
        &mut self,
        catalog: &mut Catalog,
        options: &Options,
        commit: Lsn,
        (schema, table): (&str, &str),
    ) -> Result<Option<Table>> {
        let behind = commit < self.until;
        if !behind {
            self.known.clear();
        } else if !self.known.is_empty()
            && let Some(found) = self.known.remove(&(schema.to_owned(), table.to_owned()))
        {
            return Ok(Some(found));
        }
        self.until = catalog.visible_lsn().await?;
        if behind {
            self.misses += 1;
            self.read(catalog, options).await?;
        }
        catalog.table(schema, table).await
    }

    /// Reads as many of the next tables as there have been misses before.
    async fn read(&mut self, catalog: &mut Catalog, options: &Options) -> Result<()> {
        let room = MOST.saturating_sub(self.known.len());
        let count = (self.misses - 1).min(room);
        if count == 0 {
            return Ok(());
        }
        let unread = match &mut self.unread {
            Some(unread) => unread,
            None => self.unread.insert(captured_tables(catalog, options).await?),
        };
        let next = unread.split_off(unread.len().saturating_sub(count));
        if !next.is_empty() {
            self.known.extend(catalog.definitions(&next).await?.tables);
        }
        Ok(())
    }
}
