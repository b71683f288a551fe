//! One topic, five sinks: while one target is down the others go on, and when it is back it catches up.

use std::time::Duration;

use serde_json::json;
use tapline_harness::{Ferretdb, Worker, eventually, pipeline};

use crate::{TAPLINE, mysql, postgres};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_target_that_is_down_holds_up_no_other_and_catches_up() {
    let name = "fan_out";
    let from = postgres().create_database(name);
    let to = postgres().create_database("fan_out_to");
    mysql().execute("create database fan_out");
    let documents = Ferretdb::start();
    let worker = Worker::start(TAPLINE, &[], &[]);
    let dir = worker.dir().to_owned();
    from.execute("create table orders (id bigint primary key, note text)");
    let fill = |first: u64| {
        let rows = format!(
            "insert into orders select i, 'order ' || i from generate_series({first}, {first} + 1999) i"
        );
        from.execute(&rows);
    };
    fill(1);
    worker.put_connector(
        "source",
        &pipeline::source(postgres(), name, name, "public.orders"),
    );

    let topic = format!("{name}.public.orders");
    let table = |url: String, user: &str| {
        let mut config = pipeline::sink(postgres(), "fan_out_to", &topic);
        config["connection.url"] = json!(url);
        config["connection.username"] = json!(user);
        config["connection.password"] = json!(user);
        config
    };
    let lite = dir.join("fan_out.db");
    let lines = dir.join("lines.jsonl");
    worker.put_connector("postgres", &pipeline::sink(postgres(), "fan_out_to", &topic));
    worker.put_connector(
        "mysql",
        &table(
            format!("jdbc:mysql://127.0.0.1:{}/fan_out", mysql().port()),
            "tapline",
        ),
    );
    worker.put_connector(
        "sqlite",
        &table(format!("jdbc:sqlite:{}", lite.display()), "tapline"),
    );
    worker.put_connector(
        "file",
        &json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "topics": topic,
            "file": lines.display().to_string(),
            "format": "jsonl",
        }),
    );
    worker.put_connector(
        "documents",
        &json!({
            "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
            "topics": topic,
            "connection.uri": documents.uri(),
            "database": name,
            "collection": "orders",
            "writemodel.strategy": "com.mongodb.kafka.connect.sink.writemodel.strategy.InsertOneDefaultStrategy",
        }),
    );

    let count = format!("select count(*) from {name}_public_orders");
    let others = |wanted: u64| {
        eventually(&format!("{wanted} rows in four targets"), PATIENCE, || {
            let of_postgres = to.try_rows(&count).ok();
            let of_postgres = of_postgres
                .and_then(|rows| rows[0][0].as_deref().and_then(|count| count.parse().ok()))
                .unwrap_or(0);
            let there = "select count(*) from information_schema.tables where table_schema = 'fan_out'";
            let of_mysql = match mysql().count(there) {
                0 => 0,
                _ => mysql().count(&format!("use fan_out; {count}")),
            };
            let of_sqlite =
                rusqlite::Connection::open_with_flags(&lite, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
                    .and_then(|sql| sql.query_row(&count, (), |row| row.get::<_, i64>(0)))
                    .map_or(0, i64::unsigned_abs);
            let of_file = std::fs::read_to_string(&lines)
                .unwrap_or_default()
                .lines()
                .count() as u64;
            let counts: [u64; 4] = [of_postgres, of_mysql, of_sqlite, of_file];
            if counts == [wanted; 4] {
                Ok(())
            } else {
                Err(format!("{counts:?}"))
            }
        });
    };
    let fifth = |wanted: u64| {
        eventually(&format!("{wanted} documents"), PATIENCE, || {
            match documents.count(name, "orders") {
                count if count == wanted => Ok(()),
                count => Err(count.to_string()),
            }
        });
    };
    others(2000);
    fifth(2000);

    documents.kill();
    for batch in 1..=5 {
        fill(batch * 2000 + 1);
    }
    others(12_000);
    documents.restart();
    fifth(12_000);
    for sink in ["postgres", "mysql", "sqlite", "file", "documents"] {
        worker.wait_running(sink);
    }
}
