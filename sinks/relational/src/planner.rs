//! From a put's records to its batch: each record's shape and layout are looked up, then the records are reduced.

use std::collections::HashMap;
use std::sync::Arc;

use tapline_api::record::SinkRecord;
use tapline_api::{Error, Result, SchemaRef, Value};

use crate::batch::{Batch, NONE};
use crate::config::KeyMode;
use crate::keys::KeyHasher;
use crate::layout::{Layout, Layouts};
use crate::options::{Options, Vocabulary};
use crate::primary_key;
use crate::reduce::Reduction;
use crate::shape::Shape;

/// What records ask for, before it is put together. Bounded: cleared when there are too many schemas.
pub(crate) struct Planner {
    options: Options,
    hasher: KeyHasher,
    layouts: Layouts,
    shapes: Vec<Shape>,
    by_schemas: HashMap<ShapeKey, u32>,
}

/// Topic, schema of the key, schema of the value, and the headers' schemas where they make up the key.
type ShapeKey = (Arc<str>, u64, u64, Vec<(Arc<str>, u64)>);

const MAX_SHAPES: usize = 4096;

/// A batch's records, looked up: what [`Planner::plan`] borrows from.
pub(crate) struct Resolved {
    /// Shape and layout of each record; `None` for those that are left out.
    records: Vec<Option<(u32, Arc<Layout>)>>,
    /// Keys made from coordinates or headers; empty where the key's mode needs none.
    synthetic: Vec<Vec<Value>>,
}

impl Planner {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            hasher: KeyHasher::default(),
            layouts: Layouts::default(),
            shapes: Vec::new(),
            by_schemas: HashMap::new(),
        }
    }

    /// Finds each record's shape and layout, but for those that are `known` to be in the target (none, if it is empty).
    ///
    /// # Errors
    /// The first record that can't be written, [named](Error::at_record).
    pub(crate) fn resolve(&mut self, batch: &[SinkRecord], known: &[bool]) -> Result<Resolved> {
        if self.shapes.len() > MAX_SHAPES {
            self.shapes.clear();
            self.by_schemas.clear();
            self.layouts.clear();
        }
        let made = matches!(self.options.key_mode, KeyMode::Kafka | KeyMode::RecordHeader);
        let synthetic = if made {
            batch
                .iter()
                .map(|sink| primary_key::synthetic(&self.options, sink))
                .collect()
        } else {
            Vec::new()
        };
        let mut records = Vec::with_capacity(batch.len());
        let mut last: Option<(&SinkRecord, u32)> = None;
        for (i, sink) in batch.iter().enumerate() {
            if known.get(i) == Some(&true) {
                records.push(None);
                continue;
            }
            let shape = match last {
                Some((before, shape)) if self.alike(before, sink) => Ok(Some(shape)),
                _ => self.shape(sink),
            };
            let shape = shape.map_err(|error| error.at_record(i))?;
            let Some(shape) = shape else {
                records.push(None);
                continue;
            };
            last = Some((sink, shape));
            let Self {
                options,
                layouts,
                shapes,
                ..
            } = &mut *self;
            let layout = shapes
                .get_mut(shape as usize)
                .map(|known| known.layout(options, layouts, &sink.record))
                .transpose()
                .map_err(|error| error.at_record(i))?;
            records.push(layout.map(|layout| (shape, layout)));
        }
        Ok(Resolved { records, synthetic })
    }

    /// Whether two records have the same shape without a look-up.
    fn alike(&self, a: &SinkRecord, b: &SinkRecord) -> bool {
        let (a, b) = (&a.record, &b.record);
        Arc::ptr_eq(&a.topic, &b.topic)
            && id(&a.value_schema) == id(&b.value_schema)
            && id(&a.key_schema) == id(&b.key_schema)
            && (self.options.key_mode != KeyMode::RecordHeader || a.headers == b.headers)
    }

    fn shape(&mut self, sink: &SinkRecord) -> Result<Option<u32>> {
        let record = &sink.record;
        // A null value is a delete whatever its schema.
        if record.value.is_null() && !self.options.delete {
            if self.options.vocabulary == Vocabulary::Confluent {
                return Err(Error::data(format!(
                    "Sink connector is configured with 'delete.enabled=false' and 'pk.mode={}' and therefore requires \
                     records with a non-null Struct value and non-null Struct schema, but found a record with a null value",
                    self.options.key_mode.name()
                )));
            }
            return Ok(None);
        }
        let headers = if self.options.key_mode == KeyMode::RecordHeader {
            let all = record.headers.iter();
            all.map(|header| (header.key.clone(), id(&header.schema)))
                .collect()
        } else {
            Vec::new()
        };
        let key = (
            record.topic.clone(),
            id(&record.key_schema),
            id(&record.value_schema),
            headers,
        );
        if let Some(known) = self.by_schemas.get(&key) {
            return Ok(Some(*known).filter(|shape| *shape != NONE));
        }
        let shape = match Shape::compile(&self.options, &mut self.layouts, sink)? {
            Some(shape) => {
                self.shapes.push(shape);
                u32::try_from(self.shapes.len() - 1).unwrap_or(NONE)
            }
            None => NONE,
        };
        self.by_schemas.insert(key, shape);
        Ok(Some(shape).filter(|shape| *shape != NONE))
    }

    /// Puts the batch together. `strict`: every record is a step of its own, so that a failing step names its record.
    pub(crate) fn plan<'a>(
        &'a self,
        batch: &'a [SinkRecord],
        resolved: &'a Resolved,
        strict: bool,
    ) -> Result<Batch<'a>> {
        let mut reduction = Reduction::new(&self.options, &self.hasher, &self.layouts, &self.shapes, strict);
        for (i, (sink, found)) in batch.iter().zip(&resolved.records).enumerate() {
            let Some((shape, layout)) = found else { continue };
            let synthetic = resolved.synthetic.get(i).map_or(&[][..], Vec::as_slice);
            let record = u32::try_from(i).unwrap_or(NONE);
            self.shapes
                .get(*shape as usize)
                .ok_or_else(|| Error::fatal("a shape is gone"))
                .and_then(|known| known.read(&sink.record, synthetic))
                .and_then(|parts| reduction.add(record, *shape, layout, parts))
                .map_err(|error| error.at_record(i))?;
        }
        Ok(reduction.finish())
    }
}

