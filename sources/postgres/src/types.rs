//! Postgres types to Connect schemas and decoders.
//!
//! The map is that of Debezium's `PostgresValueConverter.schemaBuilder`. What has no mapping there is left out of the row,
//! unless `include.unknown.datatypes`.

use bytes::{Bytes, BytesMut};
use tapline_api::schema::{SchemaBuilder, logical};
use tapline_api::{Schema, SchemaRef, Struct, Value};

use crate::config::{DecimalMode, TimeMode};
use crate::value::{BinaryMode, Decoder, Unit, binary_value, hex, write_wkb_point};

/// The handling modes that decide how types appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeModes {
    pub(crate) decimal: DecimalMode,
    pub(crate) time: TimeMode,
    pub(crate) binary: BinaryMode,
    pub(crate) hstore_map: bool,
    pub(crate) interval_text: bool,
    pub(crate) money_scale: u32,
    pub(crate) include_unknown: bool,
    pub(crate) placeholder: Placeholder,
}

/// `unavailable.value.placeholder`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) text: String,
    bytes: Bytes,
}

impl Placeholder {
    /// From the option: text, or bytes after `hex:`.
    pub(crate) fn new(option: &str) -> Self {
        let mut bytes = BytesMut::new();
        let decoded = option
            .strip_prefix("hex:")
            .is_some_and(|digits| hex(digits.as_bytes(), &mut bytes).is_ok());
        let bytes = if decoded {
            bytes.freeze()
        } else {
            Bytes::copy_from_slice(option.as_bytes())
        };
        Self {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }

    /// As a value of `bytea`.
    fn binary(&self, mode: BinaryMode) -> Value {
        match mode {
            BinaryMode::Bytes => Value::Bytes(self.bytes.clone()),
            _ => self.text.clone().into(),
        }
    }
}

/// What `pg_type` says about one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PgType {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The kinds that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Base,
    /// With its labels in order.
    Enum(Vec<String>),
    /// Of another type, with the modifier that the domain gives it.
    Domain {
        of: Box<PgType>,
        modifier: i32,
    },
    Array(Box<PgType>),
    Other,
}

impl PgType {
    /// A built-in type, or one that only its name tells.
    #[cfg(test)]
    pub(crate) fn base(oid: u32, name: impl Into<String>) -> Self {
        Self {
            oid,
            name: name.into(),
            kind: Kind::Base,
        }
    }
}

/// How a column appears: the schema still to be made optional, the decoder, and the two values that stand in.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) schema: SchemaBuilder,
    pub(crate) decoder: Decoder,
    /// For null in a column that allows none (a key-only old row): Debezium's fallback.
    pub(crate) fallback: Value,
    /// For a value that was not sent.
    pub(crate) placeholder: Value,
    /// Whether the schema allows null though the column does not.
    pub(crate) always_optional: bool,
}

/// What becomes of a column.
#[derive(Debug)]
pub(crate) enum Mapped {
    As(Box<Mapping>),
    LeftOut,
}

impl Mapping {
    fn new(schema: SchemaBuilder, decoder: Decoder, fallback: Value) -> Self {
        Self {
            schema,
            decoder,
            fallback,
            placeholder: Value::Null,
            always_optional: false,
        }
    }

    fn placeholder(mut self, value: Value) -> Self {
        self.placeholder = value;
        self
    }
}

fn named(builder: SchemaBuilder, name: &'static str) -> SchemaBuilder {
    builder.name(name).version(1)
}

impl TypeModes {
    /// The mapping of a column of type `of` with type modifier `modifier` (-1 for none).
    pub(crate) fn map(&self, of: &PgType, modifier: i32) -> Mapped {
        let (root, modifier) = root(of, modifier);
        match &root.kind {
            Kind::Enum(labels) => self.text(enumeration(labels)),
            Kind::Array(element) => self.array(root, element, modifier),
            _ => self.base(root, modifier),
        }
    }

