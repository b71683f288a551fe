//! A table version: its columns, its schemas, and the plan by which rows become values.
//!
//! A plan is made once per version (a snapshot's table, a RELATION message) and then used for every row: it has a decoder
//! per incoming column, and where the value goes. Nothing is looked up by name afterwards.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tapline_api::{Error, Result, Schema, SchemaRef, Struct, Value};
use tapline_cdc::envelope::adjusted_envelope_schema;
use tapline_cdc::intern::{column_schema, constant, field_name};
use tapline_cdc::mapper::{Conversion, SourceColumn};
use tapline_cdc::options::OnFailure;

use crate::config::Options;
use crate::copy::{Field, fields, unescape};
use crate::default::default_value;
use crate::pgoutput::{Column as Sent, Tuple};
use crate::reselect::{Key, Reselect};
use crate::source_type;
use crate::types::{Mapped, PgType};
use crate::value::{Decoder, Text};

/// A column, as the catalog or a RELATION message has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) of: PgType,
    pub(crate) modifier: i32,
    pub(crate) optional: bool,
    /// The default's SQL expression.
    pub(crate) default: Option<String>,
    /// Computed from other columns; only newer publications send it.
    pub(crate) generated: bool,
    /// Part of the replica identity.
    pub(crate) identity: bool,
}

/// A table, with the positions of its key's columns in the key's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<usize>,
    /// Whether `COPY table` gives all that `SELECT` would: no partitions, no children, nothing generated.
    pub(crate) plain: bool,
}

/// Where a column's value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The next field of the row.
    Row,
    /// The same, after a mask or its like.
    Mapped,
    /// The same, and unmasked into the key.
    MappedAndKey,
    /// Only into the key, because a column list leaves it out of the row.
    Key,
    Nowhere,
}

#[derive(Debug)]
struct ColumnPlan {
    name: String,
    target: Target,
    decoder: Decoder,
    /// What null becomes: null, or in a column that allows none its default or the type's zero.
    null: Value,
    placeholder: Value,
    /// Of a mapped column: its mask, and what null and the placeholder become.
    mapped: Option<Box<MappedColumn>>,
    /// Whether its value is asked of the table where an event lacks it.
    reselects: bool,
    /// Whether the log has told of a value that can't be converted.
    warned: AtomicBool,
}

#[derive(Debug)]
struct MappedColumn {
    conversion: Conversion,
    null: Value,
    placeholder: Value,
}

/// Where a key's field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyField {
    Row(usize),
    Extra(usize),
    /// The table's own topic, where several tables share one.
    Table(usize),
}

/// A table version's plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) table: Table,
    pub(crate) topic: Arc<str>,
    pub(crate) row_schema: SchemaRef,
    pub(crate) envelope_schema: SchemaRef,
    pub(crate) key_schema: Option<SchemaRef>,
    /// The names in `source`.
    pub(crate) schema_name: Value,
    pub(crate) table_name: Value,
    /// As transaction metadata names it: `schema.table`.
    pub(crate) collection: Arc<str>,
    /// Whether a key-only old row's key counts.
    pub(crate) key_in_identity: bool,
    key: Vec<KeyField>,
    /// What [`KeyField::Table`] stands for.
    identifiers: Vec<Value>,
    /// The columns of the event's key.
    key_columns: Vec<usize>,
    columns: Vec<ColumnPlan>,
    width: usize,
    on_bad_value: OnFailure,
}

/// A row's values in the order of its schema, and those that only the key has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    values: Vec<Value>,
    extra: Vec<Value>,
}