fn id(schema: &Option<SchemaRef>) -> u64 {
    schema.as_ref().map_or(0, |schema| schema.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Action;
    use tapline_api::config::Config;
    use tapline_api::record::{Origin, TimestampType};
    use tapline_api::{Record, Schema, Struct};

    fn sink(record: Record) -> SinkRecord {
        SinkRecord {
            origin: Origin {
                topic: record.topic.clone(),
                partition: 0,
                offset: 0,
                timestamp_type: TimestampType::None,
            },
            record,
        }
    }

    fn row(name: &str) -> SchemaRef {
        let row = Schema::structure().name(name.to_owned());
        row.field("id", Schema::int32().build())
            .field("a", Schema::string().optional().build())
            .optional()
            .build()
    }

    fn keyed(value: Value, schema: SchemaRef) -> Record {
        let key = Schema::structure().field("id", Schema::int32().build()).build();
        Record {
            key: Value::Struct(Struct::new(key.clone(), vec![Value::Int32(1)])),
            key_schema: Some(key),
            value,
            value_schema: Some(schema),
            ..Record::new("shop.orders")
        }
    }

    fn flat() -> Record {
        let schema = row("orders.Value");
        keyed(
            Value::Struct(Struct::new(schema.clone(), vec![Value::Int32(1), "x".into()])),
            schema,
        )
    }

    /// The record's values in `field` of a struct of its own.
    fn within(record: Record, name: Option<&str>, field: &str, more: &[(&str, Value)]) -> Record {
        let mut schema = Schema::structure();
        if let Some(name) = name {
            schema = schema.name(name.to_owned());
        }
        schema = schema.field(field, record.value_schema.clone().unwrap());
        for (name, _) in more {
            schema = schema.field(*name, Schema::string().optional().build());
        }
        let schema = schema.build();
        let mut values = vec![record.value.clone()];
        values.extend(more.iter().map(|(_, value)| value.clone()));
        keyed(Value::Struct(Struct::new(schema.clone(), values)), schema)
    }

    /// The steps of one record: what, columns, and the values of the first row.
    fn steps(settings: &[(&str, &str)], record: Record) -> Result<Vec<String>, String> {
        let base = [
            ("connection.url", "jdbc:postgresql://h/d"),
            ("connection.username", "u"),
        ];
        let config: Config = base.iter().chain(settings).copied().collect();
        let mut planner = Planner::new(Options::read(Vocabulary::Debezium, &config).unwrap());
        let records = [sink(record)];
        let shown = |error: Error| error.message().to_owned();
        let resolved = planner.resolve(&records, &[]).map_err(shown)?;
        let batch = planner.plan(&records, &resolved, false).map_err(shown)?;
        let show = |step: &crate::batch::Step| {
            let action = match step.action {
                Action::Write(..) => "write",
                Action::Delete => "delete",
                Action::Truncate => "truncate",
            };
            let columns = step.layout.columns.iter().enumerate().map(|(i, column)| {
                let value = step.rows.first().map_or(&Value::Null, |row| batch.cell(*row, i));
                let key = if column.key { "*" } else { "" };
                format!(
                    "{key}{}={}",
                    column.name,
                    value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned)
                )
            });
            format!(
                "{action} {} {}",
                step.layout.table,
                columns.collect::<Vec<_>>().join(" ")
            )
        };
        Ok(batch.steps.iter().map(show).collect())
    }

    const KEYED: &[(&str, &str)] = &[
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("delete.enabled", "true"),
        ("truncate.enabled", "true"),
    ];
    const WRITTEN: &str = "write shop_orders *id=Int32(1) a=x";
    const DELETED: &str = "delete shop_orders *id=Int32(1)";

    #[test]
    fn a_row_is_found_in_flat_records_envelopes_and_cloud_events() {
        let op = |op: &'static str| [("op", Value::from(op))];
        let named = Some("orders.Envelope");
        for record in [
            flat(),
            within(flat(), named, "after", &op("c")),
            within(flat(), None, "after", &op("r")),
            within(flat(), Some("x.CloudEvents.Envelope"), "data", &[]),
            within(
                within(flat(), named, "after", &op("u")),
                Some("x.CloudEvents.Envelope"),
                "data",
                &[],
            ),
        ] {
            assert_eq!(steps(KEYED, record), Ok(vec![WRITTEN.to_owned()]));
        }
    }

    #[test]
    fn deletes_are_events_null_values_and_tombstones() {
        let null = Record {
            value: Value::Null,
            ..flat()
        };
        let tombstone = Record {
            value_schema: None,
            ..null.clone()
        };
        let event = within(flat(), Some("orders.Envelope"), "before", &[("op", "d".into())]);
        for record in [null, tombstone, event] {
            assert_eq!(steps(KEYED, record.clone()), Ok(vec![DELETED.to_owned()]));
            assert_eq!(steps(&[], record), Ok(vec![]));
        }
    }

    #[test]
    fn a_truncate_needs_no_key() {
        let truncate = Record {
            key: Value::Null,
            key_schema: None,
            ..within(flat(), Some("orders.Envelope"), "before", &[("op", "t".into())])
        };
        let found = steps(KEYED, truncate.clone()).unwrap();
        assert!(found[0].starts_with("truncate shop_orders"), "{found:?}");
        assert_eq!(steps(&[], truncate), Ok(vec![]));
    }

    #[test]
    fn what_can_not_be_a_row_is_a_data_error_or_left_out() {
        let error = |record| steps(KEYED, record).unwrap_err();
        let schemaless = Record {
            value_schema: None,
            ..flat()
        };
        assert!(error(schemaless).contains("has no schema"));
        let plain = keyed("x".into(), Schema::string().build());
        assert!(error(plain).contains("only a struct"));
        let keyless = Record {
            key: Value::Null,
            key_schema: None,
            ..flat()
        };
        assert_eq!(
            error(keyless),
            "Configured primary key mode 'record_key' cannot have null schema"
        );
        let odd = within(flat(), Some("orders.Envelope"), "after", &[("op", "x".into())]);
        assert!(error(odd).contains("op is x"));
        let ddl = within(flat(), Some("x.SchemaChangeValue"), "after", &[]);
        assert_eq!(steps(KEYED, ddl), Ok(vec![]));
    }

    #[test]
    fn fields_and_keys_are_chosen() {
        let with = |more: &[(&str, &str)]| steps(&[KEYED, more].concat(), flat()).unwrap();
        assert_eq!(
            with(&[("field.exclude.list", "shop.orders:a")]),
            ["write shop_orders *id=Int32(1)"]
        );
        let value = [
            ("primary.key.mode", "record_value"),
            ("primary.key.fields", "a"),
            ("insert.mode", "upsert"),
        ];
        assert_eq!(
            steps(&value, flat()).unwrap(),
            ["write shop_orders *a=x id=Int32(1)"]
        );
        let none = steps(&[], flat()).unwrap();
        assert_eq!(none, ["write shop_orders id=Int32(1) a=x"]);
    }
}
