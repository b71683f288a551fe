//! Dates and times, as `time.precision.mode` says.

use tapline_api::schema::logical;
use tapline_api::{Schema, Value};

use super::{Mapping, TypeModes, named};
use crate::config::TimeMode;
use crate::value::{Decoder, Unit};

impl TypeModes {
    pub(super) fn date(&self) -> Mapping {
        match self.time {
            TimeMode::Iso => {
                let schema = named(Schema::string(), "io.debezium.time.IsoDate");
                Mapping::new(schema, Decoder::DateIso, "1970-01-01Z".into())
            }
            TimeMode::Connect => Mapping::new(
                named(Schema::int32(), logical::DATE),
                Decoder::Date,
                Value::Int32(0),
            ),
            _ => Mapping::new(
                named(Schema::int32(), "io.debezium.time.Date"),
                Decoder::Date,
                Value::Int32(0),
            ),
        }
    }

    pub(super) fn time(&self, precision: usize) -> Mapping {
        let (schema, unit) = match self.time {
            TimeMode::Adaptive if precision <= 3 => {
                (named(Schema::int32(), "io.debezium.time.Time"), Unit::Millis)
            }
            TimeMode::Adaptive | TimeMode::AdaptiveMicros | TimeMode::Micros => {
                (named(Schema::int64(), "io.debezium.time.MicroTime"), Unit::Micros)
            }
            TimeMode::Connect => (named(Schema::int32(), logical::TIME), Unit::Millis),
            TimeMode::Nanos => (named(Schema::int64(), "io.debezium.time.NanoTime"), Unit::Nanos),
            TimeMode::Iso => (named(Schema::string(), "io.debezium.time.IsoTime"), Unit::Iso),
        };
        let fallback = match unit {
            Unit::Millis => Value::Int32(0),
            Unit::Micros | Unit::Nanos => Value::Int64(0),
            Unit::Iso => "00:00:00Z".into(),
        };
        Mapping::new(schema, Decoder::Time(unit), fallback)
    }

    pub(super) fn timestamp(&self, precision: usize) -> Mapping {
        let (schema, unit) = match self.time {
            TimeMode::Adaptive | TimeMode::AdaptiveMicros if precision <= 3 => {
                (named(Schema::int64(), "io.debezium.time.Timestamp"), Unit::Millis)
            }
            TimeMode::Adaptive | TimeMode::AdaptiveMicros | TimeMode::Micros => (
                named(Schema::int64(), "io.debezium.time.MicroTimestamp"),
                Unit::Micros,
            ),
            TimeMode::Connect => (named(Schema::int64(), logical::TIMESTAMP), Unit::Millis),
            TimeMode::Nanos => (
                named(Schema::int64(), "io.debezium.time.NanoTimestamp"),
                Unit::Nanos,
            ),
            TimeMode::Iso => (
                named(Schema::string(), "io.debezium.time.IsoTimestamp"),
                Unit::Iso,
            ),
        };
        let fallback = match unit {
            Unit::Iso => "1970-01-01T00:00:00Z".into(),
            _ => Value::Int64(0),
        };
        Mapping::new(schema, Decoder::Timestamp(unit), fallback)
    }
}

/// `time`, `timestamp` and their zoned forms: digits after the point, six when not said.
pub(super) fn precision(modifier: i32) -> usize {
    usize::try_from(modifier).map_or(6, |digits| digits.min(6))
}
