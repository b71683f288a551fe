//! From a put's records to steps: one statement for each table, layout and operation.
//!
//! ```text
//!  records  a1 b1 a2 -a a3 b2          a, b: keys of one table; -a deletes a
//!  entries  a: deleted, last write a3     b: last write b2
//!  steps    DELETE a · UPSERT a3, b2
//! ```
//!
//! Of each key only what remains at the end is written. That is the same as doing it one by one: a key that was deleted
//! in between is deleted first, so that columns which the event does not have fall back to their defaults. Values that
//! the source did not send ([`crate::unavailable`]) are taken from the key's write before, if there is one in the batch;
//! else the column is absent from the statement, and rows with the same absent columns share one.
//!
//! With `insert.mode=insert` nothing is reduced, since every record is a row of its own.

use std::collections::HashMap;
use std::sync::Arc;

use tapline_api::{Error, Result};

use crate::batch::{Action, Batch, Mask, NONE, Row, Step};
use crate::config::InsertMode;
use crate::keys::{KeyHasher, KeyIndex};
use crate::layout::{Layout, Layouts};
use crate::options::Options;
use crate::shape::{Op, Parts, Shape};

/// A batch in the making.
pub(crate) struct Reduction<'a> {
    options: &'a Options,
    hasher: &'a KeyHasher,
    layouts: &'a Layouts,
    shapes: &'a [Shape],
    /// Every record is a step of its own.
    strict: bool,
    batch: Batch<'a>,
    groups: Vec<Group>,
    /// Groups by the id of their key's layout.
    by_key: HashMap<u32, usize>,
}

/// The pending rows of one table.
struct Group {
    key: Arc<Layout>,
    index: KeyIndex,
    entries: Vec<Entry>,
    turn: Turn,
}

/// What the last rows of a group were, where inserts and deletes must not be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Insert,
    Delete,
}

/// What is pending of one key; where rows have no key, of one row.
struct Entry {
    /// A row with this key.
    any: u32,
    /// Whether the row is deleted first.
    deleted: bool,
    /// The row to write, and its layout.
    write: Option<(u32, Arc<Layout>)>,
    /// What is written first is a new row.
    fresh: bool,
}

impl<'a> Reduction<'a> {
    pub(crate) fn new(
        options: &'a Options,
        hasher: &'a KeyHasher,
        layouts: &'a Layouts,
        shapes: &'a [Shape],
        strict: bool,
    ) -> Self {
        Self {
            options,
            hasher,
            layouts,
            shapes,
            strict,
            batch: Batch::new(shapes),
            groups: Vec::new(),
            by_key: HashMap::new(),
        }
    }

    /// Adds a record: the index of its shape, its layout and its parts.
    pub(crate) fn add(
        &mut self,
        record: u32,
        shape: u32,
        layout: &Arc<Layout>,
        parts: Parts<'a>,
    ) -> Result<()> {
        let options = self.options;
        let (partial, fresh) = match parts.op {
            Op::Delete if !options.delete => return Ok(()),
            Op::Truncate if !options.truncate => return Ok(()),
            Op::Truncate => {
                self.truncate(record, layout);
                return Ok(());
            }
            Op::Write { partial, fresh } => (partial, fresh),
            Op::Delete => (false, false),
        };
        if layout.keys == 0 && (parts.op == Op::Delete || options.insert_mode != InsertMode::Insert) {
            return Err(Error::data(format!(
                "Cannot write to table {} with no key fields defined.",
                layout.table.name
            )));
        }
        if parts.op != Op::Delete {
            self.written(layout, record);
        }
        let row = u32::try_from(self.batch.rows.len()).unwrap_or(NONE);
        self.batch.rows.push(Row {
            key: parts.key,
            value: parts.value,
            shape,
            record,
            absent: 0,
            older: NONE,
            fresh,
        });
        if partial {
            self.mark_absent(row, shape);
        }
        let group = self.group(layout);
        match parts.op {
            Op::Delete => self.delete(group, row),
            _ => self.write(group, row, layout),
        }
        if self.strict {
            self.seal(group);
        }
        Ok(())
    }

    fn written(&mut self, layout: &Arc<Layout>, record: u32) {
        let written = &mut self.batch.written;
        // Mostly that of the record before.
        if !written.iter().rev().any(|(known, _)| known.id == layout.id) {
            written.push((layout.clone(), record));
        }
    }

    fn mark_absent(&mut self, row: u32, shape: u32) {
        let Some(shape) = self.shapes.get(shape as usize) else {
            return;
        };
        let mut mask = Mask::default();
        for (column, placeholder) in &shape.placeholders {
            let here = self.batch.rows.get(row as usize);
            if here.is_some_and(|row| placeholder.is(self.batch.own_cell(row, *column))) {
                mask.add(*column);
            }
        }
        if mask != Mask::default() {
            let mask = self.batch.masks.intern(mask);
            if let Some(row) = self.batch.rows.get_mut(row as usize) {
                row.absent = mask;
            }
        }
    }

    fn group(&mut self, layout: &Arc<Layout>) -> usize {
        if let Some(group) = self.by_key.get(&layout.key_id) {
            return *group;
        }
        self.groups.push(Group {
            key: self.layouts.key_of(layout),
            index: KeyIndex::new(),
            entries: Vec::new(),
            turn: Turn::Insert,
        });
        let group = self.groups.len() - 1;
        self.by_key.insert(layout.key_id, group);
        group
    }

