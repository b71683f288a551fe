//! A table version's plan: its schemas, and how a row, from the log or from a query, becomes values.
//!
//! A plan is made once per version and then used for every row: nothing is looked up by name afterwards.

mod gone;
mod key;

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Error, Result, Schema, SchemaRef, Struct, Value};
use tapline_cdc::envelope::adjusted_envelope_schema;
use tapline_cdc::intern::{column_schema, constant, field_name};
use tapline_cdc::mapper::{Conversion, SourceColumn};
use tapline_cdc::options::OnFailure;

use crate::binlog::Malformed;
use crate::binlog::image::{Raw, Unpack, bit, count, counted};
use crate::binlog::reader::Reader;
use crate::binlog::table_map::TableMap;
use crate::config::Options;
use crate::schema::{Kind, Table};
use crate::types::{default_value, is_zero_date};
use crate::value::charset::Charset;
use crate::value::{Context, Convert, borrow_text, json, text};
use crate::wire::TextFields;

pub(crate) use gone::KeyLayout;

/// What stands for a value that the log left out, where the column holds text.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// Where a column's value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The next field of the row.
    Row,
    /// Only into the key, because a column list leaves it out of the row.
    Key,
    Nowhere,
}

#[derive(Debug)]
struct ColumnPlan {
    name: Arc<str>,
    kind: Kind,
    unsigned: bool,
    target: Target,
    convert: Convert,
    /// What null becomes: null, or in a column that allows none its default or the type's zero.
    null: Value,
    /// Stands for what the log left out.
    unavailable: Value,
    /// What a new row has where the log leaves it out.
    default: Value,
}

/// Where a key's field comes from.
#[derive(Debug, Clone)]
enum KeyField {
    Row(usize),
    Extra(usize),
    /// The table's name, where tables share a topic.
    Constant(Value),
}

/// A table version's plan.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) table: Arc<Table>,
    pub(crate) topic: Arc<str>,
    pub(crate) row_schema: SchemaRef,
    pub(crate) envelope_schema: SchemaRef,
    pub(crate) key_schema: Option<SchemaRef>,
    /// The names in `source`.
    pub(crate) database: Value,
    pub(crate) table_name: Value,
    /// `database.table`, as transactions count it.
    pub(crate) full_name: Arc<str>,
    key: Vec<KeyField>,
    /// Where the key's columns stand in the table.
    key_columns: Vec<usize>,
    columns: Vec<ColumnPlan>,
    masks: Vec<(usize, Conversion)>,
    width: usize,
    on_bad_value: OnFailure,
}

/// How the log packs the rows of a plan's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout(Vec<(Unpack, Option<Quick>)>);

/// What is read in one go, without a [`Raw`] in between: what most columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quick {
    Int32,
    Int64,
    /// UTF-8, behind a length of so many bytes.
    Text {
        length: u8,
    },
}

/// A row's values in the order of its schema, and those that only the key has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    values: Vec<Value>,
    extra: Vec<Value>,
    /// The row's bytes.
    pub(crate) size: usize,
}

/// The image before, while the one after it is read.
#[derive(Debug, Default)]
pub(crate) struct Before<'a> {
    pub(crate) row: Option<&'a Row>,
    /// Which columns it had.
    pub(crate) present: &'a [u8],
    /// Whether JSON values of this image may be differences.
    pub(crate) partial: bool,
    /// Whether the image is of a new row.
    pub(crate) insert: bool,
}

