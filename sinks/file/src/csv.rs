//! CSV (RFC 4180): the fields of the value's struct under a header line of their names.
//!
//! A file has one header. Fields that a record lacks are empty, like null; a record with a field more goes into the next
//! file where files are rotated, and is refused where they are not.

use bytes::{BufMut, BytesMut};
use tapline_api::config::Config;
use tapline_api::convert::Converter;
use tapline_api::record::SinkRecord;
use tapline_api::{Error, Result, Schema, Struct, Value};
use tapline_formats::json;

use crate::java;

/// The columns of a file, once they are known.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    columns: Vec<String>,
    /// The schema last seen, and of each column the field's place in it.
    plan: Option<(u64, Vec<Option<usize>>)>,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is a line now.
    Line,
    /// Null values are left out.
    Nothing,
    /// It has a field that the header has not.
    NeedsAnotherHeader,
}

impl Csv {
    /// The header of a file that is there already, from its first line.
    pub(crate) fn with_header(line: &str) -> Self {
        Self {
            columns: split(line.trim_end_matches(['\r', '\n'])),
            plan: None,
        }
    }

    /// Whether there is no header yet.
    pub(crate) fn is_new(&self) -> bool {
        self.columns.is_empty()
    }

    /// Appends one record, without the end of its line; before the first, the header with its end.
    pub(crate) fn append(&mut self, sink: &SinkRecord, out: &mut BytesMut) -> Result<Appended> {
        let record = &sink.record;
        let row = match &record.value {
            Value::Null => return Ok(Appended::Nothing),
            Value::Struct(row) => row,
            _ => {
                return Err(
                    Error::data("only a struct can be a line of CSV: its fields are the columns")
                        .hint("use a converter that keeps schemas, or format=jsonl"),
                );
            }
        };
        if self.is_new() {
            let fields = row.schema().fields().iter();
            self.columns = fields.map(|field| field.name().to_string()).collect();
            for (i, name) in self.columns.iter().enumerate() {
                separate(i, out);
                quoted(name, out);
            }
            out.put_u8(b'\n');
        }
        let id = row.schema().id();
        if self.plan.as_ref().is_none_or(|(known, _)| *known != id) {
            let place = |name: &String| row.schema().field_index(name);
            let places: Vec<_> = self.columns.iter().map(place).collect();
            if places.iter().flatten().count() < row.schema().fields().len() {
                return Ok(Appended::NeedsAnotherHeader);
            }
            self.plan = Some((id, places));
        }
        let places = self
            .plan
            .as_ref()
            .map(|(_, places)| places.as_slice())
            .unwrap_or_default();
        for (i, place) in places.iter().enumerate() {
            separate(i, out);
            if let Some(place) = place {
                cell(row, *place, out)?;
            }
        }
        Ok(Appended::Line)
    }
}

fn separate(i: usize, out: &mut BytesMut) {
    if i > 0 {
        out.put_u8(b',');
    }
}

fn cell(row: &Struct, place: usize, out: &mut BytesMut) -> Result<()> {
    let (Some(value), Some(field)) = (row.at(place), row.schema().fields().get(place)) else {
        return Ok(());
    };
    let schema: &Schema = field.schema();
    let mut text = BytesMut::new();
    match value {
        Value::Null => return Ok(()),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            let options = Config::from_iter([("schemas.enable", "false")]);
            let mut converter = json::Converter::new(&options)?;
            converter.encode(&"".into(), Some(field.schema()), value, &mut text)?;
        }
        value => java::print(value, Some(schema), &mut text),
    }
    quoted(&String::from_utf8_lossy(&text), out);
    Ok(())
}

/// In quotes where it must be; an empty text is quoted, so that it is not taken for null.
fn quoted(text: &str, out: &mut BytesMut) {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.put_u8(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.put_u8(b'"');
}

/// The cells of a line.
fn split(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut chars = line.chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        match (c, cells.last_mut()) {
            ('"', Some(cell)) if inside && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            ('"', _) => inside = !inside,
            (',', _) if !inside => cells.push(String::new()),
            (c, Some(cell)) => cell.push(c),
            (_, None) => {}
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::record::{Origin, TimestampType};
    use tapline_api::{Record, SchemaRef};

    fn record(schema: &SchemaRef, values: Vec<Value>) -> SinkRecord {
        SinkRecord {
            record: Record {
                value: Value::Struct(Struct::new(schema.clone(), values)),
                value_schema: Some(schema.clone()),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition: 0,
                offset: 0,
                timestamp_type: TimestampType::None,
            },
        }
    }

    fn schema(names: &[&str]) -> SchemaRef {
        let start = Schema::structure();
        let add = |schema: tapline_api::schema::SchemaBuilder, name: &&str| {
            schema.field(*name, Schema::string().optional().build())
        };
        names.iter().fold(start, add).build()
    }

    #[test]
    fn fields_stand_under_their_names() {
        let (mut csv, mut out) = (Csv::default(), BytesMut::new());
        let two = schema(&["a", "b,c"]);
        for values in [vec!["1".into(), "x\"y".into()], vec!["".into(), Value::Null]] {
            assert_eq!(
                csv.append(&record(&two, values), &mut out).unwrap(),
                Appended::Line
            );
            out.put_u8(b'\n');
        }
        // A field fewer is empty, one more needs another header, null is no line.
        let one = schema(&["a"]);
        assert_eq!(
            csv.append(&record(&one, vec!["z".into()]), &mut out).unwrap(),
            Appended::Line
        );
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "a,\"b,c\"\n1,\"x\"\"y\"\n\"\",\nz,"
        );
        let more = schema(&["a", "d"]);
        let values = vec!["1".into(), "2".into()];
        assert_eq!(
            csv.append(&record(&more, values), &mut out).unwrap(),
            Appended::NeedsAnotherHeader
        );
        let mut null = record(&one, vec![Value::Null]);
        null.record.value = Value::Null;
        assert_eq!(csv.append(&null, &mut out).unwrap(), Appended::Nothing);
        null.record.value = "text".into();
        assert!(csv.append(&null, &mut out).is_err());
    }

    #[test]
    fn a_header_is_read_back() {
        assert_eq!(Csv::with_header("a,\"b,\"\"c\"\r\n").columns, ["a", "b,\"c"]);
    }
}
