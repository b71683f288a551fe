//! `org.apache.kafka.connect.transforms.ValueToKey`: a key of some of the value's fields.

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::connector::TransformPlugin;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Error, KAFKA_VERSION, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::part::{CACHED, REPLACE_NULL, get};
use crate::validate::NON_EMPTY_LIST;

const PURPOSE: &str = "copying fields from value to key";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "fields",
        Kind::List,
        "The value's fields that make the key, in order.",
    )
    .required()
    .valid(NON_EMPTY_LIST)
    .importance(Importance::High),
    REPLACE_NULL,
]);

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "org.apache.kafka.connect.transforms.ValueToKey",
    version: KAFKA_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(ValueToKey::new(config)?)),
};

/// The transformation.
pub struct ValueToKey {
    fields: Vec<String>,
    replace_null: bool,
    plans: Cache<u64, Plan>,
}

struct Plan {
    schema: SchemaRef,
    /// Place in the value, and what stands for null.
    fields: Vec<(usize, Option<Value>)>,
}

impl ValueToKey {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        Ok(Self {
            fields: parsed.list("fields").to_vec(),
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

fn plan(names: &[String], replace_null: bool, schema: &Schema) -> Result<Plan> {
    let mut key = Schema::structure();
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let (Some(index), Some(field)) = (schema.field_index(name), schema.field(name)) else {
            return Err(Error::data(format!("Field does not exist: {name}")));
        };
        key = key.field(name.as_str(), field.schema().clone());
        fields.push((index, field.schema().default().filter(|_| replace_null).cloned()));
    }
    Ok(Plan {
        schema: key.build(),
        fields,
    })
}

impl Transformation for ValueToKey {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let what = match (&record.value_schema, &record.value) {
            (None, Value::Map(entries)) => {
                let key = self
                    .fields
                    .iter()
                    .map(|name| {
                        let value = get(entries, name).cloned().unwrap_or_default();
                        (Value::from(name.clone()), value)
                    })
                    .collect();
                (record.key_schema, record.key) = (None, Value::Map(key));
                return Ok(Some(record));
            }
            (Some(_), Value::Struct(row)) => {
                let (names, replace_null) = (&self.fields, self.replace_null);
                let plan = self
                    .plans
                    .get_or_make(row.schema().id(), || plan(names, replace_null, row.schema()))?;
                let values = plan
                    .fields
                    .iter()
                    .map(|(index, default)| match (row.at(*index), default) {
                        (None | Some(Value::Null), Some(default)) => default.clone(),
                        (value, _) => value.cloned().unwrap_or_default(),
                    })
                    .collect();
                let schema = plan.schema.clone();
                record.key = Value::Struct(Struct::new(schema.clone(), values));
                record.key_schema = Some(schema);
                return Ok(Some(record));
            }
            (None, _) => "Only Map objects supported in absence of schema",
            (Some(_), _) => "Only Struct objects supported",
        };
        Err(Error::data(format!(
            "{what} for [{PURPOSE}], found: {}",
            record.value.java_class()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_of_the_values_fields() {
        let mut transform = ValueToKey::new(&Config::from_iter([("fields", "b,a")])).unwrap();
        let schema = Schema::structure()
            .field("a", Schema::int32().optional().default(Value::Int32(1)).build())
            .field("b", Schema::string().build())
            .build();
        let mut record = Record::new("t");
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(schema, vec![Value::Null, "x".into()]));
        let applied = transform.apply(record, None).unwrap().unwrap();
        assert_eq!(
            applied.key.as_struct().unwrap().values(),
            ["x".into(), Value::Int32(1)]
        );
        let mut map = Record::new("t");
        map.value = Value::Map(vec![("a".into(), Value::Int64(1))]);
        let applied = transform.apply(map, None).unwrap().unwrap();
        assert_eq!(
            applied.key,
            Value::Map(vec![("b".into(), Value::Null), ("a".into(), Value::Int64(1))])
        );
        assert_eq!(
            transform.apply(Record::new("t"), None).unwrap_err().message(),
            "Only Map objects supported in absence of schema for [copying fields from value to key], found: null"
        );
    }
}