    /// The entry of a row's key, new or not.
    fn entry(&mut self, group: usize, row: u32) -> Option<&mut Entry> {
        let group = self.groups.get_mut(group)?;
        let keys = group.key.keys;
        let batch = &self.batch;
        let cells = |row: u32| (0..keys).map(move |column| batch.cell(row, column));
        let hash = self.hasher.hash(cells(row));
        let entries = &group.entries;
        let found = group.index.find_or_add(hash, |position| {
            let other = entries.get(position as usize);
            other.is_some_and(|other| cells(other.any).eq(cells(row)))
        });
        match found {
            Ok(position) => group.entries.get_mut(position as usize),
            Err(_) => {
                group.entries.push(Entry {
                    any: row,
                    deleted: false,
                    write: None,
                    fresh: false,
                });
                group.entries.last_mut()
            }
        }
    }

    fn delete(&mut self, group: usize, row: u32) {
        // Inserts are not reduced, so they have to be there before what deletes them.
        if self.options.insert_mode == InsertMode::Insert {
            self.turn(group, Turn::Delete);
        }
        if let Some(entry) = self.entry(group, row) {
            entry.deleted = true;
            entry.write = None;
        }
    }

    /// Seals a group whose last rows were of the other kind.
    fn turn(&mut self, group: usize, turn: Turn) {
        if self.groups.get(group).is_some_and(|group| group.turn != turn) {
            self.seal(group);
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.turn = turn;
        }
    }

    fn write(&mut self, group: usize, row: u32, layout: &Arc<Layout>) {
        let mode = self.options.insert_mode;
        if mode == InsertMode::Insert {
            self.turn(group, Turn::Insert);
            if let Some(group) = self.groups.get_mut(group) {
                group.entries.push(Entry {
                    any: row,
                    deleted: false,
                    write: Some((row, layout.clone())),
                    fresh: false,
                });
            }
            return;
        }
        let fresh = self.batch.rows.get(row as usize).is_some_and(|row| row.fresh);
        let Some(entry) = self.entry(group, row) else {
            return;
        };
        // There is nothing left to update.
        if mode == InsertMode::Update && entry.deleted {
            return;
        }
        match entry.write.take() {
            Some((older, before)) if before.id == layout.id => {
                entry.write = Some((row, before));
                self.inherit(row, older);
            }
            // Another layout may lack columns that the write before has.
            Some((older, before)) => {
                entry.write = Some((older, before));
                self.seal(group);
                if let Some(entry) = self.entry(group, row) {
                    entry.write = Some((row, layout.clone()));
                }
            }
            None => {
                entry.fresh = fresh || entry.deleted;
                entry.write = Some((row, layout.clone()));
            }
        }
    }

    /// What `row` lacks comes from `older`.
    fn inherit(&mut self, row: u32, older: u32) {
        if let Some(row) = self.batch.rows.get_mut(row as usize)
            && row.absent != 0
        {
            row.older = older;
        }
    }

    fn truncate(&mut self, record: u32, layout: &Arc<Layout>) {
        // What was to be written before is gone anyway.
        for group in &mut self.groups {
            if group.key.table == layout.table {
                group.entries.clear();
                group.index = KeyIndex::new();
            }
        }
        self.batch.steps.push(Step {
            layout: layout.clone(),
            action: Action::Truncate,
            rows: Vec::new(),
            record,
        });
    }

    /// Turns a group's entries into steps.
    fn seal(&mut self, group: usize) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        group.index = KeyIndex::new();
        let entries = std::mem::take(&mut group.entries);
        let deleted: Vec<u32> = entries
            .iter()
            .filter(|entry| entry.deleted)
            .map(|entry| entry.any)
            .collect();
        let key = group.key.clone();
        self.step(key, Action::Delete, deleted);
        let mut writes: Vec<(Arc<Layout>, Mask, Vec<u32>)> = Vec::new();
        for (fresh, (row, layout)) in entries
            .into_iter()
            .filter_map(|entry| Some((entry.fresh, entry.write?)))
        {
            if let Some(row) = self.batch.rows.get_mut(row as usize) {
                row.fresh = fresh;
            }
            let mask = self.absent(row);
            let same =
                |(known, of, _): &&mut (Arc<Layout>, Mask, Vec<u32>)| known.id == layout.id && *of == mask;
            match writes.iter_mut().rev().find(same) {
                Some((_, _, rows)) => rows.push(row),
                None => writes.push((layout, mask, vec![row])),
            }
        }
        let mode = self.options.insert_mode;
        for (layout, mask, rows) in writes {
            self.step(layout, Action::Write(mode, mask), rows);
        }
    }

    /// The columns that a row lacks, together with the writes before it.
    fn absent(&self, row: u32) -> Mask {
        let mut at = row;
        let mut absent: Option<Mask> = None;
        while let Some(row) = self.batch.rows.get(at as usize) {
            if row.absent == 0 {
                return Mask::default();
            }
            let mine = self.batch.masks.get(row.absent).cloned().unwrap_or_default();
            absent = Some(match absent {
                Some(newer) => newer.both(&mine),
                None => mine,
            });
            at = row.older;
        }
        absent.unwrap_or_default()
    }

    fn step(&mut self, layout: Arc<Layout>, action: Action, rows: Vec<u32>) {
        let Some(first) = rows.first() else { return };
        let record = self
            .batch
            .rows
            .get(*first as usize)
            .map_or(NONE, |row| row.record);
        self.batch.steps.push(Step {
            layout,
            action,
            rows,
            record,
        });
    }

    /// All steps, in order.
    pub(crate) fn finish(mut self) -> Batch<'a> {
        for group in 0..self.groups.len() {
            self.seal(group);
        }
        self.batch
    }
}

#[cfg(test)]
mod tests;
