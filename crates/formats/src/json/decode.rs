//! JSON to values: by a plan compiled once per schema, or as it comes where there is no schema.
//!
//! Members are expected in the order of the schema's fields, because that is how they were written; then each name is
//! one comparison of bytes. Any other order is read too, only slower. Where Java turns a value of another type into 0,
//! false or null without a word (a string for an INT32), it is refused here: such a message is not what it says it is.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};
use tapline_api::envelope::ENVELOPE_SUFFIX;
use tapline_api::schema::logical;
use tapline_api::{Error, SchemaRef, Struct, Type, Value};

use super::Options;
use super::encode::scale;
use super::fault::{Fault, caused, data};
use super::reader::{Reader, Token};
use super::text::push_escaped;
use crate::number::parse_decimal;

/// Base64 as Jackson reads it: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One schema of the tree.
pub(super) struct Node {
    kind: Kind,
    null: Null,
}

enum Null {
    /// Null, or the default in its place.
    Value(Value),
    Refused,
}

enum Kind {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Decimal(i32),
    Array(Box<Node>),
    Object(Box<Node>),
    Pairs(Box<(Node, Node)>),
    Struct(Box<Fields>),
    /// Any value, passed over and taken for null.
    Ignored,
}

struct Fields {
    schema: SchemaRef,
    fields: Box<[FieldNode]>,
    by_name: HashMap<Arc<str>, usize>,
}

struct FieldNode {
    /// `"name":`, as an encoder writes it.
    name: Box<[u8]>,
    node: Node,
}

impl Node {
    pub(super) fn compile(schema: &SchemaRef, options: Options) -> Result<Self, Fault> {
        let element = || match schema.value_schema() {
            Some(element) => Self::compile(element, options).map(Box::new),
            None => Err(data("Array schema did not specify the element type")),
        };
        let kind = match schema.kind() {
            Type::Int8 => Kind::Int8,
            Type::Int16 => Kind::Int16,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Float32 => Kind::Float32,
            Type::Float64 => Kind::Float64,
            Type::Boolean => Kind::Boolean,
            Type::String => Kind::String,
            Type::Bytes if schema.is_named(logical::DECIMAL) => Kind::Decimal(scale(schema)?),
            Type::Bytes => Kind::Bytes,
            Type::Array => Kind::Array(element()?),
            Type::Map => match schema.key_schema() {
                Some(key) if key.kind() == Type::String => Kind::Object(element()?),
                Some(key) => Kind::Pairs(Box::new((Self::compile(key, options)?, *element()?))),
                None => return Err(data("Map schema did not specify the key type")),
            },
            Type::Struct => Kind::Struct(Box::new(Fields::compile(schema, options)?)),
        };
        let null = match schema.default() {
            Some(default) if options.replace_null => Null::Value(default.clone()),
            _ if schema.is_optional() => Null::Value(Value::Null),
            _ => Null::Refused,
        };
        Ok(Self { kind, null })
    }

    /// Makes null of these fields, if the schema is an envelope's.
    pub(super) fn ignore(&mut self, schema: &SchemaRef, fields: &[&str]) {
        let Kind::Struct(all) = &mut self.kind else { return };
        if !schema.name().is_some_and(|name| name.ends_with(ENVELOPE_SUFFIX)) {
            return;
        }
        for (node, field) in all.fields.iter_mut().zip(schema.fields()) {
            if fields.contains(&&**field.name()) {
                node.node = Self {
                    kind: Kind::Ignored,
                    null: Null::Value(Value::Null),
                };
            }
        }
    }

