//! Which schema and which conversion a column's type has, by the options. Debezium's `BinlogValueConverters`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tapline_api::schema::{SchemaBuilder, logical};
use tapline_api::{Schema, SchemaRef, Value};
use tapline_cdc::filter::PatternList;

use crate::binlog::image::Raw;
use crate::ddl;
use crate::schema::{Column, Kind};
use crate::value::charset::Charset;
use crate::value::{BinaryMode, Context, Convert, TimeUnit, rounded_text, text, unscaled_of_text};
use crate::zero_date::ZeroDates;

/// `decimal.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalMode {
    Precise,
    Double,
    String,
}

/// `time.precision.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeMode {
    AdaptiveMicros,
    Connect,
    Iso,
    Micros,
    Nanos,
}

/// The options that decide types.
#[derive(Debug, Clone)]
pub(crate) struct TypeModes {
    pub(crate) decimal: DecimalMode,
    pub(crate) time: TimeMode,
    pub(crate) binary: BinaryMode,
    /// `bigint.unsigned.handling.mode=precise`
    pub(crate) unsigned_precise: bool,
    /// `enable.time.adjuster`
    pub(crate) adjust_years: bool,
    /// `TinyIntOneToBooleanConverter`, and the columns it is for; an empty list means all.
    pub(crate) tiny_int_one: Option<PatternList>,
    /// `ZeroDateFallbackConverter`
    pub(crate) zero_dates: Option<ZeroDates>,
    /// MariaDB's JSON is LONGTEXT.
    pub(crate) json_is_text: bool,
}

/// A column's schema, not yet optional or required, and how its values get there.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) schema: SchemaRef,
    pub(crate) convert: Convert,
    /// What null becomes where there is none allowed, and no default.
    pub(crate) zero: Value,
    /// What a converter puts in the place of null, and of the column's default: a value, or nothing.
    pub(crate) fallback: Option<Option<Value>>,
}

impl Mapping {
    fn new(schema: SchemaBuilder, convert: Convert, zero: Value) -> Self {
        Self {
            schema: schema.build(),
            convert,
            zero,
            fallback: None,
        }
    }

    pub(crate) fn named(schema: SchemaBuilder, name: &'static str, convert: Convert, zero: Value) -> Self {
        Self::new(schema.name(name).version(1), convert, zero)
    }
}

