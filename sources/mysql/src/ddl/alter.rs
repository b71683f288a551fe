//! A table while the clauses of `ALTER TABLE` change it.

use std::sync::Arc;

use super::bits::literal_of;
use super::statement::{Action, DefaultValue, Definition, Place};
use crate::schema::{Column, Table};

/// A definition's column, with the character set it inherits.
pub(super) fn settled(definition: &Definition, charset: Option<&Arc<str>>) -> Column {
    let mut column = definition.column.clone();
    let inherits = match &column.charset {
        Some(written) => written.eq_ignore_ascii_case("default"),
        None => true,
    };
    if column.kind.is_text() && inherits {
        column.charset = charset.cloned();
    }
    if let Some(bits) = &definition.bits {
        column.default = Some(bits.default_of(&column));
    }
    column
}

/// A table while clauses change it.
///
/// Clauses name columns as they were before the statement, so that names can be swapped in one.
pub(super) struct Work {
    pub(super) table: Table,
    /// Per column: what it was called before, and its place in the key.
    marks: Vec<Mark>,
    /// Names that a later clause takes from their columns, so that one that is added may have them already.
    leaving: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
struct Mark {
    before: Option<Arc<str>>,
    key: Option<usize>,
}

impl Work {
    pub(super) fn of(table: Table, actions: &[Action]) -> Self {
        let mark = |column: &Column| Mark {
            before: Some(Arc::clone(&column.name)),
            key: table
                .key
                .iter()
                .position(|key| key.eq_ignore_ascii_case(&column.name)),
        };
        let marks = table.columns.iter().map(mark).collect();
        let leaving = actions.iter().filter_map(|action| match action {
            Action::DropColumn { name, .. } | Action::RenameColumn { name, .. } => Some(Arc::clone(name)),
            Action::Change { name, definition, .. } if !same(name, &definition.column.name) => {
                Some(Arc::clone(name))
            }
            _ => None,
        });
        Self {
            marks,
            leaving: leaving.collect(),
            table,
        }
    }

    pub(super) fn table(self) -> Table {
        let mut table = self.table;
        let mut key: Vec<(usize, Arc<str>)> = Vec::new();
        for ((column, mark), position) in table.columns.iter_mut().zip(self.marks).zip(1..) {
            column.position = position;
            key.extend(mark.key.map(|place| (place, Arc::clone(&column.name))));
        }
        key.sort_by_key(|(place, _)| *place);
        table.key = key.into_iter().map(|(_, name)| name).collect();
        table
    }

    /// A column by the name it had, or else has.
    fn find(&self, name: &str) -> Option<usize> {
        let before = |mark: &Mark| mark.before.as_deref().is_some_and(|before| same(before, name));
        self.marks.iter().position(before).or_else(|| self.find_now(name))
    }

    fn find_now(&self, name: &str) -> Option<usize> {
        self.table
            .columns
            .iter()
            .position(|column| same(&column.name, name))
    }

    fn has_key(&self) -> bool {
        self.marks.iter().any(|mark| mark.key.is_some())
    }

