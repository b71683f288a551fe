//! Shapes: where, in records of given schemas, the values of a layout's columns are.
//!
//! A record is a Debezium envelope (the row is in `after`), a flat row, or a CloudEvent that holds either in `data`.
//! All of that is decided once per pair of schemas; a record then costs a look at its `op` and two slices.

use std::collections::HashMap;
use std::sync::Arc;

use tapline_api::record::SinkRecord;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Type, Value, envelope};

use crate::layout::{Column, Layout, Layouts};
use crate::names::TableId;
use crate::options::{Options, Vocabulary};
use crate::primary_key::{self, KeyPart};
use crate::unavailable::Placeholder;

/// Where a column's value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Source {
    /// In [`Parts::key`].
    Key(usize),
    /// In [`Parts::value`].
    Value(usize),
}

/// What a record asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Write the row.
    Write {
        /// Values may be placeholders.
        partial: bool,
        /// The event tells of a row that was not there before.
        fresh: bool,
    },
    /// Delete the row.
    Delete,
    /// Empty the table.
    Truncate,
}

/// A record taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) op: Op,
    pub(crate) key: &'a [Value],
    pub(crate) value: &'a [Value],
}

/// The places of an envelope's fields.
#[derive(Clone, Copy, Debug)]
struct Envelope {
    before: Option<usize>,
    after: Option<usize>,
    op: usize,
    source: Option<usize>,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Where in the value the event is, for CloudEvents.
    data: Option<usize>,
    envelope: Option<Envelope>,
    key: KeyPart,
    columns: Vec<Column>,
    keys: usize,
    /// In the order of the layout's columns.
    pub(crate) sources: Vec<Source>,
    /// Columns whose value may be a placeholder.
    pub(crate) placeholders: Vec<(usize, Placeholder)>,
    table: Table,
}

#[derive(Debug)]
enum Table {
    Fixed(Arc<Layout>),
    /// By fields of the source block, at these places.
    BySource(Vec<usize>, HashMap<String, Arc<Layout>>),
}

impl Shape {
    /// Looks at the schemas of a record. `None`: such records are not written, which is logged.
    pub(crate) fn compile(
        options: &Options,
        layouts: &mut Layouts,
        sink: &SinkRecord,
    ) -> Result<Option<Self>> {
        let record = &sink.record;
        let topic = &*record.topic;
        if record
            .value_schema
            .as_ref()
            .and_then(|schema| schema.name())
            .is_some_and(|name| name.contains("SchemaChangeValue"))
        {
            tracing::warn!(
                topic,
                "Schema change records are not supported by JDBC connector. Adjust `topics` or `topics.regex` to \
                 exclude schema change topic."
            );
            return Ok(None);
        }
        let (data, schema) = event_schema(options, record)?;
        let flat = options.vocabulary == Vocabulary::Confluent;
        let envelope = schema.as_deref().filter(|_| !flat).and_then(envelope_of);
        let row = match (&envelope, &schema) {
            (Some(places), Some(schema)) => places
                .after
                .or(places.before)
                .and_then(|at| schema.fields().get(at))
                .map(|field| field.schema().clone()),
            (None, Some(schema)) => Some(schema.clone()),
            (_, None) => None,
        };
        let (key, mut columns, mut sources) = primary_key::columns(options, record, row.as_deref())?;
        let keys = columns.len();
        let mut placeholders = Vec::new();
        for (i, field) in row.iter().flat_map(|row| row.fields()).enumerate() {
            let is_key = columns
                .iter()
                .take(keys)
                .any(|column| column.field == *field.name());
            if is_key || !options.fields.passes(topic, field.name()) {
                continue;
            }
            if let Some(placeholder) = Placeholder::of(field.schema(), &options.placeholder) {
                placeholders.push((columns.len(), placeholder));
            }
            columns.push(primary_key::column(options, field.name(), field.schema(), false));
            sources.push(Source::Value(i));
        }
        let mut shape = Self {
            data,
            envelope,
            key,
            columns,
            keys,
            sources,
            placeholders,
            table: Table::BySource(Vec::new(), HashMap::new()),
        };
        if options.naming.source_fields().next().is_none() {
            let table = options.naming.table(topic, std::iter::empty())?;
            shape.table = Table::Fixed(shape.layout_in(layouts, &table));
            return Ok(Some(shape));
        }
        let block = schema
            .as_deref()
            .zip(envelope.and_then(|places| places.source))
            .and_then(|(schema, at)| schema.fields().get(at));
        let Some(block) = block else {
            tracing::warn!(
                topic,
                partition = sink.origin.partition,
                offset = sink.origin.offset,
                "Ignore this record because it isn't a Debezium record, then cannot resolve a collection name"
            );
            return Ok(None);
        };
        let places = options.naming.source_fields().map(|name| {
            block.schema().field_index(name).ok_or_else(|| {
                Error::data(format!(
                    "Failed to resolve collection name with format: {name} is not a valid field name"
                ))
            })
        });
        shape.table = Table::BySource(places.collect::<Result<_>>()?, HashMap::new());
        Ok(Some(shape))
    }

    fn layout_in(&self, layouts: &mut Layouts, table: &TableId) -> Arc<Layout> {
        layouts.intern(table, self.columns.clone(), self.keys)
    }

