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

const EVERYTHING: &[(&str, &str)] = &[
    ("insert.mode", "upsert"),
    ("pk.mode", "record_key"),
    ("delete.enabled", "true"),
    ("auto.create", "true"),
    ("auto.evolve", "true"),
];

/// The suite's rows that flat records can have, in Confluent's words.
pub fn confluents_words_pass_the_suite(subject: Subject) {
    let subject = confluent(subject);
    a_replay_and_a_changed_key(&subject);
    a_change_of_the_schema_and_missing_fields(&subject);
    two_topics_into_one_table(&subject);
    what_is_refused_is_named(&subject);
}

fn a_replay_and_a_changed_key(subject: &Subject) {
    let table = int_and_text("moved");
    let records = [
        keyed(&table, 1, "a"),
        keyed(&table, 2, "b"),
        table.tombstone(1),
        keyed(&table, 9, "a"),
        keyed(&table, 2, "c"),
    ];
    for part in [5, 2, 1] {
        let mut sink = subject.sink(EVERYTHING);
        for part in records.chunks(part) {
            sink.puts(part);
        }
        assert_eq!(
            subject.rows("select id, note from moved order by id"),
            ["2|c", "9|a"]
        );
    }
}

fn a_change_of_the_schema_and_missing_fields(subject: &Subject) {
    let old = int_and_text("grows");
    let wide = Table::new("grows", &[("id", int()), ("more", text()), ("note", text())]);
    let narrow = Table::new("grows", &[("id", int())]);
    let of = |table: &Table, id: i32, values: Vec<Value>| {
        let mut record = table.flat(values);
        let key = old.tombstone(id).record;
        (record.record.key, record.record.key_schema) = (key.key, key.key_schema);
        record
    };
    subject.sink(EVERYTHING).puts(&[
        keyed(&old, 1, "a"),
        of(&wide, 2, vec![Value::Int32(2), "m".into(), "b".into()]),
        of(&old, 3, vec![Value::Int32(3), Value::Null]),
        of(&narrow, 1, vec![Value::Int32(1)]),
        keyed(&old, 2, "bb"),
    ]);
    assert_eq!(
        subject.rows("select id, note, more from grows order by id"),
        ["1|a|null", "2|bb|m", "3|null|null"]
    );
}

fn two_topics_into_one_table(subject: &Subject) {
    let mut sink = subject.sink(&[EVERYTHING, &[("table.name.format", "gathered")]].concat());
    sink.puts(&[
        keyed(&int_and_text("left"), 1, "a"),
        keyed(&int_and_text("right"), 2, "b"),
        int_and_text("left").tombstone(1),
    ]);
    assert_eq!(subject.rows("select id, note from gathered"), ["2|b"]);
}

fn what_is_refused_is_named(subject: &Subject) {
    let table = int_and_text("must");
    subject.rows("create table must (id integer primary key, note varchar(3) not null)");
    let mut sink = subject.sink(EVERYTHING);
    let mut bad = keyed(&table, 2, "b");
    bad.record.value = table.flat(vec![Value::Int32(2), Value::Null]).record.value;
    let refused = |sink: &mut super::subject::Sink, bad: &SinkRecord| {
        let error = sink.put(&[keyed(&table, 1, "a"), bad.clone()]).unwrap_err();
        assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
        let trace = error.trace().to_string();
        for part in ["topic 'must', partition 3, offset 42", "must", "note"] {
            assert!(trace.contains(part), "no {part} in {trace}");
        }
    };
    refused(&mut sink, &bad);
    if !subject.is("jdbc:sqlite") {
        refused(&mut sink, &keyed(&table, 2, "too long"));
    }
    let mut schemaless = keyed(&table, 3, "c");
    schemaless.record.value_schema = None;
    assert!(sink.put(&[schemaless]).is_err());
    assert_eq!(subject.rows("select count(*) from must"), ["0"]);
    sink.puts(&[keyed(&table, 1, "a")]);
}