    pub(super) fn read(&self, reader: &mut Reader<'_>) -> Result<Value, Fault> {
        let token = reader.peek()?;
        Ok(match (&self.kind, token) {
            (_, Token::Null) => {
                reader.null()?;
                return self.absent();
            }
            (Kind::String, Token::String) => {
                let text = reader.string()?;
                Value::String(reader.shared(text))
            }
            (Kind::Int64, Token::Number) => Value::Int64(integer(reader, "INT64")?),
            (Kind::Int32, Token::Number) => Value::Int32(integer(reader, "INT32")?),
            (Kind::Int16, Token::Number) => Value::Int16(integer(reader, "INT16")?),
            (Kind::Int8, Token::Number) => Value::Int8(integer(reader, "INT8")?),
            (Kind::Float64, Token::Number) => Value::Float64(float(reader.number()?.0)?),
            (Kind::Float32, Token::Number) => Value::Float32(float(reader.number()?.0)?),
            (Kind::Float64, Token::String) => Value::Float64(not_finite(reader)?),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "NaN and infinities stay what they are"
            )]
            (Kind::Float32, Token::String) => Value::Float32(not_finite(reader)? as f32),
            (Kind::Boolean, Token::Boolean) => Value::Boolean(reader.boolean()?),
            (Kind::Bytes, Token::String) => Value::Bytes(base64(reader, "Invalid bytes field")?),
            (Kind::Decimal(_), Token::String) => {
                Value::Bytes(base64(reader, "Invalid bytes for Decimal field")?)
            }
            (Kind::Decimal(scale), Token::Number) => {
                let (text, _) = reader.number()?;
                match parse_decimal(text, *scale) {
                    Some(unscaled) => Value::Bytes(Bytes::from(unscaled)),
                    None => {
                        return Err(data(
                            "BigDecimal has mismatching scale value for given Decimal schema",
                        ));
                    }
                }
            }
            (Kind::Struct(fields), Token::Object) => Value::Struct(fields.read(reader)?),
            (Kind::Array(node), Token::Array) => {
                let mut items = Vec::new();
                let mut more = reader.enter_array()?;
                while more {
                    items.push(node.read(reader)?);
                    more = reader.more_elements()?;
                }
                Value::Array(items)
            }
            (Kind::Object(node), Token::Object) => {
                let mut entries = Vec::new();
                let mut more = reader.enter_object()?;
                while more {
                    let name = reader.name()?;
                    let key = Value::String(reader.shared(name));
                    put(&mut entries, key, node.read(reader)?);
                    more = reader.more_members()?;
                }
                Value::Map(entries)
            }
            (Kind::Pairs(nodes), Token::Array) => pairs(nodes, reader)?,
            (Kind::Ignored, _) => {
                reader.skip()?;
                Value::Null
            }
            (kind, found) => return Err(reader.instead(kind.refusal(), found)),
        })
    }

    /// The value of a null, or of a field that is not there.
    fn absent(&self) -> Result<Value, Fault> {
        match &self.null {
            Null::Value(value) => Ok(value.clone()),
            Null::Refused => Err(data(format!(
                "Invalid null value for required {} field",
                self.kind.constant()
            ))),
        }
    }
}

impl Kind {
    const fn constant(&self) -> &'static str {
        let kind = match self {
            Self::Int8 => Type::Int8,
            Self::Int16 => Type::Int16,
            Self::Int32 => Type::Int32,
            Self::Int64 => Type::Int64,
            Self::Float32 => Type::Float32,
            Self::Float64 => Type::Float64,
            Self::Boolean => Type::Boolean,
            Self::String => Type::String,
            Self::Bytes | Self::Decimal(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Object(_) | Self::Pairs(_) => Type::Map,
            Self::Struct(_) | Self::Ignored => Type::Struct,
        };
        kind.constant()
    }

    fn refusal(&self) -> String {
        match self {
            Self::Struct(_) => "Structs should be encoded as JSON objects, but found ".to_owned(),
            Self::Object(_) => {
                "Maps with string fields should be encoded as JSON objects, but found ".to_owned()
            }
            Self::Pairs(_) => {
                "Maps with non-string fields should be encoded as JSON array of tuples, but found ".to_owned()
            }
            Self::Decimal(_) => {
                "Invalid type for Decimal, underlying representation should be numeric or bytes but was "
                    .to_owned()
            }
            other => format!("Invalid type for {}: ", other.constant()),
        }
    }
}

/// A map's entry: as in Java's map, the last of equal keys wins, in the place of the first.
fn put(entries: &mut Vec<(Value, Value)>, key: Value, value: Value) {
    // Small maps are the rule; the search is bounded so that a large one stays linear.
    const SEARCHED: usize = 64;
    if entries.len() <= SEARCHED
        && let Some(entry) = entries.iter_mut().find(|entry| entry.0 == key)
    {
        entry.1 = value;
        return;
    }
    entries.push((key, value));
}

fn pairs(nodes: &(Node, Node), reader: &mut Reader<'_>) -> Result<Value, Fault> {
    const LENGTH: &str = "Found invalid map entry, expected length 2 but found :";
    let mut entries = Vec::new();
    let mut more = reader.enter_array()?;
    while more {
        let token = reader.peek()?;
        if token != Token::Array {
            return Err(reader.instead("Found invalid map entry instead of array tuple: ", token));
        }
        if !reader.enter_array()? {
            return Err(data(format!("{LENGTH}0")));
        }
        let key = nodes.0.read(reader)?;
        if !reader.more_elements()? {
            return Err(data(format!("{LENGTH}1")));
        }
        let value = nodes.1.read(reader)?;
        let mut length = 2;
        while reader.more_elements()? {
            reader.skip()?;
            length += 1;
        }
        if length != 2 {
            return Err(data(format!("{LENGTH}{length}")));
        }
        put(&mut entries, key, value);
        more = reader.more_elements()?;
    }
    Ok(Value::Map(entries))
}

