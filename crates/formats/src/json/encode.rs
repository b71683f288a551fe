//! Values to JSON, by a plan compiled once per schema.
//!
//! The plan is the schema turned into what has to be written: `{"name":` and `,"name":` fragments with their escapes
//! done, the text for null, and for the root the whole `{"schema":…,"payload":`. Per value there is a match and an
//! append, no allocation and no look-up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use tapline_api::schema::logical;
use tapline_api::{Schema, SchemaRef, Struct, Type, Value};

use super::fault::{Fault, data};
use super::repeated::Repeated;
use super::text::{push_escaped, push_string};
use super::{Options, schema};
use crate::number::{push_decimal, push_double, push_float, push_integer};

/// Everything there is to know about one schema.
pub(super) struct Plan {
    prefix: Box<[u8]>,
    root: Node,
    suffix: &'static [u8],
}

impl Plan {
    pub(super) fn compile(schema: &SchemaRef, options: Options) -> Result<Self, Fault> {
        let root = Node::compile(schema, options)?;
        if !options.schemas {
            return Ok(Self {
                prefix: Box::default(),
                root,
                suffix: b"",
            });
        }
        let mut prefix = BytesMut::from(&b"{\"schema\":"[..]);
        schema::render(schema, None, options, &mut prefix)?;
        prefix.extend_from_slice(b",\"payload\":");
        Ok(Self {
            prefix: prefix.to_vec().into_boxed_slice(),
            root,
            suffix: b"}",
        })
    }

    pub(super) fn encode(&mut self, value: &Value, out: &mut BytesMut) -> Result<(), Fault> {
        out.extend_from_slice(&self.prefix);
        self.root.write(value, out)?;
        out.extend_from_slice(self.suffix);
        Ok(())
    }
}

/// One schema of the tree.
pub(super) struct Node {
    kind: Kind,
    /// What null is written as: `null`, the default, or nothing because it is refused.
    null: Option<Box<[u8]>>,
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
    /// Also Decimal as BASE64.
    Bytes,
    /// Decimal as NUMERIC, with its scale.
    Decimal(i32),
    Array(Box<Node>),
    /// A map with string keys: an object.
    Object(Box<Node>),
    /// Any other map: an array of pairs.
    Pairs(Box<(Node, Node)>),
    Struct(Box<Fields>),
}

struct Fields {
    schema: SchemaRef,
    /// Another schema that was found equal: rows of it need no second comparison.
    accepted: u64,
    fields: Box<[FieldNode]>,
    /// Of a change's source block, which hardly differs from the last one.
    repeated: Option<Box<Repeated>>,
}

struct FieldNode {
    /// `{"name":` or `,"name":`.
    name: Box<[u8]>,
    node: Node,
}

impl Node {
    pub(super) fn compile(schema: &SchemaRef, options: Options) -> Result<Self, Fault> {
        let kind = match schema.kind() {
            Type::Int8 => Kind::Int8,
            Type::Int16 => Kind::Int16,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Float32 => Kind::Float32,
            Type::Float64 => Kind::Float64,
            Type::Boolean => Kind::Boolean,
            Type::String => Kind::String,
            Type::Bytes if options.numeric && schema.is_named(logical::DECIMAL) => {
                Kind::Decimal(scale(schema)?)
            }
            Type::Bytes => Kind::Bytes,
            Type::Array => Kind::Array(Box::new(Self::element(schema, options)?)),
            Type::Map => {
                let value = Self::element(schema, options)?;
                match schema.key_schema() {
                    Some(key) if key.kind() == Type::String => Kind::Object(Box::new(value)),
                    Some(key) => Kind::Pairs(Box::new((Self::compile(key, options)?, value))),
                    None => return Err(data("Map schema did not specify the key type")),
                }
            }
            Type::Struct => Kind::Struct(Box::new(Fields::compile(schema, options)?)),
        };
        let mut node = Self { kind, null: None };
        node.null = match schema.default() {
            Some(default) if options.replace_null && !default.is_null() => {
                let mut text = BytesMut::new();
                node.write(default, &mut text)?;
                Some(text.to_vec().into_boxed_slice())
            }
            _ if schema.is_optional() => Some(Box::from(&b"null"[..])),
            _ => None,
        };
        Ok(node)
    }

