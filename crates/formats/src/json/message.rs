//! Whole messages: a payload alone, or an object of schema and payload.
//!
//! A topic's messages begin with the same bytes, `{"schema":<…>,"payload":`, as long as its table does not change. They
//! are remembered together with the plan made from them, so that a message costs one comparison and its payload.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tapline_api::{Error, Result as ApiResult, SchemaRef, Value};

use super::Options;
use super::decode::{Node, read_schemaless};
use super::fault::{Fault, data, syntax};
use super::reader::{Reader, Token};
use super::schema;

const ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain \
                        additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in \
                        your converter configuration.";

/// How many remembered beginnings are compared before the schema's text is looked up.
const COMPARED: usize = 16;

/// How much of copied payloads lies together.
const ARENA: usize = 64 * 1024;

/// A schema with the plan to read by.
struct Known {
    /// `{"schema":<…>,"payload":`, as it lay there.
    beginning: Box<[u8]>,
    schema: SchemaRef,
    root: Node,
}

/// Reads messages, remembering schemas.
pub(super) struct Messages {
    options: Options,
    limit: usize,
    known: Vec<Known>,
    /// By the text of the schema alone.
    by_text: HashMap<Box<str>, usize>,
    last: usize,
    /// What payloads are copied into, see [`Self::payload`].
    arena: BytesMut,
    /// Fields of an envelope that nobody will look at.
    ignored: &'static [&'static str],
    /// From `schema.content`.
    fixed: Option<(SchemaRef, Node)>,
}

impl Messages {
    pub(super) fn new(options: Options, limit: usize, content: Option<&str>) -> ApiResult<Self> {
        let mut fixed = None;
        if let Some(content) = content {
            let text = ByteString::from(content);
            let parsed = schema::parse(&mut Reader::new(&text), options)
                .and_then(|(schema, _)| {
                    let schema = schema.ok_or_else(|| data("Schema must contain 'type' field"))?;
                    let root = Node::compile(&schema, options)?;
                    Ok((schema, root))
                })
                .map_err(|fault| {
                    Error::config(
                        "Invalid value for configuration schema.content: it is no schema as JsonConverter writes them",
                    )
                    .cause(fault.into_error(""))
                })?;
            fixed = Some(parsed);
        }
        Ok(Self {
            options,
            limit: limit.max(1),
            known: Vec::new(),
            by_text: HashMap::new(),
            last: 0,
            arena: BytesMut::with_capacity(ARENA),
            ignored: &[],
            fixed,
        })
    }

    /// Before the first message is read.
    pub(super) fn ignore(&mut self, fields: &'static [&'static str]) {
        self.ignored = fields;
        if let Some((schema, root)) = &mut self.fixed {
            root.ignore(schema, fields);
        }
    }

    pub(super) fn read(&mut self, bytes: Bytes) -> Result<(Option<SchemaRef>, Value), Fault> {
        if let Some(index) = self.recognize(&bytes) {
            // Only the payload is checked to be UTF-8: the beginning is known to be.
            let payload = self.payload(&bytes, index);
            if let Some(known) = self.known.get(index)
                && let Ok(text) = ByteString::try_from(payload)
            {
                let mut reader = Reader::new(&text);
                let value = known.root.read(&mut reader);
                if let Ok(value) = value
                    && reader.take(b"}")
                {
                    return Ok((Some(known.schema.clone()), value));
                }
            }
            // Whatever is wrong with it, the long way says it best.
        }
        let Ok(text) = ByteString::try_from(bytes) else {
            return Err(syntax("Invalid UTF-8", 0));
        };
        let mut reader = Reader::new(&text);
        if !self.options.schemas {
            // As Jackson's `MissingNode`.
            if reader.at_end() {
                return Ok((None, Value::Null));
            }
            return Ok((None, read_schemaless(&mut reader)?));
        }
        if let Some((schema, root)) = &self.fixed {
            return Ok((Some(schema.clone()), root.read(&mut reader)?));
        }
        self.read_envelope(reader)
    }

    /// The remembered schema whose bytes the message begins with.
    fn recognize(&mut self, bytes: &[u8]) -> Option<usize> {
        let begins = |known: &Known| bytes.starts_with(&known.beginning);
        if !self.known.get(self.last).is_some_and(begins) {
            self.last = self.known.iter().take(COMPARED).position(begins)?;
        }
        Some(self.last)
    }

    /// What follows the beginning. Values are slices of it and keep alive what it is a slice of; so that this is not
    /// mostly schemas, a payload that is shorter than its schema is copied.
    fn payload(&mut self, bytes: &Bytes, index: usize) -> Bytes {
        let start = self.known.get(index).map_or(0, |known| known.beginning.len());
        match bytes.get(start..) {
            Some(payload) if payload.len() < start => {
                self.arena.extend_from_slice(payload);
                self.arena.split().freeze()
            }
            _ => bytes.slice(start.min(bytes.len())..),
        }
    }

    /// Any message: members in either order, white space, a schema not seen before.
    #[cold]
    fn read_envelope(&mut self, mut reader: Reader<'_>) -> Result<(Option<SchemaRef>, Value), Fault> {
        if reader.at_end() || reader.peek()? != Token::Object {
            // It must be JSON before it can be the wrong JSON.
            if !reader.at_end() {
                reader.skip()?;
            }
            return Err(data(ENVELOPE));
        }
        let (mut schema, mut payload, mut members) = (None, None, 0);
        let mut more = reader.enter_object()?;
        while more {
            let name = reader.name()?;
            let start = reader.position();
            reader.skip()?;
            match name.as_str() {
                "schema" => members += usize::from(schema.replace((start, reader.position())).is_none()),
                "payload" => members += usize::from(payload.replace(start).is_none()),
                _ => members += 1,
            }
            more = reader.more_members()?;
        }
        let (Some((from, to)), Some(payload), 2) = (schema, payload, members) else {
            return Err(data(ENVELOPE));
        };
        let text = reader.between(from, to);
        if text == "null" {
            reader.seek(payload);
            return Ok((None, read_schemaless(&mut reader)?));
        }
        let index = match self.by_text.get(text) {
            Some(index) => *index,
            None => {
                reader.seek(from);
                let (schema, _) = schema::parse(&mut reader, self.options)?;
                let schema = schema.ok_or_else(|| data("Schema must contain 'type' field"))?;
                self.remember(schema, text, reader.between(0, payload))?
            }
        };
        self.last = index;
        reader.seek(payload);
        match self.known.get(index) {
            Some(known) => Ok((Some(known.schema.clone()), known.root.read(&mut reader)?)),
            None => Err(data("Schema must contain 'type' field")),
        }
    }

    fn remember(&mut self, schema: SchemaRef, text: &str, beginning: &str) -> Result<usize, Fault> {
        let mut root = Node::compile(&schema, self.options)?;
        root.ignore(&schema, self.ignored);
        if self.known.len() >= self.limit {
            self.known.clear();
            self.by_text.clear();
        }
        // With the payload first there is no beginning to know it by; such messages are found by the schema's text.
        let ends = beginning.trim_end().strip_suffix(':').map(str::trim_end);
        let beginning = match ends {
            Some(ends) if ends.ends_with("\"payload\"") && beginning.contains(text) => beginning.as_bytes(),
            _ => b"\0",
        };
        self.known.push(Known {
            beginning: Box::from(beginning),
            schema,
            root,
        });
        self.by_text.insert(Box::from(text), self.known.len() - 1);
        Ok(self.known.len() - 1)
    }
}
