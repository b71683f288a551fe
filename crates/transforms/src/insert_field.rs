//! `org.apache.kafka.connect.transforms.InsertField`: topic, partition, offset, timestamp or a constant as fields.

use std::sync::Arc;

use bytestring::ByteString;
use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::record::Origin;
use tapline_api::schema::logical;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::part::{
    CACHED, Defaults, Part, REPLACE_NULL, key_and_value, put, require_map, require_struct, unique,
};
use crate::topics::ByTopic;

const PURPOSE: &str = "field insertion";

const fn option(name: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, Kind::String, doc).importance(Importance::Medium)
}

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    option(
        "topic.field",
        "The field for the topic. With ! behind it is a required field, with ? or nothing an optional one.",
    ),
    option(
        "partition.field",
        "The field for the partition. With ! behind it is a required field, with ? or nothing an optional one.",
    ),
    option(
        "offset.field",
        "The field for the offset, in sinks only. With ! behind it is a required field, with ? or nothing an optional one.",
    ),
    option(
        "timestamp.field",
        "The field for the record's timestamp. With ! behind it is a required field, with ? or nothing an optional one.",
    ),
    option(
        "static.field",
        "The field for a constant. With ! behind it is a required field, with ? or nothing an optional one.",
    ),
    option("static.value", "The constant."),
    REPLACE_NULL,
]);

key_and_value!("InsertField", InsertField);

/// What a new field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static,
}

struct Insertion {
    what: What,
    name: Arc<str>,
    schema: SchemaRef,
}

impl Insertion {
    fn parse(what: What, text: &str) -> Self {
        let (name, optional) = match text.strip_suffix('!') {
            Some(name) => (name, false),
            None => (text.strip_suffix('?').unwrap_or(text), true),
        };
        let schema = match what {
            What::Topic | What::Static => Schema::string(),
            What::Partition => Schema::int32(),
            What::Offset => Schema::int64(),
            What::Timestamp => Schema::int64().name(logical::TIMESTAMP).version(1),
        };
        Self {
            what,
            name: Arc::from(name),
            schema: schema.set_optional(optional).build(),
        }
    }
}

/// The transformation.
pub struct InsertField {
    part: Part,
    insertions: Vec<Insertion>,
    sources: Sources,
    replace_null: bool,
    plans: Cache<u64, (SchemaRef, Defaults)>,
}

