//! The form in which a column's values are written, by what they mean and what the target's column is.

use tapline_api::{SchemaRef, Type};

use super::catalog::Target;
use super::literal::{Form, Shift};
use crate::meaning::Meaning;

/// Chooses. `target` is `None` where the column is ours to make; `zone` is the SQL literal of `use.time.zone`, unless
/// that is UTC.
pub(super) fn form(schema: &SchemaRef, target: Option<&Target>, zone: Option<&str>) -> Form {
    let is = |names: &[&str]| target.is_some_and(|target| names.contains(&target.data_type.as_str()));
    let textual = is(&["char", "varchar", "tinytext", "text", "mediumtext", "longtext"]);
    let shift = |when: bool, to: fn(String) -> Shift| match zone {
        Some(zone) if when => to(zone.to_owned()),
        _ => Shift::None,
    };
    match Meaning::of(schema) {
        Meaning::Boolean => Form::Boolean,
        Meaning::Integer(_) | Meaning::Year => match (schema.kind(), target) {
            (Type::Int64, Some(target)) if target.data_type == "bigint" && target.unsigned => Form::Unsigned,
            (Type::String, _) => Form::Text,
            _ => Form::Integer,
        },
        Meaning::Float | Meaning::Double => Form::Float,
        Meaning::Bytes => Form::Bytes,
        Meaning::Decimal { scale, .. } => Form::Decimal(scale),
        Meaning::VariableDecimal => Form::VariableDecimal,
        Meaning::Date => Form::Date,
        Meaning::Time(unit) => Form::Time(unit),
        Meaning::Timestamp(unit) => Form::Timestamp(unit, shift(is(&["timestamp"]), Shift::FromLocal)),
        // Texts go into text as they came.
        Meaning::ZonedTime | Meaning::ZonedTimestamp if textual => Form::Text,
        Meaning::ZonedTime => Form::ZonedTime,
        Meaning::ZonedTimestamp => {
            Form::ZonedTimestamp(shift(is(&["datetime", "date", "time"]), Shift::ToLocal))
        }
        Meaning::Bits(length) if is(&["bit"]) || (target.is_none() && (1..=64).contains(&length)) => {
            Form::Bits(length)
        }
        Meaning::Bits(_) => Form::Bytes,
        Meaning::Point => Form::Point,
        Meaning::Geometry => Form::Geometry,
        Meaning::Vector if is(&["vector"]) => Form::Vector,
        Meaning::Vector | Meaning::SparseVector | Meaning::Map | Meaning::Array | Meaning::Struct => {
            Form::Json(schema.clone())
        }
        Meaning::Text | Meaning::Uuid | Meaning::Json | Meaning::Enum(_) | Meaning::EnumSet(_) => Form::Text,
    }
}

/// Whether the values are instants or local times, which depend on `use.time.zone`.
pub(super) fn is_zone_utc(zone: &str) -> bool {
    ["utc", "z", "gmt", "etc/utc", "+00:00", "utc+0", "etc/gmt"].contains(&zone.to_ascii_lowercase().as_str())
}
