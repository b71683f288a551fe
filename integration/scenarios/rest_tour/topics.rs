//! What the tour left in the config, offset and status topics, against what Kafka Connect left there: keys by their
//! bytes, values field by field. A generation, a time and a trace are compared by their presence.

use super::Tour;
use super::expected::{OTHERWISE_IN_TOPICS, UNASKED_CONNECTORS};
use crate::kafka;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tapline_harness::read_topic;

const RECORDED: &str = include_str!("../../golden/internal-topics.jsonl");

/// The values under each key, in order.
type Log = BTreeMap<String, Vec<Value>>;

/// What is otherwise than recorded, once the last states have had time to be told.
pub fn differences(tour: &Tour) -> Vec<String> {
    let start = Instant::now();
    loop {
        let found = compared(tour);
        if found.is_empty() || start.elapsed() >= Duration::from_secs(20) {
            return found;
        }
    }
}

fn compared(tour: &Tour) -> Vec<String> {
    let mut found = Vec::new();
    for topic in ["configs", "offsets", "status"] {
        let (recorded, actual) = (recorded(topic), actual(tour, topic));
        for (key, expected) in &recorded {
            if UNASKED_CONNECTORS.iter().any(|name| key.contains(name)) {
                continue;
            }
            if OTHERWISE_IN_TOPICS.iter().any(|(other, _)| other == key) {
                continue;
            }
            let Some(values) = actual.get(key) else {
                found.push(format!("{topic}: no record has the key {key}"));
                continue;
            };
            let (left, right) = match topic {
                // how often a state is told depends on the moment; in which form, and which is the last, does not
                "status" => (forms(expected), forms(values)),
                _ => (told(expected), told(values)),
            };
            if left != right {
                found.push(format!(
                    "{topic}: {key}:\n    recorded {left:?}\n    here     {right:?}"
                ));
            }
        }
    }
    found
}

fn recorded(topic: &str) -> Log {
    let mut log = Log::new();
    for line in RECORDED.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["topic"] == topic && record["key"] != "session-key" {
            let value = record["value"]
                .as_str()
                .map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
            log.entry(record["key"].as_str().unwrap().to_owned())
                .or_default()
                .push(value);
        }
    }
    log
}

fn actual(tour: &Tour, topic: &str) -> Log {
    let mut log = Log::new();
    for record in read_topic(&kafka().bootstrap(), &format!("tour-{topic}")) {
        let key = tour.recorded(&String::from_utf8(record.key.clone().unwrap_or_default()).unwrap());
        let value = record.value.as_ref().map_or(Value::Null, |bytes| {
            serde_json::from_str(&tour.recorded(std::str::from_utf8(bytes).unwrap())).unwrap()
        });
        log.entry(key).or_default().push(value);
    }
    log
}

/// The values in order, told once when they repeat.
fn told(values: &[Value]) -> Vec<String> {
    let mut told: Vec<String> = values.iter().map(sorted).collect();
    told.dedup();
    told
}

/// The forms that values take: their fields in order, with the state; and the last of all.
fn forms(values: &[Value]) -> Vec<String> {
    let form = |value: &Value| match value {
        Value::Object(fields) => fields.keys().map(String::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    let all: BTreeSet<String> = values.iter().map(form).collect();
    all.into_iter()
        .chain(values.last().map(|last| format!("at last {}", last["state"])))
        .collect()
}

/// JSON with its keys sorted: Java's maps have no order to keep.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, String> = fields
                .iter()
                .map(|(key, value)| (key, self::sorted(value)))
                .collect();
            format!("{sorted:?}")
        }
        other => other.to_string(),
    }
}
