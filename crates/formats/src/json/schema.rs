//! Schemas as JSON, in the layout of Java's converter: `type`, what belongs to the type, `optional`, `name`,
//! `version`, `doc`, `parameters`, `default`, and for a struct's field last of all `field`.

use std::sync::Arc;

use bytes::BytesMut;
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Schema, SchemaRef, Type, Value};

use super::Options;
use super::decode;
use super::encode::Node;
use super::fault::{Fault, data};
use super::reader::{Reader, Token};
use super::text::push_string;
use crate::number::push_integer;

/// Appends a schema as JSON.
pub(super) fn render(
    schema: &SchemaRef,
    field: Option<&str>,
    options: Options,
    out: &mut BytesMut,
) -> Result<(), Fault> {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(schema.kind().name().as_bytes());
    out.extend_from_slice(b"\"");
    match schema.kind() {
        Type::Array => {
            out.extend_from_slice(b",\"items\":");
            render_part(schema.value_schema(), options, out)?;
        }
        Type::Map => {
            out.extend_from_slice(b",\"keys\":");
            render_part(schema.key_schema(), options, out)?;
            out.extend_from_slice(b",\"values\":");
            render_part(schema.value_schema(), options, out)?;
        }
        Type::Struct => {
            out.extend_from_slice(b",\"fields\":[");
            for (index, field) in schema.fields().iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b",");
                }
                render(field.schema(), Some(field.name()), options, out)?;
            }
            out.extend_from_slice(b"]");
        }
        _ => {}
    }
    out.extend_from_slice(b",\"optional\":");
    out.extend_from_slice(if schema.is_optional() { b"true" } else { b"false" });
    if let Some(name) = schema.name() {
        out.extend_from_slice(b",\"name\":");
        push_string(out, name);
    }
    if let Some(version) = schema.version() {
        out.extend_from_slice(b",\"version\":");
        push_integer(out, version);
    }
    if let Some(doc) = schema.doc() {
        out.extend_from_slice(b",\"doc\":");
        push_string(out, doc);
    }
    for (index, (name, value)) in schema.parameters().iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"parameters\":{" } else { b"," });
        push_string(out, name);
        out.extend_from_slice(b":");
        push_string(out, value);
    }
    if !schema.parameters().is_empty() {
        out.extend_from_slice(b"}");
    }
    if let Some(default) = schema.default().filter(|default| !default.is_null()) {
        out.extend_from_slice(b",\"default\":");
        Node::compile(schema, options)?.write(default, out)?;
    }
    if let Some(field) = field {
        out.extend_from_slice(b",\"field\":");
        push_string(out, field);
    }
    out.extend_from_slice(b"}");
    Ok(())
}

fn render_part(schema: Option<&SchemaRef>, options: Options, out: &mut BytesMut) -> Result<(), Fault> {
    match schema {
        Some(schema) => render(schema, None, options, out),
        None => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }
}

type Parameters = Vec<(Arc<str>, Arc<str>)>;

/// The members of a schema's JSON; values that nest are kept as positions until the type is known.
#[derive(Default)]
struct Members {
    kind: Option<String>,
    optional: bool,
    name: Option<Arc<str>>,
    version: Option<i32>,
    doc: Option<Arc<str>>,
    field: Option<Arc<str>>,
    parameters: Parameters,
    default: Option<usize>,
    items: Option<usize>,
    keys: Option<usize>,
    values: Option<usize>,
    fields: Option<usize>,
}

/// Reads a schema; `null` is none. Second is the name under `field`.
pub(super) fn parse(
    reader: &mut Reader<'_>,
    options: Options,
) -> Result<(Option<SchemaRef>, Option<Arc<str>>), Fault> {
    match reader.peek()? {
        Token::Null => {
            reader.null()?;
            return Ok((None, None));
        }
        Token::Object => {}
        _ => return Err(data("Schema must contain 'type' field")),
    }
    let members = read_members(reader)?;
    let end = reader.position();
    let builder = begin(reader, &members, options)?;
    let mut builder = builder.set_optional(members.optional);
    if let Some(name) = members.name {
        builder = builder.name(name);
    }
    if let Some(version) = members.version {
        builder = builder.version(version);
    }
    if let Some(doc) = members.doc {
        builder = builder.doc(doc);
    }
    for (name, value) in members.parameters {
        builder = builder.parameter(name, value);
    }
    let mut schema = builder.build();
    if let Some(at) = members.default {
        reader.seek(at);
        let default = decode::Node::compile(&schema, options)?.read(reader)?;
        if !matches!(default, Value::Null) {
            schema = schema.to_builder().default(default).build();
        }
    }
    reader.seek(end);
    Ok((Some(schema), members.field))
}

