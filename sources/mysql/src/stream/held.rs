//! Tables whose changes are left out until their schema is known (`quarantine`).

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::Result;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::headers::new_uuid;
use tapline_cdc::notification::Aggregate;
use tapline_cdc::signal::Execute;
use tokio::time::Instant;

use super::Stream;
use crate::binlog::image::{Change as RowChange, Rows};
use crate::binlog::reader::Reader;
use crate::binlog::table_map::TableMap;
use crate::quarantine::Answer;
use crate::schema::{Table, TableId};
use crate::signals::Signals;
use crate::table::{KeyLayout, Plan};

impl Stream<'_> {
    /// Leaves a table's changes out from here on, until its schema is known.
    pub(super) fn hold(&mut self, id: TableId, why: &str) {
        if let Some(table) = self.tables.remove(&id) {
            self.former.insert(id.clone(), table);
        }
        self.plans.remove(&id);
        self.kept.forget(&id);
        let since = self.tracker.position().to_offset(Vec::new());
        self.tell_of_held("QUARANTINED", &id, why);
        let mark = self.quarantine.hold(id, why, &since);
        self.heard.push(mark);
        self.tracker.moved = true;
    }

    pub(super) fn let_go(&mut self, id: &TableId, why: &str) {
        tracing::info!(table = %id, why, "a table is released");
        let mark = self.quarantine.release(id);
        self.heard.push(mark);
        self.tracker.moved = true;
        self.unknown.remove(id);
        self.former.remove(id);
        self.maps.clear();
        self.tell_of_held("RELEASED", id, why);
    }

    /// How the key of a held table is found in its rows, so that what has gone is not missed: nobody reads it again. By what
    /// the server says of the table, or by what it was, whichever has as many columns.
    pub(super) async fn key_of_held(&mut self, map: &TableMap) -> Result<Option<(Plan, KeyLayout)>> {
        let id = TableId::new(map.database.as_str(), map.table.as_str());
        if !self.quarantine.holds(&id) {
            return Ok(None);
        }
        let statement = self.catalog.create_table(&id).await?;
        let servers = statement.and_then(|statement| self.table_of(&id, &statement).ok());
        let former = self.former.get(&id).or_else(|| self.tables.get(&id)).cloned();
        let mut tables: Vec<Arc<Table>> = servers
            .map(|(_, table)| table)
            .into_iter()
            .chain(former)
            .collect();
        tables.sort_by_key(|table| table.columns.len() != map.columns.len());
        for table in tables {
            let plan = Plan::new(table, self.options, self.events.source_schema())?;
            if let Some(layout) = plan.key_layout(map) {
                return Ok(Some((plan, layout)));
            }
        }
        Ok(None)
    }

    /// Tells what has gone of a held table, from row number `skipped` on: rows that are deleted, or get another key; how many
    /// rows there are.
    pub(super) fn emit_gone(
        &mut self,
        plan: &Plan,
        layout: &KeyLayout,
        rows: &Rows<'_>,
        event: &Bytes,
        start: usize,
        skipped: u64,
    ) -> Result<u64> {
        let mut r = Reader::from(event, start, "a rows event");
        let mut number = 0u64;
        while !r.is_empty() {
            let arena = &mut self.events.arena;
            let first = plan.key_image(layout, event, &mut r, rows.present, false, arena);
            let first = first.map_err(|e| self.malformed(&e))?;
            let mut gone = rows.change == RowChange::Delete;
            if rows.change == RowChange::Update {
                let arena = &mut self.events.arena;
                let second = plan.key_image(layout, event, &mut r, rows.present_after, rows.partial, arena);
                let second = second.map_err(|e| self.malformed(&e))?;
                gone = first
                    .as_ref()
                    .zip(second)
                    .is_some_and(|(first, second)| plan.key(first) != plan.key(&second));
            }
            number += 1;
            if let Some(row) = first.filter(|_| gone && number > skipped) {
                self.origin.row = i32::try_from(number - 1).unwrap_or(i32::MAX);
                self.events.deleted(plan, row, &self.origin);
            }
        }
        Ok(number)
    }

    fn tell_of_held(&mut self, kind: &str, id: &TableId, why: &str) {
        let data = [
            ("data_collections", id.to_string()),
            ("reason", why.to_owned()),
            ("position", format!("{}:{}", self.tracker.file, self.tracker.pos)),
        ];
        let notifier = &self.options.notifier;
        let record = notifier.notify(&new_uuid(), Aggregate::Quarantine, kind, &data, Clock::now());
        self.events.records.extend(record);
    }

    /// Asks the server for held tables, and releases those whose answer holds by now. The stream stands between two
    /// transactions.
    pub(super) async fn look_at_held(&mut self) -> Result<()> {
        for id in self.quarantine.take_due(Instant::now()) {
            let Some(statement) = self.catalog.create_table(&id).await? else {
                self.let_go(&id, "it is not there any more");
                continue;
            };
            match self.table_of(&id, &statement) {
                Ok((_, table)) => {
                    let end = self.catalog.end().await?;
                    let answer = Answer {
                        table,
                        statement,
                        from: (end.file, end.pos),
                    };
                    self.quarantine.answered(&id, answer);
                }
                Err(why) => tracing::warn!(table = %id, why, "a table stays held"),
            }
        }
        let (file, next) = (self.tracker.file.clone(), self.tracker.next);
        let answers = self.quarantine.reached((&file, next));
        if answers.is_empty() {
            return Ok(());
        }
        if self.signals.is_none() {
            self.signals = Some(Signals::new(self.options, None, None));
        }
        for Answer { table, statement, .. } in answers {
            let id = table.id.clone();
            self.let_go(&id, "the server has told its schema; its rows are read again");
            self.tables.put(table.clone());
            self.adopt(&id, table.clone(), statement).await?;
            let execute = Execute {
                blocking: table.key.is_empty(),
                collections: vec![literal_pattern(&id.to_string())],
                conditions: Vec::new(),
                surrogate_key: None,
            };
            self.lend(async |signals, context| signals.read_again(&new_uuid(), &execute, context).await)
                .await?;
        }
        self.settle().await
    }
}

/// A regular expression that this text alone matches.
fn literal_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
