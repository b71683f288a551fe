//! Looks at one table after the other: its plan, how it is cut, and the statements that read it.

use std::sync::Arc;

use tapline_api::source::OffsetReader;
use tapline_api::{Result, SchemaRef};
use tapline_cdc::signal::Execute;
use tapline_cdc::snapshot::{Chunks, Database, Key, Planned, Progress, stored_progress};
use tapline_databases::mysql::qualified;

use super::cut::{Cut, Index, is_larger};
use crate::catalog::Catalog;
use crate::config::Options;
use crate::schema::{TableId, Tables};
use crate::table::Plan;

/// What plans a snapshot's tables.
pub(super) struct Planner<'a> {
    pub(super) options: &'a Options,
    /// The tables' schemas as the snapshot sees them.
    pub(super) known: &'a Tables,
    /// Where it lies.
    pub(super) offsets: Option<&'a dyn OffsetReader>,
    /// The schema of the source block.
    pub(super) source: SchemaRef,
    pub(super) catalog: &'a mut Catalog,
    pub(super) tables: Vec<TableId>,
    /// Whether a former run's progress counts.
    pub(super) resumes: bool,
    pub(super) execute: Option<&'a Execute>,
    /// Of the table at hand, while it is cut.
    pub(super) cut: Option<Cut>,
}

/// A table, and how it is asked for.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) plan: Plan,
    index: Option<Index>,
    /// A query of the user's own.
    query: Option<String>,
}

impl Database for Planner<'_> {
    type Plan = Source;

    async fn plan(&mut self, index: usize) -> Result<Option<Planned<Source>>> {
        self.cut = None;
        let Some(id) = self.tables.get(index) else {
            return Ok(None);
        };
        let Some(table) = self.known.get(id).cloned() else {
            return Ok(None);
        };
        let name = id.to_string();
        let asked = self.execute.and_then(|execute| execute.query(&name));
        let query = asked.or_else(|| self.options.overrides.of(&name));
        let mut source = Source {
            plan: Plan::new(table.clone(), self.options, &self.source)?,
            index: None,
            query: query.map(|query| query.trim_end().trim_end_matches(';').to_owned()),
        };
        let stored = match self.offsets {
            Some(offsets) if self.resumes => {
                stored_progress(offsets, self.options.naming.prefix(), &name).await?
            }
            _ => None,
        };
        let whole = Progress::new(Vec::new(), Chunks::default());
        // What a query of the user's own gives is not cut: it may be slow, and need not be the table's rows.
        if source.query.is_some() {
            return Ok(Some(planned(source, stored.unwrap_or(whole), false, 0)));
        }
        let (rows, bytes) = self.catalog.size(id).await?;
        let chunk = self.options.snapshot_chunk_bytes;
        let is_cut = stored.as_ref().is_some_and(|stored| !stored.key.is_empty());
        let large = bytes >= chunk.saturating_mul(2);
        let connection = &mut self.catalog.connection;
        // No bytes at all: it is of an engine that keeps rows in no order.
        let steps = match (is_cut || stored.is_none()) && !large && bytes > 0 {
            true => is_larger(connection, &table, chunk).await?,
            false => None,
        };
        if is_cut || stored.is_none() && (large || steps.is_some()) {
            source.index = Index::find(connection, &table).await?;
        }
        let signature = source.index.as_ref().map(Index::signature).unwrap_or_default();
        // Another key than that it was cut by: what the chunks were can't be told any more.
        let stored = stored.filter(|stored| stored.key.is_empty() || stored.key == signature);
        let progress = match (stored, &source.index) {
            (Some(stored), _) if stored.key.is_empty() => stored,
            (stored, Some(index)) => {
                self.cut = match steps {
                    Some(rows) => Some(Cut {
                        rows,
                        steps: true,
                        ..Cut::default()
                    }),
                    None => index.begin(connection, &table, rows, bytes, chunk).await?,
                };
                match (stored, &self.cut) {
                    (Some(stored), _) => stored,
                    (None, Some(_)) => Progress::new(signature, Chunks::default()),
                    (None, None) => whole,
                }
            }
            _ => whole,
        };
        let grows = self.cut.is_some();
        Ok(Some(planned(source, progress, grows, bytes)))
    }

    fn statement(&self, _: usize, source: &Source, _: &[String], chunks: &Chunks, chunk: u32) -> String {
        let table = &source.plan.table;
        let asked = self
            .execute
            .and_then(|execute| execute.condition(&table.id.to_string()));
        let range = source
            .index
            .as_ref()
            .and_then(|index| Some((index, index.condition(chunks, chunk)?)));
        let from = match (&source.query, &range) {
            // On lines of its own: it may end in a comment.
            (Some(query), _) => format!("(\n{query}\n) AS snapshot_select"),
            (None, Some((index, _))) => index.table(table),
            (None, None) => qualified(&table.id.database, &table.id.table),
        };
        let conditions: Vec<String> = range
            .map(|(_, condition)| condition)
            .into_iter()
            .chain(asked.map(|asked| format!("({asked})")))
            .collect();
        let columns = source.plan.selected().join(", ");
        let columns = if columns.is_empty() { "1" } else { columns.as_str() };
        match conditions.is_empty() {
            true => format!("SELECT {columns} FROM {from}"),
            false => format!("SELECT {columns} FROM {from} WHERE {}", conditions.join(" AND ")),
        }
    }

    async fn bound(
        &mut self,
        _: usize,
        source: &Source,
        _: &[String],
        chunks: &Chunks,
    ) -> Result<Option<Key>> {
        match (&source.index, &mut self.cut) {
            (Some(index), Some(cut)) => {
                let connection = &mut self.catalog.connection;
                index.bound(connection, &source.plan.table, cut, chunks).await
            }
            _ => Ok(None),
        }
    }
}

fn planned(source: Source, progress: Progress, grows: bool, bytes: u64) -> Planned<Source> {
    Planned {
        plan: Arc::new(source),
        progress,
        grows,
        bytes,
    }
}
