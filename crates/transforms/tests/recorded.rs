//! Debezium's transformations against what Debezium wrote: the records of one run without a transformation go through
//! ours, and must come out as they did in a run with Debezium's.
//!
//! `data/keys.jsonl`: first the schemas, then one record a line; keys and values are `[schema, payload]`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tapline_api::config::Config;
use tapline_api::convert::{Converter as _, Encoded, HeaderConverter as _};
use tapline_api::{Header, Headers, Record, Schema, SchemaRef, Value};
use tapline_formats::{json, simple_header};
use tapline_transforms::{PLUGINS, PREDICATES, TransformationChain};

#[derive(Deserialize)]
struct Line<'a> {
    variant: &'a str,
    topic: &'a str,
    headers: Vec<(String, String)>,
    #[serde(borrow)]
    key: Option<(usize, &'a RawValue)>,
    #[serde(borrow)]
    value: Option<(usize, &'a RawValue)>,
}

/// A record as it lies in its topic.
#[derive(Clone, Debug, PartialEq)]
struct Raw {
    topic: String,
    headers: Vec<(String, String)>,
    key: Option<String>,
    value: Option<String>,
}

fn recorded(variant: &str) -> Vec<Raw> {
    let mut lines = include_str!("data/keys.jsonl").lines();
    let schemas: Vec<&str> = serde_json::from_str::<Vec<&RawValue>>(lines.next().unwrap())
        .unwrap()
        .iter()
        .map(|raw| raw.get())
        .collect();
    let message =
        |part: (usize, &RawValue)| format!(r#"{{"schema":{},"payload":{}}}"#, schemas[part.0], part.1);
    lines
        .map(|line| serde_json::from_str::<Line>(line).unwrap())
        .filter(|line| line.variant == variant)
        .map(|line| Raw {
            topic: line.topic.to_owned(),
            headers: line.headers,
            key: line.key.map(message),
            value: line.value.map(message),
        })
        .collect()
}

struct Worker {
    keys: json::Converter,
    values: json::Converter,
    headers: simple_header::Converter,
    string: SchemaRef,
    chain: TransformationChain,
}

impl Worker {
    fn new(options: &[(&str, &str)]) -> Self {
        let mut config: Config = options
            .iter()
            .map(|(name, value)| (format!("transforms.t.{name}"), (*value).to_owned()))
            .collect();
        config.set("transforms", "t");
        Self {
            keys: json::Converter::new(&Config::new()).unwrap(),
            values: json::Converter::new(&Config::new()).unwrap(),
            headers: simple_header::Converter::new(),
            string: Schema::string().build(),
            chain: TransformationChain::new(
                &config,
                |class| PLUGINS.iter().find(|plugin| plugin.class == class),
                |class| PREDICATES.iter().find(|plugin| plugin.class == class),
            )
            .unwrap(),
        }
    }

    fn decode(&mut self, raw: &Raw) -> Record {
        let topic: Arc<str> = Arc::from(raw.topic.as_str());
        let bytes = |text: &Option<String>| text.clone().map(Bytes::from);
        let none = Headers::default();
        let (key_schema, key) = self.keys.decode(&topic, &none, bytes(&raw.key)).unwrap();
        let (value_schema, value) = self.values.decode(&topic, &none, bytes(&raw.value)).unwrap();
        let headers = raw.headers.iter().map(|(key, value)| Header {
            key: key.as_str().into(),
            schema: Some(self.string.clone()),
            value: Value::from(value.clone()),
        });
        Record {
            key_schema,
            key,
            value_schema,
            value,
            headers: Headers::new(headers.collect()),
            ..Record::new(topic)
        }
    }

    fn encode(&mut self, record: &Record) -> Raw {
        let part = |converter: &mut json::Converter, schema: &Option<SchemaRef>, value: &Value| {
            let mut out = BytesMut::new();
            match converter
                .encode(&record.topic, schema.as_ref(), value, &mut out)
                .unwrap()
            {
                Encoded::Null => None,
                Encoded::Bytes => Some(String::from_utf8(out.to_vec()).unwrap()),
            }
        };
        let key = part(&mut self.keys, &record.key_schema, &record.key);
        let value = part(&mut self.values, &record.value_schema, &record.value);
        let headers = record
            .headers
            .iter()
            .map(|header| {
                let mut out = BytesMut::new();
                self.headers
                    .encode(
                        &record.topic,
                        &header.key,
                        header.schema.as_ref(),
                        &header.value,
                        &mut out,
                    )
                    .unwrap();
                (header.key.to_string(), String::from_utf8(out.to_vec()).unwrap())
            })
            .collect();
        Raw {
            topic: record.topic.to_string(),
            headers,
            key,
            value,
        }
    }

    /// The records of the run without a transformation, after ours.
    fn transformed(&mut self) -> Vec<Raw> {
        recorded("default")
            .iter()
            .filter_map(|raw| {
                let record = self.decode(raw);
                let record = self.chain.apply(record, None).unwrap()?;
                Some(self.encode(&record))
            })
            .collect()
    }
}

/// Puts in the place of a number that differs from run to run the order of its first appearance, or a mere `#`.
fn renumbered(mut records: Vec<Raw>, field: &str, by_order: bool) -> Vec<Raw> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    // Only in the payload is there a number behind the name.
    let name = format!("\"{field}\":");
    for value in records.iter_mut().filter_map(|raw| raw.value.as_mut()) {
        let mut out = String::new();
        let mut rest = value.as_str();
        while let Some(at) = rest.find(&name) {
            let (before, after) = rest.split_at(at + name.len());
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let next = seen.len();
            let number = *seen.entry(after[..end].to_owned()).or_insert(next);
            out.push_str(before);
            out.push_str(&if by_order {
                format!("#{number}")
            } else {
                "#".to_owned()
            });
            rest = &after[end..];
        }
        out.push_str(rest);
        *value = out;
    }
    records
}

/// Takes away what differs from run to run and the transformation only carries along.
fn masked(mut records: Vec<Raw>) -> Vec<Raw> {
    for raw in &mut records {
        let Some(value) = &mut raw.value else { continue };
        let (schema, payload) = value.split_once(",\"payload\":").unwrap();
        let mut payload: serde_json::Value = serde_json::from_str(&payload[..payload.len() - 1]).unwrap();
        for pointer in ["", "/source", "/transaction"] {
            if let Some(block) = payload
                .pointer_mut(pointer)
                .and_then(|block| block.as_object_mut())
            {
                for name in ["ts_ms", "ts_us", "ts_ns", "lsn", "txId", "sequence"] {
                    if let Some(field) = block.get_mut(name) {
                        *field = serde_json::Value::Null;
                    }
                }
            }
        }
        *value = format!("{schema} {payload}");
    }
    records
}

fn assert_same(ours: &[Raw], theirs: &[Raw]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
}

const UNWRAP: (&str, &str) = ("type", "io.debezium.transforms.ExtractNewRecordState");

#[test]
fn rows_are_unwrapped_as_debezium_unwraps_them() {
    let theirs = recorded("unwrap");
    assert!(theirs.len() > 30);
    assert_same(&Worker::new(&[UNWRAP]).transformed(), &theirs);
}

#[test]
fn deletes_are_rewritten_and_metadata_is_added_as_debezium_does() {
    let options = [
        UNWRAP,
        ("delete.tombstone.handling.mode", "rewrite-with-tombstone"),
        ("add.fields", "op,table,source.ts_ms,lsn"),
        ("add.headers", "op,db"),
    ];
    let transformed = Worker::new(&options).transformed();
    let original = recorded("default");
    let number = |raw: &Raw, name: &str| {
        let (_, rest) = raw.value.as_ref().unwrap().rsplit_once(name).unwrap();
        rest.chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    assert_eq!(
        number(&transformed[0], "\"__source_ts_ms\":"),
        number(&original[0], "\"name\":\"g\",\"ts_ms\":")
    );
    // Which statements fall into one millisecond differs from run to run.
    let comparable = |records| renumbered(renumbered(records, "__source_ts_ms", false), "__lsn", true);
    let (ours, theirs) = (comparable(transformed), comparable(recorded("unwrap-rewrite")));
    assert!(theirs.len() > 30);
    assert_same(&ours, &theirs);
}

#[test]
fn tables_are_routed_into_one_topic_as_debezium_routes_them() {
    let options = [
        ("type", "io.debezium.transforms.ByLogicalTableRouter"),
        ("topic.regex", r"(.*)\.pk[12]"),
        ("topic.replacement", "$1.pkall"),
    ];
    // Records of the two tables lie in the order of their commits; ours in the order of their old topics.
    let by_table = |records: Vec<Raw>| {
        let mut records = masked(records);
        records.sort_by_key(|raw| {
            let key = raw.key.clone().unwrap_or_default();
            (raw.topic.clone(), key.contains("\"g.fx.pk2\""))
        });
        records
    };
    let theirs = by_table(recorded("route"));
    assert!(theirs.iter().filter(|raw| raw.topic == "g.fx.pkall").count() > 10);
    assert_same(&by_table(Worker::new(&options).transformed()), &theirs);
}