impl TypeModes {
    /// Maps a column of `database.table`.
    ///
    /// # Errors
    /// What is not supported about it.
    pub(crate) fn map(&self, table: &str, column: &Column) -> Result<Mapping, String> {
        let unsigned = column.unsigned();
        let int16 = || Mapping::new(Schema::int16(), Convert::Int16, Value::Int16(0));
        let int32 = || Mapping::new(Schema::int32(), Convert::Int32, Value::Int32(0));
        let int64 = || Mapping::new(Schema::int64(), Convert::Int64, Value::Int64(0));
        let boolean = |convert| Mapping::new(Schema::boolean(), convert, Value::Boolean(false));
        if self.is_one_bit(table, column) {
            return Ok(boolean(Convert::Positive));
        }
        if let Some(zero_dates) = &self.zero_dates
            && let Some(mapped) = zero_dates.map(table, column, self.adjust_years)
        {
            return mapped;
        }
        Ok(match column.kind {
            Kind::Boolean => boolean(Convert::Boolean),
            Kind::TinyInt => int16(),
            Kind::SmallInt if unsigned => int32(),
            Kind::SmallInt => int16(),
            Kind::Int if unsigned => int64(),
            Kind::MediumInt | Kind::Int => int32(),
            Kind::BigInt if unsigned && self.unsigned_precise => decimal(20, 0, Convert::Unsigned),
            Kind::BigInt => int64(),
            Kind::Float if column.scale.is_none() && column.length.is_none_or(|length| length <= 24) => {
                Mapping::new(Schema::float32(), Convert::Float32, Value::Float32(0.0))
            }
            Kind::Float | Kind::Double => {
                Mapping::new(Schema::float64(), Convert::Float64, Value::Float64(0.0))
            }
            Kind::Decimal => self.decimal(column),
            Kind::Bit if column.length.unwrap_or(1) <= 1 => boolean(Convert::BitBoolean),
            Kind::Bit => {
                let bits = column.length.unwrap_or(1);
                let bytes = usize::try_from(bits).unwrap_or(1).div_ceil(8);
                let schema = Schema::bytes().parameter("length", bits.to_string());
                let zero = Value::Bytes(Bytes::from(vec![0; bytes]));
                Mapping::named(schema, "io.debezium.data.Bits", Convert::Bits { bytes }, zero)
            }
            Kind::Year => Mapping::named(
                Schema::int32(),
                "io.debezium.time.Year",
                Convert::Year,
                Value::Int32(0),
            ),
            Kind::Date | Kind::Time | Kind::DateTime | Kind::Timestamp => self.temporal(column),
            Kind::Char | Kind::VarChar | Kind::TinyText | Kind::Text | Kind::MediumText | Kind::LongText => {
                let name = column.charset.as_deref().unwrap_or("utf8mb4");
                let charset = Charset::named(name)
                    .ok_or_else(|| format!("character set '{name}', which is not supported yet"))?;
                if name == "binary" {
                    self.binary(0)
                } else {
                    Mapping::new(Schema::string(), Convert::Text(charset), Value::from(""))
                }
            }
            Kind::Binary => self.binary(usize::try_from(column.length.unwrap_or(1)).unwrap_or(1)),
            Kind::VarBinary | Kind::TinyBlob | Kind::Blob | Kind::MediumBlob | Kind::LongBlob => {
                self.binary(0)
            }
            Kind::Enum => {
                let list = list(column);
                list_of("io.debezium.data.Enum", &list, Convert::Enum(list.clone()))
            }
            Kind::Set => {
                let list = list(column);
                list_of("io.debezium.data.EnumSet", &list, Convert::Set(list.clone()))
            }
            Kind::Json => {
                let convert = if self.json_is_text {
                    Convert::JsonText
                } else {
                    Convert::Json
                };
                Mapping::named(
                    Schema::string(),
                    "io.debezium.data.Json",
                    convert,
                    Value::from("{}"),
                )
            }
            Kind::Point => geometry(true, column.optional),
            Kind::Geometry => geometry(false, column.optional),
            Kind::Vector => Mapping::named(
                Schema::array(Schema::float32().build()),
                "io.debezium.data.FloatVector",
                Convert::Vector,
                Value::Array(Vec::new()),
            ),
            Kind::Uuid => Mapping::named(
                Schema::string(),
                "io.debezium.data.Uuid",
                Convert::Uuid,
                Value::from(""),
            ),
            Kind::Inet4 => Mapping::new(Schema::string(), Convert::Inet4, Value::from("")),
            Kind::Inet6 => Mapping::new(Schema::string(), Convert::Inet6, Value::from("")),
            Kind::Unknown => return Err(format!("type {}, which is not known", column.type_name)),
        })
    }

    fn is_one_bit(&self, table: &str, column: &Column) -> bool {
        let one = column.kind == Kind::Boolean || column.kind == Kind::TinyInt && column.length == Some(1);
        one && !column.unsigned()
            && self
                .tiny_int_one
                .as_ref()
                .is_some_and(|only| only.is_empty() || only.matches(&format!("{table}.{}", column.name)))
    }

    fn decimal(&self, column: &Column) -> Mapping {
        let precision = column.length.unwrap_or(10);
        let scale = u32::try_from(column.scale.unwrap_or(0)).unwrap_or(0);
        match self.decimal {
            DecimalMode::Precise => decimal(precision, scale, Convert::DecimalBytes { scale }),
            DecimalMode::Double => Mapping::new(
                Schema::float64(),
                Convert::DecimalDouble { scale },
                Value::Float64(0.0),
            ),
            DecimalMode::String => {
                Mapping::new(Schema::string(), Convert::DecimalText { scale }, Value::from("0"))
            }
        }
    }

    fn binary(&self, fill: usize) -> Mapping {
        let convert = Convert::Bytes {
            mode: self.binary,
            fill,
        };
        if self.binary == BinaryMode::Bytes {
            return Mapping::new(Schema::bytes(), convert, Value::Bytes(Bytes::new()));
        }
        Mapping::new(Schema::string(), convert, Value::from(""))
    }