impl Plan {
    /// Makes the plan of `table`. `source` is the schema of the source block.
    ///
    /// # Errors
    /// A config error when a captured column has a type that is not supported.
    pub(crate) fn new(table: Arc<Table>, options: &Options, source: &SchemaRef) -> Result<Self> {
        let (database, name) = (&*table.id.database, &*table.id.table);
        let full_name = format!("{database}.{name}");
        let topic = options.naming.table(database, "", name);
        let names = || table.columns.iter().map(|column| &*column.name);
        let mut key = options.key_columns.select(database, name, names());
        if key.is_empty() {
            key = positions(&table);
        }
        let mut row = Schema::structure()
            .name(options.schema_names.adjust(format!("{topic}.Value")))
            .optional();
        let mut columns = Vec::with_capacity(table.columns.len());
        let mut masks = Vec::new();
        let (mut width, mut extras) = (0, 0);
        let mut places: Vec<Option<(SchemaRef, KeyField)>> = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let wanted = options.filters.column(database, name, &column.name);
            if !wanted && !key.contains(&index) {
                columns.push(ColumnPlan::nowhere(column));
                places.push(None);
                continue;
            }
            let mapping = options.types.map(&full_name, column).map_err(|what| {
                Error::config(format!("column {full_name}.{} has {what}", column.name))
                    .hint("leave it out by column.exclude.list, or the table by table.exclude.list")
            })?;
            let (default, optional) = match &mapping.fallback {
                None => {
                    let default = default_value(column, &mapping.convert);
                    // A zero date, which is none: where null is not allowed, it is what stands for one.
                    let zero = || is_zero_date(column).then(|| mapping.zero.clone());
                    (default.or_else(zero), column.optional)
                }
                // The converter's word goes before the column's.
                Some(value) => (
                    value
                        .clone()
                        .filter(|_| column.has_default && column.default.is_some()),
                    column.optional || value.is_none(),
                ),
            };
            let null = match (&default, optional, &mapping.fallback) {
                (_, _, Some(value)) => value.clone().unwrap_or_default(),
                (_, true, _) => Value::Null,
                (Some(default), false, _) => default.clone(),
                (None, false, _) => mapping.zero.clone(),
            };
            let complete = |schema: SchemaBuilder| {
                let schema = schema.set_optional(optional);
                let schema = match (&column.comment, mapping.schema.doc()) {
                    (Some(comment), None) if !comment.is_empty() => schema.doc(comment.clone()),
                    _ => schema,
                };
                match default.clone() {
                    Some(default) => schema.default(default).build(),
                    None => column_schema(schema.build()),
                }
            };
            let in_key = complete(copy(&mapping.schema));
            let described = SourceColumn {
                table: &full_name,
                name: &column.name,
                type_name: &column.type_name,
                length: column.length,
                scale: column.scale,
                comment: column.comment.as_deref(),
            };
            let mapped = options.mappers.of(&described);
            let in_row = match &mapped {
                Some(mapped) => complete(mapped.annotate(&described, copy(&mapping.schema))),
                None => in_key.clone(),
            };
            let (target, place) = if wanted {
                if let Some(conversion) = mapped.and_then(|mapped| mapped.conversion(in_row.kind())) {
                    masks.push((width, conversion));
                }
                row = row.field(
                    field_name(&options.field_names.adjust_field(&column.name)),
                    in_row,
                );
                width += 1;
                (Target::Row, KeyField::Row(width - 1))
            } else {
                extras += 1;
                (Target::Key, KeyField::Extra(extras - 1))
            };
            let unavailable = match &mapping.convert {
                Convert::Text(_) | Convert::Json | Convert::JsonText => Value::from(UNAVAILABLE),
                Convert::Bytes { .. } if in_key.kind() == tapline_api::schema::Type::Bytes => {
                    Value::Bytes(Bytes::from_static(UNAVAILABLE.as_bytes()))
                }
                _ => null.clone(),
            };
            columns.push(ColumnPlan {
                name: column.name.clone(),
                kind: column.kind,
                unsigned: column.unsigned(),
                target,
                convert: mapping.convert,
                default: default.unwrap_or_else(|| null.clone()),
                null,
                unavailable,
            });
            places.push(Some((in_key, place)));
        }
        let mut key_schema = Schema::structure().name(options.schema_names.adjust(format!("{topic}.Key")));
        let mut key_fields = Vec::with_capacity(key.len());
        for index in &key {
            let (Some(column), Some(Some((schema, place)))) = (table.columns.get(*index), places.get(*index))
            else {
                continue;
            };
            key_schema = key_schema.field(
                field_name(&options.field_names.adjust_field(&column.name)),
                schema.clone(),
            );
            key_fields.push(place.clone());
        }
        if let Some((field, value)) = options.naming.key_field(database, "", name) {
            key_schema = key_schema.field(field, Schema::string().build());
            key_fields.push(KeyField::Constant(Value::from(value)));
        }
        let row_schema = row.build().keep();
        Ok(Self {
            envelope_schema: adjusted_envelope_schema(&topic, options.schema_names, &row_schema, source),
            key_schema: (!key_fields.is_empty()).then(|| key_schema.build().keep()),
            database: constant(database),
            table_name: constant(name),
            full_name: full_name.into(),
            topic: topic.into(),
            row_schema,
            key: key_fields,
            key_columns: key,
            columns,
            masks,
            width,
            on_bad_value: options.on_bad_value,
            table,
        })
    }

    /// How the log packs rows of this table, or what does not fit between the two.
    pub(crate) fn layout(&self, map: &TableMap) -> Result<Layout, Malformed> {
        if map.columns.len() != self.columns.len() {
            return Err(Malformed::bad(format!(
                "the log has {} columns, the schema {}",
                map.columns.len(),
                self.columns.len()
            )));
        }
        if let Some((mine, theirs)) = self.columns.iter().zip(&map.names).find(|(mine, theirs)| {
            !mine.name.eq_ignore_ascii_case(theirs) && mine.name.to_lowercase() != theirs.to_lowercase()
        }) {
            return Err(Malformed::bad(format!(
                "the log has column '{theirs}' where the schema has '{}'",
                mine.name
            )));
        }
        let unpack = |(plan, packed): (&ColumnPlan, _)| {
            let unpack = Unpack::new(packed, plan.unsigned)?;
            Ok((unpack, Quick::of(plan, unpack)))
        };
        let columns = self.columns.iter().zip(map.columns.iter().copied());
        columns.map(unpack).collect::<Result<_, _>>().map(Layout)
    }

    /// The next row image of the log.
    ///
    /// `documents` remembers where JSON documents lie in an image before, and is read for the one after.
    #[expect(clippy::too_many_arguments, reason = "the parts of one image")]
    pub(crate) fn image(
        &self,
        layout: &Layout,
        event: &Bytes,
        r: &mut Reader<'_>,
        present: &[u8],
        before: &Before<'_>,
        documents: &mut Vec<Option<Range<usize>>>,
        arena: &mut BytesMut,
    ) -> Result<Row> {
        let start = r.at();
        let malformed = |error: Malformed| self.malformed(&error);
        let columns = self.columns.len();
        let mut diffs: &[u8] = &[];
        let mut documents_seen = 0;
        if before.partial && r.lenenc().map_err(malformed)? & 1 != 0 {
            let count = layout
                .0
                .iter()
                .filter(|(unpack, _)| json::is_binary(*unpack))
                .count();
            diffs = r.take(count.div_ceil(8)).map_err(malformed)?;
        }
        let nulls = r.take(count(present, columns).div_ceil(8)).map_err(malformed)?;
        let mut row = self.new_row();
        let mut nth = 0;
        for (index, (plan, (unpack, quick))) in self.columns.iter().zip(&layout.0).enumerate() {
            if let Some(quick) = quick
                && bit(present, index)
            {
                let value = match bit(nulls, nth) {
                    true => plan.null.clone(),
                    false => quick.read(event, r).map_err(malformed)?,
                };
                nth += 1;
                row.values.push(value);
                continue;
            }
            let is_document = json::is_binary(*unpack);
            let diff = is_document && bit(diffs, documents_seen);
            documents_seen += usize::from(is_document);
            if !bit(present, index) {
                if plan.target != Target::Nowhere {
                    let value = self.left_out(plan, &row, index, before);
                    row.push(plan.target, value);
                }
                continue;
            }
            let null = bit(nulls, nth);
            nth += 1;
            if null {
                if plan.target != Target::Nowhere {
                    row.push(plan.target, plan.null.clone());
                }
                continue;
            }
            let raw = unpack.read(r, diff).map_err(malformed)?;
            if plan.target == Target::Nowhere {
                continue;
            }
            let document = match &raw {
                Raw::JsonDiff(_) => documents.get(index).cloned().flatten(),
                _ => None,
            };
            if is_document && !before.partial {
                if documents.len() < columns {
                    documents.resize(columns, None);
                }
                if let Some(place) = documents.get_mut(index) {
                    *place = json::document(&raw);
                }
            }
            let mut cx = Context {
                bytes: event,
                arena,
                before: document.and_then(|at| event.get(at)),
            };
            let value = self.convert(plan, &raw, &mut cx)?;
            row.push(plan.target, value);
        }
        row.size = r.at() - start;
        Ok(row)
    }

    /// What an image lacks: a new row's default; else the value before, where that one has it.
    fn left_out(&self, plan: &ColumnPlan, row: &Row, index: usize, before: &Before<'_>) -> Value {
        if before.insert {
            return plan.default.clone();
        }
        let earlier = before.row.filter(|_| bit(before.present, index));
        let found = earlier.and_then(|earlier| match plan.target {
            Target::Row => earlier.values.get(row.values.len()),
            _ => earlier.extra.get(row.extra.len()),
        });
        found.unwrap_or(&plan.unavailable).clone()
    }

    /// A row of a query of [`Plan::selected`].
    pub(crate) fn queried(&self, block: &Bytes, at: Range<usize>, arena: &mut BytesMut) -> Result<Row> {
        let bytes = block.get(at.clone()).unwrap_or_default();
        let mut fields = TextFields::new(bytes);
        let mut row = self.new_row();
        row.size = bytes.len();
        for plan in self.columns.iter().filter(|plan| plan.target != Target::Nowhere) {
            let value = match fields.next() {
                None | Some(None) => plan.null.clone(),
                Some(Some(field)) => {
                    let end = at.end - fields.left();
                    let range = end - field.len()..end;
                    let parsed = text::parse(plan.kind, plan.unsigned, block, range);
                    match parsed {
                        Ok(raw) => {
                            let mut cx = Context {
                                bytes: block,
                                arena,
                                before: None,
                            };
                            match &plan.convert {
                                // An answer does not tell the column's width, and Debezium does not ask for it.
                                Convert::Timestamp { .. } => {
                                    self.convert_as(plan, &Convert::Timestamp { digits: 0 }, &raw, &mut cx)?
                                }
                                convert => self.convert_as(plan, convert, &raw, &mut cx)?,
                            }
                        }
                        Err(why) => self.cannot_convert(plan, &why)?,
                    }
                }
            };
            row.push(plan.target, value);
        }
        Ok(row)
    }

    fn new_row(&self) -> Row {
        Row {
            values: Vec::with_capacity(self.width),
            extra: Vec::new(),
            size: 0,
        }
    }

    #[inline]
    fn convert(&self, plan: &ColumnPlan, raw: &Raw, cx: &mut Context<'_>) -> Result<Value> {
        self.convert_as(plan, &plan.convert, raw, cx)
    }

    #[inline]
    fn convert_as(
        &self,
        plan: &ColumnPlan,
        convert: &Convert,
        raw: &Raw,
        cx: &mut Context<'_>,
    ) -> Result<Value> {
        match convert.apply(raw, cx) {
            // A zero date in a column that allows no null.
            Ok(Value::Null) => Ok(plan.null.clone()),
            Ok(value) => Ok(value),
            Err(why) => {
                // What was written before it failed must not begin the next value.
                cx.arena.clear();
                self.cannot_convert(plan, &why)
            }
        }
    }

    #[cold]
    fn cannot_convert(&self, plan: &ColumnPlan, why: &str) -> Result<Value> {
        match self.on_bad_value {
            OnFailure::Fail => {
                return Err(Error::data(format!(
                    "Failed to properly convert data value for '{}.{}': {why}",
                    self.full_name, plan.name
                )));
            }
            OnFailure::Warn => tracing::warn!(
                table = &*self.full_name,
                column = &*plan.name,
                why,
                "value can't be converted and is taken as null"
            ),
            OnFailure::Skip => {}
        }
        Ok(plan.null.clone())
    }

    fn malformed(&self, error: &Malformed) -> Error {
        Error::fatal(format!("a row of {} can't be read: {error}", self.full_name))
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
            KeyField::Constant(value) => value.clone(),
        };
        Value::Struct(Struct::new(schema.clone(), self.key.iter().map(field).collect()))
    }

    /// The row as a value, masked as the options say.
    #[inline]
    pub(crate) fn row(&self, mut row: Row) -> Value {
        for (index, conversion) in &self.masks {
            if let Some(value) = row.values.get_mut(*index) {
                *value = conversion.apply(std::mem::take(value));
            }
        }
        Value::Struct(Struct::new(self.row_schema.clone(), row.values))
    }

    /// The expressions that a snapshot selects, in the order in which [`Plan::queried`] expects them. What is left out of
    /// events is not read either. A FLOAT is asked for as the double it is: as such, the server prints six digits of it.
    pub(crate) fn selected(&self) -> Vec<String> {
        use tapline_databases::mysql::identifier;
        let wanted = self.columns.iter().filter(|plan| plan.target != Target::Nowhere);
        wanted
            .map(|plan| match plan.kind {
                Kind::Float => format!("{0}+0e0 AS {0}", identifier(&plan.name)),
                _ => identifier(&plan.name),
            })
            .collect()
    }
}

