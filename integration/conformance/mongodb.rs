//! The document sink: change events, by their handler, and flat records by key, on a real server.

use serde_json::{Value as Json, json};
use tapline_api::record::SinkRecord;
use tapline_api::{Kind, Record, Schema, Value};

use super::records::{Table, int, int_and_text, pair, text};
use super::subject::Subject;
use crate::ferretdb;

const EVENTS: &[(&str, &str)] = &[(
    "change.data.capture.handler",
    "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.RdbmsHandler",
)];
const BY_KEY: &[(&str, &str)] = &[
    (
        "document.id.strategy",
        "com.mongodb.kafka.connect.sink.processor.id.strategy.FullKeyStrategy",
    ),
    ("delete.on.null.values", "true"),
];

fn subject(database: &'static str) -> Subject {
    Subject {
        plugin: &tapline_sink_mongodb::PLUGIN,
        settings: vec![
            ("connection.uri".to_owned(), ferretdb().uri()),
            ("database".to_owned(), database.to_owned()),
        ],
        look: Box::new(move |collection| {
            let documents = ferretdb().documents(database, collection);
            documents.iter().map(Json::to_string).collect()
        }),
    }
}

fn documents(subject: &Subject, collection: &str) -> Vec<Json> {
    let rows = subject.rows(collection);
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

fn row(id: i32, note: &str) -> Json {
    json!({"_id": {"id": id}, "note": note})
}

#[test]
fn inserts_updates_and_deletes_arrive_in_order() {
    let (subject, table) = (subject("writes"), int_and_text("t"));
    let mut sink = subject.sink(EVENTS);
    sink.puts(&[
        table.write("c", pair(1, "a")),
        table.write("c", pair(2, "it's \\ ß\"")),
        table.write("u", pair(1, "b")),
        table.write("r", pair(3, "c")),
        table.delete(2),
        table.tombstone(2),
    ]);
    assert_eq!(documents(&subject, "t"), [row(1, "b"), row(3, "c")]);
    sink.puts(&[
        table.write("c", pair(2, "again")),
        table.delete(3),
        table.write("c", pair(3, "back")),
        table.delete(1),
    ]);
    assert_eq!(documents(&subject, "t"), [row(2, "again"), row(3, "back")]);
}

#[test]
fn a_replay_of_everything_changes_nothing() {
    let (subject, table) = (subject("replay"), int_and_text("t"));
    let records = [
        table.write("c", pair(1, "a")),
        table.write("c", pair(2, "b")),
        table.delete(1),
        table.write("u", pair(2, "c")),
    ];
    subject.sink(EVENTS).puts(&records);
    let mut again = subject.sink(EVENTS);
    for part in records.chunks(2) {
        again.puts(part);
    }
    assert_eq!(documents(&subject, "t"), [row(2, "c")]);

    // Ids of their own: the same record finds the document that it made.
    let keyless = || Table::new("keyless", &[("id", int())]).flat(vec![Value::Int32(7)]);
    let inserts = [(
        "writemodel.strategy",
        "com.mongodb.kafka.connect.sink.writemodel.strategy.InsertOneDefaultStrategy",
    )];
    for settings in [&[][..], &inserts[..]] {
        subject.sink(settings).puts(&[keyless()]);
    }
    assert_eq!(documents(&subject, "keyless").len(), 1);
}

#[test]
fn a_changed_key_and_a_new_column_in_the_midst_of_a_batch_are_right() {
    let (subject, old) = (subject("evolves"), int_and_text("t"));
    let new = Table::new("t", &[("id", int()), ("note", text()), ("extra", text())]);
    let mut values = pair(2, "b");
    values.push("e".into());
    subject.sink(EVENTS).puts(&[
        old.write("c", pair(1, "a")),
        new.write("c", values),
        old.write("u", pair(2, "c")),
        old.delete(1),
        old.tombstone(1),
        old.write("c", vec![Value::Int32(9), Value::Null]),
    ]);
    // A replacement takes the fields of its own event, as MongoDB's connector does.
    assert_eq!(
        documents(&subject, "t"),
        [row(2, "c"), json!({"_id": {"id": 9}, "note": null})]
    );
}

#[test]
fn flat_records_are_written_and_deleted_by_key() {
    let (subject, table) = (subject("flat"), int_and_text("t"));
    let keyed = |id: i32, note: &'static str| {
        let mut record = table.flat(pair(id, note));
        let key = table.tombstone(id).record;
        (record.record.key, record.record.key_schema) = (key.key, key.key_schema);
        record
    };
    let mut sink = subject.sink(BY_KEY);
    sink.puts(&[keyed(1, "a"), keyed(2, "b"), table.tombstone(1), keyed(2, "c")]);
    assert_eq!(
        documents(&subject, "t"),
        [json!({"_id": {"id": 2}, "id": 2, "note": "c"})]
    );
}

