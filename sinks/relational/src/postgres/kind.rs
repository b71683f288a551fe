//! What a field's schema means to Postgres: the column type that Debezium's JDBC sink would create for it.
//!
//! As in Debezium a schema is looked up by its semantic name, then by the source's column type (where the source
//! propagates it as `__debezium.source.column.type`), then by its plain type. Two column types are ours: a
//! VariableScaleDecimal becomes `numeric`, where Debezium's `double precision` would lose digits, and a precision beyond
//! 38 is kept.

use tapline_api::schema::logical;
use tapline_api::{Error, Result, Schema, Type};

use crate::time::Unit;

/// What a field means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Boolean,
    /// INT8 and INT16.
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// A string, and the column type where the source says more than `text`.
    Text(Option<String>),
    Bytes,
    Decimal {
        /// 0 if unknown.
        precision: u32,
        /// If negative, the column's is 0, as in Debezium.
        scale: i32,
    },
    VariableDecimal,
    /// Days.
    Date,
    Time(Unit, u32),
    Timestamp(Unit, u32),
    /// ISO 8601 text.
    ZonedTime(u32),
    /// ISO 8601 text.
    ZonedTimestamp(u32),
    /// Microseconds.
    Interval,
    /// Little-endian; 0 is any length.
    Bits {
        length: u32,
        varying: bool,
    },
    /// A boolean that was a `bit(1)`.
    Bit,
    Json,
    Jsonb,
    /// JSON text that was an hstore.
    HstoreJson,
    /// A map of strings.
    Hstore,
    Uuid,
    Point,
    /// A struct of `wkb` and `srid`; the column type.
    Geometry(String),
    /// An array of numbers for pgvector; the column type.
    Vector(String),
    /// pgvector's sparse vector; the column type.
    SparseVector(String),
    /// A number or text whose column type the source knows best, written as text.
    Named(String),
    Oid,
    /// An integer; the column type makes a sequence.
    Serial(String),
    Array(Box<Kind>),
}

const COLUMN_TYPE: &str = "__debezium.source.column.type";
const COLUMN_LENGTH: &str = "__debezium.source.column.length";
const COLUMN_SCALE: &str = "__debezium.source.column.scale";

/// What Hibernate says for columns without a limit.
const NO_LIMIT: u32 = i32::MAX as u32;
/// Postgres' most for `varchar(n)`, `char(n)` and `bit(n)`.
const MAX_LENGTH: u32 = 10_485_760;
/// Postgres' most for `numeric(p,s)`.
const MAX_PRECISION: u32 = 1000;

impl Kind {
    /// Looks a schema up. `postgis` is the schema of that extension.
    ///
    /// # Errors
    /// A data error for a schema that has no column type.
    pub(crate) fn of(schema: &Schema, postgis: &str) -> Result<Self> {
        if let Some(kind) = schema.name().and_then(|name| by_name(name, schema, postgis)) {
            return Ok(kind);
        }
        if let Some(kind) = schema
            .parameter(COLUMN_TYPE)
            .and_then(|name| by_column_type(name, schema))
        {
            return Ok(kind);
        }
        Ok(match schema.kind() {
            Type::Int8 | Type::Int16 => Self::Int16,
            Type::Int32 => Self::Int32,
            Type::Int64 => Self::Int64,
            Type::Float32 => Self::Float32,
            Type::Float64 => Self::Float64,
            Type::Boolean => Self::Boolean,
            Type::String => Self::Text(text_type(schema)),
            Type::Bytes => Self::Bytes,
            Type::Map => Self::Hstore,
            Type::Array => match schema.value_schema() {
                Some(element) => Self::Array(Box::new(Self::of(element, postgis)?)),
                None => return Err(unknown(schema)),
            },
            Type::Struct => return Err(unknown(schema)),
        })
    }

