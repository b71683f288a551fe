//! A table version: its columns, its schemas, and the plan by which rows become values.
//!
//! A plan is made once per version (a snapshot's table, a RELATION message) and then used for every row: it has a decoder
//! per incoming column, and where the value goes. Nothing is looked up by name afterwards.

mod rows;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tapline_api::{Result, Schema, SchemaRef, Value};
use tapline_cdc::envelope::adjusted_envelope_schema;
use tapline_cdc::intern::{column_schema, constant, field_name};
use tapline_cdc::mapper::{Conversion, SourceColumn};
use tapline_cdc::options::OnFailure;

use crate::config::Options;
use crate::default::default_value;
use crate::source_type;
use crate::types::{Mapped, PgType};
use crate::value::Decoder;

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
mod tests;