fn positions(table: &Table) -> Vec<usize> {
    let position = |name: &Arc<str>| {
        let mut columns = table.columns.iter();
        columns.position(|column| column.name.eq_ignore_ascii_case(name))
    };
    table.key.iter().filter_map(position).collect()
}

/// A builder with the same content: a key's field has no mapper's parameters.
fn copy(schema: &SchemaRef) -> SchemaBuilder {
    schema.to_builder()
}

impl Quick {
    fn of(plan: &ColumnPlan, unpack: Unpack) -> Option<Self> {
        let int = |bytes| {
            unpack
                == Unpack::Int {
                    size: bytes,
                    unsigned: false,
                }
        };
        match (unpack, &plan.convert) {
            _ if plan.target != Target::Row => None,
            (_, Convert::Int32) if int(4) => Some(Self::Int32),
            (_, Convert::Int64) if int(8) => Some(Self::Int64),
            (Unpack::Bytes { length }, Convert::Text(Charset::Utf8)) => Some(Self::Text { length }),
            _ => None,
        }
    }

    #[inline]
    fn read(self, event: &Bytes, r: &mut Reader<'_>) -> Result<Value, Malformed> {
        Ok(match self {
            Self::Int32 => Value::Int32(r.i32()?),
            Self::Int64 => Value::Int64(r.i64()?),
            Self::Text { length } => borrow_text(event, &counted(r, length)?),
        })
    }
}

impl ColumnPlan {
    fn nowhere(column: &crate::schema::Column) -> Self {
        Self {
            name: column.name.clone(),
            kind: column.kind,
            unsigned: column.unsigned(),
            target: Target::Nowhere,
            convert: Convert::Json,
            null: Value::Null,
            unavailable: Value::Null,
            default: Value::Null,
        }
    }
}

impl Row {
    #[inline]
    fn push(&mut self, target: Target, value: Value) {
        match target {
            Target::Row => self.values.push(value),
            Target::Key => self.extra.push(value),
            Target::Nowhere => {}
        }
    }
}