    fn text(&self, schema: SchemaBuilder) -> Mapped {
        let placeholder = self.placeholder.text.clone().into();
        as_is(Mapping::new(schema, Decoder::Text, "".into()).placeholder(placeholder))
    }

    fn base(&self, of: &PgType, modifier: i32) -> Mapped {
        match of.oid {
            oid::BOOL => as_is(Mapping::new(
                Schema::boolean(),
                Decoder::Boolean,
                Value::Boolean(false),
            )),
            oid::INT2 => as_is(Mapping::new(Schema::int16(), Decoder::Int16, Value::Int16(0))),
            oid::INT4 => as_is(Mapping::new(Schema::int32(), Decoder::Int32, Value::Int32(0))),
            oid::INT8 | oid::OID => as_is(Mapping::new(Schema::int64(), Decoder::Int64, Value::Int64(0))),
            oid::FLOAT4 => as_is(Mapping::new(
                Schema::float32(),
                Decoder::Float32,
                Value::Float32(0.0),
            )),
            oid::FLOAT8 => as_is(Mapping::new(
                Schema::float64(),
                Decoder::Float64,
                Value::Float64(0.0),
            )),
            oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::CHAR
            | oid::NAME
            | oid::INET
            | oid::CIDR
            | oid::MACADDR
            | oid::MACADDR8
            | oid::INT4RANGE
            | oid::INT8RANGE
            | oid::NUMRANGE
            | oid::TSRANGE
            | oid::TSTZRANGE
            | oid::DATERANGE => self.text(Schema::string()),
            oid::JSON | oid::JSONB => self.text(named(Schema::string(), "io.debezium.data.Json")),
            oid::UUID => self.text(named(Schema::string(), "io.debezium.data.Uuid")),
            oid::XML => self.text(named(Schema::string(), "io.debezium.data.Xml")),
            oid::TSVECTOR => self.text(named(Schema::string(), "io.debezium.data.Tsvector")),
            oid::BYTEA => {
                let schema = binary_schema(self.binary);
                let empty = binary_value(Bytes::new(), self.binary);
                let mapping = Mapping::new(schema, Decoder::Bytes(self.binary), empty);
                as_is(mapping.placeholder(self.placeholder.binary(self.binary)))
            }
            oid::NUMERIC => as_is(self.numeric(modifier)),
            oid::MONEY => as_is(self.money()),
            oid::DATE => as_is(self.date()),
            oid::TIME => as_is(self.time(precision(modifier))),
            oid::TIMETZ => {
                let schema = named(Schema::string(), "io.debezium.time.ZonedTime");
                as_is(Mapping::new(schema, Decoder::TimeUtc, "00:00:00Z".into()))
            }
            oid::TIMESTAMP => as_is(self.timestamp(precision(modifier))),
            oid::TIMESTAMPTZ => {
                let schema = named(Schema::string(), "io.debezium.time.ZonedTimestamp");
                let decoder = Decoder::TimestampUtc {
                    digits: precision(modifier),
                };
                as_is(Mapping::new(schema, decoder, "1970-01-01T00:00:00Z".into()))
            }
            oid::INTERVAL if self.interval_text => {
                let schema = named(Schema::string(), "io.debezium.time.Interval");
                as_is(Mapping::new(
                    schema,
                    Decoder::IntervalIso,
                    "P0Y0M0DT0H0M0S".into(),
                ))
            }
            oid::INTERVAL => {
                let schema = named(Schema::int64(), "io.debezium.time.MicroDuration");
                as_is(Mapping::new(schema, Decoder::Interval, Value::Int64(0)))
            }
            oid::INT2VECTOR => as_is(words(Schema::int16(), Decoder::Int16)),
            oid::OIDVECTOR => as_is(words(Schema::int64(), Decoder::Int64)),
            oid::BIT | oid::VARBIT => as_is(bits(of.oid, modifier)),
            oid::POINT => {
                let mut wkb = BytesMut::new();
                write_wkb_point(&mut wkb, 0.0, 0.0);
                let zero = vec![
                    Value::Float64(0.0),
                    Value::Float64(0.0),
                    Value::Bytes(wkb.freeze()),
                    Value::Null,
                ];
                let fallback = Value::Struct(Struct::new(point().build(), zero));
                as_is(Mapping::new(point(), Decoder::Point(unbound()), fallback))
            }
            _ => self.extension(of),
        }
    }

