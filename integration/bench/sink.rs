//! A topic of change events into a target by key. `sink-postgres-upsert`: against one `INSERT … SELECT … ON CONFLICT` of
//! the same rows, from an unlogged copy, inside the server; `sink-mysql-upsert`: against one `INSERT … SELECT … ON DUPLICATE
//! KEY UPDATE`; `sink-mongodb-upsert`: documents, into a server that has nothing of the kind to stand against.

use crate::Bench;
use crate::load::{COLUMNS, DATABASE, copy_table, drop_slot, load};
use crate::measure::{Meter, TopicEnd};
use crate::rounds::Rounds;
use crate::settings::{Settings, add};
use crate::subject::{self, Case, Subject, workers};
use serde_json::{Value, json};
use std::time::Duration;
use tapline_harness::{Mysql, create_topic};

const PREFIX: &str = "upserts";
const ROWS: u64 = 1_000_000;
/// A document server is slower.
const DOCUMENTS: u64 = 100_000;
/// Between two questions that take the server some work.
const PAUSE: Duration = Duration::from_millis(200);

pub fn postgres_upsert(bench: &Bench) {
    let rows = load(bench).rows.min(ROWS);
    let sql = bench.postgres().sql(DATABASE);
    copy_table(&sql, "unlogged", "unlogged", rows);
    let sets = COLUMNS.map(|column| format!("{column} = excluded.{column}"));
    let upsert = format!(
        "insert into upserted select * from unlogged on conflict (id) do update set {}",
        sets.join(", ")
    );
    let mut topic = None;
    let mut rounds = Rounds::new(bench, "sink-postgres-upsert");
    for run in 0..bench.runs {
        if bench.has("limit") {
            copy_table(&sql, "upserted", "", 0);
            let run = Meter::server(bench, rows, || sql.execute(&upsert));
            rounds.add("limit", "insert-select", "INSERT … SELECT … ON CONFLICT", run);
        }
        for case in cases(bench) {
            let topic: &String =
                topic.get_or_insert_with(|| fill(bench, rows, case.subject, PREFIX, json!({})));
            let name = format!("upsert_{}_{:?}_{run}", case.subject, case.settings).to_lowercase();
            copy_table(&sql, &name, "", 0);
            let mut config = sink(bench, topic, &name);
            case.settings.tune_sink(&mut config);
            let mut worker = Subject::start(bench, case.subject);
            let meter = Meter::of(bench, worker.pid());
            worker.put(&name, &config);
            // batches come in the order of their ids, and the index answers at once; within a batch the order is free
            let (last, all) = (
                format!("select max(id) from {name}"),
                format!("select count(*) from {name}"),
            );
            let run = meter.watch(&name, rows, || match sql.count(&last) {
                last if last < rows => last,
                _ => sql.count(&all),
            });
            worker.finish(&name);
            sql.execute(&format!("drop table {name}"));
            rounds.add(case.subject, case.variant, case.settings.of_sink(), run);
        }
    }
    rounds.report();
}

pub fn mysql_upsert(bench: &Bench) {
    let rows = load(bench).rows.min(ROWS);
    let server = bench.mysql();
    server.execute("create database if not exists upserts");
    let sets = COLUMNS.map(|column| format!("{column} = copied.{column}"));
    let upsert = format!(
        "insert into upserts.upserted select * from upserts.copied on duplicate key update {}",
        sets.join(", ")
    );
    let mut topic = None;
    let mut rounds = Rounds::new(bench, "sink-mysql-upsert");
    for run in 0..bench.runs {
        if bench.has("limit") {
            if run == 0 {
                table(server, "copied");
                copy(server, rows);
            }
            table(server, "upserted");
            let run = Meter::server(bench, rows, || server.execute(&upsert));
            rounds.add(
                "limit",
                "insert-select",
                "INSERT … SELECT … ON DUPLICATE KEY UPDATE",
                run,
            );
        }
        for case in cases(bench) {
            let topic: &String =
                topic.get_or_insert_with(|| fill(bench, rows, case.subject, PREFIX, json!({})));
            let name = format!("upsert_{}_{:?}_{run}", case.subject, case.settings).to_lowercase();
            table(server, &name);
            let mut config = sink(bench, topic, &name);
            config["connection.url"] = json!(format!(
                "jdbc:mysql://127.0.0.1:{}/upserts?allowPublicKeyRetrieval=true",
                server.port()
            ));
            config["connection.username"] = json!("tapline");
            config["connection.password"] = json!("tapline");
            case.settings.tune_sink(&mut config);
            let mut worker = Subject::start(bench, case.subject);
            let meter = Meter::of(bench, worker.pid());
            worker.put(&name, &config);
            let (last, all) = (
                format!("select coalesce(max(id), 0) from upserts.{name}"),
                format!("select count(*) from upserts.{name}"),
            );
            let run = meter.watch(&name, rows, || {
                std::thread::sleep(PAUSE);
                match server.count(&last) {
                    last if last < rows => last,
                    _ => server.count(&all),
                }
            });
            worker.finish(&name);
            server.execute(&format!("drop table upserts.{name}"));
            rounds.add(case.subject, case.variant, case.settings.of_sink(), run);
        }
    }
    rounds.report();
}

