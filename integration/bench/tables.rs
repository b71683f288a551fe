//! `memory-tables`: what 10,000 captured tables (`TABLES=`) cost beside one, when each of them has rows in the topics.

use crate::Bench;
use crate::measure::bar;
use crate::proc::{peak_mb, resident_mb};
use crate::report::{Name, round};
use crate::subject::{on_kafka, prepare, source};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{Sql, create_topics, eventually, request};

/// Tables made by one statement.
const STEP: u64 = 500;

pub fn tables(bench: &Bench) {
    if !bench.has("tapline") {
        return;
    }
    for count in [1, crate::setting("TABLES", 10_000)] {
        measure(bench, count);
    }
}

/// A snapshot of a row of each table, then, from a new start on, a change of each.
fn measure(bench: &Bench, count: u64) {
    let database = format!("tables_{count}");
    bench.postgres().create_database(&database);
    let sql = bench.postgres().sql(&database);
    sql.execute("create publication t_pub for all tables");
    let making = bar(count, "tables");
    each(
        &sql,
        count,
        "create table t_%s (id int primary key, name varchar(40) not null, amount numeric(12,2), at timestamptz default now()); insert into t_%s values (1, ''first'', 1.5)",
        |made| making.set_position(made),
    );
    making.finish_and_clear();
    let bootstrap = bench.kafka().bootstrap();
    let topics: Vec<String> = (1..=count).map(|n| format!("{database}.public.t_{n}")).collect();
    for some in topics.chunks(STEP as usize) {
        let names: Vec<&str> = some.iter().map(String::as_str).collect();
        create_topics(&bootstrap, &names, 1, &[]);
    }
    // Kafka takes a while over so many.
    arrived(&bootstrap, &topics, 0, Instant::now());
    let mut config = source(bench, &database, "t", &database, "json-schemas");
    config["table.include.list"] = json!("public.t_.*");
    config["snapshot.mode"] = json!("initial");
    let mut worker = prepare(&on_kafka(bench));
    worker.restart();
    worker.put_connector(&database, &config);
    let begun = Instant::now();
    let read = arrived(&bootstrap, &topics, 1, begun);
    let snapshot_peak = peak_mb(worker.process().pid());
    worker.terminate();
    each(&sql, count, "update t_%s set amount = amount + 1", |_| {});
    let begun = Instant::now();
    worker.spawn();
    while !running(worker.address(), &database) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "not running:\n{}",
            worker.process().log()
        );
        thread::sleep(Duration::from_millis(5));
    }
    let started = begun.elapsed().as_secs_f64();
    let streamed = arrived(&bootstrap, &topics, 2, begun);
    let pid = worker.process().pid();
    let figures = json!({
        "events": 2 * count,
        "secs": round(started, 3),
        "peak_rss_mb": round(peak_mb(pid).max(snapshot_peak), 1),
        "rss_mb": round(resident_mb(pid), 1),
        "snapshot_secs": round(read, 1),
        "snapshot_peak_rss_mb": round(snapshot_peak, 1),
        "changes_secs": round(streamed, 1),
        "settings": "a row of each table read, then, after a new start, a change of each; the topics are there; secs: from the worker's start to RUNNING",
    });
    let variant = if count == 1 { "1 table" } else { "many tables" };
    let name = Name {
        bench: "memory-tables",
        subject: "tapline",
        variant,
    };
    bench.report.row(name, &figures);
    worker.kill();
    eventually("the slot's reader is gone", Duration::from_secs(30), || {
        sql.try_rows(&format!("select pg_drop_replication_slot('{database}')"))
            .map(|_| ())
            .map_err(|e| e.to_string())
    });
}

/// Runs `statements` for every number, a step at a time.
fn each(sql: &Sql, count: u64, statements: &str, told: impl Fn(u64)) {
    let wanted = statements.matches("%s").count();
    let numbers = vec!["n"; wanted].join(", ");
    for first in (1..=count).step_by(STEP as usize) {
        let last = (first + STEP - 1).min(count);
        sql.execute(&format!(
            "do $$ begin for n in {first}..{last} loop execute format('{statements}', {numbers}); end loop; end $$"
        ));
        told(last);
    }
}

fn running(address: &str, connector: &str) -> bool {
    let status = request(address, "GET", &format!("/connectors/{connector}/status"), None);
    status.is_ok_and(|status| status.status == 200 && status.json()["tasks"][0]["state"] == "RUNNING")
}

/// Seconds since `begun` until every topic has `want` records.
fn arrived(bootstrap: &str, topics: &[String], want: i64, begun: Instant) -> f64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .create()
        .expect("a consumer");
    let bar = bar(topics.len() as u64, "topics with their records");
    for topic in topics {
        loop {
            let ends = consumer.fetch_watermarks(topic, 0, Duration::from_secs(20));
            if ends.is_ok_and(|(_, end)| end >= want) {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(600),
                "{topic} has no {want} records"
            );
            thread::sleep(Duration::from_millis(20));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    begun.elapsed().as_secs_f64()
}