    fn element(schema: &SchemaRef, options: Options) -> Result<Self, Fault> {
        match schema.value_schema() {
            Some(element) => Self::compile(element, options),
            None if schema.kind() == Type::Map => Err(data("Map schema did not specify the value type")),
            None => Err(data("Array schema did not specify the element type")),
        }
    }

    pub(super) fn write(&mut self, value: &Value, out: &mut BytesMut) -> Result<(), Fault> {
        match (&mut self.kind, value) {
            (_, Value::Null) => match &self.null {
                Some(text) => out.extend_from_slice(text),
                None => {
                    return Err(data(
                        "Conversion error: null value for field that is required and has no default value",
                    ));
                }
            },
            (Kind::Int8, Value::Int8(n)) => push_integer(out, *n),
            (Kind::Int16, Value::Int16(n)) => push_integer(out, *n),
            (Kind::Int32, Value::Int32(n)) => push_integer(out, *n),
            (Kind::Int64, Value::Int64(n)) => push_integer(out, *n),
            (Kind::Float32, Value::Float32(n)) => write_float(*n, out),
            (Kind::Float64, Value::Float64(n)) => write_double(*n, out),
            (Kind::Boolean, Value::Boolean(b)) => write_boolean(*b, out),
            (Kind::String, Value::String(text)) => push_string(out, text),
            (Kind::Bytes, Value::Bytes(bytes)) => write_bytes(bytes, out),
            (Kind::Decimal(scale), Value::Bytes(bytes)) => push_decimal(out, bytes, *scale),
            (Kind::Array(node), Value::Array(items)) => {
                out.extend_from_slice(b"[");
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b",");
                    }
                    node.write(item, out)?;
                }
                out.extend_from_slice(b"]");
            }
            (Kind::Object(node), Value::Map(entries)) => {
                out.extend_from_slice(b"{");
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b",");
                    }
                    write_name(key, out)?;
                    node.write(value, out)?;
                }
                out.extend_from_slice(b"}");
            }
            (Kind::Pairs(nodes), Value::Map(entries)) => {
                out.extend_from_slice(b"[");
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
                    nodes.0.write(key, out)?;
                    out.extend_from_slice(b",");
                    nodes.1.write(value, out)?;
                    out.extend_from_slice(b"]");
                }
                out.extend_from_slice(b"]");
            }
            (Kind::Struct(fields), Value::Struct(row)) => fields.write(row, out)?,
            (kind, value) => {
                return Err(data(format!(
                    "Invalid type for {}: class {}",
                    kind.name(),
                    value.java_class()
                )));
            }
        }
        Ok(())
    }
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "bytes type",
            Self::Decimal(_) => "Decimal, expected BigDecimal but was",
            Self::Array(_) => "ARRAY",
            Self::Object(_) | Self::Pairs(_) => "MAP",
            Self::Struct(_) => "STRUCT",
        }
    }
}

impl Fields {
    fn compile(schema: &SchemaRef, options: Options) -> Result<Self, Fault> {
        let fields = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let mut name = BytesMut::from(if index == 0 { &b"{\""[..] } else { &b",\""[..] });
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
            accepted: schema.id(),
            repeated: schema
                .name()
                .is_some_and(|name| name.ends_with(".Source"))
                .then(Box::default),
            fields,
        })
    }

    fn write(&mut self, row: &Struct, out: &mut BytesMut) -> Result<(), Fault> {
        let id = row.schema().id();
        if id != self.accepted {
            if id != self.schema.id() && **row.schema() != *self.schema {
                return Err(data("Mismatching schema."));
            }
            self.accepted = id;
        }
        if self.fields.is_empty() {
            out.extend_from_slice(b"{");
        }
        match &mut self.repeated {
            None => self.write_from(0, row, out, |_, _, _| {})?,
            Some(_) => self.write_repeated(row, out)?,
        }
        out.extend_from_slice(b"}");
        Ok(())
    }

    /// Writes the fields from number `first` on; `written` is told of each, with where its text begins.
    fn write_from(
        &mut self,
        first: usize,
        row: &Struct,
        out: &mut BytesMut,
        mut written: impl FnMut(&Value, usize, &BytesMut),
    ) -> Result<(), Fault> {
        let values = row.values().iter();
        for (index, (field, value)) in self.fields.iter_mut().zip(values).enumerate().skip(first) {
            let start = out.len();
            out.extend_from_slice(&field.name);
            if let Err(fault) = field.node.write(value, out) {
                return Err(match self.schema.fields().get(index) {
                    Some(field) => fault.inside(field.name()),
                    None => fault,
                });
            }
            written(value, start, out);
        }
        Ok(())
    }

    /// Writes the fields, of which those that are as they were last are copied.
    fn write_repeated(&mut self, row: &Struct, out: &mut BytesMut) -> Result<(), Fault> {
        let mut repeated = self.repeated.take().unwrap_or_default();
        let done = if repeated.copy_whole(row, out) {
            Ok(())
        } else {
            let begin = out.len();
            let first = repeated.copy(row.values(), out);
            let done = self.write_from(first, row, out, |value, start, out| {
                repeated.keep(value, start, out)
            });
            match done {
                Ok(()) => repeated.keep_whole(row, begin, out),
                Err(_) => *repeated = Repeated::default(),
            }
            done
        };
        self.repeated = Some(repeated);
        done
    }
}