    /// Types that have no fixed oid; only their names tell.
    fn extension(&self, of: &PgType) -> Mapped {
        match (&of.kind, of.name.as_str()) {
            (Kind::Base, "citext" | "isbn") => self.text(Schema::string()),
            (Kind::Base, "ltree") => self.text(named(Schema::string(), "io.debezium.data.Ltree")),
            (Kind::Base, "hstore") if self.hstore_map => {
                let schema = Schema::map(Schema::string().build(), Schema::string().optional().build());
                let word = || Value::from(self.placeholder.text.clone());
                let mapping = Mapping::new(schema, Decoder::HstoreMap, Value::Map(Vec::new()));
                as_is(mapping.placeholder(Value::Map(vec![(word(), word())])))
            }
            (Kind::Base, "hstore") => {
                let schema = named(Schema::string(), "io.debezium.data.Json");
                let word = serde_json::Value::from(self.placeholder.text.clone());
                let mapping = Mapping::new(schema, Decoder::HstoreJson, "{}".into());
                as_is(mapping.placeholder(format!("{{{word}:{word}}}").into()))
            }
            (Kind::Base, "geometry") => as_is(geometry("io.debezium.data.geometry.Geometry", "Geometry")),
            (Kind::Base, "geography") => as_is(geometry("io.debezium.data.geometry.Geography", "Geography")),
            // pgvector's
            (Kind::Base, "vector") => {
                let schema = Schema::array(Schema::float64().build());
                let schema = named(schema, "io.debezium.data.DoubleVector");
                as_is(Mapping::new(schema, Decoder::Vector, Value::Array(Vec::new())))
            }
            (Kind::Base, "halfvec") => {
                let schema = Schema::array(Schema::float32().build());
                let schema = named(schema, "io.debezium.data.FloatVector");
                as_is(Mapping::new(
                    schema,
                    Decoder::HalfVector,
                    Value::Array(Vec::new()),
                ))
            }
            (Kind::Base, "sparsevec") => {
                let empty = vec![Value::Int16(0), Value::Map(Vec::new())];
                let fallback = Struct::new(sparse_vector().build(), empty);
                as_is(Mapping::new(
                    sparse_vector(),
                    Decoder::SparseVector(unbound()),
                    Value::Struct(fallback),
                ))
            }
            _ if self.include_unknown => as_is(Mapping::new(
                binary_schema(self.binary),
                // pgjdbc reads these and prints them its own way.
                match of.oid {
                    oid::LSEG | oid::PATH | oid::BOX | oid::POLYGON | oid::LINE | oid::CIRCLE => {
                        Decoder::Shape(self.binary)
                    }
                    _ => Decoder::Opaque(self.binary),
                },
                binary_value(Bytes::new(), self.binary),
            )),
            _ => Mapped::LeftOut,
        }
    }

