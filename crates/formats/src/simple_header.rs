//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: header values as text, their types guessed when read.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tapline_api::config::ConfigDef;
use tapline_api::convert::{self, Encoded};
use tapline_api::{Result, SchemaRef, Value};

use crate::string::utf8;
use crate::values::{Schemas, parse, push_value};

/// No options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[]);

/// The converter.
pub struct Converter {
    schemas: Schemas,
}

impl Converter {
    /// A converter.
    pub fn new() -> Self {
        Self {
            schemas: Schemas::new(),
        }
    }
}

impl Default for Converter {
    fn default() -> Self {
        Self::new()
    }
}

impl convert::HeaderConverter for Converter {
    fn encode(
        &mut self,
        _topic: &Arc<str>,
        _key: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut BytesMut,
    ) -> Result<Encoded> {
        if value.is_null() {
            return Ok(Encoded::Null);
        }
        push_value(out, schema.map(|schema| &**schema), value, false);
        Ok(Encoded::Bytes)
    }

    fn decode(
        &mut self,
        _topic: &Arc<str>,
        _key: &str,
        bytes: Option<Bytes>,
    ) -> Result<(Option<SchemaRef>, Value)> {
        let Some(bytes) = bytes else {
            return Ok((None, Value::Null));
        };
        Ok(match parse(&self.schemas, &utf8(bytes)) {
            Some((schema, value)) => (Some(schema), value),
            None => (None, Value::Null),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tapline_api::convert::HeaderConverter as _;
    use tapline_api::schema::logical;
    use tapline_api::{Schema, Struct, Type};

    fn read(text: &str) -> (Option<SchemaRef>, Value) {
        Converter::new()
            .decode(
                &Arc::from("t"),
                "h",
                Some(Bytes::copy_from_slice(text.as_bytes())),
            )
            .unwrap()
    }

    fn write(schema: Option<&SchemaRef>, value: &Value) -> String {
        let mut out = BytesMut::new();
        Converter::new()
            .encode(&Arc::from("t"), "h", schema, value, &mut out)
            .unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn text_is_read_as_the_narrowest_type_that_holds_it() {
        for (text, value) in [
            ("", "".into()),
            ("  ", "  ".into()),
            ("postgresql", "postgresql".into()),
            ("null", Value::Null),
            ("nullx", "nullx".into()),
            (" true", Value::Boolean(true)),
            ("true}", "true}".into()),
            ("false", Value::Boolean(false)),
            ("0", Value::Int8(0)),
            ("-129", Value::Int16(-129)),
            ("+70000", Value::Int32(70_000)),
            ("3.0", Value::Int8(3)),
            ("1e3", Value::Int16(1000)),
            ("9223372036854775807", Value::Int64(i64::MAX)),
            ("1.5", Value::Float32(1.5)),
            ("1e300", Value::Float64(1e300)),
            ("1e2147483647", Value::Bytes(Bytes::from_static(&[1]))),
            ("1-2", "1-2".into()),
            ("2024-02-29", Value::Int32(19_782)),
            ("2024-02-30", Value::Int32(19_783)),
            ("12:34:56.789Z", Value::Int32(45_296_789)),
            ("2024-02-29T00:00:00.001Z", Value::Int64(1_709_164_800_001)),
            (
                "01a20695-988a-71b0-b2f4-70d39a4f10a5",
                "01a20695-988a-71b0-b2f4-70d39a4f10a5".into(),
            ),
            ("[1, 300]", Value::Array(vec![Value::Int16(1), Value::Int16(300)])),
            (
                "[1, 1.5]",
                Value::Array(vec![Value::Float32(1.0), Value::Float32(1.5)]),
            ),
            ("[1, null]", "[1, null]".into()),
            ("[null]", Value::Array(vec![Value::Null])),
            ("[1,]", Value::Array(vec![Value::Int8(1)])),
            ("[1,,2]", "[1,,2]".into()),
            ("[abc]", "[abc]".into()),
            ("[]", Value::Array(vec![])),
            (
                "{\"a\": 1, \"b\": 2}",
                Value::Map(vec![("a".into(), Value::Int8(1)), ("b".into(), Value::Int8(2))]),
            ),
            ("{\"a\":null}", Value::Map(vec![("a".into(), Value::Null)])),
            ("{}", Value::Map(vec![])),
            (
                "{\"id\":\"x\\\"y\"}",
                Value::Map(vec![("id".into(), "x\\\"y".into())]),
            ),
        ] {
            assert_eq!(read(text).1, value, "{text}");
        }
        assert!(read("2024-02-29").0.unwrap().is_named(logical::DATE));
        assert_eq!(read("[1]").0.unwrap().value_schema().unwrap().kind(), Type::Int8);
    }

    #[test]
    fn values_are_written_as_kafka_writes_them() {
        let schema = Schema::structure()
            .field("id", Schema::int32().build())
            .field("n\"", Schema::string().optional().default("d".into()).build())
            .field("b", Schema::bytes().build())
            .build();
        let row = Value::Struct(Struct::new(
            schema.clone(),
            vec![
                Value::Int32(1),
                Value::Null,
                Value::Bytes(Bytes::from_static(b"\x01")),
            ],
        ));
        assert_eq!(write(Some(&schema), &row), r#"{"id":1,"n\"":"d","b":"AQ=="}"#);
        assert_eq!(write(None, &"a\"b".into()), "a\"b");
        assert_eq!(
            write(None, &Value::Array(vec!["a\\".into(), Value::Float64(1e10)])),
            r#"["a\\",1.0E10]"#
        );
        let date = Schema::int32().name(logical::DATE).build();
        assert_eq!(write(Some(&date), &Value::Int32(19_782)), "2024-02-29");
        let timestamp = Schema::int64().name(logical::TIMESTAMP).build();
        assert_eq!(
            write(Some(&timestamp), &Value::Int64(1_709_164_800_001)),
            "2024-02-29T00:00:00.001Z"
        );
    }

    #[test]
    fn deep_nesting_is_a_string_and_no_stack_overflow() {
        let text = "[".repeat(100_000);
        assert_eq!(read(&text).1, Value::from(text));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "[\\[\\]{}:,\"0-9a-z.eE+ \\\\-]{0,40}|\\PC*") {
            read(&text);
        }

        #[test]
        fn whole_numbers_keep_their_value(number: i64) {
            prop_assert_eq!(read(&number.to_string()).1.as_i64(), Some(number));
        }
    }
}
