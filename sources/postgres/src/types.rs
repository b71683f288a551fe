//! Postgres types to Connect schemas and decoders.
//!
//! The map is that of Debezium's `PostgresValueConverter.schemaBuilder`. What has no mapping there is left out of the row,
//! unless `include.unknown.datatypes`.

mod array;
mod number;
pub(crate) mod oid;
mod placeholder;
mod shape;
mod time;

use bytes::{Bytes, BytesMut};
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Schema, SchemaRef, Struct, Value};

use crate::config::{DecimalMode, TimeMode};
use crate::value::{BinaryMode, Decoder, binary_value, write_wkb_point};

pub(crate) use placeholder::Placeholder;
use shape::{geometry, point, sparse_vector};
use time::precision;

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
}

/// Stands in until [`Decoder::bind`] puts the column's own schema in its place.
fn unbound() -> SchemaRef {
    Schema::structure().build()
}

fn as_is(mapping: Mapping) -> Mapped {
    Mapped::As(Box::new(mapping))
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

fn enumeration(labels: &[String]) -> SchemaBuilder {
    named(Schema::string(), "io.debezium.data.Enum").parameter("allowed", labels.join(","))
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
        assert_eq!(
            numeric.name().map(|n| &**n),
            Some("org.apache.kafka.connect.data.Decimal")
        );
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
}