fn read_members(reader: &mut Reader<'_>) -> Result<Members, Fault> {
    let mut members = Members::default();
    let mut more = reader.enter_object()?;
    while more {
        let name = reader.name()?;
        let at = reader.position();
        match (name.as_str(), reader.peek()?) {
            ("type", Token::String) => members.kind = Some(text(reader)?.as_ref().to_owned()),
            ("optional", Token::Boolean) => members.optional = reader.boolean()?,
            ("name", Token::String) => members.name = Some(text(reader)?),
            ("doc", Token::String) => members.doc = Some(text(reader)?),
            ("field", Token::String) => members.field = Some(text(reader)?),
            ("version", Token::Number) => {
                let (number, _) = reader.number()?;
                members.version = number.parse().ok();
            }
            ("parameters", Token::Object) => members.parameters = read_parameters(reader)?,
            (name, _) => {
                match name {
                    "default" => members.default = Some(at),
                    "items" => members.items = Some(at),
                    "keys" => members.keys = Some(at),
                    "values" => members.values = Some(at),
                    "fields" => members.fields = Some(at),
                    _ => {}
                }
                reader.skip()?;
            }
        }
        more = reader.more_members()?;
    }
    Ok(members)
}

fn read_parameters(reader: &mut Reader<'_>) -> Result<Parameters, Fault> {
    let mut parameters = Vec::new();
    let mut more = reader.enter_object()?;
    while more {
        let name = Arc::from(reader.name()?.as_str());
        if reader.peek()? != Token::String {
            return Err(data("Schema parameters must have string values."));
        }
        parameters.push((name, text(reader)?));
        more = reader.more_members()?;
    }
    Ok(parameters)
}

fn text(reader: &mut Reader<'_>) -> Result<Arc<str>, Fault> {
    Ok(Arc::from(reader.string()?.as_str()))
}

/// Starts the builder by its type, with the schemas inside.
fn begin(reader: &mut Reader<'_>, members: &Members, options: Options) -> Result<SchemaBuilder, Fault> {
    let Some(kind) = &members.kind else {
        return Err(data("Schema must contain 'type' field"));
    };
    let mut part = |at: Option<usize>, missing: &'static str| -> Result<SchemaRef, Fault> {
        reader.seek(at.ok_or_else(|| data(missing))?);
        parse(reader, options)?.0.ok_or_else(|| data(missing))
    };
    Ok(match kind.as_str() {
        "boolean" => Schema::boolean(),
        "int8" => Schema::int8(),
        "int16" => Schema::int16(),
        "int32" => Schema::int32(),
        "int64" => Schema::int64(),
        "float" => Schema::float32(),
        "double" => Schema::float64(),
        "bytes" => Schema::bytes(),
        "string" => Schema::string(),
        "array" => Schema::array(part(
            members.items,
            "Array schema did not specify the element type",
        )?),
        "map" => Schema::map(
            part(members.keys, "Map schema did not specify the key type")?,
            part(members.values, "Map schema did not specify the value type")?,
        ),
        "struct" => {
            const NO_ARRAY: &str = "Struct schema's \"fields\" argument is not an array.";
            reader.seek(members.fields.ok_or_else(|| data(NO_ARRAY))?);
            if reader.peek()? != Token::Array {
                return Err(data(NO_ARRAY));
            }
            let mut builder = Schema::structure();
            let mut more = reader.enter_array()?;
            while more {
                match parse(reader, options)? {
                    (Some(schema), Some(name)) => builder = builder.field(name, schema),
                    _ => return Err(data("Struct schema's field name not specified properly")),
                }
                more = reader.more_elements()?;
            }
            builder
        }
        other => return Err(data(format!("Unknown schema type: {other}"))),
    })
}
