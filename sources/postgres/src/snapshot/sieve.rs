//! Which changes go out before a snapshot is resumed; see `tapline_cdc::snapshot`.

use std::collections::HashMap;

use tapline_api::Result;
use tapline_api::source::OffsetReader;
use tapline_cdc::snapshot::{self, Change, Progress, stored_progress};

use super::{cut, snapshot_tables};
use crate::catalog::Catalog;
use crate::config::Options;
use crate::lsn::Lsn;
use crate::pgoutput::{Column, Old, Relation, Tuple};
use crate::wire::Connection;

/// What a killed snapshot has done of the tables.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    tables: snapshot::Sieve<(String, String)>,
    relations: HashMap<u32, Place>,
    /// Where the transaction at hand commits.
    commit: Lsn,
}

/// A relation's table, and where its rows have the key.
#[derive(Debug)]
struct Place {
    table: (String, String),
    key: Option<Vec<usize>>,
}

impl Sieve {
    /// Reads how far the tables are, where that counts (`resumes`); else all are read anew. `connection` is for questions
    /// about keys.
    pub(crate) async fn load(
        catalog: &Catalog,
        connection: &mut Connection,
        offsets: &dyn OffsetReader,
        options: &Options,
        resumes: bool,
    ) -> Result<Self> {
        let mut sieve = Self::default();
        for (schema, table) in snapshot_tables(catalog, options).await? {
            let name = format!("{schema}.{table}");
            if options.overrides.of(&name).is_some() {
                // The query need not give the rows that have changed.
                continue;
            }
            let stored = match resumes {
                true => stored_progress(offsets, options.naming.prefix(), &name).await?,
                false => None,
            };
            let progress = stored.unwrap_or_else(Progress::default);
            let orders = if progress.key.is_empty() {
                None
            } else {
                cut::orders(connection, &schema, &table, &progress.key).await?
            };
            sieve
                .tables
                .add((schema, table), progress, orders.unwrap_or_default());
        }
        Ok(sieve)
    }

    /// A description of rows to come.
    pub(crate) fn describe(&mut self, relation: &Relation) {
        let table = (relation.schema.clone(), relation.table.clone());
        let key = self.tables.key(&table).and_then(|key| {
            let position = |name: &String| relation.columns.iter().position(|column| column.name == *name);
            key.iter().map(position).collect()
        });
        self.relations.insert(relation.id, Place { table, key });
    }

    /// A transaction begins, whose commit stands at `commit`.
    pub(crate) fn begin(&mut self, commit: Lsn) {
        self.commit = commit;
    }

    pub(crate) fn inserted(&self, relation: u32, block: &[u8], new: &Tuple) -> bool {
        self.passes(relation, Change::Row, block, new)
    }

    pub(crate) fn updated(&self, relation: u32, block: &[u8], old: Option<&Old>, new: &Tuple) -> bool {
        // Where the key can't be told, it may have changed.
        let moved = old.is_some_and(|old| {
            let place = self.relations.get(&relation);
            let key = |tuple| place.and_then(|place| place.key(block, tuple));
            let key = |tuple| key(tuple).filter(|key| !key.is_empty());
            key(&old.tuple).is_none_or(|old| Some(old) != key(new))
        });
        // One that changes the key is a delete, too.
        self.inserted(relation, block, new)
            || moved && old.is_some_and(|old| self.deleted(relation, block, &old.tuple))
    }

    pub(crate) fn deleted(&self, relation: u32, block: &[u8], old: &Tuple) -> bool {
        self.passes(relation, Change::Delete, block, old)
    }

    fn passes(&self, relation: u32, change: Change, block: &[u8], tuple: &Tuple) -> bool {
        let Some(place) = self.relations.get(&relation) else {
            return true;
        };
        let key = place.key(block, tuple);
        let saw = |seen: &str| seen.parse().is_ok_and(|seen: Lsn| self.commit < seen);
        self.tables.passes(&place.table, change, key.as_deref(), saw)
    }
}

impl Place {
    /// The key's values; `None` when the tuple does not have them all.
    fn key<'a>(&self, block: &'a [u8], tuple: &Tuple) -> Option<Vec<&'a str>> {
        let columns: Vec<Column> = tuple.columns(block).collect();
        let value = |index: &usize| match columns.get(*index)? {
            Column::Text(range) => std::str::from_utf8(block.get(range.clone())?).ok(),
            _ => None,
        };
        self.key.as_ref()?.iter().map(value).collect()
    }
}
