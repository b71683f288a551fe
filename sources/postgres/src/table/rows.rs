//! How rows, streamed or copied, become values by a plan.

use std::ops::Range;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tapline_api::{Error, Result, Struct, Value};
use tapline_cdc::options::OnFailure;

use super::{ColumnPlan, KeyField, Plan, Row, Target};
use crate::copy::{Field, fields, unescape};
use crate::pgoutput::{Column as Sent, Tuple};
use crate::reselect::{Key, Reselect};
use crate::value::Text;

impl Plan {
    /// A streamed row. `old` is the whole row before, where it was sent: values that were not sent again are taken from it.
    pub(crate) fn tuple(
        &self,
        block: &Bytes,
        tuple: &Tuple,
        old: Option<&Row>,
        arena: &mut BytesMut,
    ) -> Result<Row> {
        let mut row = self.new_row();
        let mut sent = tuple.columns(block);
        for plan in &self.columns {
            let value = match sent.next() {
                // Fewer columns than the RELATION message announced: the table has since lost some.
                None | Some(Sent::Null) => {
                    row.push_null(plan);
                    continue;
                }
                _ if plan.target == Target::Nowhere => continue,
                Some(Sent::Text(range)) => self.value(plan, block, range, arena)?,
                Some(Sent::Unchanged) => {
                    row.push_unsent(plan, old);
                    continue;
                }
                Some(Sent::Binary(_)) => return Err(self.bad_value(plan, "it came in binary form")),
            };
            row.push(plan, value);
        }
        Ok(row)
    }

    /// A row of `COPY … TO STDOUT` of [`Plan::column_names`].
    pub(crate) fn copied(&self, block: &Bytes, range: Range<usize>, arena: &mut BytesMut) -> Result<Row> {
        let mut row = self.new_row();
        let mut sent = fields(block, range);
        for plan in self.columns.iter().filter(|plan| plan.target != Target::Nowhere) {
            let value = match sent.next() {
                None | Some(Field::Null) => {
                    row.push_null(plan);
                    continue;
                }
                Some(Field::Plain(range)) => self.value(plan, block, range, arena)?,
                Some(Field::Escaped(range)) => {
                    let text = unescape(block.get(range).unwrap_or_default()).into_owned();
                    let text = Bytes::from(text);
                    self.value(plan, &text, 0..text.len(), arena)?
                }
            };
            row.push(plan, value);
        }
        Ok(row)
    }

    /// The key of a streamed row, in the texts that were sent; empty where it has none.
    pub(crate) fn key_texts(&self, block: &Bytes, tuple: &Tuple, of_event: bool) -> Key {
        let wanted = if of_event {
            &self.key_columns
        } else {
            &self.table.key
        };
        let texts: Vec<Option<String>> = tuple
            .columns(block)
            .map(|sent| match sent {
                Sent::Text(range) => {
                    let text = block.get(range).unwrap_or_default();
                    Some(String::from_utf8_lossy(text).into_owned())
                }
                _ => None,
            })
            .collect();
        let column = |index: &usize| {
            let name = self.table.columns.get(*index)?.name.clone();
            Some((name, texts.get(*index).cloned().flatten()))
        };
        wanted.iter().filter_map(column).collect()
    }

    /// What a row after a change lacks: the columns, and their fields in the row.
    pub(crate) fn missing(&self, after: &Struct, reselect: &Reselect) -> Vec<(usize, usize)> {
        let in_row =
            |plan: &ColumnPlan| matches!(plan.target, Target::Row | Target::Mapped | Target::MappedAndKey);
        let of_row = self.columns.iter().enumerate().filter(|(_, plan)| in_row(plan));
        let lacks = |plan: &ColumnPlan, value: &Value| {
            let placeholder = match &plan.mapped {
                Some(mapped) => &mapped.placeholder,
                None => &plan.placeholder,
            };
            match value {
                Value::Null => reselect.nulls,
                value => reselect.unavailable && !placeholder.is_null() && value == placeholder,
            }
        };
        of_row
            .zip(after.values())
            .enumerate()
            .filter(|(_, ((_, plan), value))| plan.reselects && lacks(plan, value))
            .map(|(field, ((column, _), _))| (column, field))
            .collect()
    }

    /// A column's value from its text.
    pub(crate) fn reselected(
        &self,
        column: usize,
        text: Option<String>,
        arena: &mut BytesMut,
    ) -> Result<Value> {
        let Some(plan) = self.columns.get(column) else {
            return Ok(Value::Null);
        };
        let Some(text) = text else {
            let masked = plan.mapped.as_ref().map(|mapped| &mapped.null);
            return Ok(masked.unwrap_or(&plan.null).clone());
        };
        let text = Bytes::from(text);
        let value = self.value(plan, &text, 0..text.len(), arena)?;
        Ok(match &plan.mapped {
            Some(mapped) => mapped.conversion.apply(value),
            None => value,
        })
    }