impl Fields {
    fn compile(schema: &SchemaRef, options: Options) -> Result<Self, Fault> {
        let fields = schema
            .fields()
            .iter()
            .map(|field| {
                let mut name = BytesMut::from(&b"\""[..]);
                push_escaped(&mut name, field.name());
                name.extend_from_slice(b"\":");
                Ok(FieldNode {
                    name: name.to_vec().into_boxed_slice(),
                    node: Node::compile(field.schema(), options).map_err(|f| f.inside(field.name()))?,
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Self {
            schema: schema.clone(),
            fields,
            by_name: schema
                .fields()
                .iter()
                .enumerate()
                .map(|(index, field)| (field.name().clone(), index))
                .collect(),
        })
    }

    fn read(&self, reader: &mut Reader<'_>) -> Result<Struct, Fault> {
        let mut values = Vec::with_capacity(self.fields.len());
        let mut more = reader.enter_object()?;
        for field in &self.fields {
            if !more {
                break;
            }
            if !reader.take(&field.name) {
                return self.read_unordered(reader, values);
            }
            let value = field
                .node
                .read(reader)
                .map_err(|f| self.inside(values.len(), f))?;
            values.push(value);
            more = reader.more_members()?;
        }
        if more {
            return self.read_unordered(reader, values);
        }
        for field in self.fields.iter().skip(values.len()) {
            let value = field.node.absent().map_err(|f| self.inside(values.len(), f))?;
            values.push(value);
        }
        Ok(Struct::new(self.schema.clone(), values))
    }

    /// Members in another order than the fields, unknown ones, or ones that come twice: the last one counts.
    #[cold]
    fn read_unordered(&self, reader: &mut Reader<'_>, values: Vec<Value>) -> Result<Struct, Fault> {
        let mut values: Vec<Option<Value>> = values.into_iter().map(Some).collect();
        values.resize(self.fields.len(), None);
        loop {
            let name = reader.name()?;
            let index = self.by_name.get(name.as_str()).copied();
            match index.and_then(|index| Some((index, self.fields.get(index)?, values.get_mut(index)?))) {
                Some((index, field, slot)) => {
                    *slot = Some(field.node.read(reader).map_err(|f| self.inside(index, f))?);
                }
                None => reader.skip()?,
            }
            if !reader.more_members()? {
                break;
            }
        }
        let values = values
            .into_iter()
            .zip(&self.fields)
            .enumerate()
            .map(|(index, (value, field))| match value {
                Some(value) => Ok(value),
                None => field.node.absent().map_err(|f| self.inside(index, f)),
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Struct::new(self.schema.clone(), values))
    }

    #[cold]
    fn inside(&self, index: usize, fault: Fault) -> Fault {
        match self.schema.fields().get(index) {
            Some(field) => fault.inside(field.name()),
            None => fault,
        }
    }
}

/// An integer of a width. A number with a fraction of zero (`1.0`) is one too.
fn integer<T: TryFrom<i64>>(reader: &mut Reader<'_>, wanted: &str) -> Result<T, Fault> {
    let (text, integral) = reader.number()?;
    let number = if integral {
        text.parse::<i64>().ok()
    } else {
        whole(text)
    };
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| data(format!("Invalid type for {wanted}: {text} is out of its range")))
}

/// `1.0`, `1e3` as an integer.
fn whole(text: &str) -> Option<i64> {
    let unscaled = parse_decimal(text, 0)?;
    num_bigint::BigInt::from_signed_bytes_be(&unscaled)
        .try_into()
        .ok()
}

fn float<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| data(format!("Invalid type for FLOAT64: {text}")))
}

/// What the encoder writes for a number that JSON does not have.
fn not_finite(reader: &mut Reader<'_>) -> Result<f64, Fault> {
    let text = reader.string()?;
    match text.as_str() {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => Err(data("Invalid type for FLOAT64: STRING")),
    }
}

fn base64(reader: &mut Reader<'_>, refusal: &'static str) -> Result<Bytes, Fault> {
    let text = reader.string()?;
    match BASE64.decode(text.as_str()) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) => Err(caused(refusal, Error::data(error.to_string()))),
    }
}

/// A value without a schema: maps with string keys, Int64, Float64. An integer beyond 64 bits becomes the nearest
/// Float64 (Java keeps its low 64 bits, which is another number).
pub(super) fn read_schemaless(reader: &mut Reader<'_>) -> Result<Value, Fault> {
    Ok(match reader.peek()? {
        Token::Null => {
            reader.null()?;
            Value::Null
        }
        Token::Boolean => Value::Boolean(reader.boolean()?),
        Token::Number => {
            let (text, integral) = reader.number()?;
            match text.parse() {
                Ok(number) if integral => Value::Int64(number),
                _ => Value::Float64(float(text)?),
            }
        }
        Token::String => {
            let text = reader.string()?;
            Value::String(reader.shared(text))
        }
        Token::Array => {
            let mut items = Vec::new();
            let mut more = reader.enter_array()?;
            while more {
                items.push(read_schemaless(reader)?);
                more = reader.more_elements()?;
            }
            Value::Array(items)
        }
        Token::Object => {
            let mut entries = Vec::new();
            let mut more = reader.enter_object()?;
            while more {
                let name = reader.name()?;
                let key = Value::String(reader.shared(name));
                put(&mut entries, key, read_schemaless(reader)?);
                more = reader.more_members()?;
            }
            Value::Map(entries)
        }
    })
}