impl Plan {
    /// Makes the plan of `table`. `source` is the schema of the source block.
    ///
    /// # Errors
    /// A config error when a column has a type that Debezium knows and we don't yet.
    pub(crate) fn new(table: Table, options: &Options, source: &SchemaRef) -> Result<Self> {
        // Debezium knows no database of a Postgres table.
        let topic = options.naming.table("", &table.schema, &table.name);
        let collection = format!("{}.{}", table.schema, table.name);
        let names = || table.columns.iter().map(|column| column.name.as_str());
        let mut key = options.key_columns.select(&table.schema, &table.name, names());
        let own_key = !key.is_empty();
        if !own_key {
            key.clone_from(&table.key);
        }
        let fit = options.schema_names;
        let mut row = Schema::structure()
            .name(fit.adjust(format!("{topic}.Value")))
            .optional();
        let mut columns = Vec::with_capacity(table.columns.len());
        let (mut width, mut extras) = (0, 0);
        // By the position of the column: its schema, and where the key finds its value.
        let mut places: Vec<Option<(SchemaRef, KeyField)>> = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let wanted = options.filters.column(&table.schema, &table.name, &column.name);
            let mapping = match options.types.map(&column.of, column.modifier) {
                Mapped::As(mapping) if wanted || key.contains(&index) => *mapping,
                _ => {
                    columns.push(ColumnPlan::nowhere(column));
                    places.push(None);
                    continue;
                }
            };
            let default = default_value(column, &mapping.decoder);
            let source = source_column(&collection, column);
            let mapper = options.mappers.of(&source).filter(|_| wanted);
            let mut schema = mapping
                .schema
                .set_optional(column.optional || mapping.always_optional);
            let null = match (&default, column.optional) {
                (_, true) => Value::Null,
                (Some(default), false) => default.clone(),
                (None, false) => mapping.fallback,
            };
            if let Some(default) = default {
                schema = schema.default(default);
            }
            let schema = column_schema(schema.build());
            let conversion = mapper
                .as_ref()
                .and_then(|mapper| mapper.conversion(schema.kind()));
            if conversion.is_none() && mapper.as_ref().is_some_and(|mapper| mapper.hides()) {
                tracing::warn!(
                    column = format!("{collection}.{}", column.name),
                    "only text can be masked or hashed: the column stays in clear"
                );
            }
            let in_key = key.contains(&index);
            let (target, place) = if wanted {
                // A key has neither masks nor what they say in the schema.
                let of_row = match &mapper {
                    Some(mapper) => column_schema(mapper.annotate(&source, schema.to_builder()).build()),
                    None => schema.clone(),
                };
                row = row.field(
                    field_name(&options.field_names.adjust_field(&column.name)),
                    of_row,
                );
                width += 1;
                match (&conversion, in_key) {
                    (None, _) => (Target::Row, KeyField::Row(width - 1)),
                    (Some(_), false) => (Target::Mapped, KeyField::Row(width - 1)),
                    (Some(_), true) => {
                        extras += 1;
                        (Target::MappedAndKey, KeyField::Extra(extras - 1))
                    }
                }
            } else {
                extras += 1;
                (Target::Key, KeyField::Extra(extras - 1))
            };
            columns.push(ColumnPlan {
                name: column.name.clone(),
                target,
                decoder: mapping.decoder.bind(&schema),
                mapped: conversion.map(|conversion| {
                    Box::new(MappedColumn {
                        null: conversion.apply(null.clone()),
                        placeholder: conversion.apply(mapping.placeholder.clone()),
                        conversion,
                    })
                }),
                null,
                placeholder: mapping.placeholder,
                reselects: options.reselect.as_ref().is_some_and(|reselect| {
                    reselect
                        .columns
                        .contains(&format!("{collection}:{}", column.name))
                }),
                warned: AtomicBool::new(false),
            });
            places.push(Some((schema, place)));
        }
        let mut key_schema = Schema::structure().name(fit.adjust(format!("{topic}.Key")));
        let mut key_fields = Vec::with_capacity(key.len());
        let mut identifiers = Vec::new();
        for index in &key {
            let (Some(column), Some(Some((schema, place)))) = (table.columns.get(*index), places.get(*index))
            else {
                continue;
            };
            key_schema = key_schema.field(
                field_name(&options.field_names.adjust_field(&column.name)),
                schema.clone(),
            );
            key_fields.push(*place);
        }
        if let Some((field, value)) = options.naming.key_field("", &table.schema, &table.name) {
            key_schema = key_schema.field(field, Schema::string().build());
            key_fields.push(KeyField::Table(identifiers.len()));
            identifiers.push(constant(&value));
        }
        let row_schema = row.build().keep();
        Ok(Self {
            envelope_schema: adjusted_envelope_schema(&topic, fit, &row_schema, source),
            key_schema: (!key_fields.is_empty()).then(|| key_schema.build().keep()),
            schema_name: constant(&table.schema),
            table_name: constant(&table.name),
            // A key of the user's own is compared even where the old row lacks it, as Debezium does: null is another key.
            key_in_identity: own_key
                || key
                    .iter()
                    .all(|index| table.columns.get(*index).is_some_and(|c| c.identity)),
            collection: collection.into(),
            topic: topic.into(),
            row_schema,
            key: key_fields,
            key_columns: key,
            identifiers,
            columns,
            width,
            on_bad_value: options.on_bad_value,
            table,
        })
    }

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

