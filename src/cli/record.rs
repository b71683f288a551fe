//! Records of topics, printed for people and for programs.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tapline_api::topic_log::LogRecord;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Some lines a record, JSON in lines.
    People {
        /// Whether JsonConverter's `schema` is shown.
        schemas: bool,
    },
    /// A line a record: place, key, value and headers, between tabs.
    Line,
    /// A line of JSON a record.
    Json,
}

pub(super) fn render(topic: &str, record: &LogRecord, style: Style) -> String {
    match style {
        Style::People { schemas } => people(topic, record, schemas),
        Style::Line => line(record),
        Style::Json => format!("{}\n", object(topic, record)),
    }
}

fn people(topic: &str, record: &LogRecord, schemas: bool) -> String {
    let mut out = format!("── {topic} {}:{}", record.partition, record.offset);
    if let Some(time) = time(record) {
        out.push_str("  ");
        out.push_str(&time);
    }
    out.push('\n');
    for (name, value) in &record.headers {
        out.push_str(&format!("header  {name}: {}\n", text(value.as_ref())));
    }
    for (what, value) in [("key     ", &record.key), ("value   ", &record.value)] {
        out.push_str(what);
        out.push_str(&pretty(value.as_ref(), schemas));
        out.push('\n');
    }
    out
}

fn line(record: &LogRecord) -> String {
    let mut out = format!(
        "{}:{}\t{}\t{}",
        record.partition,
        record.offset,
        text(record.key.as_ref()),
        text(record.value.as_ref())
    );
    for (name, value) in &record.headers {
        out.push_str(&format!("\t{name}={}", text(value.as_ref())));
    }
    out.push('\n');
    out
}

fn object(topic: &str, record: &LogRecord) -> Json {
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|(name, value)| json!({ "key": &**name, "value": value_of(value.as_ref()) }))
        .collect();
    json!({
        "topic": topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "headers": headers,
        "key": value_of(record.key.as_ref()),
        "value": value_of(record.value.as_ref()),
    })
}

fn time(record: &LogRecord) -> Option<String> {
    let time = Timestamp::from_millisecond(record.timestamp?).ok()?;
    Some(format!("{time:.3}"))
}

/// JSON where the bytes are JSON, else a text.
fn value_of(bytes: Option<&Bytes>) -> Json {
    match bytes {
        None => Json::Null,
        Some(bytes) => serde_json::from_slice(bytes).unwrap_or_else(|_| Json::String(text(Some(bytes)))),
    }
}

/// A text where the bytes are one, else hexadecimal.
fn text(bytes: Option<&Bytes>) -> String {
    let Some(bytes) = bytes else {
        return "null".to_owned();
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .fold("0x".to_owned(), |out, byte| out + &format!("{byte:02x}")),
    }
}

fn pretty(bytes: Option<&Bytes>, schemas: bool) -> String {
    match value_of(bytes) {
        Json::Object(mut fields) if !schemas && is_enveloped(&fields) => {
            let payload = fields.remove("payload").unwrap_or_default();
            format!("{payload:#}")
        }
        json @ (Json::Object(_) | Json::Array(_)) => format!("{json:#}"),
        _ => text(bytes),
    }
}

/// Whether it is what JsonConverter writes with `schemas.enable`.
fn is_enveloped(fields: &serde_json::Map<String, Json>) -> bool {
    fields.len() == 2 && fields.contains_key("schema") && fields.contains_key("payload")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> LogRecord {
        LogRecord {
            partition: 1,
            offset: 17,
            key: key.map(Bytes::from_static),
            value: value.map(Bytes::from_static),
            headers: vec![("h".into(), Some(Bytes::from_static(b"v"))), ("n".into(), None)],
            timestamp: Some(1_700_000_000_123),
        }
    }

    #[test]
    fn people_see_json_in_lines_and_no_schemas_unless_asked_for() {
        let record = record(
            Some(b"k"),
            Some(br#"{"schema": {"type": "string"}, "payload": {"id": 1}}"#),
        );
        assert_eq!(
            render("t", &record, Style::People { schemas: false }),
            "── t 1:17  2023-11-14T22:13:20.123Z\nheader  h: v\nheader  n: null\nkey     k\nvalue   {\n  \"id\": 1\n}\n"
        );
        assert!(render("t", &record, Style::People { schemas: true }).contains("\"schema\""));
    }

    #[test]
    fn programs_get_a_line_a_record() {
        let binary = record(None, Some(b"\xff\x00"));
        assert_eq!(
            render("t", &binary, Style::Line),
            "1:17\tnull\t0xff00\th=v\tn=null\n"
        );
        let json = record(Some(b"{\"id\":1}"), None);
        assert_eq!(
            render("t", &json, Style::Json),
            "{\"topic\":\"t\",\"partition\":1,\"offset\":17,\"timestamp\":1700000000123,\"headers\":\
             [{\"key\":\"h\",\"value\":\"v\"},{\"key\":\"n\",\"value\":null}],\"key\":{\"id\":1},\"value\":null}\n"
        );
    }
}