fn table(server: &Mysql, name: &str) {
    server.execute(&format!(
        "use upserts; drop table if exists {name};
         create table {name} (id bigint primary key, k int not null, grp int not null, created datetime(6) not null,
           amount decimal(12,2) not null, flag boolean, name varchar(40), payload text)"
    ));
}

/// Rows like those of the topic.
fn copy(server: &Mysql, rows: u64) {
    for first in (1..=rows).step_by(1000) {
        server.execute(&format!(
            "use upserts; insert into copied
             with recursive s(x) as (select {first} union all select x + 1 from s where x < {first} + 999)
             select x, x % 1000, x % 7, now(6), (x % 100000) / 100, x % 2 = 0, concat('customer-', x), repeat(sha2(x, 256), 2) from s"
        ));
    }
}

/// Rows by their key, as text: no other `_id` is compared within this server's SQL. It finds none by an index, so that a
/// replacement takes the longer the more documents there are.
pub fn mongodb_upsert(bench: &Bench) {
    let rows = load(bench).rows.min(DOCUMENTS);
    let server = bench.ferretdb();
    let mut topic = None;
    let mut rounds = Rounds::new(bench, "sink-mongodb-upsert");
    for run in 0..bench.runs {
        for subject in workers(bench) {
            let topic: &String = topic.get_or_insert_with(|| {
                // It takes no Decimal128.
                let more = json!({ "decimal.handling.mode": "string" });
                fill(bench, rows, subject, "documents", more)
            });
            let name = format!("documents_{subject}_{run}");
            let config = json!({
                "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
                "tasks.max": "1",
                "topics": topic,
                "connection.uri": server.uri(),
                "database": "bench",
                "collection": name,
                "document.id.strategy": "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy",
                // Else the peer logs a line a record.
                "document.id.strategy.overwrite.existing": "true",
                "transforms": "unwrap,text,id",
                "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
                "transforms.text.type": "org.apache.kafka.connect.transforms.Cast$Value",
                "transforms.text.spec": "id:string",
                "transforms.id.type": "org.apache.kafka.connect.transforms.ReplaceField$Value",
                "transforms.id.renames": "id:_id",
                "consumer.override.max.poll.records": "5000",
                "key.converter": "org.apache.kafka.connect.json.JsonConverter",
                "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            });
            let mut worker = Subject::start(bench, subject);
            let meter = Meter::of(bench, worker.pid());
            worker.put(&name, &config);
            let run = meter.watch(&name, rows, || {
                std::thread::sleep(PAUSE);
                server.count("bench", &name)
            });
            worker.finish(&name);
            let subject = if subject == "debezium" {
                "mongo-kafka"
            } else {
                subject
            };
            rounds.add(subject, "json-schemas", "max.poll.records 5000", run);
        }
    }
    rounds.report();
}

fn cases(bench: &Bench) -> Vec<Case> {
    let settings: &[Settings] = if bench.peers {
        &[Settings::Tuned, Settings::Default]
    } else {
        &[Settings::Tuned]
    };
    let of = |subject| {
        settings.iter().map(move |&settings| Case {
            subject,
            variant: "json-schemas",
            settings,
        })
    };
    workers(bench).into_iter().flat_map(of).collect()
}

/// A topic of the table's rows as change events, written by a subject's snapshot with some `more` settings.
fn fill(bench: &Bench, rows: u64, subject: &str, prefix: &str, more: Value) -> String {
    let topic = format!("{prefix}.public.changed_{rows}");
    if TopicEnd::new(&bench.kafka().bootstrap(), &topic).get() == rows {
        return topic;
    }
    let sql = bench.postgres().sql(DATABASE);
    let table = format!("changed_{rows}");
    copy_table(&sql, &table, "", rows);
    sql.execute(&format!("drop publication if exists {table}_pub"));
    sql.execute(&format!("create publication {table}_pub for table {table}"));
    create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
    let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
    let mut config = subject::source(bench, DATABASE, &table, prefix, "json-schemas");
    config["snapshot.mode"] = json!("initial_only");
    add(&mut config, more);
    Settings::Tuned.tune_source(&mut config);
    let mut worker = Subject::start(bench, subject);
    worker.put(prefix, &config);
    Meter::of(bench, worker.pid()).watch("filling the topic", rows, || end.get());
    worker.finish(prefix);
    drop_slot(bench, prefix);
    topic
}

/// A JDBC sink connector that upserts the topic into the table.
pub fn sink(bench: &Bench, topic: &str, table: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "connection.url": format!("jdbc:postgresql://127.0.0.1:{}/{DATABASE}", bench.postgres().port()),
        "connection.username": "postgres",
        "connection.password": "none",
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
        "collection.name.format": table,
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    })
}
