//! JsonConverter against messages that Kafka Connect's own wrote, and against anything.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tapline_api::config::Config;
use tapline_api::convert::{Converter as _, Encoded};
use tapline_api::schema::logical;
use tapline_api::{Headers, Result, Schema, SchemaRef, Struct, Type, Value};
use tapline_formats::json::Converter;

fn converter(options: &[(&str, &str)]) -> Converter {
    Converter::new(&options.iter().copied().collect::<Config>()).unwrap()
}

fn read(converter: &mut Converter, message: &[u8]) -> Result<(Option<SchemaRef>, Value)> {
    converter.decode(
        &Arc::from("orders"),
        &Headers::default(),
        Some(Bytes::copy_from_slice(message)),
    )
}

fn write(converter: &mut Converter, schema: Option<&SchemaRef>, value: &Value) -> String {
    let mut out = BytesMut::new();
    let encoded = converter
        .encode(&Arc::from("orders"), schema, value, &mut out)
        .unwrap();
    assert_eq!(encoded, Encoded::Bytes);
    String::from_utf8(out.to_vec()).unwrap()
}

fn refusal(converter: &mut Converter, message: &str) -> String {
    read(converter, message.as_bytes()).unwrap_err().trace()
}

#[test]
fn what_java_wrote_is_written_again_to_the_byte() {
    let mut converter = converter(&[]);
    let mut count = 0;
    for message in include_str!("data/messages.jsonl").lines() {
        let (schema, value) = read(&mut converter, message.as_bytes()).unwrap();
        assert_eq!(write(&mut converter, schema.as_ref(), &value), message);
        let (again, _) = read(&mut converter, message.as_bytes()).unwrap();
        assert!(
            again.unwrap().id() == schema.unwrap().id(),
            "one schema, one identity"
        );
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn members_in_any_order_and_with_any_spaces_are_read() {
    let mut converter = converter(&[]);
    let schema = r#"{"type":"struct","fields":[{"type":"int32","optional":true,"default":7,"field":"a"},{"type":"string","optional":false,"field":"b"}],"optional":false}"#;
    let expected = |a, b: &'static str| vec![Value::Int32(a), b.into()];
    for (payload, values) in [
        (r#"{"a":1,"b":"x"}"#, expected(1, "x")),
        (r#"{"b":"x","a":1}"#, expected(1, "x")),
        (
            r#" { "a" : 1.0 , "c" : [ {} , null ] , "b" : "\u0078" , "b":"y" } "#,
            expected(1, "y"),
        ),
        (r#"{"b":"x"}"#, expected(7, "x")),
        (r#"{"a":null,"b":"x"}"#, expected(7, "x")),
        (r#"{"b":"\ud83d\ude00\ud83d"}"#, expected(7, "😀\u{fffd}")),
    ] {
        for message in [
            format!(r#"{{"schema":{schema},"payload":{payload}}}"#),
            format!(r#" {{ "payload" : {payload} , "schema" : {schema} }} tail"#),
        ] {
            let (_, value) = read(&mut converter, message.as_bytes()).unwrap();
            assert_eq!(value.as_struct().unwrap().values(), values, "{message}");
        }
    }
}

#[test]
fn refusals_are_worded_as_kafka_words_them() {
    let mut converter = converter(&[]);
    const ENVELOPE: &str = "org.apache.kafka.connect.errors.DataException: JsonConverter with schemas.enable requires \
                            \"schema\" and \"payload\" fields and may not contain additional fields. If you are trying to \
                            deserialize plain JSON data, set schemas.enable=false in your converter configuration.\n";
    for message in [
        "",
        "1",
        "{}",
        r#"{"schema":null}"#,
        r#"{"schema":null,"payload":1,"x":2}"#,
    ] {
        assert_eq!(refusal(&mut converter, message), ENVELOPE);
    }
    assert_eq!(
        refusal(&mut converter, "{\"schema\":nul}"),
        "org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed due to \
         serialization error of topic orders: \nCaused by: org.apache.kafka.common.errors.SerializationException: \
         Unexpected character ('n' (code 110)): expected a valid value at byte offset 10\n"
    );
    for (schema, payload, message) in [
        (
            r#"{"type":"int32"}"#,
            "null",
            "Invalid null value for required INT32 field",
        ),
        (
            r#"{"type":"int8"}"#,
            "128",
            "Invalid type for INT8: 128 is out of its range",
        ),
        (r#"{"type":"int32"}"#, "\"1\"", "Invalid type for INT32: STRING"),
        (r#"{"type":"bytes"}"#, "\"*\"", "Invalid bytes field"),
        (
            r#"{"type":"struct","fields":[]}"#,
            "1",
            "Structs should be encoded as JSON objects, but found NUMBER",
        ),
        (r#"{"type":"what"}"#, "1", "Unknown schema type: what"),
        (r#"{"fields":[]}"#, "1", "Schema must contain 'type' field"),
        (
            r#"{"type":"struct"}"#,
            "1",
            "Struct schema's \"fields\" argument is not an array.",
        ),
        (
            r#"{"type":"array"}"#,
            "1",
            "Array schema did not specify the element type",
        ),
        (
            r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"int32"}}"#,
            "[[1]]",
            "Found invalid map entry, expected length 2 but found :1",
        ),
    ] {
        let trace = refusal(
            &mut converter,
            &format!(r#"{{"schema":{schema},"payload":{payload}}}"#),
        );
        assert!(trace.contains(message), "{trace}");
    }
    let nested = r#"{"schema":{"type":"struct","fields":[{"type":"struct","fields":[{"type":"int32","field":"id"}],"field":"after"}]},"payload":{"after":{}}}"#;
    assert!(refusal(&mut converter, nested).contains("Hint: it is the field after.id"));
}

#[test]
fn what_nobody_looks_at_in_an_envelope_is_read_as_null() {
    let message = |name: &str| {
        let field = |name: &str| {
            format!(r#"{{"type":"struct","fields":[{{"type":"int32","field":"id"}}],"field":"{name}"}}"#)
        };
        let (after, source) = (field("after"), field("source"));
        format!(
            r#"{{"schema":{{"type":"struct","fields":[{after},{source}],"name":"{name}"}},"payload":{{"after":{{"id":1}},"source":{{"id":2}}}}}}"#
        )
    };
    let mut converter = converter(&[]);
    converter.ignore(&["source"]);
    for (name, read_too) in [("t.Envelope", false), ("t.Value", true)] {
        for _ in 0..2 {
            let (_, value) = read(&mut converter, message(name).as_bytes()).unwrap();
            let event = value.as_struct().unwrap();
            assert_eq!(
                event.get("after").unwrap().as_struct().unwrap().values(),
                [Value::Int32(1)]
            );
            assert_eq!(!event.get("source").unwrap().is_null(), read_too, "{name}");
        }
    }
    let broken = message("t.Envelope").replace(r#"{"id":2}"#, r#"{"id":2"#);
    assert!(read(&mut converter, broken.as_bytes()).is_err());
}

#[test]
fn a_number_beyond_64_bits_is_the_nearest_double_where_there_is_no_schema() {
    let mut converter = converter(&[("schemas.enable", "false")]);
    let (schema, value) = read(&mut converter, b"[18446744073709551615, 007, -1.5e3, {}]").unwrap();
    assert_eq!(schema, None);
    assert_eq!(
        value,
        Value::Array(vec![
            Value::Float64(18_446_744_073_709_551_615.0),
            Value::Int64(7),
            Value::Float64(-1500.0),
            Value::Map(vec![]),
        ])
    );
    assert_eq!(read(&mut converter, b" ").unwrap(), (None, Value::Null));
}

#[test]
fn a_null_without_a_schema_is_no_message_and_one_with_a_schema_is() {
    let mut out = BytesMut::new();
    let topic = Arc::from("t");
    let mut plain = converter(&[("schemas.enable", "false")]);
    assert_eq!(
        plain.encode(&topic, None, &Value::Null, &mut out).unwrap(),
        Encoded::Null
    );
    assert_eq!(read(&mut plain, b"null").unwrap(), (None, Value::Null));
    let schema = Schema::int32().optional().build();
    assert_eq!(write(&mut plain, Some(&schema), &Value::Null), "null");
    let mut full = converter(&[]);
    assert_eq!(
        write(&mut full, Some(&schema), &Value::Null),
        r#"{"schema":{"type":"int32","optional":true},"payload":null}"#
    );
    assert_eq!(
        write(&mut full, None, &"x".into()),
        r#"{"schema":null,"payload":"x"}"#
    );
    assert_eq!(
        read(&mut full, br#"{"schema":null,"payload":null}"#).unwrap(),
        (None, Value::Null)
    );
    let required = Schema::int32().build();
    let error = full
        .encode(&topic, Some(&required), &Value::Null, &mut out)
        .unwrap_err();
    assert_eq!(
        error.message(),
        "Conversion error: null value for field that is required and has no default value"
    );
}

#[test]
fn decimals_are_bytes_or_numbers_and_both_are_read() {
    let schema = Schema::bytes()
        .name(logical::DECIMAL)
        .version(1)
        .parameter("scale", "2")
        .build();
    let value = Value::Bytes(Bytes::from_static(&[0x04, 0xd2]));
    let mut bytes = converter(&[("schemas.enable", "true")]);
    let mut numeric = converter(&[("decimal.format", "numeric")]);
    let declared = r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}}"#;
    let as_bytes = format!(r#"{{"schema":{declared},"payload":"BNI="}}"#);
    let as_number = format!(r#"{{"schema":{declared},"payload":12.34}}"#);
    assert_eq!(write(&mut bytes, Some(&schema), &value), as_bytes);
    assert_eq!(write(&mut numeric, Some(&schema), &value), as_number);
    for message in [&as_bytes, &as_number] {
        assert_eq!(read(&mut bytes, message.as_bytes()).unwrap().1, value);
    }
    assert!(refusal(&mut bytes, &as_number.replace("12.34", "12.345")).contains("mismatching scale"));
    assert!(Converter::new(&Config::from_iter([("decimal.format", "HEX")])).is_err());
}

#[test]
fn null_is_replaced_with_the_default_unless_told_otherwise() {
    let schema = Schema::int32().optional().default(Value::Int32(5)).build();
    let mut keep = converter(&[
        ("schemas.enable", "false"),
        ("replace.null.with.default", "false"),
    ]);
    let mut replace = converter(&[("schemas.enable", "false")]);
    assert_eq!(write(&mut keep, Some(&schema), &Value::Null), "null");
    assert_eq!(write(&mut replace, Some(&schema), &Value::Null), "5");
    let message = br#"{"schema":{"type":"int32","optional":true,"default":5},"payload":null}"#;
    assert_eq!(read(&mut converter(&[]), message).unwrap().1, Value::Int32(5));
    let mut keep = converter(&[("replace.null.with.default", "false")]);
    assert_eq!(read(&mut keep, message).unwrap().1, Value::Null);
}

#[test]
fn a_fixed_schema_takes_the_place_of_the_one_in_the_messages() {
    let content = r#"{"type":"struct","fields":[{"type":"int16","field":"a"}]}"#;
    let mut converter = converter(&[("schema.content", content)]);
    let (schema, value) = read(&mut converter, br#"{"a":3}"#).unwrap();
    assert_eq!(value.as_struct().unwrap().values(), [Value::Int16(3)]);
    let (again, _) = read(&mut converter, br#"{"a":4}"#).unwrap();
    assert_eq!(schema.unwrap().id(), again.unwrap().id());
    assert!(Converter::new(&Config::from_iter([("schema.content", "{}")])).is_err());
}

#[test]
fn a_row_of_another_schema_is_refused_and_an_equal_one_is_not() {
    let build = |name: &str| Schema::structure().field(name, Schema::int32().build()).build();
    let (one, equal, other) = (build("a"), build("a"), build("b"));
    let mut converter = converter(&[("schemas.enable", "false")]);
    let row = |schema: &SchemaRef| Value::Struct(Struct::new(schema.clone(), vec![Value::Int32(1)]));
    for _ in 0..2 {
        assert_eq!(write(&mut converter, Some(&one), &row(&equal)), r#"{"a":1}"#);
        assert_eq!(write(&mut converter, Some(&one), &row(&one)), r#"{"a":1}"#);
    }
    let error = converter
        .encode(&Arc::from("t"), Some(&one), &row(&other), &mut BytesMut::new())
        .unwrap_err();
    assert_eq!(error.message(), "Mismatching schema.");
}

#[test]
fn nesting_beyond_the_limit_of_jackson_is_refused_and_no_stack_overflow() {
    let mut plain = converter(&[("schemas.enable", "false")]);
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&mut plain, deep(1000).as_bytes()).is_ok());
    assert!(refusal(&mut plain, &deep(100_000)).contains("nesting depth (1001)"));
    let schema = format!(
        "{}{}",
        r#"{"type":"array","items":"#.repeat(5000),
        "}".repeat(5000)
    );
    assert!(
        refusal(
            &mut converter(&[]),
            &format!(r#"{{"schema":{schema},"payload":1}}"#)
        )
        .contains("nesting depth")
    );
}

#[test]
fn more_schemas_than_the_cache_holds_are_still_read() {
    let mut converter = converter(&[("schemas.cache.size", "3")]);
    for round in 0..2 {
        for n in 0..40 {
            let message = format!(
                r#"{{"schema":{{"type":"int32","optional":false,"version":{n}}},"payload":{round}}}"#
            );
            let (schema, value) = read(&mut converter, message.as_bytes()).unwrap();
            assert_eq!(
                (schema.as_ref().unwrap().version(), &value),
                (Some(n), &Value::Int32(round))
            );
            assert_eq!(write(&mut converter, schema.as_ref(), &value), message);
        }
    }
}

/// Any schema with a value of it.
fn typed() -> impl Strategy<Value = (SchemaRef, Value)> {
    let leaf = prop_oneof![
        any::<i8>().prop_map(|n| (Schema::int8().build(), Value::Int8(n))),
        any::<i16>().prop_map(|n| (Schema::int16().build(), Value::Int16(n))),
        any::<i32>().prop_map(|n| (Schema::int32().name(logical::DATE).build(), Value::Int32(n))),
        any::<i64>().prop_map(|n| (Schema::int64().build(), Value::Int64(n))),
        any::<f32>().prop_map(|n| (Schema::float32().build(), Value::Float32(n))),
        any::<f64>().prop_map(|n| (Schema::float64().build(), Value::Float64(n))),
        any::<bool>().prop_map(|b| (Schema::boolean().build(), Value::Boolean(b))),
        ".*".prop_map(|text: String| (Schema::string().doc(text.as_str()).build(), text.into())),
        any::<Vec<u8>>().prop_map(|b| (Schema::bytes().build(), Value::Bytes(b.into()))),
        any::<i64>().prop_map(|n| (
            Schema::bytes()
                .name(logical::DECIMAL)
                .parameter("scale", "3")
                .build(),
            Value::Bytes(num_bigint::BigInt::from(n).to_signed_bytes_be().into())
        )),
        Just((Schema::string().optional().build(), Value::Null)),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|((schema, value), n)| {
                (Schema::array(schema).build(), Value::Array(vec![value; n]))
            }),
            (inner.clone(), any::<bool>()).prop_map(|((schema, value), text)| {
                let (key, keys) = if text {
                    (Schema::string().build(), ["a".into(), "\"é".into()])
                } else {
                    (Schema::int32().build(), [Value::Int32(1), Value::Int32(2)])
                };
                let entries = keys.into_iter().map(|key| (key, value.clone())).collect();
                (Schema::map(key, schema).build(), Value::Map(entries))
            }),
            prop::collection::btree_map("[a-z\"é]{0,4}", inner, 0..5).prop_map(|fields| {
                let mut builder = Schema::structure().name("row").version(1);
                let mut values = Vec::new();
                for (name, (schema, value)) in fields {
                    builder = builder.field(name, schema);
                    values.push(value);
                }
                let schema = builder.build();
                (schema.clone(), Value::Struct(Struct::new(schema, values)))
            }),
        ]
    })
}

/// NaN is not equal to itself.
fn has_nan(value: &Value) -> bool {
    match value {
        Value::Float32(n) => n.is_nan(),
        Value::Float64(n) => n.is_nan(),
        Value::Array(items) => items.iter().any(has_nan),
        Value::Map(entries) => entries.iter().any(|(_, value)| has_nan(value)),
        Value::Struct(row) => row.values().iter().any(has_nan),
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again((schema, value) in typed(), numeric: bool) {
        prop_assume!(!has_nan(&value));
        let format = if numeric { "NUMERIC" } else { "BASE64" };
        let mut converter = converter(&[("decimal.format", format)]);
        let message = write(&mut converter, Some(&schema), &value);
        serde_json::from_str::<serde::de::IgnoredAny>(&message).unwrap();
        for _ in 0..2 {
            let (read_schema, read_value) = read(&mut converter, message.as_bytes()).unwrap();
            prop_assert_eq!(&read_schema.unwrap(), &schema);
            prop_assert_eq!(&read_value, &value);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, text in "[\\[\\]{}:,\"0-9eE.tfn\\\\u -]{0,60}", schemas: bool) {
        let mut converter = converter(&[("schemas.enable", if schemas { "true" } else { "false" })]);
        let _ = read(&mut converter, &bytes);
        let _ = read(&mut converter, text.as_bytes());
    }

    #[test]
    fn a_damaged_message_never_panics(line in 0..12_usize, at in 0..8000_usize, byte: u8, cut: bool) {
        let mut converter = converter(&[]);
        let message = include_str!("data/messages.jsonl").lines().nth(line).unwrap();
        let mut damaged = message.as_bytes().to_vec();
        let at = at % damaged.len();
        if cut {
            damaged.truncate(at);
        } else {
            damaged[at] = byte;
        }
        let _ = read(&mut converter, message.as_bytes());
        let _ = read(&mut converter, &damaged);
    }

    #[test]
    fn schemaless_json_means_what_serde_reads(text in "(\\[|\\{\"a\":)?(true|null|-?[1-9][0-9]{0,17}|\"[a-z\\\\n]{0,9}\")(\\]|\\})?") {
        let mut converter = converter(&[("schemas.enable", "false")]);
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            let (_, value) = read(&mut converter, text.as_bytes()).unwrap();
            let written = write_or_null(&mut converter, &value);
            prop_assert_eq!(
                serde_json::from_str::<serde_json::Value>(&written).unwrap(),
                serde_json::from_str::<serde_json::Value>(&text).unwrap()
            );
        }
    }
}

fn write_or_null(converter: &mut Converter, value: &Value) -> String {
    if value.is_null() {
        "null".to_owned()
    } else {
        write(converter, None, value)
    }
}

#[test]
fn types_have_their_names() {
    let mut converter = converter(&[]);
    for (kind, name) in [
        (Type::Float32, "float"),
        (Type::Float64, "double"),
        (Type::Int8, "int8"),
    ] {
        let message = format!(r#"{{"schema":{{"type":"{name}","optional":true}},"payload":null}}"#);
        let (schema, _) = read(&mut converter, message.as_bytes()).unwrap();
        assert_eq!(schema.unwrap().kind(), kind);
    }
}
