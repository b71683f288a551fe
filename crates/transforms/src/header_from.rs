//! `org.apache.kafka.connect.transforms.HeaderFrom`: fields into headers.

use std::sync::Arc;

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator};
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Header, Record, Result, SchemaRef, Struct, Value};

use crate::part::{CACHED, Defaults, Part, REPLACE_NULL, get, key_and_value, require_map, require_struct};
use crate::validate::NON_EMPTY_LIST;

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("fields", Kind::List, "Fields to put into headers.")
        .required()
        .valid(NON_EMPTY_LIST)
        .importance(Importance::High),
    ConfigKey::new(
        "headers",
        Kind::List,
        "Keys of the headers, one per field and in that order.",
    )
    .required()
    .valid(NON_EMPTY_LIST)
    .importance(Importance::High),
    ConfigKey::new(
        "operation",
        Kind::String,
        "move, which removes the fields, or copy, which keeps them.",
    )
    .required()
    .valid(Validator::OneOf(&["move", "copy"]))
    .importance(Importance::High),
    REPLACE_NULL,
]);

key_and_value!("HeaderFrom", HeaderFrom);

/// The transformation.
pub struct HeaderFrom {
    part: Part,
    fields: Vec<String>,
    headers: Vec<Arc<str>>,
    moves: bool,
    replace_null: bool,
    plans: Cache<u64, Plan>,
}

struct Plan {
    /// Place and schema of each field, in the order of the options.
    fields: Vec<(usize, SchemaRef)>,
    defaults: Defaults,
    /// Without the fields.
    rest: SchemaRef,
    kept: Vec<usize>,
}

impl HeaderFrom {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let (fields, headers) = (parsed.list("fields"), parsed.list("headers"));
        if fields.len() != headers.len() {
            return Err(Error::config(
                "'fields' config must have the same number of elements as 'headers' config.",
            ));
        }
        Ok(Self {
            part,
            fields: fields.to_vec(),
            headers: headers.iter().map(|name| Arc::from(name.as_str())).collect(),
            moves: parsed.required("operation")? == "move",
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }

    fn purpose(&self) -> &'static str {
        if self.moves { "header move" } else { "header copy" }
    }

    fn plan(fields: &[String], replace_null: bool, schema: &SchemaRef) -> Result<Plan> {
        let places = fields
            .iter()
            .map(|name| match (schema.field_index(name), schema.field(name)) {
                (Some(index), Some(field)) => Ok((index, field.schema().clone())),
                _ => Err(Error::data(format!("Field does not exist: {name}"))),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Plan {
            rest: schema
                .to_basics()
                .retain_fields(|field| !fields.iter().any(|name| **name == **field.name()))
                .build(),
            kept: (0..schema.fields().len())
                .filter(|index| !places.iter().any(|(place, _)| place == index))
                .collect(),
            fields: places,
            defaults: Defaults::of(schema, replace_null),
        })
    }
}

impl Transformation for HeaderFrom {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let mut entries = require_map(value, self.purpose())?;
            let found: Vec<Value> = self
                .fields
                .iter()
                .map(|name| get(&entries, name).cloned().unwrap_or_default())
                .collect();
            if self.moves {
                entries.retain(|(key, _)| !self.fields.iter().any(|name| key.as_str() == Some(name)));
            }
            for (key, value) in self.headers.iter().zip(found) {
                record.headers.push(Header {
                    key: key.clone(),
                    schema: None,
                    value,
                });
            }
            self.part.put(&mut record, None, Value::Map(entries));
            return Ok(Some(record));
        };
        let row = require_struct(value, self.purpose())?;
        let (fields, replace_null) = (&self.fields, self.replace_null);
        let plan = self.plans.get_or_make(row.schema().id(), || {
            Self::plan(fields, replace_null, row.schema())
        })?;
        let mut row = row;
        let mut filled = row.values().to_vec();
        plan.defaults.fill(&mut filled);
        for (key, (index, schema)) in self.headers.iter().zip(&plan.fields) {
            record.headers.push(Header {
                key: key.clone(),
                schema: Some(schema.clone()),
                value: filled.get(*index).cloned().unwrap_or_default(),
            });
        }
        let mut schema = schema;
        if self.moves {
            let kept = plan
                .kept
                .iter()
                .map(|index| filled.get_mut(*index).map(std::mem::take).unwrap_or_default())
                .collect();
            schema = plan.rest.clone();
            row = Struct::new(schema.clone(), kept);
        }
        self.part.put(&mut record, Some(schema), Value::Struct(row));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Schema;

    fn transform(operation: &str) -> HeaderFrom {
        let config = Config::from_iter([("fields", "b,a"), ("headers", "hb,ha"), ("operation", operation)]);
        HeaderFrom::new(Part::Value, &config).unwrap()
    }

    #[test]
    fn fields_are_moved_or_copied_into_headers() {
        let schema = Schema::structure()
            .field("a", Schema::int32().optional().default(Value::Int32(7)).build())
            .field("b", Schema::string().build())
            .field("c", Schema::boolean().build())
            .build();
        for (operation, left) in [("move", 1), ("copy", 3)] {
            let mut record = Record::new("t");
            record.value_schema = Some(schema.clone());
            let values = vec![Value::Null, "x".into(), Value::Boolean(true)];
            record.value = Value::Struct(Struct::new(schema.clone(), values));
            let applied = transform(operation).apply(record, None).unwrap().unwrap();
            assert_eq!(applied.value.as_struct().unwrap().values().len(), left);
            assert_eq!(applied.value_schema.unwrap().fields().len(), left);
            assert_eq!(applied.headers.last("ha").unwrap().value, Value::Int32(7));
            assert_eq!(applied.headers.last("hb").unwrap().value, "x".into());
        }
    }

    #[test]
    fn maps_without_a_schema_have_fields_too() {
        let mut record = Record::new("t");
        record.value = Value::Map(vec![("a".into(), Value::Int64(1)), ("c".into(), Value::Int64(2))]);
        let applied = transform("move").apply(record, None).unwrap().unwrap();
        assert_eq!(applied.value, Value::Map(vec![("c".into(), Value::Int64(2))]));
        assert_eq!(applied.headers.last("hb").unwrap().value, Value::Null);
    }
}
