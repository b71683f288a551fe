//! `org.apache.kafka.connect.converters.ByteArrayConverter`: bytes as they are.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tapline_api::config::ConfigDef;
use tapline_api::convert::{self, Encoded};
use tapline_api::{Error, Headers, Result, Schema, SchemaRef, Type, Value};

use crate::CONVERTER_TYPE;

/// No options of its own.
pub static CONFIG: ConfigDef = ConfigDef::new(&[CONVERTER_TYPE]);

/// The converter. What is read has the schema of optional bytes.
pub struct Converter {
    schema: SchemaRef,
}

impl Converter {
    /// A converter.
    pub fn new() -> Self {
        Self {
            schema: Schema::bytes().optional().build(),
        }
    }
}

impl Default for Converter {
    fn default() -> Self {
        Self::new()
    }
}

impl convert::Converter for Converter {
    fn encode(
        &mut self,
        _topic: &Arc<str>,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded> {
        if let Some(schema) = schema
            && schema.kind() != Type::Bytes
        {
            return Err(Error::data(format!(
                "Invalid schema type for ByteArrayConverter: {}",
                schema.kind().constant()
            )));
        }
        match value {
            Value::Null => Ok(Encoded::Null),
            Value::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(Encoded::Bytes)
            }
            other => Err(Error::data(format!(
                "ByteArrayConverter is not compatible with objects of type class {}",
                other.java_class()
            ))),
        }
    }

    fn decode(
        &mut self,
        _topic: &Arc<str>,
        _headers: &Headers,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        Ok((Some(self.schema.clone()), bytes.map_or(Value::Null, Value::Bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::convert::Converter as _;

    #[test]
    fn only_bytes_are_taken_and_they_stay_as_they_are() {
        let mut converter = Converter::new();
        let topic = Arc::from("t");
        let mut out = BytesMut::new();
        let bytes = Value::Bytes(Bytes::from_static(b"\0\xff"));
        assert_eq!(
            converter.encode(&topic, None, &bytes, &mut out).unwrap(),
            Encoded::Bytes
        );
        assert_eq!(&out[..], b"\0\xff");
        assert_eq!(
            converter.encode(&topic, None, &Value::Null, &mut out).unwrap(),
            Encoded::Null
        );
        let read = converter
            .decode(&topic, &Headers::default(), Some(out.freeze()))
            .unwrap();
        assert_eq!(read.1, bytes);
        let refused = converter.encode(&topic, None, &Value::Int32(1), &mut BytesMut::new());
        assert_eq!(
            refused.unwrap_err().message(),
            "ByteArrayConverter is not compatible with objects of type class java.lang.Integer"
        );
        let string = Schema::string().build();
        let refused = converter.encode(&topic, Some(&string), &bytes, &mut BytesMut::new());
        assert_eq!(
            refused.unwrap_err().message(),
            "Invalid schema type for ByteArrayConverter: STRING"
        );
    }
}