#[test]
fn two_topics_go_into_one_collection_and_one_topic_into_many() {
    let subject = subject("routes");
    let mut together = EVENTS.to_vec();
    together.push(("collection", "both"));
    let (a, b) = (int_and_text("a"), int_and_text("b"));
    subject.sink(&together).puts(&[
        a.write("c", pair(1, "a")),
        b.write("c", pair(2, "b")),
        a.write("u", pair(2, "c")),
    ]);
    assert_eq!(documents(&subject, "both"), [row(1, "a"), row(2, "c")]);

    let mapper = "com.mongodb.kafka.connect.sink.namespace.mapping.FieldPathNamespaceMapper";
    let mut apart = BY_KEY.to_vec();
    apart.push(("namespace.mapper", mapper));
    apart.push(("namespace.mapper.value.collection.field", "note"));
    let record = |id: i32, note: &'static str| {
        let mut record = a.flat(pair(id, note));
        let key = a.tombstone(id).record;
        (record.record.key, record.record.key_schema) = (key.key, key.key_schema);
        record
    };
    subject
        .sink(&apart)
        .puts(&[record(1, "red"), record(2, "blue"), record(3, "red")]);
    assert_eq!(documents(&subject, "red").len(), 2);
    assert_eq!(documents(&subject, "blue").len(), 1);
}

#[test]
fn records_without_a_schema_are_documents_too() {
    let (subject, table) = (subject("schemaless"), int_and_text("t"));
    let json = r#"{"_id": 5, "deep": {"at": {"$date": "2024-02-29T12:00:00Z"}}, "list": [1, "x", null]}"#;
    let map = Value::Map(vec![
        ("_id".into(), Value::Int64(6)),
        ("b".into(), Value::Boolean(true)),
    ]);
    let record = |value: Value| table.record(None, value, None);
    subject.sink(&[]).puts(&[record(json.into()), record(map)]);
    assert_eq!(
        documents(&subject, "t"),
        [
            serde_json::from_str::<Json>(json).unwrap(),
            json!({"_id": 6, "b": true})
        ]
    );
}

#[test]
fn a_record_that_is_refused_is_named_and_nothing_behind_it_is_written() {
    let (subject, table) = (subject("refuses"), int_and_text("t"));
    let insert = |offset: i64, id: &'static str| -> SinkRecord {
        let mut sink = table.record(None, id.into(), None);
        sink.origin.offset = offset;
        sink.record = Record {
            value_schema: Some(Schema::string().build()),
            ..sink.record
        };
        sink
    };
    let settings = [
        (
            "document.id.strategy",
            "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy",
        ),
        (
            "writemodel.strategy",
            "com.mongodb.kafka.connect.sink.writemodel.strategy.InsertOneDefaultStrategy",
        ),
    ];
    let mut sink = subject.sink(&settings);
    let error = sink
        .put(&[
            insert(40, r#"{"_id": 1}"#),
            insert(41, r#"{"_id": 1}"#),
            insert(42, r#"{"_id": 2}"#),
        ])
        .unwrap_err();
    assert_eq!((error.kind(), error.record()), (Kind::Data, Some(1)));
    let trace = error.trace().to_string();
    for word in ["refuses.t", "topic 't', partition 3, offset 41", "11000"] {
        assert!(trace.contains(word), "{word}: {trace}");
    }
    assert_eq!(documents(&subject, "t"), [json!({"_id": 1})]);
}

#[test]
fn a_batch_of_many_commands_arrives_whole() {
    let (subject, table) = (subject("many"), int_and_text("t"));
    let note: &'static str = "x".repeat(200_000).leak();
    let insert = |id: i32| {
        let mut record = table.flat(pair(id, note));
        record.origin.offset = id.into();
        record
    };
    let records: Vec<SinkRecord> = (0..50).map(insert).collect();
    let inserts = [(
        "writemodel.strategy",
        "com.mongodb.kafka.connect.sink.writemodel.strategy.InsertOneDefaultStrategy",
    )];
    subject.sink(&inserts).puts(&records);
    assert_eq!(documents(&subject, "t").len(), 50);
}