    fn array(&self, of: &PgType, element: &PgType, modifier: i32) -> Mapped {
        let (root, element_modifier) = root(element, modifier);
        if root.oid == oid::BIT {
            // Debezium gives an array of bits the schema of one, in which no array has room.
            let mut mapping = Mapping::new(
                bits(root.oid, element_modifier).schema,
                Decoder::Null,
                Value::Null,
            );
            mapping.always_optional = true;
            return as_is(mapping);
        }
        // Debezium has no converter for arrays of these, nor of domains.
        let missing = matches!(
            root.oid,
            oid::MONEY | oid::NAME | oid::INTERVAL | oid::VARBIT | oid::XML | oid::POINT | oid::REFCURSOR
        );
        let of_domain = matches!(element.kind, Kind::Domain { .. });
        if missing || of_domain && !self.include_unknown {
            return Mapped::LeftOut;
        }
        let mapping = match self.map(root, element_modifier) {
            Mapped::As(mapping) if !of_domain => mapping,
            _ if self.include_unknown => Box::new(Mapping::new(
                binary_schema(self.binary),
                Decoder::Opaque(self.binary),
                Value::Null,
            )),
            other => return other,
        };
        // Enums' labels, lexemes, vectors and opaque bytes forbid null where every other element type allows it.
        let nullable = !matches!(root.kind, Kind::Enum(_))
            && root.oid != oid::TSVECTOR
            && !matches!(
                mapping.decoder,
                Decoder::Opaque(_)
                    | Decoder::Shape(_)
                    | Decoder::Vector
                    | Decoder::HalfVector
                    | Decoder::SparseVector(_)
            );
        let decoder = match mapping.decoder {
            Decoder::Time(unit) => Decoder::TimeInArray(unit),
            Decoder::TimeUtc => Decoder::TimeUtcInArray,
            other => other,
        };
        let schema = Schema::array(mapping.schema.set_optional(nullable).build());
        let decoder = Decoder::Array {
            element: Box::new(decoder),
            // An ltree's null has room in the schema, and none in Debezium's converter.
            nullable: nullable && root.name != "ltree",
            delimiter: if root.oid == oid::BOX { b';' } else { b',' },
        };
        let mapping = Mapping::new(schema, decoder, Value::Array(Vec::new()));
        as_is(mapping.placeholder(self.array_placeholder(of.oid)))
    }

    /// Debezium's `UnchangedToastedPlaceholder`: the placeholder's bytes as numbers, its name's UUID, or itself.
    fn array_placeholder(&self, array: u32) -> Value {
        let bytes = &self.placeholder.bytes;
        Value::Array(match array {
            oid::TEXT_ARRAY | oid::VARCHAR_ARRAY | oid::BPCHAR_ARRAY | oid::JSON_ARRAY | oid::JSONB_ARRAY => {
                vec![self.placeholder.text.clone().into()]
            }
            // Debezium has bytes alone.
            oid::BYTEA_ARRAY if self.binary == BinaryMode::Bytes => {
                vec![self.placeholder.binary(self.binary)]
            }
            oid::INT4_ARRAY | oid::DATE_ARRAY => bytes
                .iter()
                .map(|byte| Value::Int32(i32::from(byte.cast_signed())))
                .collect(),
            oid::INT8_ARRAY => bytes
                .iter()
                .map(|byte| Value::Int64(i64::from(byte.cast_signed())))
                .collect(),
            oid::UUID_ARRAY => vec![name_uuid(bytes).into()],
            _ => return Value::Null,
        })
    }

    fn numeric(&self, modifier: i32) -> Mapping {
        let scaled = (modifier >= 4).then(|| {
            let packed = (modifier - 4).cast_unsigned();
            (packed >> 16 & 0xFFFF, packed & 0xFFFF)
        });
        match (self.decimal, scaled) {
            (DecimalMode::Double, _) => {
                Mapping::new(Schema::float64(), Decoder::DecimalDouble, Value::Float64(0.0))
            }
            (DecimalMode::String, _) => {
                let scale = scaled.map(|(_, scale)| scale);
                let zero = match scale {
                    Some(digits) if digits > 0 => format!("0.{}", "0".repeat(digits as usize)),
                    _ => "0".to_owned(),
                };
                Mapping::new(Schema::string(), Decoder::DecimalText { scale }, zero.into())
            }
            (DecimalMode::Precise, Some((precision, scale))) => {
                let schema = named(Schema::bytes(), logical::DECIMAL)
                    .parameter(logical::SCALE, scale.to_string())
                    .parameter("connect.decimal.precision", precision.to_string());
                Mapping::new(
                    schema,
                    Decoder::Decimal { scale },
                    Value::Bytes(Bytes::from_static(&[0])),
                )
            }
            (DecimalMode::Precise, None) => {
                let schema = variable_scale();
                let zero = vec![Value::Int32(0), Value::Bytes(Bytes::from_static(&[0]))];
                let fallback = Value::Struct(Struct::new(variable_scale().build(), zero));
                Mapping::new(schema, Decoder::VariableDecimal(unbound()), fallback)
            }
        }
    }

