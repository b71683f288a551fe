//! `org.apache.kafka.connect.transforms.TimestampConverter`: between text, Unix time and Connect's Date, Time and
//! Timestamp.

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator};
use tapline_api::record::Origin;
use tapline_api::schema::logical;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Type, Value};
use tapline_formats::calendar::MILLIS_PER_DAY;

use crate::part::{
    CACHED, Defaults, Part, REPLACE_NULL, get, key_and_value, put, require_map, require_struct,
};
use crate::simple_date_format::SimpleDateFormat;

const PURPOSE: &str = "converting timestamp formats";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "field",
        Kind::String,
        "The field with the timestamp; empty if the whole is one.",
    )
    .default("")
    .importance(Importance::High),
    ConfigKey::new(
        "target.type",
        Kind::String,
        "What it becomes: string, unix, Date, Time or Timestamp.",
    )
    .required()
    .valid(Validator::OneOf(&["string", "unix", "Date", "Time", "Timestamp"]))
    .importance(Importance::High),
    ConfigKey::new(
        "format",
        Kind::String,
        "The SimpleDateFormat pattern of text, be it read or written; in UTC.",
    )
    .default("")
    .importance(Importance::Medium),
    ConfigKey::new(
        "unix.precision",
        Kind::String,
        "What Unix time counts, be it read or written: seconds, milliseconds, microseconds or nanoseconds. Parts of a \
         millisecond are lost.",
    )
    .default("milliseconds")
    .valid(Validator::OneOf(&[
        "nanoseconds",
        "microseconds",
        "milliseconds",
        "seconds",
    ])),
    REPLACE_NULL,
]);

key_and_value!("TimestampConverter", TimestampConverter);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    String,
    Unix,
    Date,
    Time,
    Timestamp,
}

impl Form {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "unix" => Self::Unix,
            "Date" => Self::Date,
            "Time" => Self::Time,
            "Timestamp" => Self::Timestamp,
            _ => return None,
        })
    }

    fn of_schema(schema: &Schema) -> Result<Self> {
        match (schema.name().map(|name| &**name), schema.kind()) {
            (Some(logical::TIMESTAMP), _) => Ok(Self::Timestamp),
            (Some(logical::DATE), _) => Ok(Self::Date),
            (Some(logical::TIME), _) => Ok(Self::Time),
            (_, Type::String) => Ok(Self::String),
            (_, Type::Int64) => Ok(Self::Unix),
            (_, kind) => Err(Error::fatal(format!(
                "Schema Schema{{{}}} does not correspond to a known timestamp type format",
                kind.constant()
            ))),
        }
    }

    fn schema(self, optional: bool) -> SchemaRef {
        let builder = match self {
            Self::String => Schema::string(),
            Self::Unix => Schema::int64(),
            Self::Date => Schema::int32().name(logical::DATE).version(1),
            Self::Time => Schema::int32().name(logical::TIME).version(1),
            Self::Timestamp => Schema::int64().name(logical::TIMESTAMP).version(1),
        };
        builder.set_optional(optional).build()
    }
}

/// What Unix time counts, in nanoseconds.
fn precision(name: &str) -> i64 {
    match name {
        "seconds" => 1_000_000_000,
        "microseconds" => 1000,
        "nanoseconds" => 1,
        _ => 1_000_000,
    }
}

/// The transformation.
pub struct TimestampConverter {
    part: Part,
    field: String,
    target: Target,
    replace_null: bool,
    plans: Cache<u64, Plan>,
}

struct Target {
    form: Form,
    format: Option<SimpleDateFormat>,
    precision: i64,
}

struct Plan {
    schema: SchemaRef,
    /// The field's place and what it is; for the whole, place 0.
    field: Option<(usize, Form)>,
    defaults: Defaults,
}