    fn temporal(&self, column: &Column) -> Mapping {
        use TimeMode as M;
        let adjust = self.adjust_years;
        let (int32, int64) = (Schema::int32, Schema::int64);
        let fine = column.length.unwrap_or(0) > 3;
        let point = |unit| Convert::DateTime { unit, adjust };
        match (column.kind, self.time) {
            (Kind::Timestamp, _) => Mapping::named(
                Schema::string(),
                "io.debezium.time.ZonedTimestamp",
                Convert::Timestamp {
                    digits: u8::try_from(column.length.unwrap_or(0)).unwrap_or(0),
                },
                Value::from("1970-01-01T00:00:00Z"),
            ),
            (Kind::Date, M::Connect) => {
                Mapping::named(int32(), logical::DATE, Convert::Days { adjust }, Value::Int32(0))
            }
            (Kind::Date, M::Iso) => Mapping::named(
                Schema::string(),
                "io.debezium.time.IsoDate",
                Convert::DateText { adjust },
                Value::from("1970-01-01Z"),
            ),
            (Kind::Date, _) => Mapping::named(
                int32(),
                "io.debezium.time.Date",
                Convert::Days { adjust },
                Value::Int32(0),
            ),
            (Kind::Time, M::Connect) => Mapping::named(
                int32(),
                logical::TIME,
                Convert::Time(TimeUnit::Millis),
                Value::Int32(0),
            ),
            (Kind::Time, M::Iso) => Mapping::named(
                Schema::string(),
                "io.debezium.time.IsoTime",
                Convert::Time(TimeUnit::Iso),
                Value::from("00:00:00Z"),
            ),
            (Kind::Time, M::Nanos) => Mapping::named(
                int64(),
                "io.debezium.time.NanoTime",
                Convert::Time(TimeUnit::Nanos),
                Value::Int64(0),
            ),
            (Kind::Time, _) => Mapping::named(
                int64(),
                "io.debezium.time.MicroTime",
                Convert::Time(TimeUnit::Micros),
                Value::Int64(0),
            ),
            (_, M::Connect) => Mapping::named(
                int64(),
                logical::TIMESTAMP,
                point(TimeUnit::Millis),
                Value::Int64(0),
            ),
            (_, M::Iso) => Mapping::named(
                Schema::string(),
                "io.debezium.time.IsoTimestamp",
                point(TimeUnit::Iso),
                Value::from("1970-01-01T00:00:00Z"),
            ),
            (_, M::Nanos) => Mapping::named(
                int64(),
                "io.debezium.time.NanoTimestamp",
                point(TimeUnit::Nanos),
                Value::Int64(0),
            ),
            (_, mode) if fine || mode == M::Micros => Mapping::named(
                int64(),
                "io.debezium.time.MicroTimestamp",
                point(TimeUnit::Micros),
                Value::Int64(0),
            ),
            _ => Mapping::named(
                int64(),
                "io.debezium.time.Timestamp",
                point(TimeUnit::Millis),
                Value::Int64(0),
            ),
        }
    }
}

fn decimal(precision: i32, scale: u32, convert: Convert) -> Mapping {
    let schema = Schema::bytes()
        .parameter(logical::SCALE, scale.to_string())
        .parameter("connect.decimal.precision", precision.to_string());
    Mapping::named(
        schema,
        logical::DECIMAL,
        convert,
        Value::Bytes(Bytes::from_static(&[0])),
    )
}

fn list(column: &Column) -> Arc<[ByteString]> {
    column.values().into_iter().map(ByteString::from).collect()
}

fn list_of(name: &'static str, list: &[ByteString], convert: Convert) -> Mapping {
    let allowed: Vec<String> = list.iter().map(|value| value.replace(',', "\\,")).collect();
    let schema = Schema::string().parameter("allowed", allowed.join(","));
    Mapping::named(schema, name, convert, Value::from(""))
}

