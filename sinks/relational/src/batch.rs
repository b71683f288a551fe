//! A put's records, put together: rows, and the steps that write them.

use std::sync::Arc;

use tapline_api::Value;

use crate::config::InsertMode;
use crate::layout::Layout;
use crate::shape::{Shape, Source};

/// One of a batch's rows.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) key: &'a [Value],
    pub(crate) value: &'a [Value],
    /// The index of its shape.
    pub(crate) shape: u32,
    /// Its index in the batch.
    pub(crate) record: u32,
    /// Which columns it lacks: an index into the batch's masks.
    pub(crate) absent: u32,
    /// The write of the same key before, from which it takes what it lacks.
    pub(crate) older: u32,
    /// No row with its key is there, unless the event comes again.
    pub(crate) fresh: bool,
}

/// What is to be done, in order.
pub(crate) struct Step {
    pub(crate) layout: Arc<Layout>,
    pub(crate) action: Action,
    /// Rows, by index.
    pub(crate) rows: Vec<u32>,
    /// The first record that asks for it.
    pub(crate) record: u32,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Writes the layout's columns, without those of the mask.
    Write(InsertMode, Mask),
    /// Deletes by the layout's columns, which are the key's.
    Delete,
    /// Empties the table.
    Truncate,
}

/// A set of columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mask(Vec<u64>);

impl Mask {
    pub(crate) fn add(&mut self, column: usize) {
        let word = column / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (column % 64);
        }
    }

    /// Whether the column is in it.
    pub(crate) fn has(&self, column: usize) -> bool {
        self.0
            .get(column / 64)
            .is_some_and(|bits| bits >> (column % 64) & 1 == 1)
    }

    /// What is in both.
    pub(crate) fn both(&self, other: &Self) -> Self {
        let mut words: Vec<_> = self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect();
        while words.last() == Some(&0) {
            words.pop();
        }
        Self(words)
    }
}

/// All masks of a batch; the first is empty.
pub(crate) struct Masks(Vec<Mask>);

impl Masks {
    /// The index of a mask.
    pub(crate) fn intern(&mut self, mask: Mask) -> u32 {
        let at = match self.0.iter().position(|known| *known == mask) {
            Some(at) => at,
            None => {
                self.0.push(mask);
                self.0.len() - 1
            }
        };
        u32::try_from(at).unwrap_or(0)
    }

    /// The mask of an index.
    pub(crate) fn get(&self, at: u32) -> Option<&Mask> {
        self.0.get(at as usize)
    }
}

/// Rows and steps.
pub(crate) struct Batch<'a> {
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) steps: Vec<Step>,
    /// Statements that go first in the transaction; each must change one row ([`crate::offsets`]).
    pub(crate) advance: Vec<String>,
    /// The layouts of all writes in order, each with its first record: tables and columns come to be by events whose rows
    /// are gone by the batch's end too.
    pub(crate) written: Vec<(Arc<Layout>, u32)>,
    shapes: &'a [Shape],
    pub(crate) masks: Masks,
}

/// No row, no record, no shape.
pub(crate) const NONE: u32 = u32::MAX;
const NULL: &Value = &Value::Null;

impl<'a> Batch<'a> {
    pub(crate) fn new(shapes: &'a [Shape]) -> Self {
        Self {
            rows: Vec::new(),
            steps: Vec::new(),
            advance: Vec::new(),
            written: Vec::new(),
            shapes,
            masks: Masks(vec![Mask::default()]),
        }
    }

    /// A row's value in a column of its layout.
    pub(crate) fn cell(&self, row: u32, column: usize) -> &'a Value {
        let mut at = row;
        while let Some(row) = self.rows.get(at as usize) {
            let lacks = row.absent != 0 && self.masks.get(row.absent).is_some_and(|mask| mask.has(column));
            if !lacks || row.older == NONE {
                return self.own_cell(row, column);
            }
            at = row.older;
        }
        NULL
    }

    /// The same, without a look at what came before.
    pub(crate) fn own_cell(&self, row: &Row<'a>, column: usize) -> &'a Value {
        let sources = self.shapes.get(row.shape as usize).map(|shape| &shape.sources);
        match sources.and_then(|sources| sources.get(column)) {
            Some(Source::Key(at)) => row.key.get(*at).unwrap_or(NULL),
            Some(Source::Value(at)) => row.value.get(*at).unwrap_or(NULL),
            None => NULL,
        }
    }
}
