//! `org.apache.kafka.connect.transforms.MaskField`: zero, empty or a replacement in the place of a field's value.

use std::collections::HashSet;

use bytes::Bytes;
use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator};
use tapline_api::record::Origin;
use tapline_api::schema::logical;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Schema, Struct, Type, Value};
use tapline_formats::number::parse_decimal;

use crate::part::{
    CACHED, Defaults, Part, REPLACE_NULL, get, key_and_value, put, require_map, require_struct,
};
use crate::validate::NON_EMPTY_LIST;

const PURPOSE: &str = "mask fields";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("fields", Kind::List, "Fields to mask.")
        .required()
        .valid(NON_EMPTY_LIST)
        .importance(Importance::High),
    ConfigKey::new(
        "replacement",
        Kind::String,
        "What numbers and strings become instead of zero and empty.",
    )
    .valid(Validator::NonEmpty),
    REPLACE_NULL,
]);

key_and_value!("MaskField", MaskField);

/// The transformation.
pub struct MaskField {
    part: Part,
    fields: HashSet<String>,
    replacement: Option<String>,
    replace_null: bool,
    plans: Cache<u64, Plan>,
}

struct Plan {
    /// The mask of each masked field, or why it can't have one.
    masks: Vec<(usize, Result<Value, String>)>,
    defaults: Defaults,
}

impl MaskField {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        Ok(Self {
            part,
            fields: parsed.list("fields").iter().cloned().collect(),
            replacement: parsed.text("replacement").map(str::to_owned),
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

impl Transformation for MaskField {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let (schema, value) = self.part.take(&mut record);
        let replacement = self.replacement.as_deref();
        if schema.is_none() {
            let mut entries = require_map(value, PURPOSE)?;
            for name in &self.fields {
                let masked = match get(&entries, name) {
                    None | Some(Value::Null) => Value::Null,
                    Some(value) => mask_of_value(value, replacement).map_err(Error::data)?,
                };
                put(&mut entries, name, masked);
            }
            self.part.put(&mut record, None, Value::Map(entries));
            return Ok(Some(record));
        }
        let mut row = require_struct(value, PURPOSE)?;
        let (fields, replace_null) = (&self.fields, self.replace_null);
        let plan = self.plans.get_or_make(row.schema().id(), || {
            let schema = row.schema();
            Ok::<_, Error>(Plan {
                masks: schema
                    .fields()
                    .iter()
                    .enumerate()
                    .filter(|(_, field)| fields.contains(&**field.name()))
                    .map(|(index, field)| (index, mask_of_schema(field.schema(), replacement)))
                    .collect(),
                defaults: Defaults::of(schema, replace_null),
            })
        })?;
        plan.defaults.fill(row.values_mut());
        for (index, mask) in &plan.masks {
            if let Some(value) = row.values_mut().get_mut(*index)
                && !value.is_null()
            {
                *value = mask.clone().map_err(Error::data)?;
            }
        }
        let value = Value::Struct(Struct::new(row.schema().clone(), row.into_parts().1.into_vec()));
        self.part.put(&mut record, schema, value);
        Ok(Some(record))
    }
}

/// The mask of a field with a schema.
fn mask_of_schema(schema: &Schema, replacement: Option<&str>) -> Result<Value, String> {
    let name = schema.name().map(|name| &**name);
    match (schema.kind(), name, replacement) {
        (_, Some(logical::DATE | logical::TIME | logical::TIMESTAMP), Some(_)) => {
            Err("Cannot mask value of type class java.util.Date with custom replacement.".to_owned())
        }
        (Type::Bytes, Some(logical::DECIMAL), None) => Ok(Value::Bytes(Bytes::from_static(&[0]))),
        (Type::Bytes, Some(logical::DECIMAL), Some(text)) => {
            let scale = schema
                .parameter(logical::SCALE)
                .and_then(|scale| scale.parse().ok());
            parse_decimal(text, scale.unwrap_or(0))
                .map(|unscaled| Value::Bytes(Bytes::from(unscaled)))
                .ok_or_else(|| not_a_number(text))
        }
        (kind, ..) => mask_of_value(
            &match kind {
                Type::Int8 => Value::Int8(0),
                Type::Int16 => Value::Int16(0),
                Type::Int32 => Value::Int32(0),
                Type::Int64 => Value::Int64(0),
                Type::Float32 => Value::Float32(0.0),
                Type::Float64 => Value::Float64(0.0),
                Type::Boolean => Value::Boolean(false),
                Type::String => "".into(),
                Type::Bytes => Value::Bytes(Bytes::new()),
                Type::Array => Value::Array(Vec::new()),
                Type::Map => Value::Map(Vec::new()),
                Type::Struct => {
                    return Err(refused(
                        "org.apache.kafka.connect.data.Struct",
                        replacement.is_some(),
                    ));
                }
            },
            replacement,
        ),
    }
}

/// The mask of a value by its type alone.
fn mask_of_value(value: &Value, replacement: Option<&str>) -> Result<Value, String> {
    let Some(text) = replacement else {
        return Ok(match value {
            Value::Int8(_) => Value::Int8(0),
            Value::Int16(_) => Value::Int16(0),
            Value::Int32(_) => Value::Int32(0),
            Value::Int64(_) => Value::Int64(0),
            Value::Float32(_) => Value::Float32(0.0),
            Value::Float64(_) => Value::Float64(0.0),
            Value::Boolean(_) => Value::Boolean(false),
            Value::String(_) => "".into(),
            Value::Array(_) => Value::Array(Vec::new()),
            Value::Map(_) => Value::Map(Vec::new()),
            other => return Err(refused(other.java_class(), false)),
        });
    };
    // Java parses a decimal number and then keeps as many bits as the type has.
    let number = || {
        text.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| not_a_number(text))
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "as Java's longValue, byteValue and so on do"
    )]
    let integer = || match text.parse::<i64>() {
        Ok(number) => Ok(number),
        Err(_) => number().map(|number| number as i64),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "as Java's byteValue, floatValue and so on do"
    )]
    Ok(match value {
        Value::Int8(_) => Value::Int8(integer()? as i8),
        Value::Int16(_) => Value::Int16(integer()? as i16),
        Value::Int32(_) => Value::Int32(integer()? as i32),
        Value::Int64(_) => Value::Int64(integer()?),
        Value::Float32(_) => Value::Float32(number()? as f32),
        Value::Float64(_) => Value::Float64(number()?),
        Value::String(_) => Value::from(text.to_owned()),
        other => return Err(refused(other.java_class(), true)),
    })
}

