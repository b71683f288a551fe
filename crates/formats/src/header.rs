//! Any converter for headers: Java's classes are both, and treat a header as a value.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tapline_api::convert::{Converter, Encoded, HeaderConverter};
use tapline_api::{Headers, Result, SchemaRef, Value};

/// A converter seen as a header converter.
pub(crate) struct AsHeader<C>(pub(crate) C);

impl<C: Converter> HeaderConverter for AsHeader<C> {
    fn encode(
        &mut self,
        topic: &Arc<str>,
        _key: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded> {
        self.0.encode(topic, schema, value, out)
    }

    fn decode(
        &mut self,
        topic: &Arc<str>,
        _key: &str,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        self.0.decode(topic, &Headers::default(), bytes)
    }
}