    pub(super) fn act(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::AddColumn {
                definition,
                place,
                if_not_exists,
            } => {
                if *if_not_exists && self.find_now(&definition.column.name).is_some() {
                    return Ok(());
                }
                let column = settled(definition, self.table.charset.as_ref());
                let leaves = self.leaving.iter().any(|name| same(name, &column.name));
                let index = match self.find_now(&column.name).filter(|_| !leaves) {
                    // Read again after a restart.
                    Some(index) => {
                        if let Some(existing) = self.table.columns.get_mut(index) {
                            *existing = column;
                        }
                        index
                    }
                    None => {
                        self.table.columns.push(column);
                        self.marks.push(Mark {
                            before: None,
                            key: None,
                        });
                        self.marks.len() - 1
                    }
                };
                self.keys_of(definition, index);
                self.place(index, place)
            }
            Action::Change {
                name,
                definition,
                place,
                if_exists,
                modify,
            } => {
                let Some(index) = self.find(name) else {
                    return if *if_exists { Ok(()) } else { Err(unknown(name)) };
                };
                let mut column = settled(definition, self.table.charset.as_ref());
                if let Some(existing) = self.table.columns.get_mut(index) {
                    if !modify && column.comment.is_none() {
                        // Debezium keeps it, though the server does not.
                        column.comment.clone_from(&existing.comment);
                    }
                    *existing = column;
                }
                self.keys_of(definition, index);
                self.place(index, place)
            }
            Action::DropColumn { name, if_exists } => match self.find(name) {
                Some(index) => {
                    self.table.columns.remove(index);
                    self.marks.remove(index);
                    Ok(())
                }
                None if *if_exists => Ok(()),
                None => Err(unknown(name)),
            },
            Action::RenameColumn { name, to, if_exists } => {
                match self
                    .find(name)
                    .and_then(|index| self.table.columns.get_mut(index))
                {
                    Some(column) => column.name = Arc::clone(to),
                    None if *if_exists => {}
                    None => return Err(unknown(name)),
                }
                Ok(())
            }
            Action::SetDefault {
                name,
                default,
                if_exists,
            } => {
                let Some(column) = self
                    .find(name)
                    .and_then(|index| self.table.columns.get_mut(index))
                else {
                    return if *if_exists { Ok(()) } else { Err(unknown(name)) };
                };
                // One that may be null keeps null for a default.
                column.has_default = column.optional || *default != DefaultValue::Dropped;
                column.default = match default {
                    DefaultValue::Literal { text, raw } => Some(literal_of(column, text, *raw)),
                    DefaultValue::Bits(bits) => Some(bits.default_of(column)),
                    DefaultValue::Null | DefaultValue::Dropped => None,
                };
                Ok(())
            }
            Action::DropPrimary => {
                self.clear_key();
                Ok(())
            }
            Action::AddPrimary(Some(names)) => {
                self.clear_key();
                for (place, name) in names.iter().enumerate() {
                    self.primary(name, place);
                }
                Ok(())
            }
            Action::AddUnique(Some(names)) => {
                self.unique(names);
                Ok(())
            }
            Action::AddPrimary(None)
            | Action::AddUnique(None)
            | Action::RenameTable(_)
            | Action::PartitionToTable(_)
            | Action::TableToPartition(_)
            | Action::Convert(_)
            | Action::Options(_) => Ok(()),
        }
    }

    fn place(&mut self, index: usize, place: &Place) -> Result<(), String> {
        let to = match place {
            Place::Stays => return Ok(()),
            Place::First => 0,
            Place::After(name) => {
                let after = self
                    .find_now(name)
                    .or_else(|| self.find(name))
                    .ok_or_else(|| unknown(name))?;
                // Taking the column out moves what stands behind it.
                if after < index { after + 1 } else { after }
            }
        };
        if index < self.marks.len() {
            let column = self.table.columns.remove(index);
            let mark = self.marks.remove(index);
            self.table
                .columns
                .insert(to.min(self.table.columns.len()), column);
            self.marks.insert(to.min(self.marks.len()), mark);
        }
        Ok(())
    }

    /// The keys that a column's definition makes.
    fn keys_of(&mut self, definition: &Definition, index: usize) {
        if definition.primary {
            self.clear_key();
            let name = Arc::clone(&definition.column.name);
            self.primary(&name, 0);
        } else if definition.unique
            && !self.has_key()
            && let Some(mark) = self.marks.get_mut(index)
        {
            mark.key = Some(0);
        }
    }

    fn clear_key(&mut self) {
        for mark in &mut self.marks {
            mark.key = None;
        }
    }

    fn primary(&mut self, name: &str, place: usize) {
        let Some(index) = self.find_now(name) else {
            return;
        };
        if let Some(mark) = self.marks.get_mut(index) {
            mark.key = Some(place);
        }
        if let Some(column) = self.table.columns.get_mut(index).filter(|column| column.optional) {
            column.optional = false;
            column.has_default = column.default.is_some();
        }
    }

    fn unique(&mut self, names: &[Arc<str>]) {
        if self.has_key() {
            return;
        }
        let not_null = |index: &usize| {
            self.table
                .columns
                .get(*index)
                .is_some_and(|column| !column.optional)
        };
        let found: Option<Vec<usize>> = names
            .iter()
            .map(|name| self.find_now(name).filter(not_null))
            .collect();
        for (place, index) in found.into_iter().flatten().enumerate() {
            if let Some(mark) = self.marks.get_mut(index) {
                mark.key = Some(place);
            }
        }
    }

    pub(super) fn convert(&mut self, charset: &Arc<str>) {
        self.table.charset = Some(Arc::clone(charset));
        for column in &mut self.table.columns {
            if column.charset.is_some() {
                column.charset = Some(Arc::clone(charset));
            }
        }
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || !one.is_ascii() && one.to_lowercase() == other.to_lowercase()
}

fn unknown(name: &str) -> String {
    format!("the table has no column {name}")
}