    /// The type in CREATE TABLE and ALTER TABLE.
    pub(crate) fn column_type(&self) -> String {
        match self {
            Self::Boolean => "boolean".to_owned(),
            Self::Int16 => "smallint".to_owned(),
            Self::Int32 => "integer".to_owned(),
            Self::Int64 => "bigint".to_owned(),
            Self::Float32 => "real".to_owned(),
            Self::Float64 => "double precision".to_owned(),
            Self::Text(None) => "text".to_owned(),
            Self::Text(Some(name)) | Self::Named(name) | Self::Serial(name) => name.clone(),
            Self::Bytes => "bytea".to_owned(),
            Self::Decimal { precision: 0, scale } => format!("numeric(38,{})", scale.max(&0)),
            Self::Decimal { precision, scale } => format!("numeric({precision},{})", scale.max(&0)),
            Self::VariableDecimal => "numeric".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time(_, precision) => format!("time({precision})"),
            Self::Timestamp(_, precision) => format!("timestamp({precision})"),
            Self::ZonedTime(precision) => format!("time({precision}) with time zone"),
            Self::ZonedTimestamp(precision) => format!("timestamp({precision}) with time zone"),
            Self::Interval => "interval".to_owned(),
            Self::Bits { length: 0, .. } => "bit varying".to_owned(),
            Self::Bits {
                length,
                varying: true,
            } => format!("bit varying({length})"),
            Self::Bits {
                length,
                varying: false,
            } => format!("bit({length})"),
            Self::Bit => "bit".to_owned(),
            Self::Json => "json".to_owned(),
            Self::Jsonb => "jsonb".to_owned(),
            Self::Hstore | Self::HstoreJson => "hstore".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Point => "point".to_owned(),
            Self::Geometry(name) | Self::Vector(name) | Self::SparseVector(name) => name.clone(),
            Self::Oid => "oid".to_owned(),
            Self::Array(element) => format!("{}[]", element.column_type()),
        }
    }
}

fn by_name(name: &str, schema: &Schema, postgis: &str) -> Option<Kind> {
    use Unit::{Micros, Millis, Nanos};
    let named = |name: &str| Some(Kind::Named(name.to_owned()));
    match name {
        logical::DECIMAL => Some(decimal(schema)),
        logical::DATE | "io.debezium.time.Date" => Some(Kind::Date),
        logical::TIME | "io.debezium.time.Time" => Some(Kind::Time(Millis, precision(schema))),
        "io.debezium.time.MicroTime" => Some(Kind::Time(Micros, precision(schema))),
        "io.debezium.time.NanoTime" => Some(Kind::Time(Nanos, precision(schema))),
        logical::TIMESTAMP | "io.debezium.time.Timestamp" => Some(Kind::Timestamp(Millis, precision(schema))),
        "io.debezium.time.MicroTimestamp" => Some(Kind::Timestamp(Micros, precision(schema))),
        "io.debezium.time.NanoTimestamp" => Some(Kind::Timestamp(Nanos, precision(schema))),
        "io.debezium.time.ZonedTime" => Some(Kind::ZonedTime(precision(schema))),
        "io.debezium.time.ZonedTimestamp" => Some(Kind::ZonedTimestamp(precision(schema))),
        "io.debezium.time.MicroDuration" => Some(Kind::Interval),
        "io.debezium.data.VariableScaleDecimal" => Some(Kind::VariableDecimal),
        "io.debezium.data.Bits" => Some(bits(schema)),
        "io.debezium.data.Json" => Some(match schema.parameter(COLUMN_TYPE).map(|name| &**name) {
            Some("JSONB") => Kind::Jsonb,
            Some("HSTORE") => Kind::HstoreJson,
            _ => Kind::Json,
        }),
        "io.debezium.data.Uuid" => Some(Kind::Uuid),
        // An enum's type can't be made from its values alone.
        "io.debezium.data.Enum" => Some(Kind::Text(text_type(schema))),
        "io.debezium.time.Interval" => named("interval"),
        "io.debezium.data.Xml" => named("xml"),
        "io.debezium.data.Ltree" => named("ltree"),
        "io.debezium.data.Tsvector" => named("tsvector"),
        "io.debezium.data.geometry.Point" => Some(Kind::Point),
        "io.debezium.data.geometry.Geometry" => Some(Kind::Geometry(format!("{postgis}.geometry"))),
        "io.debezium.data.geometry.Geography" => Some(Kind::Geometry(format!("{postgis}.geography"))),
        "io.debezium.data.DoubleVector" => Some(Kind::Vector(sized("vector", schema))),
        "io.debezium.data.FloatVector" => Some(Kind::Vector(sized("halfvec", schema))),
        "io.debezium.data.SparseDoubleVector" => Some(Kind::SparseVector(sized("sparsevec", schema))),
        _ => None,
    }
}

