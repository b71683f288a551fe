//! `sink-postgres-upsert`: a topic of change events into a table by upsert, against one `INSERT … SELECT … ON CONFLICT`
//! of the same rows inside the server.

use crate::Bench;
use crate::load::{drop_slot, load};
use crate::measure::{Run, TopicEnd, median, watch};
use crate::report::Name;
use crate::subject::{self, Subject};
use serde_json::{Value, json};
use std::time::Instant;
use tapline_harness::create_topic;

const SETTINGS: &str = "batch.size 5000, max.poll.records 5000, fetch.min.bytes 1000000, use.reduction.buffer; JSON with schemas";
const PREFIX: &str = "sinkfill";

pub fn postgres_upsert(bench: &Bench) {
    let load = load(bench);
    let (topic, rows) = (fill(bench), load.rows);
    let sql = bench.postgres().sql("bench");
    let runs = (0..bench.runs).map(|_| {
        sql.execute("drop table if exists upserted; create table upserted (like bench_t including all)");
        let start = Instant::now();
        sql.execute(
            "insert into upserted select * from bench_t on conflict (id) do update set k = excluded.k, grp = excluded.grp,
             created = excluded.created, amount = excluded.amount, flag = excluded.flag, name = excluded.name, payload = excluded.payload",
        );
        let secs = start.elapsed().as_secs_f64();
        Run { events: rows, secs, per_s: rows as f64 / secs, cpu_s: 0.0, peak_mb: 0.0 }
    });
    let limit = median(runs.collect());
    let name = Name {
        bench: "sink-postgres-upsert",
        subject: "limit",
        variant: "insert-select",
    };
    bench
        .report
        .run(name, limit, limit.per_s, "INSERT … SELECT … ON CONFLICT");
    for subject in subject::names(bench) {
        let runs = (0..bench.runs).map(|run| {
            let connector = format!("sink_{subject}_{run}");
            sql.execute(&format!("create table {connector} (like bench_t including all)"));
            let mut worker = Subject::start(bench, subject);
            worker.put(&connector, &sink(bench, &topic, &connector));
            // rows come in the order of their ids, and the index answers at once
            let last = format!("select max(id) from {connector}");
            let run = watch(&connector, rows, worker.pid(), || sql.count(&last));
            worker.finish(&connector);
            assert_eq!(sql.count(&format!("select count(*) from {connector}")), rows);
            sql.execute(&format!("drop table {connector}"));
            run
        });
        let name = Name {
            bench: "sink-postgres-upsert",
            subject,
            variant: "json-schemas",
        };
        bench
            .report
            .run(name, median(runs.collect()), limit.per_s, SETTINGS);
    }
}

/// A topic of the table's rows as change events, written by our own snapshot.
fn fill(bench: &Bench) -> String {
    let topic = format!("{PREFIX}.public.bench_t");
    create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
    let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
    let mut worker = Subject::start(bench, "tapline");
    worker.put(
        PREFIX,
        &subject::source(bench, PREFIX, PREFIX, "initial_only", "json-schemas"),
    );
    watch(&topic, bench.rows, worker.pid(), || end.get());
    worker.finish(PREFIX);
    drop_slot(&bench.postgres().sql("bench"), PREFIX);
    topic
}

fn sink(bench: &Bench, topic: &str, table: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "connection.url": format!("jdbc:postgresql://127.0.0.1:{}/bench", bench.postgres().port()),
        "connection.username": "postgres",
        "connection.password": "none",
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
        "collection.name.format": table,
        "batch.size": "5000",
        "use.reduction.buffer": "true",
        "consumer.override.max.poll.records": "5000",
        "consumer.override.fetch.min.bytes": "1000000",
        "consumer.override.max.partition.fetch.bytes": "10485760",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    })
}
