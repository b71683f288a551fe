//! What a field's schema means, whatever the database: Connect's and Debezium's semantic types.
//!
//! A dialect derives from it the column's type and the form of a value. Postgres has a richer list of its own, since most
//! of these types come from there.

use tapline_api::schema::logical;
use tapline_api::{Schema, Type};

use crate::time::Unit;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    Boolean,
    /// Of this many bytes.
    Integer(u8),
    Float,
    Double,
    Text,
    Bytes,
    Decimal {
        /// 0 if unknown.
        precision: u32,
        scale: i32,
    },
    /// A struct of scale and value.
    VariableDecimal,
    /// Days.
    Date,
    Time(Unit),
    Timestamp(Unit),
    /// ISO 8601 text.
    ZonedTime,
    /// ISO 8601 text.
    ZonedTimestamp,
    /// Little-endian; 0 is any length.
    Bits(u32),
    Json,
    Uuid,
    /// The labels.
    Enum(Vec<String>),
    /// The labels of a MySQL SET.
    EnumSet(Vec<String>),
    Year,
    Point,
    /// A struct of `wkb` and `srid`.
    Geometry,
    /// An array of numbers.
    Vector,
    /// A struct of dimensions and entries.
    SparseVector,
    Map,
    Array,
    Struct,
}

/// The source's column type, where it propagates that.
pub(crate) const COLUMN_TYPE: &str = "__debezium.source.column.type";
/// Its length.
pub(crate) const COLUMN_LENGTH: &str = "__debezium.source.column.length";
/// Its scale.
pub(crate) const COLUMN_SCALE: &str = "__debezium.source.column.scale";

impl Meaning {
    /// Looks a schema up.
    pub(crate) fn of(schema: &Schema) -> Self {
        if let Some(meaning) = schema.name().and_then(|name| by_name(name, schema)) {
            return meaning;
        }
        match schema.kind() {
            Type::Int8 => Self::Integer(1),
            Type::Int16 => Self::Integer(2),
            Type::Int32 => Self::Integer(4),
            Type::Int64 => Self::Integer(8),
            Type::Float32 => Self::Float,
            Type::Float64 => Self::Double,
            Type::Boolean => Self::Boolean,
            Type::String => Self::Text,
            Type::Bytes => Self::Bytes,
            Type::Map => Self::Map,
            Type::Array => Self::Array,
            Type::Struct => Self::Struct,
        }
    }
}

fn by_name(name: &str, schema: &Schema) -> Option<Meaning> {
    use Unit::{Micros, Millis, Nanos};
    Some(match name {
        logical::DECIMAL => Meaning::Decimal {
            precision: number(schema, "connect.decimal.precision").unwrap_or(0),
            scale: schema
                .parameter(logical::SCALE)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
        },
        logical::DATE | "io.debezium.time.Date" => Meaning::Date,
        logical::TIME | "io.debezium.time.Time" => Meaning::Time(Millis),
        "io.debezium.time.MicroTime" => Meaning::Time(Micros),
        "io.debezium.time.NanoTime" => Meaning::Time(Nanos),
        logical::TIMESTAMP | "io.debezium.time.Timestamp" => Meaning::Timestamp(Millis),
        "io.debezium.time.MicroTimestamp" => Meaning::Timestamp(Micros),
        "io.debezium.time.NanoTimestamp" => Meaning::Timestamp(Nanos),
        "io.debezium.time.ZonedTime" => Meaning::ZonedTime,
        "io.debezium.time.ZonedTimestamp" => Meaning::ZonedTimestamp,
        "io.debezium.time.Year" => Meaning::Year,
        "io.debezium.data.VariableScaleDecimal" => Meaning::VariableDecimal,
        "io.debezium.data.Bits" => Meaning::Bits(number(schema, "length").unwrap_or(0)),
        "io.debezium.data.Json" => Meaning::Json,
        "io.debezium.data.Uuid" => Meaning::Uuid,
        "io.debezium.data.Enum" => Meaning::Enum(labels(schema)),
        "io.debezium.data.EnumSet" => Meaning::EnumSet(labels(schema)),
        "io.debezium.data.geometry.Point" => Meaning::Point,
        "io.debezium.data.geometry.Geometry" | "io.debezium.data.geometry.Geography" => Meaning::Geometry,
        "io.debezium.data.FloatVector" | "io.debezium.data.DoubleVector" => Meaning::Vector,
        "io.debezium.data.SparseDoubleVector" => Meaning::SparseVector,
        _ => return None,
    })
}

/// A parameter that is a number.
pub(crate) fn number(schema: &Schema, parameter: &str) -> Option<u32> {
    schema.parameter(parameter).and_then(|text| text.parse().ok())
}

/// Of a time, by what the source says; 6 if it says nothing.
pub(crate) fn precision(schema: &Schema) -> u32 {
    number(schema, COLUMN_SCALE)
        .or_else(|| number(schema, COLUMN_LENGTH))
        .filter(|precision| (1..=6).contains(precision))
        .unwrap_or(6)
}

/// The parameter `allowed`: labels with commas between them; a comma in a label has a backslash before it.
fn labels(schema: &Schema) -> Vec<String> {
    let Some(text) = schema.parameter("allowed").filter(|text| !text.is_empty()) else {
        return Vec::new();
    };
    let mut labels = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, labels.last_mut()) {
            (',', _) => labels.push(String::new()),
            ('\\', Some(label)) if chars.peek() == Some(&',') => {
                label.extend(chars.next());
            }
            (c, Some(label)) => label.push(c),
            (_, None) => {}
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semantic_names_go_before_plain_types() {
        let of =
            |schema: tapline_api::schema::SchemaBuilder, name: &str| Meaning::of(&schema.name(name).build());
        assert_eq!(of(Schema::int32(), logical::DATE), Meaning::Date);
        assert_eq!(
            of(Schema::int64(), "io.debezium.time.NanoTime"),
            Meaning::Time(Unit::Nanos)
        );
        assert_eq!(
            of(Schema::int64(), "io.debezium.time.MicroDuration"),
            Meaning::Integer(8)
        );
        assert_eq!(of(Schema::string(), "io.debezium.data.Ltree"), Meaning::Text);
    }

    #[test]
    fn labels_are_cut_at_commas() {
        let schema = Schema::string()
            .name("io.debezium.data.Enum")
            .parameter("allowed", "a,b\\,c,d");
        let labels = ["a", "b,c", "d"].map(str::to_owned).to_vec();
        assert_eq!(Meaning::of(&schema.build()), Meaning::Enum(labels));
    }
}