/// A Decimal's scale, from its parameter.
pub(super) fn scale(schema: &Schema) -> Result<i32, Fault> {
    let Some(text) = schema.parameter(logical::SCALE) else {
        return Err(data("Invalid Decimal schema: scale parameter not found."));
    };
    text.parse()
        .map_err(|_| data("Invalid scale parameter found in Decimal schema: "))
}

/// Writes a value that has no schema.
pub(super) fn write_schemaless(value: &Value, out: &mut BytesMut) -> Result<(), Fault> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Int8(n) => push_integer(out, *n),
        Value::Int16(n) => push_integer(out, *n),
        Value::Int32(n) => push_integer(out, *n),
        Value::Int64(n) => push_integer(out, *n),
        Value::Float32(n) => write_float(*n, out),
        Value::Float64(n) => write_double(*n, out),
        Value::Boolean(b) => write_boolean(*b, out),
        Value::String(text) => push_string(out, text),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Array(items) => {
            out.extend_from_slice(b"[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b",");
                }
                write_schemaless(item, out)?;
            }
            out.extend_from_slice(b"]");
        }
        Value::Map(entries) if entries.iter().all(|(key, _)| matches!(key, Value::String(_))) => {
            out.extend_from_slice(b"{");
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b",");
                }
                write_name(key, out)?;
                write_schemaless(value, out)?;
            }
            out.extend_from_slice(b"}");
        }
        Value::Map(entries) => {
            out.extend_from_slice(b"[");
            for (index, (key, value)) in entries.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
                write_schemaless(key, out)?;
                out.extend_from_slice(b",");
                write_schemaless(value, out)?;
                out.extend_from_slice(b"]");
            }
            out.extend_from_slice(b"]");
        }
        Value::Struct(_) => return Err(data("Mismatching schema.")),
    }
    Ok(())
}

/// Writes `"key":`.
fn write_name(key: &Value, out: &mut BytesMut) -> Result<(), Fault> {
    match key {
        Value::String(text) => push_string(out, text),
        // As Jackson's `NullNode.asText`.
        Value::Null => out.extend_from_slice(b"\"null\""),
        other => {
            return Err(data(format!(
                "Invalid type for STRING: class {}",
                other.java_class()
            )));
        }
    }
    out.extend_from_slice(b":");
    Ok(())
}

fn write_boolean(value: bool, out: &mut BytesMut) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// As Jackson does, what JSON has no number for becomes a string: `"NaN"`, `"-Infinity"`.
fn write_double(number: f64, out: &mut BytesMut) {
    if number.is_finite() {
        return push_double(out, number);
    }
    out.extend_from_slice(b"\"");
    push_double(out, number);
    out.extend_from_slice(b"\"");
}

fn write_float(number: f32, out: &mut BytesMut) {
    if number.is_finite() {
        return push_float(out, number);
    }
    out.extend_from_slice(b"\"");
    push_float(out, number);
    out.extend_from_slice(b"\"");
}

/// Base64 with padding and no line feeds, straight into the buffer.
fn write_bytes(bytes: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Some(room) = out.get_mut(start..) {
        // The room is exact, so this cannot fail.
        let written = STANDARD.encode_slice(bytes, room).unwrap_or(0);
        out.truncate(start + written);
    }
    out.extend_from_slice(b"\"");
}
