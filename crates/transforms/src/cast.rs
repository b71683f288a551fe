//! `org.apache.kafka.connect.transforms.Cast`: fields, or the whole, in another primitive type.
//!
//! Numbers are cut to their new width as Java casts cut them; text is parsed, and must fit.

use bytes::BytesMut;
use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator};
use tapline_api::record::Origin;
use tapline_api::schema::logical;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Type, Value};
use tapline_formats::{number, values};

use crate::part::{
    CACHED, Defaults, Part, REPLACE_NULL, get, key_and_value, put, require_map, require_struct,
};

const PURPOSE: &str = "cast types";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "spec",
        Kind::List,
        "field:type pairs, or one type for the whole: int8, int16, int32, int64, float32, float64, boolean, string. Bytes can \
         become a string (base64) only.",
    )
    .required()
    .valid(Validator::Custom(check_spec))
    .importance(Importance::High),
    REPLACE_NULL,
]);

key_and_value!("Cast", Cast);

fn check_spec(_name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::List(items) => Spec::parse(items).err(),
        _ => Some("Must specify at least one field to cast.".to_owned()),
    }
}

enum Spec {
    Whole(Type),
    Fields(Vec<(String, Type)>),
}

impl Spec {
    fn parse(items: &[String]) -> Result<Self, String> {
        let mut fields = Vec::new();
        let mut whole = None;
        for item in items {
            let parts: Vec<&str> = item.split(':').map(str::trim).collect();
            match parts.as_slice() {
                [name] => whole = Some(output_type(name)?),
                [field, name] => fields.push(((*field).to_owned(), output_type(name)?)),
                _ => {
                    return Err(format!(
                        "Invalid value [{}] for configuration renames: Invalid rename mapping: {item}",
                        items.join(", ")
                    ));
                }
            }
        }
        match whole {
            Some(_) if items.len() > 1 => Err(
                "Cast transformations that specify a type to cast the entire value to may only specify a single cast \
                 in their spec"
                    .to_owned(),
            ),
            Some(kind) => Ok(Self::Whole(kind)),
            None if fields.is_empty() => Err("Must specify at least one field to cast.".to_owned()),
            None => Ok(Self::Fields(fields)),
        }
    }
}

fn output_type(name: &str) -> Result<Type, String> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "INT8" => Type::Int8,
        "INT16" => Type::Int16,
        "INT32" => Type::Int32,
        "INT64" => Type::Int64,
        "FLOAT32" => Type::Float32,
        "FLOAT64" => Type::Float64,
        "BOOLEAN" => Type::Boolean,
        "STRING" => Type::String,
        other @ ("BYTES" | "ARRAY" | "MAP" | "STRUCT") => {
            return Err(format!(
                "Cast transformation does not support casting to {other}; supported types are [INT8, INT16, INT32, INT64, \
                 FLOAT32, FLOAT64, BOOLEAN, STRING]"
            ));
        }
        _ => return Err(format!("Invalid type found in casting spec: {name}")),
    })
}

/// The transformation.
pub struct Cast {
    part: Part,
    spec: Spec,
    replace_null: bool,
    plans: Cache<u64, Plan>,
}

struct Plan {
    schema: SchemaRef,
    /// Place, new type and old schema of what is cast.
    casts: Vec<(usize, Type, SchemaRef)>,
    defaults: Defaults,
}

