//! `org.apache.kafka.connect.converters.{Boolean,Short,Integer,Long,Float,Double}Converter`: one number or truth value,
//! big-endian, as Kafka's serializers write them.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tapline_api::config::ConfigDef;
use tapline_api::convert::{self, Encoded};
use tapline_api::{Error, Headers, Result, Schema, SchemaRef, Type, Value};

use crate::CONVERTER_TYPE;

/// No options of their own.
pub static CONFIG: ConfigDef = ConfigDef::new(&[CONVERTER_TYPE]);

/// The converter of one type. What is read has that type's optional schema.
pub struct Converter {
    kind: Type,
    schema: SchemaRef,
}

impl Converter {
    /// A converter of BOOLEAN, INT16, INT32, INT64, FLOAT32 or FLOAT64.
    pub fn new(kind: Type) -> Self {
        Self {
            kind,
            schema: Schema::of(kind).optional().build(),
        }
    }

    /// Java's name of the type in messages and class names.
    const fn names(&self) -> (&'static str, &'static str) {
        match self.kind {
            Type::Boolean => ("boolean", "BooleanDeserializer"),
            Type::Int16 => ("short", "ShortDeserializer"),
            Type::Int32 => ("integer", "IntegerDeserializer"),
            Type::Int64 => ("long", "LongDeserializer"),
            Type::Float32 => ("float", "FloatDeserializer"),
            _ => ("double", "DoubleDeserializer"),
        }
    }

    fn refused(&self, detail: String) -> Error {
        Error::data(format!("Failed to deserialize {}: ", self.names().0))
            .cause(Error::data(detail).exception("org.apache.kafka.common.errors.SerializationException"))
    }

    fn sized<const N: usize>(&self, bytes: &[u8]) -> Result<[u8; N]> {
        <[u8; N]>::try_from(bytes)
            .map_err(|_| self.refused(format!("Size of data received by {} is not {N}", self.names().1)))
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
        if self.kind == Type::Boolean
            && let Some(schema) = schema
            && schema.kind() != Type::Boolean
        {
            return Err(Error::data(format!(
                "Invalid schema type for BooleanConverter: {}",
                schema.kind().constant()
            )));
        }
        match (self.kind, value) {
            (_, Value::Null) => return Ok(Encoded::Null),
            (Type::Boolean, Value::Boolean(b)) => out.put_u8(u8::from(*b)),
            (Type::Int16, Value::Int16(n)) => out.put_i16(*n),
            (Type::Int32, Value::Int32(n)) => out.put_i32(*n),
            (Type::Int64, Value::Int64(n)) => out.put_i64(*n),
            (Type::Float32, Value::Float32(n)) => out.put_f32(*n),
            (Type::Float64, Value::Float64(n)) => out.put_f64(*n),
            (Type::Boolean, other) => {
                return Err(Error::data(format!(
                    "BooleanConverter is not compatible with objects of type class {}",
                    other.java_class()
                )));
            }
            (_, other) => {
                return Err(Error::data(format!(
                    "Failed to serialize to {} (was class {}): ",
                    self.names().0,
                    other.java_class()
                )));
            }
        }
        Ok(Encoded::Bytes)
    }

    fn decode(
        &mut self,
        _topic: &Arc<str>,
        _headers: &Headers,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        let schema = Some(self.schema.clone());
        let Some(bytes) = bytes else {
            return Ok((schema, Value::Null));
        };
        let value = match self.kind {
            Type::Boolean => match self.sized(&bytes)? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                [other] => {
                    let other = other.cast_signed();
                    return Err(self.refused(format!(
                        "Unexpected byte received by BooleanDeserializer: {other}"
                    )));
                }
            },
            Type::Int16 => Value::Int16(i16::from_be_bytes(self.sized(&bytes)?)),
            Type::Int32 => Value::Int32(i32::from_be_bytes(self.sized(&bytes)?)),
            Type::Int64 => Value::Int64(i64::from_be_bytes(self.sized(&bytes)?)),
            Type::Float32 => Value::Float32(f32::from_be_bytes(self.sized(&bytes)?)),
            _ => Value::Float64(f64::from_be_bytes(self.sized(&bytes)?)),
        };
        Ok((schema, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::convert::Converter as _;

    #[test]
    fn each_type_reads_what_it_wrote_and_refuses_the_others() {
        let topic = Arc::from("t");
        for (kind, value) in [
            (Type::Boolean, Value::Boolean(true)),
            (Type::Int16, Value::Int16(-2)),
            (Type::Int32, Value::Int32(i32::MIN)),
            (Type::Int64, Value::Int64(i64::MAX)),
            (Type::Float32, Value::Float32(1.5)),
            (Type::Float64, Value::Float64(-0.1)),
        ] {
            let mut converter = Converter::new(kind);
            let mut out = BytesMut::new();
            converter.encode(&topic, None, &value, &mut out).unwrap();
            let read = converter
                .decode(&topic, &Headers::default(), Some(out.freeze()))
                .unwrap();
            assert_eq!(read.1, value);
            assert_eq!(read.0.unwrap().kind(), kind);
            assert!(
                converter
                    .encode(&topic, None, &"text".into(), &mut BytesMut::new())
                    .is_err()
            );
        }
    }

    #[test]
    fn a_wrong_size_is_named_as_kafka_names_it() {
        let error = Converter::new(Type::Int32)
            .decode(
                &Arc::from("t"),
                &Headers::default(),
                Some(Bytes::from_static(b"abc")),
            )
            .unwrap_err();
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.DataException: Failed to deserialize integer: \n\
             Caused by: org.apache.kafka.common.errors.SerializationException: Size of data received by \
             IntegerDeserializer is not 4\n"
        );
    }
}
