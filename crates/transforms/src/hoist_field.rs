//! `org.apache.kafka.connect.transforms.HoistField`: the whole as the one field of a struct or map.

use std::sync::Arc;

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::part::{CACHED, Part, key_and_value};

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[ConfigKey::new("field", Kind::String, "The field's name.")
    .required()
    .importance(Importance::Medium)]);

key_and_value!("HoistField", HoistField);

/// The transformation.
pub struct HoistField {
    part: Part,
    field: Arc<str>,
    schemas: Cache<u64, SchemaRef>,
}

impl HoistField {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        Ok(Self {
            part,
            field: Arc::from(CONFIG.parse(config)?.required("field")?),
            schemas: Cache::new(CACHED),
        })
    }
}

impl Transformation for HoistField {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let value = Value::Map(vec![(Value::from(self.field.to_string()), value)]);
            self.part.put(&mut record, None, value);
            return Ok(Some(record));
        };
        let field = &self.field;
        let hoisted = self
            .schemas
            .get_or_make(schema.id(), || {
                Ok::<_, Error>(Schema::structure().field(field.clone(), schema.clone()).build())
            })?
            .clone();
        let value = Value::Struct(Struct::new(hoisted.clone(), vec![value]));
        self.part.put(&mut record, Some(hoisted), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_becomes_a_field() {
        let mut hoist = HoistField::new(Part::Value, &Config::from_iter([("field", "line")])).unwrap();
        let mut record = Record::new("t");
        record.value = "x".into();
        let applied = hoist.apply(record.clone(), None).unwrap().unwrap();
        assert_eq!(applied.value, Value::Map(vec![("line".into(), "x".into())]));
        record.value_schema = Some(Schema::string().build());
        let applied = hoist.apply(record, None).unwrap().unwrap();
        assert_eq!(applied.value.as_struct().unwrap().get("line"), Some(&"x".into()));
        assert!(applied.value_schema.unwrap().field("line").is_some());
    }
}
