//! The document sink: change events, by their handler, and flat records by key, on a real server.

use serde_json::{Value as Json, json};
use tapline_api::record::SinkRecord;
use tapline_api::schema::SchemaBuilder;
use tapline_api::{Kind, Record, Schema, Struct, Value};

use super::records::{Table, bytes, int, int_and_text, pair, text};
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
fn a_server_that_does_not_answer_or_let_us_in_is_told_without_the_password() {
    const SECRET: &str = "wr0ng-s3cret";
    let subject = subject("knocks");
    let ours = ferretdb().uri();
    let ours = ours.trim_start_matches("mongodb://").trim_end_matches('/');
    for (server, kinds, said) in [
        ("127.0.0.1:1", &[Kind::Retriable][..], "127.0.0.1:1"),
        (ours, &[Kind::Config, Kind::Fatal][..], "uthentication"),
    ] {
        let uri = format!("mongodb://knocking:{SECRET}@{server}/?serverSelectionTimeoutMS=2000");
        let started = subject.try_sink(&[("connection.uri", &uri)]);
        let error = started
            .and_then(|mut sink| sink.put(&[int_and_text("t").write("c", pair(1, "a"))]))
            .unwrap_err();
        let trace = error.trace().to_string();
        assert!(kinds.contains(&error.kind()), "{:?} {trace}", error.kind());
        assert!(trace.contains(said), "{trace}");
        assert!(!trace.contains(SECRET), "{trace}");
    }
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

#[test]
fn null_missing_and_extra_fields_are_right() {
    let (subject, table) = (subject("fields"), int_and_text("t"));
    let mut sink = subject.sink(EVENTS);
    let narrow = Table::new("t", &[("id", int())]);
    let wide = Table::new("t", &[("id", int()), ("more", text()), ("note", text())]);
    let nothing = || vec![Value::Int32(1), Value::Null];
    sink.puts(&[
        table.write("c", nothing()),
        narrow.write("c", vec![Value::Int32(2)]),
        wide.write("c", vec![Value::Int32(3), "m".into(), "n".into()]),
    ]);
    let behind = [
        json!({"_id": {"id": 2}}),
        json!({"_id": {"id": 3}, "more": "m", "note": "n"}),
    ];
    let all = |first: Json| [&[first][..], &behind].concat();
    assert_eq!(
        documents(&subject, "t"),
        all(json!({"_id": {"id": 1}, "note": null}))
    );
    let lean = [
        EVENTS,
        &[("change.data.capture.handler.remove.null.values", "true")],
    ]
    .concat();
    subject.sink(&lean).puts(&[table.write("u", nothing())]);
    assert_eq!(documents(&subject, "t"), all(json!({"_id": {"id": 1}})));
}

#[test]
fn composite_keys_of_several_types_find_their_documents() {
    let (subject, table) = (subject("composite"), int_and_text("t"));
    let key = Schema::structure()
        .field("id", Schema::int32().build())
        .field("tag", Schema::string().build())
        .build();
    let keyed = |mut record: SinkRecord, id: i32, tag: &'static str| {
        record.record.key = Value::Struct(Struct::new(key.clone(), vec![Value::Int32(id), tag.into()]));
        record.record.key_schema = Some(key.clone());
        record
    };
    let mut sink = subject.sink(EVENTS);
    let write = |id: i32, tag, note| keyed(table.write("c", pair(id, note)), id, tag);
    sink.puts(&[write(1, "a", "x"), write(1, "b", "y"), write(2, "a", "z")]);
    sink.puts(&[keyed(table.delete(1), 1, "b"), write(2, "a", "zz")]);
    let row = |id: i32, tag: &str, note: &str| json!({"_id": {"id": id, "tag": tag}, "note": note});
    assert_eq!(documents(&subject, "t"), [row(1, "a", "x"), row(2, "a", "zz")]);
}

