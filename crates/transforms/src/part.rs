//! Key or value: most transformations come for both.

use tapline_api::config::{ConfigKey, Importance, Kind};
use tapline_api::{Error, Record, Schema, SchemaRef, Struct, Value};

/// Which of the two a transformation works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

impl Part {
    pub(crate) fn value(self, record: &Record) -> &Value {
        match self {
            Self::Key => &record.key,
            Self::Value => &record.value,
        }
    }

    /// Takes schema and value out of the record.
    pub(crate) fn take(self, record: &mut Record) -> (Option<SchemaRef>, Value) {
        match self {
            Self::Key => (record.key_schema.take(), std::mem::take(&mut record.key)),
            Self::Value => (record.value_schema.take(), std::mem::take(&mut record.value)),
        }
    }

    pub(crate) fn put(self, record: &mut Record, schema: Option<SchemaRef>, value: Value) {
        match self {
            Self::Key => (record.key_schema, record.key) = (schema, value),
            Self::Value => (record.value_schema, record.value) = (schema, value),
        }
    }
}

/// The struct of a value, or Kafka's refusal (`Requirements.requireStruct`).
pub(crate) fn require_struct(value: Value, purpose: &str) -> Result<Struct, Error> {
    match value {
        Value::Struct(row) => Ok(row),
        other => Err(Error::data(format!(
            "Only Struct objects supported for [{purpose}], found: {}",
            other.java_class()
        ))),
    }
}

/// The map of a value without a schema, or Kafka's refusal (`Requirements.requireMap`).
pub(crate) fn require_map(value: Value, purpose: &str) -> Result<Vec<(Value, Value)>, Error> {
    match value {
        Value::Map(entries) => Ok(entries),
        other => Err(Error::data(format!(
            "Only Map objects supported in absence of schema for [{purpose}], found: {}",
            other.java_class()
        ))),
    }
}

/// A failed requirement of Java's `SchemaBuilder`: two fields of one name.
pub(crate) fn unique(schema: &Schema, name: &str) -> Result<(), Error> {
    if schema.field_index(name).is_none() {
        return Ok(());
    }
    Err(Error::data(format!(
        "Cannot create field because of field name duplication {name}"
    ))
    .exception("org.apache.kafka.connect.errors.SchemaBuilderException"))
}

/// What null becomes where `replace.null.with.default` is on: the field's default.
#[derive(Debug, Default)]
pub(crate) struct Defaults(Vec<(usize, Value)>);

impl Defaults {
    /// Of a struct's fields; none if the option is off.
    pub(crate) fn of(schema: &Schema, enabled: bool) -> Self {
        Self(
            schema
                .fields()
                .iter()
                .enumerate()
                .filter(|_| enabled)
                .filter_map(|(index, field)| Some((index, field.schema().default()?.clone())))
                .collect(),
        )
    }

    /// Fills them in.
    pub(crate) fn fill(&self, values: &mut [Value]) {
        for (index, default) in &self.0 {
            if let Some(value @ Value::Null) = values.get_mut(*index) {
                *value = default.clone();
            }
        }
    }
}

/// Sets an entry of a map without a schema, in its old place or at the end.
pub(crate) fn put(entries: &mut Vec<(Value, Value)>, name: &str, value: Value) {
    match entries.iter_mut().find(|(key, _)| key.as_str() == Some(name)) {
        Some(entry) => entry.1 = value,
        None => entries.push((Value::from(name.to_owned()), value)),
    }
}

/// An entry of a map without a schema.
pub(crate) fn get<'a>(entries: &'a [(Value, Value)], name: &str) -> Option<&'a Value> {
    entries
        .iter()
        .find(|(key, _)| key.as_str() == Some(name))
        .map(|(_, value)| value)
}

/// The option that many of Kafka's transformations have.
pub(crate) const REPLACE_NULL: ConfigKey = ConfigKey::new(
    "replace.null.with.default",
    Kind::Boolean,
    "Whether null in a field that has a default becomes that default.",
)
.default("true")
.importance(Importance::Medium);

/// How many schemas a transformation remembers.
pub(crate) const CACHED: usize = 1000;

/// The plugins `KEY` and `VALUE` of one of Kafka's transformations, made by `new(Part, &Config)`.
macro_rules! key_and_value {
    ($name:literal, $transformation:ident) => {
        /// The plugin for keys.
        pub const KEY: tapline_api::connector::TransformPlugin = tapline_api::connector::TransformPlugin {
            class: concat!("org.apache.kafka.connect.transforms.", $name, "$Key"),
            version: tapline_api::KAFKA_VERSION,
            config: &CONFIG,
            new: |config| {
                Ok(Box::new($transformation::new(
                    crate::part::Part::Key,
                    config,
                )?))
            },
        };

        /// The plugin for values.
        pub const VALUE: tapline_api::connector::TransformPlugin = tapline_api::connector::TransformPlugin {
            class: concat!("org.apache.kafka.connect.transforms.", $name, "$Value"),
            version: tapline_api::KAFKA_VERSION,
            config: &CONFIG,
            new: |config| {
                Ok(Box::new($transformation::new(
                    crate::part::Part::Value,
                    config,
                )?))
            },
        };
    };
}
pub(crate) use key_and_value;