fn by_column_type(name: &str, schema: &Schema) -> Option<Kind> {
    let named = || Some(Kind::Named(name.to_lowercase()));
    match (name, schema.kind()) {
        ("BIT", Type::Boolean) => Some(Kind::Bit),
        ("SMALLSERIAL" | "SERIAL" | "BIGSERIAL", _) => Some(Kind::Serial(name.to_lowercase())),
        ("OID", _) => Some(Kind::Oid),
        (
            "CITEXT" | "CIDR" | "INET" | "MACADDR" | "MONEY" | "XML" | "INT4RANGE" | "INT8RANGE" | "NUMRANGE"
            | "TSRANGE" | "TSTZRANGE" | "DATERANGE",
            Type::String,
        ) => named(),
        _ => None,
    }
}

fn number(schema: &Schema, parameter: &str) -> Option<u32> {
    schema.parameter(parameter).and_then(|text| text.parse().ok())
}

/// Of a time, by what the source says; 6 if it says nothing.
fn precision(schema: &Schema) -> u32 {
    number(schema, COLUMN_SCALE)
        .or_else(|| number(schema, COLUMN_LENGTH))
        .filter(|precision| (1..=6).contains(precision))
        .unwrap_or(6)
}

fn decimal(schema: &Schema) -> Kind {
    let scale: i32 = schema
        .parameter(logical::SCALE)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    Kind::Decimal {
        precision: number(schema, "connect.decimal.precision")
            .unwrap_or(0)
            .min(MAX_PRECISION),
        scale,
    }
}

fn bits(schema: &Schema) -> Kind {
    let length = number(schema, "length").filter(|length| (1..=MAX_LENGTH).contains(length));
    Kind::Bits {
        length: length.unwrap_or(0),
        varying: schema
            .parameter(COLUMN_TYPE)
            .is_some_and(|name| &**name == "VARBIT"),
    }
}

/// `varchar(n)` or `char(n)`, where the source says so.
fn text_type(schema: &Schema) -> Option<String> {
    let length = number(schema, COLUMN_LENGTH).unwrap_or(0);
    let limited = |name: &str, length: u32| match length {
        0 => None,
        length if length > MAX_LENGTH => None,
        length => Some(format!("{name}({length})")),
    };
    match schema.parameter(COLUMN_TYPE)?.to_uppercase().as_str() {
        "CHAR" | "CHARACTER" | "BPCHAR" | "NCHAR" => limited("char", length.max(1)),
        "VARCHAR" | "VARCHAR2" | "CHARACTER VARYING" | "NVARCHAR" | "NVARCHAR2" => limited("varchar", length),
        _ => None,
    }
}

fn sized(name: &str, schema: &Schema) -> String {
    match number(schema, COLUMN_LENGTH) {
        Some(size) if size != NO_LIMIT && size > 0 => format!("{name}({size})"),
        _ => name.to_owned(),
    }
}