impl Cast {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        Ok(Self {
            part,
            spec: Spec::parse(parsed.list("spec")).map_err(Error::config)?,
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

/// The schema of a field, or of the whole, after the cast.
fn cast_schema(old: &Schema, kind: Type, keep_metadata: bool) -> Result<SchemaRef> {
    let mut builder = Schema::of(kind).set_optional(old.is_optional());
    if keep_metadata {
        if let Some(name) = old.name() {
            builder = builder.name(name.clone());
        }
        if let Some(version) = old.version() {
            builder = builder.version(version);
        }
        if let Some(doc) = old.doc() {
            builder = builder.doc(doc.clone());
        }
        for (name, value) in old.parameters() {
            builder = builder.parameter(name.clone(), value.clone());
        }
    }
    if let Some(default) = old.default() {
        builder = builder.default(cast(Some(old), default, kind)?);
    }
    Ok(builder.build())
}

fn plan(fields: &[(String, Type)], replace_null: bool, schema: &Schema) -> Result<Plan> {
    let mut builder = schema.to_builder();
    let mut casts = Vec::new();
    for (name, kind) in fields {
        if let (Some(index), Some(field)) = (schema.field_index(name), schema.field(name)) {
            builder = builder.replace_field(name, cast_schema(field.schema(), *kind, false)?);
            casts.push((index, *kind, field.schema().clone()));
        }
    }
    Ok(Plan {
        schema: builder.build(),
        casts,
        defaults: Defaults::of(schema, replace_null),
    })
}

impl Transformation for Cast {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        if self.part.value(&record).is_null() {
            return Ok(Some(record));
        }
        let (schema, value) = self.part.take(&mut record);
        match (&self.spec, schema) {
            (Spec::Whole(kind), None) => {
                let value = cast(None, &value, *kind)?;
                self.part.put(&mut record, None, value);
            }
            (Spec::Fields(fields), None) => {
                let mut entries = require_map(value, PURPOSE)?;
                for (name, kind) in fields {
                    let value = cast(None, get(&entries, name).unwrap_or(&Value::Null), *kind)?;
                    put(&mut entries, name, value);
                }
                self.part.put(&mut record, None, Value::Map(entries));
            }
            (Spec::Whole(kind), Some(schema)) => {
                let plan = self.plans.get_or_make(schema.id(), || {
                    Ok::<_, Error>(Plan {
                        schema: cast_schema(&schema, *kind, true)?,
                        casts: Vec::new(),
                        defaults: Defaults::default(),
                    })
                })?;
                let value = cast(Some(&schema), &value, *kind)?;
                let schema = plan.schema.clone();
                self.part.put(&mut record, Some(schema), value);
            }
            (Spec::Fields(fields), Some(_)) => {
                let (schema, mut values) = require_struct(value, PURPOSE)?.into_parts();
                let replace_null = self.replace_null;
                let plan = self
                    .plans
                    .get_or_make(schema.id(), || plan(fields, replace_null, &schema))?;
                plan.defaults.fill(&mut values);
                for (index, kind, schema) in &plan.casts {
                    if let Some(value) = values.get_mut(*index) {
                        *value = cast(Some(schema), value, *kind)?;
                    }
                }
                let schema = plan.schema.clone();
                let value = Value::Struct(Struct::new(schema.clone(), values.into_vec()));
                self.part.put(&mut record, Some(schema), value);
            }
        }
        Ok(Some(record))
    }
}

/// One value in another type.
fn cast(schema: Option<&Schema>, value: &Value, kind: Type) -> Result<Value> {
    let input = match value {
        Value::Null => return Ok(Value::Null),
        Value::Array(_) => Some(Type::Array),
        Value::Map(_) => Some(Type::Map),
        Value::Struct(_) => Some(Type::Struct),
        _ => None,
    };
    if let Some(input) = input {
        return Err(Error::data(format!(
            "Cast transformation does not support casting from {}; supported types are [INT8, INT16, INT32, INT64, FLOAT32, \
             FLOAT64, BOOLEAN, STRING, BYTES]",
            input.constant()
        )));
    }
    if kind == Type::String {
        let mut out = BytesMut::new();
        values::push_value(&mut out, schema, value, false);
        return Ok(Value::from(String::from_utf8_lossy(&out).into_owned()));
    }
    let text = match (value, schema) {
        (Value::String(text), _) => Some(text.to_string()),
        // A BigDecimal is a number.
        (Value::Bytes(unscaled), Some(schema)) if schema.is_named(logical::DECIMAL) => {
            let mut out = BytesMut::new();
            let scale = schema
                .parameter(logical::SCALE)
                .and_then(|scale| scale.parse().ok());
            number::push_decimal(&mut out, unscaled, scale.unwrap_or(0));
            let text = String::from_utf8_lossy(&out).into_owned();
            return match text.parse::<i64>() {
                Ok(number) => Ok(from_integer(number, kind)),
                Err(_) => Ok(from_double(text.parse().unwrap_or(0.0), kind)),
            };
        }
        _ => None,
    };
    if let Some(text) = text {
        return parse(&text, kind)
            .ok_or_else(|| Error::data(format!("Value ({text}) was out of range for requested data type")));
    }
    match value {
        Value::Boolean(b) => Ok(from_integer(i64::from(*b), kind)),
        Value::Float32(n) if kind == Type::Float32 => Ok(Value::Float32(*n)),
        Value::Float32(n) => Ok(from_double(f64::from(*n), kind)),
        Value::Float64(n) => Ok(from_double(*n, kind)),
        value => match value.as_i64() {
            Some(number) => Ok(from_integer(number, kind)),
            None => Err(Error::data(format!(
                "Unexpected type in Cast transformation: class {}",
                value.java_class()
            ))),
        },
    }
}

fn parse(text: &str, kind: Type) -> Option<Value> {
    Some(match kind {
        Type::Int8 => Value::Int8(text.parse().ok()?),
        Type::Int16 => Value::Int16(text.parse().ok()?),
        Type::Int32 => Value::Int32(text.parse().ok()?),
        Type::Int64 => Value::Int64(text.parse().ok()?),
        Type::Float32 => Value::Float32(text.trim().parse().ok()?),
        Type::Float64 => Value::Float64(text.trim().parse().ok()?),
        Type::Boolean => Value::Boolean(text.eq_ignore_ascii_case("true")),
        _ => return None,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "as Java's narrowing conversions do"
)]
fn from_integer(number: i64, kind: Type) -> Value {
    match kind {
        Type::Int8 => Value::Int8(number as i8),
        Type::Int16 => Value::Int16(number as i16),
        Type::Int32 => Value::Int32(number as i32),
        Type::Float32 => Value::Float32(number as f32),
        Type::Float64 => Value::Float64(number as f64),
        Type::Boolean => Value::Boolean(number != 0),
        _ => Value::Int64(number),
    }
}

/// A double goes to a small integer by way of 32 bits, where it stops at the ends.
#[expect(
    clippy::cast_possible_truncation,
    reason = "as Java's narrowing conversions do"
)]
fn from_double(number: f64, kind: Type) -> Value {
    match kind {
        Type::Int8 => Value::Int8(number as i32 as i8),
        Type::Int16 => Value::Int16(number as i32 as i16),
        Type::Int32 => Value::Int32(number as i32),
        Type::Float32 => Value::Float32(number as f32),
        Type::Float64 => Value::Float64(number),
        Type::Boolean => Value::Boolean(number as i64 != 0),
        _ => Value::Int64(number as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn values_are_cast_as_java_casts_them() {
        let decimal = Schema::bytes()
            .name(logical::DECIMAL)
            .parameter("scale", "2")
            .build();
        let date = Schema::int32().name(logical::DATE).build();
        for (schema, value, kind, expected) in [
            (None, Value::Int64(300), Type::Int8, Some(Value::Int8(44))),
            (
                None,
                Value::Float64(1e20),
                Type::Int32,
                Some(Value::Int32(i32::MAX)),
            ),
            (None, Value::Float64(1.9), Type::Int64, Some(Value::Int64(1))),
            (None, Value::Float32(0.1), Type::String, Some("0.1".into())),
            (None, Value::Float64(1e10), Type::String, Some("1.0E10".into())),
            (
                None,
                Value::Boolean(true),
                Type::Float32,
                Some(Value::Float32(1.0)),
            ),
            (None, "17".into(), Type::Int16, Some(Value::Int16(17))),
            (None, "70000".into(), Type::Int16, None),
            (None, "True".into(), Type::Boolean, Some(Value::Boolean(true))),
            (
                None,
                Value::Bytes(Bytes::from_static(&[1])),
                Type::String,
                Some("AQ==".into()),
            ),
            (None, Value::Bytes(Bytes::from_static(&[1])), Type::Int8, None),
            (
                Some(&decimal),
                Value::Bytes(Bytes::from_static(&[0x04, 0xd2])),
                Type::Float64,
                Some(Value::Float64(12.34)),
            ),
            (
                Some(&decimal),
                Value::Bytes(Bytes::from_static(&[0x04, 0xd2])),
                Type::Int32,
                Some(Value::Int32(12)),
            ),
            (
                Some(&date),
                Value::Int32(19_782),
                Type::String,
                Some("2024-02-29".into()),
            ),
            (
                Some(&date),
                Value::Int32(19_782),
                Type::Int64,
                Some(Value::Int64(19_782)),
            ),
            (None, Value::Map(vec![]), Type::String, None),
        ] {
            assert_eq!(
                cast(schema.map(|s| &**s), &value, kind).ok(),
                expected,
                "{value:?} {kind:?}"
            );
        }
    }

    #[test]
    fn fields_of_a_struct_change_their_schema() {
        let config = Config::from_iter([("spec", "a:string, b:int8, nope:int8")]);
        let mut transform = Cast::new(Part::Value, &config).unwrap();
        let schema = Schema::structure()
            .field("a", Schema::int32().optional().default(Value::Int32(3)).build())
            .field("b", Schema::string().build())
            .build();
        let mut record = Record::new("t");
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(schema, vec![Value::Null, "5".into()]));
        let applied = transform.apply(record, None).unwrap().unwrap();
        assert_eq!(
            applied.value.as_struct().unwrap().values(),
            ["3".into(), Value::Int8(5)]
        );
        let schema = applied.value_schema.unwrap();
        let a = schema.field("a").unwrap().schema();
        assert_eq!((a.kind(), a.default()), (Type::String, Some(&"3".into())));
    }

    #[test]
    fn the_whole_is_cast_with_its_schema() {
        let mut transform = Cast::new(Part::Key, &Config::from_iter([("spec", "int32")])).unwrap();
        let mut record = Record::new("t");
        record.key_schema = Some(Schema::int64().name("id").build());
        record.key = Value::Int64(7);
        let applied = transform.apply(record, None).unwrap().unwrap();
        assert_eq!(applied.key, Value::Int32(7));
        let schema = applied.key_schema.unwrap();
        assert_eq!((schema.kind(), schema.is_named("id")), (Type::Int32, true));
        let error = |spec| {
            Cast::new(Part::Key, &Config::from_iter([("spec", spec)]))
                .map(drop)
                .unwrap_err()
        };
        assert_eq!(
            error("int33").message(),
            "Invalid type found in casting spec: int33"
        );
        assert!(
            error("int8,a:int8")
                .message()
                .contains("may only specify a single cast")
        );
        assert!(
            error("a:bytes")
                .message()
                .contains("does not support casting to BYTES")
        );
    }
}
