//! The file sink: every record is a line, once for each time that it comes.

use std::time::Duration;

use tapline_api::{Kind, Value};
use tapline_harness::eventually;

use super::records::{Table, int, int_and_text, pair, text};
use super::subject::Subject;

fn file(name: &str) -> Subject {
    let path = tapline_harness::folder("files").join(name);
    Subject {
        plugin: &tapline_sink_file::PLUGIN,
        settings: vec![
            ("file".to_owned(), path.display().to_string()),
            ("format".to_owned(), "jsonl".to_owned()),
        ],
        look: Box::new(move |_| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        }),
    }
}

#[test]
fn every_record_is_a_line_in_order_tombstones_and_repeats_too() {
    let table = int_and_text("lines");
    let subject = file("lines");
    let mut sink = subject.sink(&[]);
    let records = [
        table.flat(pair(1, "a\n")),
        table.tombstone(1),
        table.record(None, "x".into(), None),
    ];
    sink.puts(&records);
    sink.puts(&records[..1]);
    let lines = subject.rows("");
    let values: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["value"].clone())
        .collect();
    assert_eq!(values[0]["note"], "a\n");
    assert_eq!(
        (&values[1], &values[2]),
        (&serde_json::Value::Null, &serde_json::json!("x"))
    );
    assert_eq!(values[3], values[0]);
}

#[test]
fn csv_has_a_header_and_goes_on_in_a_new_file_when_it_is_full() {
    let subject = file("rows.csv");
    let path = subject.settings[0].1.clone();
    let more = [("format", "csv"), ("rotate.bytes", "20")];
    let table = int_and_text("rows");
    subject.sink(&more).puts(&[
        table.flat(pair(1, "a,b")),
        table.tombstone(1),
        table.flat(pair(2, "c")),
    ]);
    // A task that starts again goes on in the file.
    subject.sink(&more).puts(&[
        table.flat(pair(3, "d")),
        table.flat(pair(4, "e")),
        table.flat(pair(5, "f")),
    ]);
    let read = |number: &str| std::fs::read_to_string(format!("{path}{number}")).unwrap();
    assert_eq!(read(".000001"), "id,note\n1,\"a,b\"\n2,c\n");
    assert_eq!(read(".000002"), "id,note\n3,d\n4,e\n5,f\n");
    assert_eq!(read(""), "");
}

#[test]
fn a_column_more_needs_another_file_and_one_less_is_empty() {
    let (old, wide) = (
        int_and_text("t"),
        Table::new("t", &[("id", int()), ("note", text()), ("more", text())]),
    );
    let narrow = Table::new("t", &[("id", int())]);
    let row = |id: i32| wide.flat(vec![Value::Int32(id), Value::Null, "m".into()]);
    let batch = [
        old.flat(pair(1, "a")),
        narrow.flat(vec![Value::Int32(2)]),
        row(3),
        old.flat(pair(4, "")),
    ];
    let subject = file("fixed.csv");
    let error = subject.sink(&[("format", "csv")]).put(&batch).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(2)));
    let subject = file("grown.csv");
    let path = subject.settings[0].1.clone();
    subject
        .sink(&[("format", "csv"), ("rotate.interval.ms", "3600000")])
        .puts(&batch);
    let read = |number: &str| std::fs::read_to_string(format!("{path}{number}")).unwrap();
    assert_eq!(read(".000001"), "id,note\n1,a\n2,\n");
    assert_eq!(read(""), "id,note,more\n3,,m\n4,\"\",\n");
}

#[test]
fn a_file_that_is_old_enough_is_closed() {
    let subject = file("old.jsonl");
    let path = subject.settings[0].1.clone();
    let mut sink = subject.sink(&[("rotate.interval.ms", "20")]);
    let record = int_and_text("t").flat(pair(1, "a"));
    let mut lines = 0;
    eventually("a third file is begun", Duration::from_secs(20), || {
        sink.puts(std::slice::from_ref(&record));
        lines += 1;
        std::fs::metadata(format!("{path}.000002"))
            .map(drop)
            .map_err(|error| error.to_string())
    });
    let files = ["", ".000001", ".000002"].map(|number| std::fs::read_to_string(format!("{path}{number}")));
    let written: usize = files.map(|text| text.unwrap().lines().count()).iter().sum();
    assert_eq!(written, lines);
}

#[test]
fn records_without_a_schema_are_lines_too() {
    let subject = file("schemaless.jsonl");
    let map = Value::Map(vec![
        ("id".into(), Value::Int64(1)),
        ("deep".into(), Value::Array(vec![Value::Null, "x".into()])),
    ]);
    subject
        .sink(&[])
        .puts(&[int_and_text("t").record(None, map, None)]);
    let line: serde_json::Value = serde_json::from_str(&subject.rows("")[0]).unwrap();
    assert_eq!(line["value"], serde_json::json!({"id": 1, "deep": [null, "x"]}));
}