fn geometry(point: bool, optional: bool) -> Mapping {
    let schema = |optional: bool| {
        let schema = if point {
            Schema::structure()
                .name("io.debezium.data.geometry.Point")
                .doc("Geometry (POINT)")
                .field("x", Schema::float64().build())
                .field("y", Schema::float64().build())
                .field("wkb", Schema::bytes().optional().build())
        } else {
            Schema::structure()
                .name("io.debezium.data.geometry.Geometry")
                .doc("Geometry")
                .field("wkb", Schema::bytes().build())
        };
        schema
            .version(1)
            .field("srid", Schema::int32().optional().build())
            .set_optional(optional)
    };
    let built = schema(optional).build();
    let convert = if point {
        Convert::Point(built)
    } else {
        Convert::Geometry(built)
    };
    Mapping::new(schema(optional), convert, Value::Null)
}

/// The default of a column, from its literal.
pub(crate) fn default_value(column: &Column, convert: &Convert) -> Option<Value> {
    let mut literal = column.default.as_deref().filter(|_| column.has_default)?;
    if column.kind.is_number() || matches!(column.kind, Kind::Boolean | Kind::Bit) {
        literal = match literal.trim() {
            word if word.eq_ignore_ascii_case("true") => "1",
            word if word.eq_ignore_ascii_case("false") => "0",
            number => number,
        };
    }
    match column.kind {
        Kind::Bit => {
            let digits = literal.trim_start_matches(['b', 'B']).trim_matches('\'');
            let bits = u64::from_str_radix(digits, 2).ok()?;
            converted(convert, &Raw::Bits(bits), &Bytes::new())
        }
        Kind::Boolean | Kind::TinyInt | Kind::SmallInt | Kind::MediumInt | Kind::Int | Kind::Year => {
            let number = literal.trim().parse::<f64>().ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates; a default fits its column"
            )]
            let number = number.round() as i64;
            if column.kind == Kind::Year {
                return i32::try_from(number).ok().map(Value::Int32);
            }
            converted_int(convert, number)
        }
        Kind::Decimal => match convert {
            Convert::DecimalBytes { scale } => unscaled_of_text(literal, *scale),
            _ => {
                let scale = column.scale.and_then(|scale| u32::try_from(scale).ok());
                of_text(column, convert, &rounded_text(literal, scale.unwrap_or(0))?)
            }
        },
        kind if kind.is_binary() => {
            let bytes = Bytes::from(ddl::bytes_of(literal));
            converted(convert, &Raw::Bytes(0..bytes.len()), &bytes)
        }
        // Texts and JSON of MariaDB may have a literal; of MySQL, expressions alone.
        Kind::Char
        | Kind::VarChar
        | Kind::TinyText
        | Kind::Text
        | Kind::MediumText
        | Kind::LongText
        | Kind::Json
        | Kind::Enum
        | Kind::Set
        | Kind::BigInt
        | Kind::Float
        | Kind::Double
        | Kind::Date
        | Kind::Time
        | Kind::DateTime
        | Kind::Timestamp => of_text(column, convert, literal),
        // These have no literals.
        _ => None,
    }
}

/// Whether a column that allows no null has a date for its default that the calendar lacks.
pub(crate) fn is_zero_date(column: &Column) -> bool {
    let dates = matches!(column.kind, Kind::Date | Kind::DateTime | Kind::Timestamp);
    let literal = column.default.as_deref().filter(|_| column.has_default);
    dates
        && !column.optional
        && literal.is_some_and(|literal| literal == "0" || literal.starts_with("0000-00-00"))
}

fn of_text(column: &Column, convert: &Convert, literal: &str) -> Option<Value> {
    let bytes = Bytes::from(literal.to_owned());
    let raw = text::parse(column.kind, column.unsigned(), &bytes, 0..bytes.len()).ok()?;
    converted(convert, &raw, &bytes)
}

fn converted_int(convert: &Convert, number: i64) -> Option<Value> {
    converted(convert, &Raw::Int(number), &Bytes::new())
}

pub(crate) fn converted(convert: &Convert, raw: &Raw, bytes: &Bytes) -> Option<Value> {
    let mut arena = BytesMut::new();
    let mut cx = Context {
        bytes,
        arena: &mut arena,
        before: None,
    };
    convert.apply(raw, &mut cx).ok().filter(|value| !value.is_null())
}

