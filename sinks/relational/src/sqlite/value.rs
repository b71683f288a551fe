//! What a field's schema means to SQLite: the column it gets, and how its values are bound.
//!
//! SQLite stores integers, floats, text and bytes. Dates and times are ISO 8601 text, which its date functions read;
//! decimals are text with all their digits; what has no form of its own is JSON.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use tapline_api::{Error, Result, SchemaRef, Value};

use crate::meaning::Meaning;
use crate::misfit::Misfit;
use crate::time::{self, Unit};
use crate::{digits, json};

/// How a value is bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Integer,
    Real,
    Text,
    Blob,
    Decimal(i32),
    VariableDecimal,
    Date,
    Time(Unit),
    Timestamp(Unit),
    Json(SchemaRef),
}

impl Form {
    /// The form of a schema's values.
    pub(super) fn of(schema: &SchemaRef) -> Self {
        match Meaning::of(schema) {
            Meaning::Boolean | Meaning::Integer(_) | Meaning::Year => Self::Integer,
            Meaning::Float | Meaning::Double => Self::Real,
            Meaning::Bytes | Meaning::Bits(_) => Self::Blob,
            Meaning::Decimal { scale, .. } => Self::Decimal(scale),
            Meaning::VariableDecimal => Self::VariableDecimal,
            Meaning::Date => Self::Date,
            Meaning::Time(unit) => Self::Time(unit),
            Meaning::Timestamp(unit) => Self::Timestamp(unit),
            Meaning::Text
            | Meaning::ZonedTime
            | Meaning::ZonedTimestamp
            | Meaning::Json
            | Meaning::Uuid
            | Meaning::Enum(_)
            | Meaning::EnumSet(_) => Self::Text,
            Meaning::Point
            | Meaning::Geometry
            | Meaning::Vector
            | Meaning::SparseVector
            | Meaning::Map
            | Meaning::Array
            | Meaning::Struct => Self::Json(schema.clone()),
        }
    }

    /// The value to bind.
    pub(super) fn bind<'a>(&self, value: &'a Value) -> Result<ToSqlOutput<'a>, Misfit> {
        let text = |text: String| Ok(ToSqlOutput::Owned(Owned::Text(text)));
        let mut out = String::new();
        match (self, value) {
            (_, Value::Null) => Ok(ToSqlOutput::Owned(Owned::Null)),
            (Self::Integer, Value::Boolean(b)) => Ok(ToSqlOutput::Owned(Owned::Integer((*b).into()))),
            (Self::Integer, value) => Ok(ToSqlOutput::Owned(Owned::Integer(value.as_i64().ok_or(Misfit)?))),
            // SQLite takes NaN for NULL.
            (Self::Real, Value::Float32(n)) if !n.is_nan() => {
                Ok(ToSqlOutput::Owned(Owned::Real(f64::from(*n))))
            }
            (Self::Real, Value::Float64(n)) if !n.is_nan() => Ok(ToSqlOutput::Owned(Owned::Real(*n))),
            (Self::Text, Value::String(text)) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            (Self::Blob, Value::Bytes(bytes)) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(bytes))),
            (Self::Decimal(scale), Value::Bytes(bytes)) => {
                digits::decimal(bytes, *scale, &mut out);
                text(out)
            }
            (Self::VariableDecimal, Value::Struct(number)) => {
                let scale = number.get("scale").and_then(Value::as_i64).ok_or(Misfit)?;
                let Some(Value::Bytes(bytes)) = number.get("value") else {
                    return Err(Misfit);
                };
                digits::decimal(bytes, i32::try_from(scale).map_err(|_| Misfit)?, &mut out);
                text(out)
            }
            (Self::Date, value) => {
                time::push_iso_date(value.as_i64().ok_or(Misfit)?, &mut out).ok_or(Misfit)?;
                text(out)
            }
            (Self::Time(unit), value) => {
                let micros = value.as_i64().and_then(|n| time::micros(n, *unit));
                time::push_time(micros.ok_or(Misfit)?, &mut out);
                text(out)
            }
            (Self::Timestamp(unit), value) => {
                let micros = value.as_i64().and_then(|n| time::micros(n, *unit));
                time::push_iso_timestamp(micros.ok_or(Misfit)?, &mut out).ok_or(Misfit)?;
                text(out)
            }
            (Self::Json(schema), value @ (Value::Array(_) | Value::Map(_) | Value::Struct(_))) => {
                json::push(value, Some(schema), &mut out);
                text(out)
            }
            _ => Err(Misfit),
        }
    }
}

/// The type in CREATE TABLE and ALTER TABLE.
///
/// # Errors
/// A data error for a struct, as in Debezium.
pub(super) fn column_type(schema: &SchemaRef) -> Result<&'static str> {
    if Meaning::of(schema) == Meaning::Struct {
        return Err(Error::data(format!(
            "Failed to resolve column type for schema: STRUCT ({})",
            schema.name().map_or("null", |name: &Arc<str>| name)
        )));
    }
    Ok(match Form::of(schema) {
        Form::Integer => "INTEGER",
        Form::Real => "REAL",
        Form::Blob => "BLOB",
        _ => "TEXT",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tapline_api::Schema;
    use tapline_api::schema::{SchemaBuilder, logical};

    fn shown(schema: SchemaBuilder, value: Value) -> String {
        let schema = schema.build();
        let column = column_type(&schema).unwrap_or("none");
        match Form::of(&schema).bind(&value) {
            Ok(ToSqlOutput::Owned(value)) => format!("{column} {value:?}"),
            Ok(ToSqlOutput::Borrowed(value)) => format!("{column} {value:?}"),
            _ => format!("{column} misfit"),
        }
    }

    #[test]
    fn each_type_has_its_column_and_its_value() {
        let decimal = Schema::bytes().name(logical::DECIMAL).parameter("scale", "2");
        let list = Schema::array(Schema::int32().build());
        for (schema, value, expected) in [
            (Schema::boolean(), Value::Boolean(true), "INTEGER Integer(1)"),
            (Schema::int64(), Value::Int64(-5), "INTEGER Integer(-5)"),
            (Schema::float32(), Value::Float32(0.5), "REAL Real(0.5)"),
            (Schema::float64(), Value::Float64(f64::NAN), "REAL misfit"),
            (
                decimal,
                Value::Bytes(Bytes::from_static(&[0x85])),
                "TEXT Text(\"-1.23\")",
            ),
            (
                Schema::int32().name(logical::DATE),
                Value::Int32(0),
                "TEXT Text(\"1970-01-01\")",
            ),
            (
                Schema::int64().name("io.debezium.time.MicroTimestamp"),
                Value::Int64(1_500_000),
                "TEXT Text(\"1970-01-01 00:00:01.500000\")",
            ),
            (list, Value::Array(vec![Value::Int32(1)]), "TEXT Text(\"[1]\")"),
            (Schema::int32(), Value::Null, "INTEGER Null"),
            (Schema::structure(), Value::Int32(1), "none misfit"),
        ] {
            assert_eq!(shown(schema, value), expected);
        }
    }
}