    /// The name of a column.
    pub(crate) fn column_name(&self, column: usize) -> &str {
        self.columns.get(column).map_or("", |plan| &plan.name)
    }

    fn new_row(&self) -> Row {
        Row {
            values: Vec::with_capacity(self.width),
            extra: Vec::new(),
        }
    }

    #[inline]
    fn value(
        &self,
        plan: &ColumnPlan,
        block: &Bytes,
        range: Range<usize>,
        arena: &mut BytesMut,
    ) -> Result<Value> {
        match plan.decoder.decode(&Text { block, range }, arena) {
            // NaN in a column that allows no null.
            Ok(Value::Null) => Ok(plan.null.clone()),
            Ok(value) => Ok(value),
            Err(_) => {
                // What was written before it failed must not begin the next value.
                arena.clear();
                self.cannot_convert(plan)
            }
        }
    }

    #[cold]
    fn cannot_convert(&self, plan: &ColumnPlan) -> Result<Value> {
        match self.on_bad_value {
            OnFailure::Fail => {
                return Err(self.bad_value(plan, "its text has another form than its type writes"));
            }
            OnFailure::Warn if !plan.warned.swap(true, Ordering::Relaxed) => tracing::warn!(
                schema = self.table.schema,
                table = self.table.name,
                column = plan.name,
                "a value can't be converted and is taken as null, and so will others of this column"
            ),
            OnFailure::Warn | OnFailure::Skip => {}
        }
        Ok(plan.null.clone())
    }

    fn bad_value(&self, plan: &ColumnPlan, why: &str) -> Error {
        Error::data(format!(
            "Failed to properly convert data value for '{}.{}.{}': {why}",
            self.table.schema, self.table.name, plan.name
        ))
    }

    /// The key of a row, for a table that has one.
    #[inline]
    pub(crate) fn key(&self, row: &Row) -> Value {
        let Some(schema) = &self.key_schema else {
            return Value::Null;
        };
        let field = |field: &KeyField| match field {
            KeyField::Row(index) => row.values.get(*index).cloned().unwrap_or_default(),
            KeyField::Extra(index) => row.extra.get(*index).cloned().unwrap_or_default(),
            KeyField::Table(index) => self.identifiers.get(*index).cloned().unwrap_or_default(),
        };
        Value::Struct(Struct::new(schema.clone(), self.key.iter().map(field).collect()))
    }

    /// The row as a value.
    #[inline]
    pub(crate) fn row(&self, row: Row) -> Value {
        Value::Struct(Struct::new(self.row_schema.clone(), row.values))
    }

    /// The columns that a snapshot asks for, in the order in which [`Plan::copied`] expects them. What is left out of
    /// events is not read either.
    pub(crate) fn column_names(&self) -> impl Iterator<Item = &str> {
        let wanted = self.columns.iter().filter(|plan| plan.target != Target::Nowhere);
        wanted.map(|plan| plan.name.as_str())
    }
}

impl Row {
    #[inline]
    fn push(&mut self, plan: &ColumnPlan, value: Value) {
        match plan.target {
            Target::Row => self.values.push(value),
            Target::Key => self.extra.push(value),
            Target::Nowhere => {}
            Target::Mapped | Target::MappedAndKey => {
                if plan.target == Target::MappedAndKey {
                    self.extra.push(value.clone());
                }
                if let Some(mapped) = &plan.mapped {
                    self.values.push(mapped.conversion.apply(value));
                }
            }
        }
    }

    #[inline]
    fn push_null(&mut self, plan: &ColumnPlan) {
        self.push_ready(plan, &plan.null, plan.mapped.as_ref().map(|mapped| &mapped.null));
    }

    /// A value that was not sent: the one before, which is masked already, or what stands for it.
    fn push_unsent(&mut self, plan: &ColumnPlan, old: Option<&Self>) {
        let before = old.and_then(|old| old.values.get(self.values.len()));
        match (plan.target, before.filter(|value| !value.is_null())) {
            (Target::Row | Target::Mapped, Some(value)) => self.values.push(value.clone()),
            (Target::MappedAndKey, Some(value)) => {
                let key = old.and_then(|old| old.extra.get(self.extra.len()));
                self.extra.push(key.cloned().unwrap_or_default());
                self.values.push(value.clone());
            }
            _ if plan.placeholder.is_null() => self.push_null(plan),
            _ => {
                let masked = plan.mapped.as_ref().map(|mapped| &mapped.placeholder);
                self.push_ready(plan, &plan.placeholder, masked);
            }
        }
    }

    #[inline]
    fn push_ready(&mut self, plan: &ColumnPlan, plain: &Value, mapped: Option<&Value>) {
        match plan.target {
            Target::Row => self.values.push(plain.clone()),
            Target::Key => self.extra.push(plain.clone()),
            Target::Nowhere => {}
            Target::Mapped | Target::MappedAndKey => {
                if plan.target == Target::MappedAndKey {
                    self.extra.push(plain.clone());
                }
                self.values.push(mapped.unwrap_or(plain).clone());
            }
        }
    }
}
