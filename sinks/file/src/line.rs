//! What one line holds.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tapline_api::config::Config;
use tapline_api::convert::{Converter, Encoded};
use tapline_api::record::SinkRecord;
use tapline_api::{Result, SchemaRef, Value};
use tapline_formats::json;

use crate::csv::{Appended, Csv};
use crate::java;

/// Renders records, without the end of the line.
pub(crate) enum Line {
    /// The value as Java prints it.
    Text,
    /// The whole record as a JSON object. Key and value are as JsonConverter writes them without schemas.
    Json(Box<json::Converter>),
    /// The value's fields.
    Csv(Csv),
}

impl Line {
    /// By the value of `format`.
    pub(crate) fn new(format: &str) -> Result<Self> {
        match format {
            "jsonl" => {}
            "csv" => return Ok(Self::Csv(Csv::default())),
            _ => return Ok(Self::Text),
        }
        let options = Config::from_iter([("schemas.enable", "false")]);
        Ok(Self::Json(Box::new(json::Converter::new(&options)?)))
    }

    /// A file was opened that begins with this line, or is empty.
    pub(crate) fn begin(&mut self, first_line: &str) {
        if let Self::Csv(csv) = self {
            *csv = if first_line.is_empty() {
                Csv::default()
            } else {
                Csv::with_header(first_line)
            };
        }
    }

    /// Appends one record.
    pub(crate) fn append(&mut self, record: &SinkRecord, out: &mut BytesMut) -> Result<Appended> {
        match self {
            Self::Text => {
                java::print(&record.record.value, record.record.value_schema.as_deref(), out);
                Ok(Appended::Line)
            }
            Self::Json(converter) => object(converter, record, out).map(|()| Appended::Line),
            Self::Csv(csv) => csv.append(record, out),
        }
    }
}

/// `{"topic":…,"partition":…,"offset":…,"key":…,"value":…,"headers":[{"key":…,"value":…}],"timestamp":…}`
fn object(converter: &mut json::Converter, sink: &SinkRecord, out: &mut BytesMut) -> Result<()> {
    let SinkRecord { record, origin } = sink;
    out.extend_from_slice(b"{\"topic\":");
    text(&record.topic, out);
    number(",\"partition\":", Some(origin.partition), out);
    number(",\"offset\":", Some(origin.offset), out);
    out.extend_from_slice(b",\"key\":");
    value(
        converter,
        &record.topic,
        record.key_schema.as_ref(),
        &record.key,
        out,
    )?;
    out.extend_from_slice(b",\"value\":");
    value(
        converter,
        &record.topic,
        record.value_schema.as_ref(),
        &record.value,
        out,
    )?;
    out.extend_from_slice(b",\"headers\":[");
    for (i, header) in record.headers.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"{\"key\":" } else { b",{\"key\":" });
        text(&header.key, out);
        out.extend_from_slice(b",\"value\":");
        value(
            converter,
            &record.topic,
            header.schema.as_ref(),
            &header.value,
            out,
        )?;
        out.put_u8(b'}');
    }
    number("],\"timestamp\":", record.timestamp, out);
    out.put_u8(b'}');
    Ok(())
}

fn value(
    converter: &mut json::Converter,
    topic: &Arc<str>,
    schema: Option<&SchemaRef>,
    value: &Value,
    out: &mut BytesMut,
) -> Result<()> {
    if converter.encode(topic, schema, value, out)? == Encoded::Null {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

fn text(text: &str, out: &mut BytesMut) {
    // A string always serializes, and a buffer in memory takes everything.
    let _ = serde_json::to_writer(out.writer(), text);
}

fn number(name: &str, number: Option<impl Into<i64>>, out: &mut BytesMut) {
    out.extend_from_slice(name.as_bytes());
    match number {
        Some(number) => tapline_formats::number::push_integer(out, number.into()),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::record::{Origin, TimestampType};
    use tapline_api::{Header, Headers, Record, Schema, Struct};

    #[test]
    fn a_json_line_holds_the_whole_record() {
        let schema = Schema::structure().field("a", Schema::int32().build()).build();
        let record = Record {
            key: "k\"1".into(),
            value: Value::Struct(Struct::new(schema.clone(), vec![Value::Int32(7)])),
            value_schema: Some(schema),
            headers: Headers::new(vec![Header {
                key: "h".into(),
                schema: None,
                value: Value::Boolean(true),
            }]),
            timestamp: Some(5),
            ..Record::new("t")
        };
        let origin = Origin {
            topic: "t".into(),
            partition: 2,
            offset: 9,
            timestamp_type: TimestampType::CreateTime,
        };
        let mut out = BytesMut::new();
        Line::new("jsonl")
            .unwrap()
            .append(&SinkRecord { record, origin }, &mut out)
            .unwrap();
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#"{"topic":"t","partition":2,"offset":9,"key":"k\"1","value":{"a":7},"headers":[{"key":"h","value":true}],"timestamp":5}"#
        );
    }
}
