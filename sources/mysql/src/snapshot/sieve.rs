//! Which changes go out before a snapshot is resumed; see `tapline_cdc::snapshot`.

use tapline_api::Result;
use tapline_api::source::OffsetReader;
use tapline_cdc::snapshot::{self, Change, KeyOrder, stored_progress};

use super::cut;
use crate::binlog::image;
use crate::config::Options;
use crate::ddl::Flavor;
use crate::position::Tracker;
use crate::schema::{Column, Table, TableId, Tables};
use crate::table::{Plan, Row};

/// What a killed snapshot has done of the tables.
#[derive(Debug)]
pub(crate) struct Sieve {
    flavor: Flavor,
    tables: snapshot::Sieve<TableId>,
}

impl Sieve {
    /// Reads how far `tables` are, which the next snapshot reads, where that counts (`resumes`); `known` are their schemas
    /// when the last one was killed.
    pub(crate) async fn load(
        offsets: &dyn OffsetReader,
        options: &Options,
        tables: &[TableId],
        known: &Tables,
        resumes: bool,
    ) -> Result<Self> {
        let mut sieve = snapshot::Sieve::default();
        for id in tables {
            let name = id.to_string();
            if options.overrides.of(&name).is_some() {
                // The query need not give the rows that have changed.
                continue;
            }
            let stored = match resumes {
                true => stored_progress(offsets, options.naming.prefix(), &name).await?,
                false => None,
            };
            let orders = known.get(id).and_then(|table| orders(table));
            sieve.add(id.clone(), stored.unwrap_or_default(), orders.unwrap_or_default());
        }
        Ok(Self {
            flavor: options.flavor,
            tables: sieve,
        })
    }

    /// Whether a change goes out, of which `tracker` knows the place.
    pub(crate) fn passes(
        &self,
        plan: &Plan,
        change: image::Change,
        first: &Row,
        second: Option<&Row>,
        tracker: &Tracker,
    ) -> bool {
        let id = &plan.table.id;
        let cut_by = self.tables.key(id).unwrap_or_default();
        let saw = |seen: &str| tracker.is_within(self.flavor, seen);
        let passes = |change, row: &Row| {
            let key = key_text(plan, row, cut_by);
            let key: Option<Vec<&str>> = key.as_ref().map(|key| key.iter().map(String::as_str).collect());
            self.tables.passes(id, change, key.as_deref(), saw)
        };
        match (change, second) {
            (image::Change::Delete, _) => passes(Change::Delete, first),
            // One that changes the key is a delete, too.
            (image::Change::Update, Some(second)) => {
                passes(Change::Row, second)
                    || plan.key(first) != plan.key(second) && passes(Change::Delete, first)
            }
            _ => passes(Change::Row, first),
        }
    }
}

fn key_columns(table: &Table) -> Option<Vec<&Column>> {
    let columns = table.key.iter().map(|name| table.column(name));
    columns.collect::<Option<Vec<_>>>().filter(|key| !key.is_empty())
}

fn orders(table: &Table) -> Option<Vec<KeyOrder>> {
    key_columns(table)?.into_iter().map(cut::order).collect()
}

/// A row's key as bounds have it, if it is still the one that the table was cut by.
fn key_text(plan: &Plan, row: &Row, cut_by: &[String]) -> Option<Vec<String>> {
    if cut_by.is_empty() {
        return None;
    }
    let columns = key_columns(&plan.table)?;
    if cut::signature(columns.iter().copied()) != cut_by {
        return None;
    }
    columns.iter().map(|column| plan.key_text(row, column)).collect()
}