#[cfg(test)]
pub(crate) fn test_modes() -> TypeModes {
    TypeModes {
        decimal: DecimalMode::Precise,
        time: TimeMode::AdaptiveMicros,
        binary: BinaryMode::Bytes,
        unsigned_precise: false,
        adjust_years: true,
        tiny_int_one: None,
        zero_dates: None,
        json_is_text: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::Dialect;

    fn column(text: &str, attributes: &str) -> Column {
        ddl::column(&Dialect::mysql(), "c", text, attributes).unwrap()
    }

    fn mapped(text: &str) -> (String, Option<String>) {
        let schema = test_modes().map("d.t", &column(text, "")).unwrap().schema;
        (
            schema.kind().name().to_owned(),
            schema.name().map(|name| name.to_string()),
        )
    }

    #[test]
    fn types_have_debeziums_schemas() {
        for (text, kind, name) in [
            ("tinyint(1)", "int16", None),
            ("smallint unsigned", "int32", None),
            ("int unsigned", "int64", None),
            ("bigint unsigned", "int64", None),
            ("float", "float", None),
            ("float(30)", "double", None),
            ("float(5,3)", "double", None),
            (
                "decimal(10,2)",
                "bytes",
                Some("org.apache.kafka.connect.data.Decimal"),
            ),
            ("bit(1)", "boolean", None),
            ("bit(9)", "bytes", Some("io.debezium.data.Bits")),
            ("year", "int32", Some("io.debezium.time.Year")),
            ("datetime(3)", "int64", Some("io.debezium.time.Timestamp")),
            ("datetime(6)", "int64", Some("io.debezium.time.MicroTimestamp")),
            ("timestamp", "string", Some("io.debezium.time.ZonedTimestamp")),
            ("json", "string", Some("io.debezium.data.Json")),
            ("vector(3)", "array", Some("io.debezium.data.FloatVector")),
            ("varbinary(5)", "bytes", None),
            ("geometry", "struct", Some("io.debezium.data.geometry.Geometry")),
        ] {
            assert_eq!(mapped(text), (kind.to_owned(), name.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn defaults_are_values_of_their_type() {
        let default = |text: &str, attributes: &str| {
            let column = column(text, attributes);
            let convert = test_modes().map("d.t", &column).unwrap().convert;
            default_value(&column, &convert)
        };
        assert_eq!(default("int", "default 7"), Some(Value::Int32(7)));
        assert_eq!(
            default("bit(8)", "default b'101'"),
            Some(Value::Bytes(Bytes::from_static(&[5])))
        );
        assert_eq!(
            default("date", "default '2024-01-02'"),
            Some(Value::Int32(19_724))
        );
        assert_eq!(
            default("varchar(20)", "default 'it''s'"),
            Some(Value::from("it''s"))
        );
        let bytes = |bytes: &'static [u8]| Some(Value::Bytes(Bytes::from_static(bytes)));
        for (text, attributes, expected) in [
            ("varbinary(4)", "default 0x00FF", bytes(b"\0\xff")),
            ("varbinary(4)", "default X'00FF'", bytes(b"\0\xff")),
            ("varbinary(9)", "default '0x00FF'", bytes(b"0x00FF")),
            ("varbinary(4)", "default ''", bytes(b"")),
            ("binary(4)", "default 0xFF", bytes(b"\xff\0\0\0")),
            ("binary(4)", r"default 'ab\0\0'", bytes(b"ab\0\0")),
            ("blob", "default x'00'", bytes(b"\0")),
            ("blob", "default (x'00')", None),
            ("bit(9)", "default 0x101", bytes(b"\x01\x01")),
            ("bit(4)", "default 10", bytes(b"\x0a")),
            ("bit", "default true", Some(Value::Boolean(true))),
            ("char(3)", "default x'C3A9'", Some(Value::from("é"))),
            ("text", "default 'x'", Some(Value::from("x"))),
            ("int", "default x'10'", Some(Value::Int32(16))),
            ("int", "default b'101'", Some(Value::Int32(5))),
            ("tinyint(1)", "default true", Some(Value::Int16(1))),
            ("bigint", "default 0xff", Some(Value::Int64(255))),
        ] {
            assert_eq!(default(text, attributes), expected, "{text} {attributes}");
        }
        assert_eq!(default("int", "default null"), None);
        assert_eq!(default("timestamp", "default current_timestamp"), None);
    }
}
