//! Topics become documents: a table's changes, by the handler of change events and by key; and what is said, or goes to the
//! dead letter queue, when the server refuses a document.
//!
//! The tables are small: this server looks through the whole collection for an `_id` that is neither text nor an ObjectId.

use std::time::Duration;

use serde_json::{Value, json};
use tapline_harness::{Worker, create_topic, eventually, pipeline, produce, wait_for_records};

use crate::{TAPLINE, ferretdb, postgres};

const PATIENCE: Duration = Duration::from_secs(60);
const CDC: &str = "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler";
const IDS: &str = "com.mongodb.kafka.connect.sink.processor.id.strategy.";
const WRITES: &str = "com.mongodb.kafka.connect.sink.writemodel.strategy.";

fn sink(database: &str, topics: &str, more: Value) -> Value {
    let mut config = json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics": topics,
        "connection.uri": ferretdb().uri(),
        "database": database,
    });
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().expect("options").clone());
    config
}

/// Waits until a collection has these documents.
fn becomes(database: &str, collection: &str, mut wanted: Vec<Value>) {
    wanted.sort_by_cached_key(|document| document["_id"].to_string());
    eventually(&format!("{database}.{collection}"), PATIENCE, || {
        let found = ferretdb().documents(database, collection);
        match found.iter().zip(&wanted).find(|(found, wanted)| found != wanted) {
            Some((found, wanted)) => Err(format!("{found} is not {wanted}")),
            None if found.len() != wanted.len() => Err(format!("{} of {}", found.len(), wanted.len())),
            None => Ok(()),
        }
    });
}

#[test]
fn a_tables_changes_become_documents_and_their_changes() {
    let name = "to_documents";
    let from = postgres().create_database(name);
    from.execute(
        "create table customers (id bigint primary key, name text, n int);
         insert into customers select i, 'name ' || i, nullif(i % 7, 0) from generate_series(1, 60) i",
    );
    let mut worker = Worker::start(TAPLINE, &[], &[]);
    let source = pipeline::source(postgres(), name, name, "public.customers");
    worker.put_connector("source", &source);
    let topic = format!("{name}.public.customers");
    let by_event = json!({"collection": "events", "change.data.capture.handler": CDC});
    worker.put_connector("events", &sink(name, &topic, by_event));
    let by_key = json!({
        "collection": "rows",
        "document.id.strategy": format!("{IDS}FullKeyStrategy"),
        "delete.on.null.values": "true",
        "transforms": "unwrap",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.unwrap.delete.tombstone.handling.mode": "tombstone",
    });
    worker.put_connector("rows", &sink(name, &topic, by_key));

    let equal = |columns: &str| {
        let rows = from.rows(&format!(
            "select to_jsonb(r) from (select {columns} from customers) r"
        ));
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|row| serde_json::from_str(row[0].as_deref().unwrap()).unwrap())
            .collect();
        let documents = |with_key: bool| {
            let document = |row: &Value| {
                let mut document = json!({"_id": {"id": row["id"]}});
                for (column, value) in row.as_object().unwrap() {
                    if with_key || column != "id" {
                        document[column] = value.clone();
                    }
                }
                document
            };
            rows.iter().map(document).collect::<Vec<_>>()
        };
        becomes(name, "events", documents(false));
        becomes(name, "rows", documents(true));
    };
    equal("id, name, n");

    from.execute(
        "insert into customers values (1001, 'new ü🐘', null);
         update customers set n = n + 1, name = null where id <= 20;
         delete from customers where id between 21 and 30;
         update customers set id = id + 5000 where id between 31 and 35",
    );
    from.execute("alter table customers add level int");
    from.execute("update customers set level = id % 5; insert into customers values (1002, 'x', 1, 2)");
    equal("id, name, n, level");

    worker.kill();
    from.execute("update customers set n = 0 where id > 50; delete from customers where id = 1001");
    worker.restart();
    equal("id, name, n, level");
}

#[test]
fn a_document_that_is_refused_is_named_or_goes_to_the_dead_letter_queue() {
    let name = "refused_documents";
    let worker = Worker::start(TAPLINE, &[], &[]);
    let bootstrap = worker.bootstrap();
    create_topic(&bootstrap, name, 1, &[]);
    for value in [
        r#"{"_id": 1, "a": "first"}"#,
        r#"{"_id": 1, "a": "second"}"#,
        r#"{"a": "no id"}"#,
        "no document",
        r#"{"_id": 2, "at": {"$date": "2024-02-29T12:00:00Z"}}"#,
    ] {
        produce(&bootstrap, name, None, value.as_bytes());
    }
    let inserts = json!({
        "document.id.strategy": format!("{IDS}ProvidedInValueStrategy"),
        "writemodel.strategy": format!("{WRITES}InsertOneDefaultStrategy"),
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    let mut tolerant = sink(name, name, inserts.clone());
    let dead = format!("{name}-dead");
    tolerant.as_object_mut().unwrap().extend(
        json!({
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": dead,
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    worker.put_connector("tolerant", &tolerant);
    becomes(
        name,
        name,
        vec![
            json!({"_id": 1, "a": "first"}),
            json!({"_id": 2, "at": {"$date": "2024-02-29T12:00:00Z"}}),
        ],
    );
    let refused = wait_for_records(&bootstrap, &dead, 3, PATIENCE);
    let header = |record: usize, name: &str| {
        let of = |(key, value): &(String, Option<Vec<u8>>)| {
            (key == name).then(|| value.clone().unwrap_or_default())
        };
        let value = refused[record].headers.iter().find_map(of).unwrap();
        String::from_utf8(value).unwrap()
    };
    let mut offsets: Vec<String> = (0..3)
        .map(|record| header(record, "__connect.errors.offset"))
        .collect();
    offsets.sort();
    assert_eq!(offsets, ["1", "2", "3"]);

    let strict = json!({"collection": "strict"});
    let mut config = sink(name, name, inserts);
    config
        .as_object_mut()
        .unwrap()
        .extend(strict.as_object().unwrap().clone());
    worker.put_connector("strict", &config);
    worker.wait_state("strict", "FAILED");
    let status = worker.rest("GET", "/connectors/strict/status", None).json();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    // Records are made into writes before the first is sent: the first that can't be one is named.
    assert!(
        trace.contains(&format!("topic '{name}' partition 0 at offset 2")),
        "{trace}"
    );
    assert!(trace.contains("_id"), "{trace}");
}