fn unknown(schema: &Schema) -> Error {
    Error::data(format!(
        "Failed to resolve column type for schema: {} ({})",
        schema.kind().name().to_uppercase(),
        schema.name().map_or("null", |name| name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::schema::SchemaBuilder;

    fn column(schema: SchemaBuilder) -> String {
        match Kind::of(&schema.build(), "public") {
            Ok(kind) => kind.column_type(),
            Err(error) => error.message().to_owned(),
        }
    }

    fn of(schema: SchemaBuilder, name: &str) -> String {
        column(schema.name(name))
    }

    fn typed(schema: SchemaBuilder, name: &str, length: &str) -> String {
        column(
            schema
                .parameter(COLUMN_TYPE, name)
                .parameter(COLUMN_LENGTH, length),
        )
    }

    #[test]
    fn plain_types_have_their_columns() {
        for (schema, expected) in [
            (Schema::int8(), "smallint"),
            (Schema::int16(), "smallint"),
            (Schema::int32(), "integer"),
            (Schema::int64(), "bigint"),
            (Schema::float32(), "real"),
            (Schema::float64(), "double precision"),
            (Schema::boolean(), "boolean"),
            (Schema::string(), "text"),
            (Schema::bytes(), "bytea"),
            (
                Schema::array(Schema::array(Schema::int32().build()).build()),
                "integer[][]",
            ),
            (
                Schema::map(Schema::string().build(), Schema::string().build()),
                "hstore",
            ),
            (
                Schema::structure(),
                "Failed to resolve column type for schema: STRUCT (null)",
            ),
        ] {
            assert_eq!(column(schema), expected);
        }
    }

    #[test]
    fn semantic_names_go_first() {
        for (schema, name, expected) in [
            (Schema::int32(), "io.debezium.time.Date", "date"),
            (Schema::int32(), logical::DATE, "date"),
            (Schema::int64(), "io.debezium.time.MicroTime", "time(6)"),
            (Schema::int64(), "io.debezium.time.MicroTimestamp", "timestamp(6)"),
            (
                Schema::string(),
                "io.debezium.time.ZonedTimestamp",
                "timestamp(6) with time zone",
            ),
            (
                Schema::string(),
                "io.debezium.time.ZonedTime",
                "time(6) with time zone",
            ),
            (Schema::int64(), "io.debezium.time.MicroDuration", "interval"),
            (Schema::string(), "io.debezium.time.Interval", "interval"),
            (Schema::int32(), "io.debezium.time.Year", "integer"),
            (Schema::string(), "io.debezium.data.Json", "json"),
            (Schema::string(), "io.debezium.data.Uuid", "uuid"),
            (Schema::string(), "io.debezium.data.Enum", "text"),
            (Schema::string(), "io.debezium.data.Xml", "xml"),
            (
                Schema::structure(),
                "io.debezium.data.VariableScaleDecimal",
                "numeric",
            ),
            (
                Schema::structure(),
                "io.debezium.data.geometry.Geography",
                "public.geography",
            ),
        ] {
            assert_eq!(of(schema, name), expected, "{name}");
        }
    }

    #[test]
    fn the_sources_column_type_says_more_where_it_is_propagated() {
        assert_eq!(typed(Schema::string(), "VARCHAR", "40"), "varchar(40)");
        assert_eq!(typed(Schema::string(), "varchar", "2147483647"), "text");
        assert_eq!(typed(Schema::string(), "BPCHAR", "0"), "char(1)");
        assert_eq!(typed(Schema::boolean(), "BIT", "1"), "bit");
        assert_eq!(typed(Schema::string(), "INET", "0"), "inet");
        assert_eq!(typed(Schema::string(), "TSTZRANGE", "0"), "tstzrange");
        assert_eq!(typed(Schema::int32(), "SERIAL", "10"), "serial");
        assert_eq!(
            typed(Schema::string().name("io.debezium.data.Json"), "JSONB", "1"),
            "jsonb"
        );
        let time = Schema::int64().name("io.debezium.time.Timestamp");
        let time = time.parameter(COLUMN_LENGTH, "29").parameter(COLUMN_SCALE, "3");
        assert_eq!(column(time), "timestamp(3)");
    }

    #[test]
    fn decimals_and_bits_have_their_sizes() {
        let decimal = |scale: &'static str| Schema::bytes().name(logical::DECIMAL).parameter("scale", scale);
        assert_eq!(column(decimal("2")), "numeric(38,2)");
        assert_eq!(
            column(decimal("2").parameter("connect.decimal.precision", "10")),
            "numeric(10,2)"
        );
        assert_eq!(column(decimal("-3")), "numeric(38,0)");
        let bits = |length: &'static str| {
            Schema::bytes()
                .name("io.debezium.data.Bits")
                .parameter("length", length)
        };
        assert_eq!(column(bits("8")), "bit(8)");
        assert_eq!(
            column(bits("8").parameter(COLUMN_TYPE, "VARBIT")),
            "bit varying(8)"
        );
        assert_eq!(column(bits("2147483647")), "bit varying");
    }
}
