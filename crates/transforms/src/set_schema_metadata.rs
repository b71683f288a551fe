//! `org.apache.kafka.connect.transforms.SetSchemaMetadata`: another name or version for a schema.

use std::sync::Arc;

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, SchemaRef, Struct, Value};

use crate::part::{CACHED, Defaults, Part, REPLACE_NULL, key_and_value};

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("schema.name", Kind::String, "The schema's new name.").importance(Importance::High),
    ConfigKey::new("schema.version", Kind::Int, "The schema's new version.").importance(Importance::High),
    REPLACE_NULL,
]);

key_and_value!("SetSchemaMetadata", SetSchemaMetadata);

/// The transformation.
pub struct SetSchemaMetadata {
    part: Part,
    name: Option<Arc<str>>,
    version: Option<i32>,
    replace_null: bool,
    plans: Cache<u64, (SchemaRef, Defaults)>,
}

impl SetSchemaMetadata {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let version = match parsed.value("schema.version") {
            tapline_api::config::ConfigValue::Integer(version) => i32::try_from(*version).ok(),
            _ => None,
        };
        let name = parsed.text("schema.name").map(Arc::from);
        if name.is_none() && version.is_none() {
            return Err(Error::config("Neither schema name nor version configured"));
        }
        Ok(Self {
            part,
            name,
            version,
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

impl Transformation for SetSchemaMetadata {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            if value.is_null() {
                return Ok(Some(record));
            }
            return Err(Error::data("Schema required for [updating schema metadata]"));
        };
        let (name, version, replace_null) = (&self.name, self.version, self.replace_null);
        let (named, defaults) = self.plans.get_or_make(schema.id(), || {
            let mut builder = schema.to_builder();
            if let Some(name) = name {
                builder = builder.name(name.clone());
            }
            if let Some(version) = version {
                builder = builder.version(version);
            }
            Ok::<_, Error>((builder.build(), Defaults::of(&schema, replace_null)))
        })?;
        let named = named.clone();
        let value = match value {
            Value::Struct(row) => {
                let mut values = row.into_parts().1;
                defaults.fill(&mut values);
                Value::Struct(Struct::new(named.clone(), values.into_vec()))
            }
            value => value,
        };
        self.part.put(&mut record, Some(named), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Schema;

    #[test]
    fn the_schema_gets_its_name_and_version_and_the_row_follows() {
        let config = Config::from_iter([("schema.name", "shop.Order"), ("schema.version", "3")]);
        let mut transform = SetSchemaMetadata::new(Part::Value, &config).unwrap();
        let schema = Schema::structure()
            .field("a", Schema::int32().build())
            .optional()
            .build();
        let mut record = Record::new("t");
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(schema, vec![Value::Int32(1)]));
        let applied = transform.apply(record, None).unwrap().unwrap();
        let schema = applied.value_schema.unwrap();
        assert_eq!(
            (schema.name().map(|n| &**n), schema.version()),
            (Some("shop.Order"), Some(3))
        );
        assert!(schema.is_optional());
        assert_eq!(applied.value.as_struct().unwrap().schema().id(), schema.id());
        assert!(transform.apply(Record::new("t"), None).is_ok());
        assert!(SetSchemaMetadata::new(Part::Value, &Config::new()).is_err());
    }
}
