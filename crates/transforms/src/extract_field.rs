//! `org.apache.kafka.connect.transforms.ExtractField`: one field in the place of the whole.

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator};
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Value};

use crate::field_path::{FieldPath, Place};
use crate::part::{CACHED, Part, REPLACE_NULL, key_and_value, require_map, require_struct};

const PURPOSE: &str = "field extraction";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("field", Kind::String, "The field's name or path.")
        .required()
        .importance(Importance::Medium),
    REPLACE_NULL,
    ConfigKey::new(
        "field.syntax.version",
        Kind::String,
        "How the field is written: V1, a name; V2, a path of names joined by dots, in backticks where a name has dots.",
    )
    .default("V1")
    .valid(Validator::OneOfIgnoringCase(&["V1", "V2"]))
    .importance(Importance::High),
]);

key_and_value!("ExtractField", ExtractField);

/// The transformation.
pub struct ExtractField {
    part: Part,
    text: String,
    path: FieldPath,
    replace_null: bool,
    places: Cache<u64, Place>,
}

impl ExtractField {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let text = parsed.required("field")?;
        let nested = parsed
            .required("field.syntax.version")?
            .eq_ignore_ascii_case("V2");
        Ok(Self {
            part,
            text: text.to_owned(),
            path: FieldPath::parse(text, nested)?,
            replace_null: parsed.boolean("replace.null.with.default")?,
            places: Cache::new(CACHED),
        })
    }
}

impl Transformation for ExtractField {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let value = match value {
                Value::Null => Value::Null,
                value => self.path.of_map(Value::Map(require_map(value, PURPOSE)?))?,
            };
            self.part.put(&mut record, None, value);
            return Ok(Some(record));
        };
        let (path, text, replace_null) = (&self.path, &self.text, self.replace_null);
        let place = self.places.get_or_make(schema.id(), || {
            path.find(&schema, replace_null).ok_or_else(|| {
                Error::data(format!("Unknown field: {text}")).exception("java.lang.IllegalArgumentException")
            })
        })?;
        let value = match value {
            Value::Null => Value::Null,
            value => place.take(Value::Struct(require_struct(value, PURPOSE)?)),
        };
        let schema = place.schema.clone();
        self.part.put(&mut record, Some(schema), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::{Schema, Struct};

    fn extract(options: &[(&str, &str)]) -> ExtractField {
        ExtractField::new(Part::Key, &options.iter().copied().collect()).unwrap()
    }

    #[test]
    fn a_field_takes_the_place_of_the_whole() {
        let inner = Schema::structure()
            .field("x", Schema::int32().optional().default(Value::Int32(5)).build())
            .optional()
            .build();
        let schema = Schema::structure().field("in", inner.clone()).build();
        let record = |value| {
            let mut record = Record::new("t");
            record.key_schema = Some(schema.clone());
            record.key = Value::Struct(Struct::new(schema.clone(), vec![value]));
            record
        };
        let full = || record(Value::Struct(Struct::new(inner.clone(), vec![Value::Null])));
        let v2 = ("field.syntax.version", "v2");
        let applied = extract(&[("field", "in.x"), v2])
            .apply(full(), None)
            .unwrap()
            .unwrap();
        assert_eq!(applied.key, Value::Int32(5));
        let keep = [("field", "in.x"), v2, ("replace.null.with.default", "false")];
        assert_eq!(
            extract(&keep).apply(full(), None).unwrap().unwrap().key,
            Value::Null
        );
        let applied = extract(&[("field", "in.x"), v2])
            .apply(record(Value::Null), None)
            .unwrap()
            .unwrap();
        assert_eq!(applied.key, Value::Null);
        let error = extract(&[("field", "in.x")]).apply(full(), None).unwrap_err();
        assert_eq!(error.message(), "Unknown field: in.x");
    }

    #[test]
    fn maps_without_a_schema_and_nulls_are_read_too() {
        let mut record = Record::new("t");
        record.key = Value::Map(vec![("a".into(), "b".into())]);
        let applied = extract(&[("field", "a")]).apply(record, None).unwrap().unwrap();
        assert_eq!(applied.key, "b".into());
        let applied = extract(&[("field", "a")])
            .apply(Record::new("t"), None)
            .unwrap()
            .unwrap();
        assert_eq!(applied.key, Value::Null);
        let mut number = Record::new("t");
        number.key = Value::Int64(1);
        assert_eq!(
            extract(&[("field", "a")])
                .apply(number, None)
                .unwrap_err()
                .message(),
            "Only Map objects supported in absence of schema for [field extraction], found: java.lang.Long"
        );
    }
}