    fn money(&self) -> Mapping {
        match self.decimal {
            DecimalMode::Double => Mapping::new(Schema::float64(), Decoder::MoneyDouble, Value::Float64(0.0)),
            DecimalMode::String => Mapping::new(Schema::string(), Decoder::MoneyText, "0.00".into()),
            DecimalMode::Precise => {
                let schema = named(Schema::bytes(), logical::DECIMAL)
                    .parameter(logical::SCALE, self.money_scale.to_string());
                let zero = Value::Bytes(Bytes::from_static(&[0]));
                Mapping::new(
                    schema,
                    Decoder::Money {
                        scale: self.money_scale,
                    },
                    zero,
                )
            }
        }
    }

    fn date(&self) -> Mapping {
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

    fn time(&self, precision: usize) -> Mapping {
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

    fn timestamp(&self, precision: usize) -> Mapping {
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

/// Stands in until [`Decoder::bind`] puts the column's own schema in its place.
fn unbound() -> SchemaRef {
    Schema::structure().build()
}

fn as_is(mapping: Mapping) -> Mapped {
    Mapped::As(Box::new(mapping))
}

fn sparse_vector() -> SchemaBuilder {
    let entries = Schema::map(Schema::int16().build(), Schema::float64().build()).build();
    named(Schema::structure(), "io.debezium.data.SparseDoubleVector")
        .doc("Sparse double vector")
        .field("dimensions", Schema::int16().build())
        .field("vector", entries)
}

fn point() -> SchemaBuilder {
    named(Schema::structure(), "io.debezium.data.geometry.Point")
        .doc("Geometry (POINT)")
        .field("x", Schema::float64().build())
        .field("y", Schema::float64().build())
        .field("wkb", Schema::bytes().optional().build())
        .field("srid", Schema::int32().optional().build())
}

/// PostGIS' own text is well-known binary in hexadecimal, with the SRID in it.
fn geometry(name: &'static str, doc: &'static str) -> Mapping {
    let schema = || {
        named(Schema::structure(), name)
            .doc(doc)
            .field("wkb", Schema::bytes().build())
            .field("srid", Schema::int32().optional().build())
    };
    // GEOMETRYCOLLECTION EMPTY
    let empty = Value::Bytes(Bytes::from_static(&[1, 7, 0, 0, 0, 0, 0, 0, 0]));
    let fallback = Struct::new(schema().build(), vec![empty, Value::Null]);
    let mut mapping = Mapping::new(schema(), Decoder::Geometry(unbound()), Value::Struct(fallback));
    mapping.always_optional = true;
    mapping
}

/// The type under all domains, with the nearest domain's modifier.
fn root(of: &PgType, modifier: i32) -> (&PgType, i32) {
    match &of.kind {
        Kind::Domain {
            of: base,
            modifier: own,
        } => root(base, *own),
        _ => (of, modifier),
    }
}

/// `time`, `timestamp` and their zoned forms: digits after the point, six when not said.
fn precision(modifier: i32) -> usize {
    usize::try_from(modifier).map_or(6, |digits| digits.min(6))
}

fn enumeration(labels: &[String]) -> SchemaBuilder {
    named(Schema::string(), "io.debezium.data.Enum").parameter("allowed", labels.join(","))
}

fn variable_scale() -> SchemaBuilder {
    named(Schema::structure(), "io.debezium.data.VariableScaleDecimal")
        .doc("Variable scaled decimal")
        .field("scale", Schema::int32().build())
        .field("value", Schema::bytes().build())
}

fn binary_schema(mode: BinaryMode) -> SchemaBuilder {
    match mode {
        BinaryMode::Bytes => Schema::bytes(),
        _ => Schema::string(),
    }
}

fn bits(oid: u32, modifier: i32) -> Mapping {
    let length = match (oid, modifier) {
        (oid::VARBIT, ..1) => i32::MAX,
        (_, ..1) => 1,
        (_, length) => length,
    };
    if length == 1 {
        return Mapping::new(Schema::boolean(), Decoder::Bit, Value::Boolean(false));
    }
    let schema = named(Schema::bytes(), "io.debezium.data.Bits").parameter("length", length.to_string());
    Mapping::new(schema, Decoder::Bits, Value::Bytes(Bytes::new()))
}

/// Of the system catalogs' vectors: numbers with blanks between them.
fn words(of: SchemaBuilder, element: Decoder) -> Mapping {
    let decoder = Decoder::Words(Box::new(element));
    Mapping::new(Schema::array(of.build()), decoder, Value::Array(Vec::new()))
}

/// `UUID.nameUUIDFromBytes`: version 3, without a name space.
fn name_uuid(name: &[u8]) -> String {
    use md5::{Digest, Md5};
    let mut bytes = <[u8; 16]>::from(Md5::digest(name));
    let [.., _, _, version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0F | 0x30;
    *variant = *variant & 0x3F | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32)
    )
}

/// Built-in types' oids (`pg_type.dat`), which never change.
pub(crate) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const BYTEA: u32 = 17;
    pub(crate) const CHAR: u32 = 18;
    pub(crate) const NAME: u32 = 19;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT2VECTOR: u32 = 22;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const OID: u32 = 26;
    pub(crate) const OIDVECTOR: u32 = 30;
    pub(crate) const JSON: u32 = 114;
    pub(crate) const XML: u32 = 142;
    pub(crate) const JSON_ARRAY: u32 = 199;
    pub(crate) const POINT: u32 = 600;
    pub(crate) const LSEG: u32 = 601;
    pub(crate) const PATH: u32 = 602;
    pub(crate) const BOX: u32 = 603;
    pub(crate) const POLYGON: u32 = 604;
    pub(crate) const LINE: u32 = 628;
    pub(crate) const CIDR: u32 = 650;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const CIRCLE: u32 = 718;
    pub(crate) const MACADDR8: u32 = 774;
    pub(crate) const MONEY: u32 = 790;
    pub(crate) const MACADDR: u32 = 829;
    pub(crate) const INET: u32 = 869;
    pub(crate) const BYTEA_ARRAY: u32 = 1001;
    pub(crate) const INT4_ARRAY: u32 = 1007;
    pub(crate) const TEXT_ARRAY: u32 = 1009;
    pub(crate) const BPCHAR_ARRAY: u32 = 1014;
    pub(crate) const VARCHAR_ARRAY: u32 = 1015;
    pub(crate) const INT8_ARRAY: u32 = 1016;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const DATE: u32 = 1082;
    pub(crate) const TIME: u32 = 1083;
    pub(crate) const TIMESTAMP: u32 = 1114;
    pub(crate) const DATE_ARRAY: u32 = 1182;
    pub(crate) const TIMESTAMPTZ: u32 = 1184;
    pub(crate) const INTERVAL: u32 = 1186;
    pub(crate) const TIMETZ: u32 = 1266;
    pub(crate) const BIT: u32 = 1560;
    pub(crate) const VARBIT: u32 = 1562;
    pub(crate) const NUMERIC: u32 = 1700;
    pub(crate) const REFCURSOR: u32 = 1790;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const UUID_ARRAY: u32 = 2951;
    pub(crate) const TSVECTOR: u32 = 3614;
    pub(crate) const JSONB: u32 = 3802;
    pub(crate) const JSONB_ARRAY: u32 = 3807;
    pub(crate) const INT4RANGE: u32 = 3904;
    pub(crate) const NUMRANGE: u32 = 3906;
    pub(crate) const TSRANGE: u32 = 3908;
    pub(crate) const TSTZRANGE: u32 = 3910;
    pub(crate) const DATERANGE: u32 = 3912;
    pub(crate) const INT8RANGE: u32 = 3926;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes() -> TypeModes {
        crate::config::test_options(&[]).types
    }

    fn schema(modes: &TypeModes, of: &PgType, modifier: i32) -> SchemaRef {
        match modes.map(of, modifier) {
            Mapped::As(mapping) => mapping.schema.optional().build(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn schemas_are_those_that_debezium_recorded() {
        let numeric = schema(
            &modes(),
            &PgType::base(oid::NUMERIC, "numeric"),
            (10 << 16 | 2) + 4,
        );
        assert_eq!(numeric.name().map(|n| &**n), Some(logical::DECIMAL));
        assert_eq!(numeric.parameter("scale").map(|p| &**p), Some("2"));
        assert_eq!(
            numeric.parameter("connect.decimal.precision").map(|p| &**p),
            Some("10")
        );
        // numeric(5,-2), whose scale pgjdbc reads as eleven unsigned bits.
        let negative = schema(
            &modes(),
            &PgType::base(oid::NUMERIC, "numeric"),
            (5 << 16 | 2046) + 4,
        );
        assert_eq!(negative.parameter("scale").map(|p| &**p), Some("2046"));
        let varbit = schema(&modes(), &PgType::base(oid::VARBIT, "varbit"), -1);
        assert_eq!(varbit.parameter("length").map(|p| &**p), Some("2147483647"));
        let time = schema(&modes(), &PgType::base(oid::TIME, "time"), 3);
        assert_eq!(time.name().map(|n| &**n), Some("io.debezium.time.Time"));
    }

    #[test]
    fn a_domain_is_its_base_type_with_its_own_modifier() {
        let price = PgType {
            oid: 99_999,
            name: "price".into(),
            kind: Kind::Domain {
                of: Box::new(PgType::base(oid::NUMERIC, "numeric")),
                modifier: (10 << 16 | 2) + 4,
            },
        };
        assert_eq!(
            schema(&modes(), &price, -1).parameter("scale").map(|p| &**p),
            Some("2")
        );
    }

    #[test]
    fn an_array_of_labels_allows_no_null() {
        let mood = PgType {
            oid: 1,
            name: "mood".into(),
            kind: Kind::Enum(vec!["sad".into(), "ok".into()]),
        };
        let moods = PgType {
            oid: 2,
            name: "_mood".into(),
            kind: Kind::Array(Box::new(mood)),
        };
        let schema = schema(&modes(), &moods, -1);
        let element = schema.value_schema().unwrap();
        assert!(!element.is_optional());
        assert_eq!(element.parameter("allowed").map(|p| &**p), Some("sad,ok"));
    }

    #[test]
    fn what_has_no_mapping_is_left_out_unless_wanted() {
        let unknown = PgType::base(3615, "tsquery");
        assert!(matches!(modes().map(&unknown, -1), Mapped::LeftOut));
        let mut modes = modes();
        modes.include_unknown = true;
        assert!(matches!(modes.map(&unknown, -1), Mapped::As(_)));
    }

    #[test]
    fn a_placeholder_may_be_bytes_in_hexadecimal() {
        assert_eq!(Placeholder::new("hex:4142").text, "AB");
        assert_eq!(Placeholder::new("hex:4").text, "hex:4");
        let binary = Placeholder::new("hex:00ff").binary(BinaryMode::Bytes);
        assert_eq!(binary, Value::Bytes(Bytes::from_static(&[0, 0xFF])));
    }

    #[test]
    fn a_uuid_of_a_name_is_javas() {
        // UUID.nameUUIDFromBytes("__debezium_unavailable_value".getBytes())
        let id = name_uuid(b"__debezium_unavailable_value");
        assert_eq!((id.len(), id.get(14..15)), (36, Some("3")));
    }
}