    /// Where a record of this shape is written to.
    pub(crate) fn layout(
        &mut self,
        options: &Options,
        layouts: &mut Layouts,
        record: &Record,
    ) -> Result<Arc<Layout>> {
        let block = match &self.table {
            Table::Fixed(layout) => return Ok(layout.clone()),
            Table::BySource(..) => self
                .event(record)
                .zip(self.envelope.and_then(|places| places.source))
                .and_then(|(event, at)| event.at(at))
                .and_then(Value::as_struct)
                .ok_or_else(|| Error::data("Failed to resolve collection name: the source block is null"))?,
        };
        let Table::BySource(places, known) = &self.table else {
            return Err(Error::fatal("a shape has no table"));
        };
        let values = || places.iter().map(|at| block.at(*at).unwrap_or(&Value::Null));
        let mut name = String::new();
        for value in values() {
            name.push_str(value.as_str().unwrap_or_default());
            name.push('\0');
        }
        if let Some(layout) = known.get(&name) {
            return Ok(layout.clone());
        }
        let table = options.naming.table(&record.topic, values())?;
        let layout = self.layout_in(layouts, &table);
        if let Table::BySource(_, known) = &mut self.table {
            known.insert(name, layout.clone());
        }
        Ok(layout)
    }

    /// Takes a record apart; `synthetic` is its key where the key's mode makes one.
    pub(crate) fn read<'a>(&self, record: &'a Record, synthetic: &'a [Value]) -> Result<Parts<'a>> {
        let (op, value) = self.read_value(record)?;
        let key = match (self.key, &record.key) {
            (KeyPart::None, _) => &[],
            (KeyPart::Synthetic, _) => synthetic,
            (KeyPart::Whole, key) => std::slice::from_ref(key),
            (KeyPart::Struct, Value::Struct(key)) => key.values(),
            // A truncate event has no key.
            _ if op == Op::Truncate => &[],
            (KeyPart::Missing, _) => {
                return Err(Error::data(
                    "Configured primary key mode 'record_key' cannot have null schema",
                ));
            }
            (KeyPart::Struct, _) => {
                return Err(Error::data(
                    "the record's key is null, but the primary key is taken from it",
                ));
            }
        };
        Ok(Parts { op, key, value })
    }

    fn read_value<'a>(&self, record: &'a Record) -> Result<(Op, &'a [Value])> {
        let Some(event) = self.event(record) else {
            return Ok((Op::Delete, &[]));
        };
        let Some(places) = &self.envelope else {
            let op = Op::Write {
                partial: true,
                fresh: false,
            };
            return Ok((op, event.values()));
        };
        let row = |at: Option<usize>| {
            at.and_then(|at| event.at(at))
                .and_then(Value::as_struct)
                .map(Struct::values)
        };
        let op = match event.at(places.op).and_then(Value::as_str) {
            Some(envelope::op::DELETE) => return Ok((Op::Delete, row(places.before).unwrap_or_default())),
            Some(envelope::op::TRUNCATE) => return Ok((Op::Truncate, &[])),
            Some(op @ (envelope::op::READ | envelope::op::CREATE | envelope::op::UPDATE)) => op,
            other => {
                return Err(Error::data(format!(
                    "the event's op is {}, which is none of c, r, u, d, t",
                    other.unwrap_or("null")
                )));
            }
        };
        let partial = op == envelope::op::UPDATE;
        match row(places.after) {
            Some(values) => Ok((
                Op::Write {
                    partial,
                    fresh: !partial,
                },
                values,
            )),
            None => Err(Error::data(format!(
                "the event's op is {op}, but its after is null"
            ))),
        }
    }

    /// The event itself, out of a CloudEvent where it is one; `None` for null.
    fn event<'a>(&self, record: &'a Record) -> Option<&'a Struct> {
        let whole = record.value.as_struct()?;
        match self.data {
            None => Some(whole),
            Some(at) => whole.at(at).and_then(Value::as_struct),
        }
    }
}

/// The schema of the event and, in a CloudEvent, where it is.
fn event_schema(options: &Options, record: &Record) -> Result<(Option<usize>, Option<SchemaRef>)> {
    let Some(schema) = &record.value_schema else {
        if record.value.is_null() {
            return Ok((None, None));
        }
        return Err(Error::data("the record's value has no schema, which a table's columns are taken from").hint(
            "use a converter that keeps schemas, such as JsonConverter with value.converter.schemas.enable=true",
        ));
    };
    let is_cloud_event = options.vocabulary == Vocabulary::Debezium
        && schema
            .name()
            .is_some_and(|name| options.cloud_events.matches(name));
    let (data, schema) = if is_cloud_event {
        let at = schema.field_index("data");
        let data = at
            .and_then(|at| schema.fields().get(at))
            .map(|field| field.schema().clone());
        (
            at,
            data.ok_or_else(|| Error::data("the CloudEvent has no field data"))?,
        )
    } else {
        (None, schema.clone())
    };
    if schema.kind() != Type::Struct {
        return Err(Error::data(format!(
            "the record's value is a {}, but only a struct can be written to a table",
            schema.kind().name()
        )));
    }
    Ok((data, Some(schema)))
}

/// By its schema's name or, where that has none, by its `op`.
fn envelope_of(schema: &Schema) -> Option<Envelope> {
    let is_envelope = match schema.name() {
        Some(name) => name.ends_with(envelope::ENVELOPE_SUFFIX),
        None => schema.field_index(envelope::OP).is_some(),
    };
    let op = schema.field_index(envelope::OP).filter(|_| is_envelope)?;
    Some(Envelope {
        before: schema.field_index(envelope::BEFORE),
        after: schema.field_index(envelope::AFTER),
        op,
        source: schema.field_index(envelope::SOURCE),
    })
}