impl ColumnPlan {
    fn nowhere(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            target: Target::Nowhere,
            decoder: Decoder::Null,
            null: Value::Null,
            placeholder: Value::Null,
            mapped: None,
            reselects: false,
            warned: AtomicBool::new(false),
        }
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

/// The column as mappers see it.
fn source_column<'a>(table: &'a str, column: &'a Column) -> SourceColumn<'a> {
    let (length, scale) = source_type::size(&column.of, column.modifier);
    SourceColumn {
        table,
        name: &column.name,
        type_name: &column.of.name,
        length: Some(length),
        scale: Some(scale),
        comment: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_options;
    use crate::pgoutput::{Message, decode};
    use crate::types::oid;

    fn column(name: &str, of: u32, optional: bool) -> Column {
        Column {
            name: name.into(),
            of: PgType::base(of, "t"),
            modifier: -1,
            optional,
            default: None,
            generated: false,
            identity: name == "id",
        }
    }

    fn plan(extra: &[(&str, &str)]) -> Plan {
        let table = Table {
            schema: "fx".into(),
            name: "t".into(),
            columns: vec![
                column("id", oid::INT4, false),
                column("v", oid::TEXT, true),
                column("n", oid::INT8, false),
            ],
            key: vec![0],
            plain: true,
        };
        let source = Schema::structure().name("source").build();
        Plan::new(table, &test_options(extra), &source).unwrap()
    }

    fn new_tuple(block: &Bytes) -> Tuple {
        match decode(block, 0..block.len()).unwrap() {
            Message::Insert { new, .. } | Message::Update { new, .. } => new,
            other => panic!("{other:?}"),
        }
    }

    fn text(value: &str) -> Value {
        value.to_owned().into()
    }

    #[test]
    fn a_streamed_and_a_copied_row_are_the_same() {
        let plan = plan(&[]);
        let streamed = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017t\0\0\0\x03a\tbt\0\0\0\x019");
        let copied = Bytes::from_static(b"7\ta\\tb\t9\n");
        let mut arena = BytesMut::new();
        let one = plan
            .tuple(&streamed, &new_tuple(&streamed), None, &mut arena)
            .unwrap();
        let two = plan.copied(&copied, 0..copied.len(), &mut arena).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.values, [Value::Int32(7), text("a\tb"), Value::Int64(9)]);
        assert_eq!(plan.key(&one).as_struct().unwrap().values(), [Value::Int32(7)]);
    }

    #[test]
    fn null_where_none_is_allowed_becomes_zero() {
        let plan = plan(&[]);
        let row = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017nn");
        let row = plan
            .tuple(&row, &new_tuple(&row), None, &mut BytesMut::new())
            .unwrap();
        assert_eq!(row.values, [Value::Int32(7), Value::Null, Value::Int64(0)]);
    }

    #[test]
    fn an_unsent_value_is_the_old_one_or_a_placeholder() {
        let plan = plan(&[]);
        let row = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017ut\0\0\0\x011");
        let tuple = new_tuple(&row);
        let mut arena = BytesMut::new();
        let unsent = plan.tuple(&row, &tuple, None, &mut arena).unwrap();
        assert_eq!(unsent.values[1], text("__debezium_unavailable_value"));
        let old = Row {
            values: vec![Value::Int32(7), text("old"), Value::Int64(1)],
            extra: vec![],
        };
        let filled = plan.tuple(&row, &tuple, Some(&old), &mut arena).unwrap();
        assert_eq!(filled.values[1], text("old"));
    }

    #[test]
    fn an_excluded_column_may_still_make_the_key() {
        let plan = plan(&[("column.exclude.list", "fx.t.(id|v)")]);
        let copied = Bytes::from_static(b"7\t9\n");
        let row = plan
            .copied(&copied, 0..copied.len(), &mut BytesMut::new())
            .unwrap();
        assert_eq!(row.values, [Value::Int64(9)]);
        assert_eq!(plan.key(&row).as_struct().unwrap().values(), [Value::Int32(7)]);
        assert_eq!(plan.row_schema.fields().len(), 1);
    }

    #[test]
    fn masks_hide_text_in_rows_and_leave_keys_and_schemas_of_keys() {
        let plan = plan(&[
            ("column.mask.with.3.chars", "fx.t.v"),
            ("message.key.columns", "fx.t:v"),
            ("field.name.adjustment.mode", "avro"),
            ("schema.name.adjustment.mode", "avro"),
        ]);
        let mut arena = BytesMut::new();
        let copied = Bytes::from_static(b"7\tsecret\t9\n");
        let row = plan.copied(&copied, 0..copied.len(), &mut arena).unwrap();
        assert_eq!(row.values[1], text("***"));
        assert_eq!(plan.key(&row).as_struct().unwrap().values(), [text("secret")]);
        let masked = |schema: &SchemaRef| {
            schema.fields()[schema.field_index("v").unwrap()]
                .schema()
                .parameter("masked")
                .is_some()
        };
        assert!(masked(&plan.row_schema));
        assert!(!masked(plan.key_schema.as_ref().unwrap()));
        // Unsent, it is the old one, and not masked again.
        let unsent = Bytes::from_static(b"I\0\0\0\x01N\0\x03t\0\0\0\x017ut\0\0\0\x011");
        let again = plan
            .tuple(&unsent, &new_tuple(&unsent), Some(&row), &mut arena)
            .unwrap();
        assert_eq!(again.values[1], text("***"));
        assert_eq!(plan.key(&again), plan.key(&row));
        let null = Bytes::from_static(b"7\t\\N\t9\n");
        let row = plan.copied(&null, 0..null.len(), &mut arena).unwrap();
        assert_eq!((&row.values[1], &row.extra[0]), (&text("***"), &Value::Null));
    }

    #[test]
    fn a_routed_tables_key_says_which_table() {
        let plan = plan(&[
            (
                "topic.naming.strategy",
                "io.debezium.schema.SchemaRegexTopicNamingStrategy",
            ),
            ("topic.regex", ".*"),
            ("topic.replacement", "all"),
        ]);
        assert_eq!(&*plan.topic, "all");
        let copied = Bytes::from_static(b"7\ta\t9\n");
        let row = plan
            .copied(&copied, 0..copied.len(), &mut BytesMut::new())
            .unwrap();
        assert_eq!(
            plan.key(&row).as_struct().unwrap().values(),
            [Value::Int32(7), text("g.fx.t")]
        );
        assert_eq!(
            plan.key_schema.as_ref().unwrap().fields()[1].name().as_ref(),
            "__dbz__physicalTableIdentifier"
        );
    }

    #[test]
    fn a_value_of_another_form_is_null_with_a_warning_or_an_error() {
        let bad = Bytes::from_static(b"7\ta\tnine\n");
        let warned = plan(&[])
            .copied(&bad, 0..bad.len(), &mut BytesMut::new())
            .unwrap();
        assert_eq!(warned.values[2], Value::Int64(0));
        let failing = plan(&[("event.converting.failure.handling.mode", "fail")]);
        let error = failing
            .copied(&bad, 0..bad.len(), &mut BytesMut::new())
            .unwrap_err();
        assert_eq!(error.kind(), tapline_api::Kind::Data);
        assert!(error.message().contains("'fx.t.n'"));
    }
}
