//! Records that a target refuses go to the dead letter queue, each with where it lay and what the server said, and the others of
//! its batch are written: the same on every relational target.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tapline_harness::{Record, Worker, create_topic, eventually, folder, produce_keyed, wait_for_records};

use crate::{TAPLINE, mysql, postgres};

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "dead_letters";
const RECORDS: u64 = 400;
/// One is null, the others are too long for the table's check.
const REFUSED: [u64; 3] = [7, 200, 399];

fn record(n: u64) -> (Vec<u8>, Vec<u8>) {
    let id = json!({"field": "id", "type": "int64"});
    let note = match n {
        7 => Value::Null,
        n if REFUSED.contains(&n) => json!("far too long"),
        n => json!(format!("n{n}")),
    };
    let key = json!({"schema": {"type": "struct", "fields": [id]}, "payload": {"id": n}});
    let fields = [id, json!({"field": "note", "type": "string", "optional": true})];
    let value = json!({"schema": {"type": "struct", "fields": fields}, "payload": {"id": n, "note": note}});
    (key.to_string().into_bytes(), value.to_string().into_bytes())
}

fn header(record: &Record, name: &str) -> String {
    let name = format!("__connect.errors.{name}");
    let found = record.headers.iter().find(|(key, _)| *key == name);
    let value = found.and_then(|(_, value)| value.clone());
    String::from_utf8(value.unwrap_or_else(|| panic!("no {name}"))).unwrap()
}

#[test]
fn records_that_a_table_refuses_are_dead_letters_and_the_others_are_rows() {
    let create = format!(
        "create table {NAME} (id bigint primary key, note varchar(20) not null check (length(note) < 6))"
    );
    let sql = postgres().create_database(NAME);
    sql.execute(&create);
    mysql().execute(&format!("create database {NAME}; use {NAME}; {create}"));
    let lite = folder(NAME).join("target.db");
    let rows_of_sqlite = |text: &str| {
        let connection = rusqlite::Connection::open(&lite).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.query_row(text, (), |row| row.get::<_, i64>(0))
    };
    rusqlite::Connection::open(&lite)
        .unwrap()
        .execute_batch(&create)
        .unwrap();

    let worker = Worker::start(TAPLINE, &[], &[]);
    let bootstrap = worker.bootstrap();
    create_topic(&bootstrap, NAME, 1, &[]);
    produce_keyed(&bootstrap, NAME, (0..RECORDS).map(record));
    let urls = BTreeMap::from([
        (
            "postgres",
            format!("jdbc:postgresql://127.0.0.1:{}/{NAME}", postgres().port()),
        ),
        (
            "tapline",
            format!("jdbc:mysql://127.0.0.1:{}/{NAME}", mysql().port()),
        ),
        ("nobody", format!("jdbc:sqlite:{}", lite.display())),
    ]);
    for (user, url) in &urls {
        let dead = format!("{NAME}-{user}");
        worker.put_connector(
            user,
            &json!({
                "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
                "topics": NAME,
                "connection.url": url,
                "connection.username": user,
                "connection.password": user,
                "insert.mode": "upsert",
                "primary.key.mode": "record_key",
                "errors.tolerance": "all",
                "errors.deadletterqueue.topic.name": dead,
                "errors.deadletterqueue.topic.replication.factor": "1",
                "errors.deadletterqueue.context.headers.enable": "true",
            }),
        );
    }
    let count = format!("select count(*) from {NAME}");
    eventually("every other record is a row", PATIENCE, || {
        let counts = [
            sql.count(&count),
            mysql().count(&format!("use {NAME}; {count}")),
            rows_of_sqlite(&count).unwrap_or(0).unsigned_abs(),
        ];
        if counts == [RECORDS - 3; 3] {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    });
    for user in urls.keys() {
        let mut dead = wait_for_records(&bootstrap, &format!("{NAME}-{user}"), 3, PATIENCE);
        dead.sort_by_key(|record| header(record, "offset").parse::<u64>().unwrap());
        for (dead, offset) in dead.iter().zip(REFUSED) {
            assert_eq!(header(dead, "offset"), offset.to_string(), "{user}");
            assert_eq!(header(dead, "topic"), NAME);
            assert_eq!(header(dead, "partition"), "0");
            assert_eq!(header(dead, "connector.name"), *user);
            assert_eq!(header(dead, "stage"), "TASK_PUT");
            let trace = header(dead, "exception.stacktrace");
            assert!(trace.to_lowercase().contains(NAME), "{user}: {trace}");
            assert_eq!(dead.value_json()["payload"]["id"], offset);
        }
        worker.wait_running(user);
    }
}