#[test]
fn every_type_of_connect_is_one_of_the_servers() {
    let subject = subject("types");
    let named = |schema: SchemaBuilder, name: &'static str| schema.name(name).build();
    let inner = Schema::structure().field("n", Schema::int64().build()).build();
    let table = Table::new(
        "t",
        &[
            ("id", int()),
            ("b", Schema::boolean().build()),
            ("i8", Schema::int8().build()),
            ("i16", Schema::int16().build()),
            ("i64", Schema::int64().build()),
            ("f32", Schema::float32().build()),
            ("f64", Schema::float64().build()),
            ("s", text()),
            ("raw", Schema::bytes().build()),
            (
                "day",
                named(Schema::int32(), "org.apache.kafka.connect.data.Date"),
            ),
            (
                "at",
                named(Schema::int64(), "org.apache.kafka.connect.data.Timestamp"),
            ),
            (
                "micros",
                named(Schema::int64(), "io.debezium.time.MicroTimestamp"),
            ),
            ("list", Schema::array(Schema::string().optional().build()).build()),
            (
                "map",
                Schema::map(Schema::string().build(), Schema::int32().build()).build(),
            ),
            ("row", inner.clone()),
        ],
    );
    subject.sink(EVENTS).puts(&[table.write(
        "c",
        vec![
            Value::Int32(1),
            Value::Boolean(true),
            Value::Int8(-8),
            Value::Int16(-16),
            Value::Int64(1 << 40),
            Value::Float32(0.5),
            Value::Float64(1e300),
            "ü🐘".into(),
            bytes(&[0, 255]),
            Value::Int32(19_000),
            Value::Int64(1_700_000_000_123),
            Value::Int64(7),
            Value::Array(vec!["a".into(), Value::Null]),
            Value::Map(vec![("k".into(), Value::Int32(3))]),
            Value::Struct(Struct::new(inner, vec![Value::Int64(9)])),
        ],
    )]);
    assert_eq!(
        documents(&subject, "t"),
        [json!({
            "_id": {"id": 1},
            "b": true,
            "i8": -8,
            "i16": -16,
            "i64": 1_u64 << 40,
            "f32": 0.5,
            "f64": 1e300,
            "s": "ü🐘",
            "raw": {"$binary": {"base64": "AP8=", "subType": "00"}},
            "day": {"$date": "2022-01-08T00:00:00Z"},
            "at": {"$date": "2023-11-14T22:13:20.123Z"},
            "micros": 7,
            "list": ["a", null],
            "map": {"k": 3},
            "row": {"n": 9},
        })]
    );
}

#[test]
fn many_documents_come_again_with_others_among_them() {
    for (database, ordered) in [("again", "true"), ("again_unordered", "false")] {
        let (subject, table) = (subject(database), int_and_text("t"));
        let settings = [EVENTS, &[("bulk.write.ordered", ordered)]].concat();
        let mut sink = subject.sink(&settings);
        let events = |ids: std::ops::Range<i32>, note: &'static str| -> Vec<SinkRecord> {
            ids.map(|id| table.write("r", pair(id, note))).collect()
        };
        sink.puts(&events(0..40, "a"));
        // What is there is replaced, what is not is inserted, and a key that comes twice has its last value.
        let mut batch = events(50..70, "b");
        batch.extend(events(30..50, "c"));
        batch.extend(events(60..62, "d"));
        batch.push(table.delete(0));
        batch.extend(events(65..85, "e"));
        for _ in 0..2 {
            sink.puts(&batch);
        }
        let mut wanted: Vec<Json> = (1..85)
            .map(|id| {
                let note = match id {
                    60..62 => "d",
                    65.. => "e",
                    50.. => "b",
                    30.. => "c",
                    _ => "a",
                };
                row(id, note)
            })
            .collect();
        wanted.sort_by_cached_key(|document| document["_id"].to_string());
        assert_eq!(documents(&subject, "t"), wanted, "{database}");
    }
}
