//! Rows, by the TABLE_MAP before them.

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::Result;

use super::{Mapped, Stream};
use crate::binlog::Malformed;
use crate::binlog::image::{self, Change as RowChange, Rows};
use crate::binlog::payload;
use crate::binlog::reader::Reader;
use crate::binlog::table_map::{self, TableMap};
use crate::snapshot::sieve::Sieve;
use crate::table::{Before, Layout, Plan};

impl Stream<'_> {
    pub(super) async fn on_table_map(&mut self, body: Bytes) -> Result<()> {
        let id = table_map::table_id(&body).map_err(|e| self.malformed(&e))?;
        if self.maps.get(&id).is_some_and(|known| known.body == body) {
            return Ok(());
        }
        let map = match TableMap::read(&body) {
            Ok(map) => map,
            Err(error) => return self.unreadable(self.malformed(&error)),
        };
        let plan = match self.options.captures(&map.database, &map.table) {
            true => self.plan_of(&map).await?,
            false => {
                self.events.seen.filtered += 1;
                None
            }
        };
        let gone = match &plan {
            Some(_) => None,
            None => self.key_of_held(&map).await?.map(Arc::new),
        };
        // Numbers of tables rise with every change; those that were left behind are not used again.
        if self.maps.len() > 4096 {
            self.maps.clear();
        }
        // What is kept must not keep a whole read alive.
        let body = Bytes::copy_from_slice(&body);
        let plan = plan.map(Arc::new);
        self.maps.insert(id, Mapped { body, plan, gone });
        Ok(())
    }

    pub(super) fn on_rows(&mut self, kind: u8, body: Bytes) -> Result<()> {
        let skipped = if self.tracker.is_skipping() {
            return Ok(());
        } else {
            self.tracker.take_skipped_rows()
        };
        let id = image::table_id(&body).map_err(|e| self.malformed(&e))?;
        let Some(mapped) = self.maps.get(&id) else {
            // Number 0xffffff stands for no table at all: an empty event that ends a statement.
            if id == 0x00ff_ffff {
                return Ok(());
            }
            return Err(self.malformed(&Malformed::bad(format!(
                "rows are of table {id}, which no TABLE_MAP names"
            ))));
        };
        if self.foreign || mapped.plan.is_none() && mapped.gone.is_none() {
            return Ok(());
        }
        let (ready, gone) = (mapped.plan.clone(), mapped.gone.clone());
        let rows = Rows::read(kind, &body).map_err(|e| self.malformed(&e))?;
        let Some(rows) = rows else { return Ok(()) };
        let columns = match (&ready, &gone) {
            (Some(ready), _) => ready.0.table.columns.len(),
            (_, Some(gone)) => gone.1.width(),
            _ => rows.columns,
        };
        if rows.columns != columns {
            return Err(self.malformed(&Malformed::bad(
                "rows have not as many columns as their TABLE_MAP",
            )));
        }
        let (event, start) = if rows.compressed {
            let whole = payload::mariadb(body.get(rows.start..).unwrap_or_default());
            (Bytes::from(whole.map_err(|e| self.malformed(&e))?), 0)
        } else {
            (body.clone(), rows.start)
        };
        let count = match (ready, gone) {
            (Some(ready), _) => self.emit_rows(&ready.0, &ready.1, &rows, &event, start, skipped)?,
            (None, Some(gone)) => self.emit_gone(&gone.0, &gone.1, &rows, &event, start, skipped)?,
            (None, None) => 0,
        };
        self.tracker.rows(count);
        Ok(())
    }

    /// Emits the rows from number `skipped` on; how many there are.
    fn emit_rows(
        &mut self,
        plan: &Plan,
        layout: &Layout,
        rows: &Rows<'_>,
        event: &Bytes,
        start: usize,
        skipped: u64,
    ) -> Result<u64> {
        let mut r = Reader::from(event, start, "a rows event");
        let mut number = 0u64;
        while !r.is_empty() {
            let nothing = Before {
                insert: rows.change == RowChange::Write,
                ..Before::default()
            };
            self.documents.iter_mut().for_each(|place| *place = None);
            let first = plan
                .image(
                    layout,
                    event,
                    &mut r,
                    rows.present,
                    &nothing,
                    &mut self.documents,
                    &mut self.events.arena,
                )
                .map_err(|e| self.at_place(e))?;
            let second = if rows.change == RowChange::Update {
                let before = Before {
                    row: Some(&first),
                    present: rows.present,
                    partial: rows.partial,
                    insert: false,
                };
                let image = plan.image(
                    layout,
                    event,
                    &mut r,
                    rows.present_after,
                    &before,
                    &mut self.documents,
                    &mut self.events.arena,
                );
                Some(image.map_err(|e| self.at_place(e))?)
            } else {
                None
            };
            number += 1;
            if number <= skipped {
                continue;
            }
            let passes =
                |sieve: &Sieve| sieve.passes(plan, rows.change, &first, second.as_ref(), &self.tracker);
            if !self.sieve.as_ref().is_none_or(passes) {
                continue;
            }
            self.origin.row = i32::try_from(number - 1).unwrap_or(i32::MAX);
            match (rows.change, second) {
                (RowChange::Update, Some(second)) => {
                    self.events.updated(plan, first, second, &self.origin);
                }
                (RowChange::Delete, _) => self.events.deleted(plan, first, &self.origin),
                _ => self.events.created(plan, first, &self.origin),
            }
        }
        Ok(number)
    }
}