fn refused(class: &str, custom: bool) -> String {
    if custom {
        format!("Cannot mask value of type class {class} with custom replacement.")
    } else {
        format!("Cannot mask value of type: class {class}")
    }
}

fn not_a_number(text: &str) -> String {
    format!("Unable to convert {text} (class java.lang.String) to a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(options: &[(&str, &str)], schema: Schema2, value: Value) -> Result<Value> {
        let mut options = options.to_vec();
        options.push(("fields", "f"));
        let mut mask = MaskField::new(Part::Value, &options.into_iter().collect())?;
        let schema = Schema::structure()
            .field("f", schema)
            .field("g", Schema::int8().build())
            .build();
        let mut record = Record::new("t");
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(schema, vec![value, Value::Int8(1)]));
        let applied = mask.apply(record, None)?.unwrap();
        let values = applied.value.as_struct().unwrap().values();
        assert_eq!(values[1], Value::Int8(1));
        Ok(values[0].clone())
    }

    type Schema2 = tapline_api::SchemaRef;

    #[test]
    fn values_become_zero_empty_or_the_replacement() {
        let decimal = Schema::bytes()
            .name(logical::DECIMAL)
            .parameter("scale", "1")
            .build();
        let with = [("replacement", "12")];
        for (schema, value, zero, replaced) in [
            (
                Schema::int32().build(),
                Value::Int32(5),
                Value::Int32(0),
                Some(Value::Int32(12)),
            ),
            (
                Schema::float32().build(),
                Value::Float32(5.0),
                Value::Float32(0.0),
                Some(Value::Float32(12.0)),
            ),
            (Schema::string().build(), "x".into(), "".into(), Some("12".into())),
            (
                Schema::boolean().build(),
                Value::Boolean(true),
                Value::Boolean(false),
                None,
            ),
            (
                decimal,
                Value::Bytes(Bytes::from_static(&[9])),
                Value::Bytes(Bytes::from_static(&[0])),
                Some(Value::Bytes(Bytes::from_static(&[120]))),
            ),
        ] {
            assert_eq!(masked(&[], schema.clone(), value.clone()).unwrap(), zero);
            assert_eq!(masked(&with, schema, value).ok(), replaced);
        }
        let optional = Schema::int32().optional().build();
        assert_eq!(masked(&[], optional, Value::Null).unwrap(), Value::Null);
        assert_eq!(
            masked(&[("replacement", "x")], Schema::int32().build(), Value::Int32(1))
                .unwrap_err()
                .message(),
            "Unable to convert x (class java.lang.String) to a number"
        );
        assert_eq!(
            masked(&[("replacement", "300")], Schema::int8().build(), Value::Int8(1)).unwrap(),
            Value::Int8(44)
        );
    }
}
