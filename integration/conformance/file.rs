//! The file sink: every record is a line, once for each time that it comes.

use super::records::{int_and_text, pair};
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