impl TimestampConverter {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let form = Form::named(parsed.required("target.type")?).unwrap_or(Form::Timestamp);
        let pattern = parsed.text("format").unwrap_or_default();
        if form == Form::String && pattern.is_empty() {
            return Err(Error::config(
                "TimestampConverter requires format option to be specified when using string timestamps",
            ));
        }
        let format = match pattern {
            "" => None,
            pattern => Some(SimpleDateFormat::new(pattern).map_err(|what| {
                Error::config(format!(
                    "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}"
                ))
                .cause(Error::config(what).exception("java.lang.IllegalArgumentException"))
            })?),
        };
        Ok(Self {
            part,
            field: parsed.text("field").unwrap_or_default().to_owned(),
            target: Target {
                form,
                format,
                precision: precision(parsed.required("unix.precision")?),
            },
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

impl Target {
    fn plan(&self, schema: &SchemaRef, name: &str, replace_null: bool) -> Result<Plan> {
        if name.is_empty() {
            return Ok(Plan {
                schema: self.form.schema(schema.is_optional()),
                field: Some((0, Form::of_schema(schema)?)),
                defaults: Defaults::default(),
            });
        }
        let mut builder = schema.to_builder();
        let mut place = None;
        if let (Some(index), Some(field)) = (schema.field_index(name), schema.field(name)) {
            builder = builder.replace_field(name, self.form.schema(field.schema().is_optional()));
            place = Some((index, Form::of_schema(field.schema())?));
        }
        Ok(Plan {
            schema: builder.build(),
            field: place,
            defaults: Defaults::of(schema, replace_null),
        })
    }

    fn convert(&self, value: &Value, form: Form) -> Result<Value> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        self.write(self.millis(value, form)?)
    }

    /// A value without a schema tells by its type what it is.
    fn convert_untyped(&self, value: &Value) -> Result<Value> {
        let form = match value {
            Value::Null => return Ok(Value::Null),
            Value::Int64(_) => Form::Unix,
            Value::String(_) => Form::String,
            other => {
                return Err(Error::data(format!(
                    "TimestampConverter does not support class {} objects as timestamps",
                    other.java_class()
                )));
            }
        };
        self.convert(value, form)
    }

    fn millis(&self, value: &Value, form: Form) -> Result<i64> {
        match (form, value) {
            (Form::String, Value::String(text)) => {
                let Some(format) = &self.format else {
                    return Err(Error::data(
                        "TimestampConverter requires format option to be specified when using string timestamps",
                    ));
                };
                format.parse(text).ok_or_else(|| {
                    Error::data(format!(
                        "Could not parse timestamp: value ({text}) does not match pattern ({})",
                        format.pattern()
                    ))
                })
            }
            (Form::Unix, Value::Int64(time)) => {
                let nanos = i128::from(*time) * i128::from(self.precision);
                // Java's TimeUnit cuts towards zero and stops at the ends.
                let millis = nanos / 1_000_000;
                let end = if millis > 0 { i64::MAX } else { i64::MIN };
                Ok(i64::try_from(millis).unwrap_or(end))
            }
            (Form::Timestamp, Value::Int64(millis)) => Ok(*millis),
            (Form::Date, Value::Int32(days)) => Ok(i64::from(*days) * MILLIS_PER_DAY),
            (Form::Time, Value::Int32(millis)) => Ok(i64::from(*millis)),
            (Form::String, other) => Err(Error::data(format!(
                "Expected string timestamp to be a String, but found class {}",
                other.java_class()
            ))),
            (Form::Unix, other) => Err(Error::data(format!(
                "Expected Unix timestamp to be a Long, but found class {}",
                other.java_class()
            ))),
            (form, other) => Err(Error::data(format!(
                "Expected {form:?} to be a java.util.Date, but found class {}",
                other.java_class()
            ))),
        }
    }

    fn write(&self, millis: i64) -> Result<Value> {
        let narrow = |number: i64| {
            i32::try_from(number)
                .map(Value::Int32)
                .map_err(|_| Error::data(format!("timestamp {millis} is beyond what a Date can hold")))
        };
        match self.form {
            Form::String => Ok(match &self.format {
                Some(format) => Value::from(format.format(millis)),
                None => Value::Null,
            }),
            Form::Unix => {
                let time = i128::from(millis) * 1_000_000 / i128::from(self.precision);
                let end = if time > 0 { i64::MAX } else { i64::MIN };
                Ok(Value::Int64(i64::try_from(time).unwrap_or(end)))
            }
            Form::Timestamp => Ok(Value::Int64(millis)),
            Form::Date => narrow(millis.div_euclid(MILLIS_PER_DAY)),
            Form::Time => narrow(millis.rem_euclid(MILLIS_PER_DAY)),
        }
    }
}

impl Transformation for TimestampConverter {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let value = if value.is_null() || self.field.is_empty() {
                self.target.convert_untyped(&value)?
            } else {
                let mut entries = require_map(value, PURPOSE)?;
                let converted = self
                    .target
                    .convert_untyped(get(&entries, &self.field).unwrap_or(&Value::Null))?;
                put(&mut entries, &self.field, converted);
                Value::Map(entries)
            };
            self.part.put(&mut record, None, value);
            return Ok(Some(record));
        };
        let (target, name, replace_null) = (&self.target, &self.field, self.replace_null);
        let plan = self
            .plans
            .get_or_make(schema.id(), || target.plan(&schema, name, replace_null))?;
        let value = match (value, plan.field) {
            (Value::Null, _) => Value::Null,
            (value, Some((_, form))) if name.is_empty() => target.convert(&value, form)?,
            (value, field) => {
                let mut values = require_struct(value, PURPOSE)?.into_parts().1;
                plan.defaults.fill(&mut values);
                if let Some((index, form)) = field
                    && let Some(value) = values.get_mut(index)
                {
                    *value = target.convert(value, form)?;
                }
                Value::Struct(Struct::new(plan.schema.clone(), values.into_vec()))
            }
        };
        let schema = plan.schema.clone();
        self.part.put(&mut record, Some(schema), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(options: &[(&str, &str)], schema: Option<SchemaRef>, value: Value) -> Result<Record> {
        let mut transform = TimestampConverter::new(Part::Value, &options.iter().copied().collect())?;
        let mut record = Record::new("t");
        (record.value_schema, record.value) = (schema, value);
        Ok(transform.apply(record, None)?.unwrap())
    }

    #[test]
    fn each_form_becomes_each_other() {
        let text = ("format", "yyyy-MM-dd HH:mm:ss");
        let seconds = ("unix.precision", "seconds");
        let timestamp = Form::Timestamp.schema(true);
        let at = 1_709_211_845_006;
        for (options, schema, value, expected) in [
            (
                vec![("target.type", "string"), text],
                timestamp.clone(),
                Value::Int64(at),
                "2024-02-29 13:04:05".into(),
            ),
            (
                vec![("target.type", "unix"), seconds],
                timestamp.clone(),
                Value::Int64(at),
                Value::Int64(1_709_211_845),
            ),
            (
                vec![("target.type", "Date")],
                timestamp.clone(),
                Value::Int64(at),
                Value::Int32(19_782),
            ),
            (
                vec![("target.type", "Time")],
                timestamp.clone(),
                Value::Int64(at),
                Value::Int32(47_045_006),
            ),
            (
                vec![("target.type", "Timestamp")],
                timestamp,
                Value::Null,
                Value::Null,
            ),
            (
                vec![("target.type", "Timestamp"), text],
                Schema::string().build(),
                "2024-02-29 13:04:05".into(),
                Value::Int64(1_709_211_845_000),
            ),
            (
                vec![("target.type", "Timestamp"), ("unix.precision", "microseconds")],
                Schema::int64().build(),
                Value::Int64(1_709_211_845_006_999),
                Value::Int64(at),
            ),
            (
                vec![("target.type", "unix")],
                Form::Date.schema(false),
                Value::Int32(1),
                Value::Int64(86_400_000),
            ),
        ] {
            let optional = schema.is_optional();
            let record = converted(&options, Some(schema), value).unwrap();
            assert_eq!(record.value, expected);
            assert_eq!(record.value_schema.unwrap().is_optional(), optional);
        }
    }

    #[test]
    fn a_field_of_a_struct_or_map_is_converted_in_its_place() {
        let schema = Schema::structure()
            .field("a", Schema::int64().build())
            .field("b", Schema::int64().build())
            .build();
        let row = Value::Struct(Struct::new(
            schema.clone(),
            vec![Value::Int64(1), Value::Int64(86_400_000)],
        ));
        let options = [("target.type", "Date"), ("field", "b")];
        let record = converted(&options, Some(schema), row).unwrap();
        assert_eq!(
            record.value.as_struct().unwrap().values(),
            [Value::Int64(1), Value::Int32(1)]
        );
        let schema = record.value_schema.unwrap();
        assert!(schema.field("b").unwrap().schema().is_named(logical::DATE));
        let map = Value::Map(vec![("b".into(), Value::Int64(86_400_000))]);
        let record = converted(&options, None, map).unwrap();
        assert_eq!(record.value, Value::Map(vec![("b".into(), Value::Int32(1))]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |options: &[(&str, &str)], schema, value| {
            converted(options, schema, value)
                .unwrap_err()
                .message()
                .to_owned()
        };
        assert!(error(&[("target.type", "string")], None, Value::Null).contains("requires format option"));
        let text = [("target.type", "unix"), ("format", "yyyy")];
        assert_eq!(
            error(&text, None, "x".into()),
            "Could not parse timestamp: value (x) does not match pattern (yyyy)"
        );
        assert!(
            error(&text, Some(Schema::int32().build()), Value::Int32(1))
                .contains("does not correspond to a known timestamp type format")
        );
        assert!(error(&text, None, Value::Boolean(true)).contains("class java.lang.Boolean"));
    }
}
