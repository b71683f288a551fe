//! The relational sink in the words of Confluent's connector.

use tapline_api::record::SinkRecord;
use tapline_api::{Kind, Schema, Value};

use super::records::{Table, int, int_and_text, pair, text};
use super::subject::Subject;

/// The same target, by the other connector.
fn confluent(mut subject: Subject) -> Subject {
    subject.plugin = &tapline_sink_relational::CONFLUENT;
    for (name, _) in &mut subject.settings {
        if name == "connection.username" {
            "connection.user".clone_into(name);
        }
    }
    subject
}

/// A flat row with its key.
fn keyed(table: &Table, id: i32, note: &'static str) -> SinkRecord {
    let mut record = table.flat(pair(id, note));
    let key = table.tombstone(id).record;
    record.record.key = key.key;
    record.record.key_schema = key.key_schema;
    record
}

pub fn confluents_words_do_the_same(subject: Subject) {
    let subject = confluent(subject);
    let table = int_and_text("plain");
    let upsert: &[(&str, &str)] = &[
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("delete.enabled", "true"),
        ("auto.create", "true"),
    ];
    let mut sink = subject.sink(upsert);
    sink.puts(&[keyed(&table, 1, "a"), keyed(&table, 2, "b")]);
    sink.puts(&[keyed(&table, 1, "c"), table.tombstone(2)]);
    assert_eq!(subject.rows("select id, note from plain"), ["1|c"]);

    // A column more needs auto.evolve.
    let wide = Table::new("plain", &[("id", int()), ("note", text()), ("more", text())]);
    let mut row = pair(3, "x");
    row.push("m".into());
    let mut wider = wide.flat(row);
    wider.record.key = keyed(&table, 3, "x").record.key;
    wider.record.key_schema = Some(table.key.clone());
    let error = sink.put(std::slice::from_ref(&wider)).unwrap_err();
    assert!(
        error
            .trace()
            .contains("is missing fields (more) and auto-evolution is disabled"),
        "{}",
        error.trace()
    );
    subject
        .sink(&[upsert, &[("auto.evolve", "true")]].concat())
        .puts(&[wider]);
    assert_eq!(
        subject.rows("select id, more from plain order by id"),
        ["1|null", "3|m"]
    );

    let error = subject
        .sink(&[])
        .put(&[int_and_text("absent").flat(pair(1, "a"))])
        .unwrap_err();
    assert!(
        error
            .trace()
            .contains("Table absent is missing and auto-creation is disabled"),
        "{}",
        error.trace()
    );

    // Debezium's types are plain numbers here, and a null value without deletes is an error.
    let stamp = Schema::int64().name("io.debezium.time.MicroTimestamp").build();
    let typed = Table::new("typed", &[("id", int()), ("at", stamp)]);
    let kafka: &[(&str, &str)] = &[
        ("pk.mode", "kafka"),
        ("pk.fields", "t,p,o"),
        ("auto.create", "true"),
        ("fields.whitelist", "at"),
    ];
    let mut sink = subject.sink(kafka);
    sink.puts(&[typed.flat(vec![Value::Int32(1), Value::Int64(1_000_000)])]);
    assert_eq!(
        subject.rows("select t, p, o, at from typed"),
        ["typed|3|42|1000000"]
    );
    let error = sink.put(&[typed.tombstone(1)]).unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(0)));
    assert!(
        error.message().contains("delete.enabled=false"),
        "{}",
        error.trace()
    );
}
