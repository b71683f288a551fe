//! Converters: between values and the bytes of a topic (`encode` is Java's `fromConnectData`, `decode` its `toConnectData`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::Result;
use crate::record::Headers;
use crate::schema::SchemaRef;
use crate::value::Value;

/// Whether anything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// The Kafka record has no key or value (null), which is not the same as an empty one.
    Null,
    /// What was appended to the buffer.
    Bytes,
}

/// Turns keys or values into bytes and back.
///
/// - A task has its own converter, so it may cache by [`Schema::id`](crate::Schema::id) without a lock; caches are
///   bounded.
/// - It is called on a thread of its own where blocking is allowed: a schema registry may be asked, once per
///   schema, never per record.
/// - A record that can't be converted is a data error; a registry that does not answer is a retriable one, and the
///   same record is tried again.
pub trait Converter: Send {
    /// Appends the bytes of `value` to `out`. On an error nothing counts as appended: the caller truncates.
    fn encode(
        &mut self,
        topic: &Arc<str>,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded>;

    /// Fields of a change event's envelope that nobody will look at: they may be read as null, whatever their schema.
    fn ignore(&mut self, _fields: &'static [&'static str]) {}

    /// Reads a key or value; `None` is Kafka's null. Values may be slices of `bytes`. Equal schemas of consecutive
    /// records are the same [`SchemaRef`], so that what is behind can cache by identity.
    fn decode(
        &mut self,
        topic: &Arc<str>,
        headers: &Headers,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)>;
}

/// Turns header values into bytes and back.
pub trait HeaderConverter: Send {
    /// Appends the bytes of a header's value to `out`.
    fn encode(
        &mut self,
        topic: &Arc<str>,
        key: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded>;

    /// Reads a header's value.
    fn decode(
        &mut self,
        topic: &Arc<str>,
        key: &str,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)>;
}