impl InsertField {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let insertions: Vec<_> = [
            (What::Topic, "topic.field"),
            (What::Partition, "partition.field"),
            (What::Offset, "offset.field"),
            (What::Timestamp, "timestamp.field"),
            (What::Static, "static.field"),
        ]
        .into_iter()
        .filter_map(|(what, option)| Some(Insertion::parse(what, parsed.text(option)?)))
        .collect();
        if insertions.is_empty() {
            return Err(Error::config("No field insertion configured"));
        }
        let constant = parsed.text("static.value");
        if let (Some(field), None) = (parsed.text("static.field"), constant) {
            return Err(Error::config(format!(
                "Invalid value null for configuration static.value: No value specified for static field: {field}"
            )));
        }
        Ok(Self {
            part,
            insertions,
            sources: Sources {
                constant: constant.unwrap_or_default().into(),
                topics: ByTopic::new(),
            },
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

/// What the fields are filled from.
struct Sources {
    constant: ByteString,
    topics: ByTopic<ByteString>,
}

impl Sources {
    fn value(&mut self, what: What, record: &Record, origin: Option<&Origin>) -> Result<Value> {
        Ok(match what {
            What::Topic => {
                let topic = self
                    .topics
                    .get_or_make(&record.topic, |topic| ByteString::from(topic));
                Value::String(topic.clone())
            }
            What::Partition => record.partition.map_or(Value::Null, Value::Int32),
            What::Offset => match origin {
                Some(origin) => Value::Int64(origin.offset),
                None => {
                    return Err(Error::data(format!(
                        "Only SinkRecord supported for [{PURPOSE}], found: \
                         org.apache.kafka.connect.source.SourceRecord"
                    )));
                }
            },
            What::Timestamp => record.timestamp.map_or(Value::Null, Value::Int64),
            What::Static => Value::String(self.constant.clone()),
        })
    }
}

impl Transformation for InsertField {
    fn apply(&mut self, mut record: Record, origin: Option<&Origin>) -> Result<Option<Record>> {
        if self.part.value(&record).is_null() {
            return Ok(Some(record));
        }
        let (schema, value) = self.part.take(&mut record);
        if schema.is_none() {
            let mut entries = require_map(value, PURPOSE)?;
            for insertion in &self.insertions {
                let value = self.sources.value(insertion.what, &record, origin)?;
                if !value.is_null() {
                    put(&mut entries, &insertion.name, value);
                }
            }
            self.part.put(&mut record, None, Value::Map(entries));
            return Ok(Some(record));
        }
        let row = require_struct(value, PURPOSE)?;
        let (insertions, replace_null) = (&self.insertions, self.replace_null);
        let (schema, mut values) = row.into_parts();
        let (extended, defaults) = self.plans.get_or_make(schema.id(), || {
            let mut builder = schema.to_basics();
            for insertion in insertions {
                unique(&schema, &insertion.name)?;
                builder = builder.field(insertion.name.clone(), insertion.schema.clone());
            }
            Ok::<_, Error>((builder.build(), Defaults::of(&schema, replace_null)))
        })?;
        let extended = extended.clone();
        defaults.fill(&mut values);
        let mut values = values.into_vec();
        for insertion in &self.insertions {
            values.push(self.sources.value(insertion.what, &record, origin)?);
        }
        let value = Value::Struct(Struct::new(extended.clone(), values));
        self.part.put(&mut record, Some(extended), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::record::TimestampType;

    fn insert(options: &[(&str, &str)]) -> Result<InsertField> {
        InsertField::new(Part::Value, &options.iter().copied().collect())
    }

    fn record() -> Record {
        let mut record = Record::new("orders");
        record.partition = Some(3);
        record.timestamp = Some(1000);
        record
    }

    #[test]
    fn what_is_known_about_a_record_becomes_fields() {
        let schema = Schema::structure()
            .field("id", Schema::int32().optional().default(Value::Int32(9)).build())
            .build();
        let mut with_schema = record();
        with_schema.value_schema = Some(schema.clone());
        with_schema.value = Value::Struct(Struct::new(schema, vec![Value::Null]));
        let origin = Origin {
            topic: Arc::from("orders"),
            partition: 3,
            offset: 42,
            timestamp_type: TimestampType::CreateTime,
        };
        let options = [
            ("topic.field", "t!"),
            ("partition.field", "p"),
            ("offset.field", "o?"),
            ("timestamp.field", "ts"),
            ("static.field", "s"),
            ("static.value", "const"),
        ];
        let mut all = insert(&options).unwrap();
        let applied = all.apply(with_schema, Some(&origin)).unwrap().unwrap();
        assert_eq!(
            applied.value.as_struct().unwrap().values(),
            [
                Value::Int32(9),
                "orders".into(),
                Value::Int32(3),
                Value::Int64(42),
                Value::Int64(1000),
                "const".into(),
            ]
        );
        let schema = applied.value_schema.unwrap();
        let shape: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| (field.name().to_string(), field.schema().is_optional()))
            .collect();
        assert_eq!(shape[1..3], [("t".to_owned(), false), ("p".to_owned(), true)]);
        assert!(schema.field("ts").unwrap().schema().is_named(logical::TIMESTAMP));

        let mut schemaless = record();
        schemaless.value = Value::Map(vec![]);
        assert_eq!(
            all.apply(schemaless, None).unwrap_err().message(),
            "Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord"
        );
    }

    #[test]
    fn options_that_do_not_fit_are_named_and_nulls_pass() {
        let error = |options: &[(&str, &str)]| insert(options).map(drop).unwrap_err().to_string();
        assert_eq!(error(&[]), "No field insertion configured");
        assert!(error(&[("static.field", "f")]).contains("No value specified for static field: f"));
        let mut topic = insert(&[("topic.field", "t")]).unwrap();
        assert_eq!(topic.apply(record(), None).unwrap(), Some(record()));
        let mut map = record();
        map.value = Value::Map(vec![("t".into(), "old".into())]);
        assert_eq!(
            topic.apply(map, None).unwrap().unwrap().value,
            Value::Map(vec![("t".into(), "orders".into())])
        );
    }
}
