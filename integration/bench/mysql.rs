//! `mysql-stream`: draining a binlog into a topic, against `mysqlbinlog --read-from-remote-server --raw` draining it into
//! nothing; `mysql-snapshot`: a table into a topic, against the command-line client's `SELECT` into nothing.
//!
//! The binlog is loaded once. Each run's connector is made stopped, with the schema history and the offset of the moment
//! before the load, and then resumed: all of them read the same log, Debezium too.

use crate::Bench;
use crate::measure::{Meter, TopicEnd, bar};
use crate::rounds::Rounds;
use crate::settings::{Settings, add};
use crate::stream::slot;
use crate::subject::{self, Case, Subject};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tapline_harness::{Mysql, create_topic, eventually, pipeline, produce_all, read_topic, script};

const DATABASE: &str = "bench";
const TABLE: &str = "bench.bench_t";
/// The topic prefix of the connector that notes the schema history before the load.
const BASE: &str = "mysql_base";
/// Statements in one go of the command-line client.
const TOGETHER: u64 = 50;

/// What was loaded.
struct Load {
    rows: u64,
    /// Inserts and updates together.
    events: u64,
    /// The position before the first of them.
    offset: Value,
    /// The schema history up to there.
    history: Vec<Value>,
}

pub fn stream(bench: &Bench) {
    let load = load(bench);
    let mut rounds = Rounds::new(bench, "mysql-stream");
    for run in 0..bench.runs {
        if bench.has("limit") {
            let mut command = Command::new(script("mysql.sh"));
            command
                .args(["binlog", &bench.mysql().dir().display().to_string()])
                .arg(bench.mysql().port().to_string())
                .arg(load.offset["file"].as_str().expect("a file"));
            let run = Meter::tool(bench, &mut command, load.events);
            rounds.add(
                "limit",
                "mysqlbinlog",
                "--read-from-remote-server --raw to /dev/null",
                run,
            );
        }
        for case in subject::cases(bench) {
            let prefix = slot("mysql_stream", case, run);
            let bootstrap = bench.kafka().bootstrap();
            let topic = format!("{prefix}.{TABLE}");
            create_topic(&bootstrap, &topic, 1, &[]);
            write_history(&bootstrap, &prefix, &load.history);
            let end = TopicEnd::new(&bootstrap, &topic);
            let mut worker = Subject::start(bench, case.subject);
            worker.put_at(&prefix, &config(bench, &prefix, case, "no_data"), &load.offset);
            let meter = Meter::of(bench, worker.pid());
            worker.resume(&prefix);
            let run = meter.watch(&prefix, load.events, || end.get());
            worker.finish(&prefix);
            rounds.add(case.subject, case.variant, case.settings.of_source(), run);
        }
    }
    rounds.report();
}

pub fn snapshot(bench: &Bench) {
    let load = load(bench);
    let mut rounds = Rounds::new(bench, "mysql-snapshot");
    for run in 0..bench.runs {
        if bench.has("limit") {
            let mut command = Command::new(script("mysql.sh"));
            command
                .args(["sql", &bench.mysql().dir().display().to_string()])
                .args(["--quick", "--batch", "-e", "select * from bench.bench_t"]);
            let run = Meter::tool(bench, &mut command, load.rows);
            rounds.add("limit", "select", "SELECT * FROM bench_t > /dev/null", run);
        }
        for case in subject::cases(bench) {
            for threads in ["1", "2"] {
                if case.settings == Settings::Default && threads != "1" {
                    continue;
                }
                let prefix = format!("{}_{threads}", slot("mysql_snapshot", case, run));
                let bootstrap = bench.kafka().bootstrap();
                let topic = format!("{prefix}.{TABLE}");
                create_topic(&bootstrap, &topic, 1, &[]);
                let end = TopicEnd::new(&bootstrap, &topic);
                let mut config = config(bench, &prefix, case, "initial_only");
                config["snapshot.max.threads"] = json!(threads);
                let mut worker = Subject::start(bench, case.subject);
                let meter = Meter::of(bench, worker.pid());
                worker.put(&prefix, &config);
                let run = meter.watch(&prefix, load.rows, || end.get());
                worker.finish(&prefix);
                let variant = match (case.variant, threads) {
                    (variant, "1") => variant,
                    ("json", _) => "json, 2 threads",
                    _ => "json-schemas, 2 threads",
                };
                rounds.add(case.subject, variant, case.settings.of_source(), run);
            }
        }
    }
    rounds.report();
}

fn config(bench: &Bench, prefix: &str, case: Case, snapshot: &str) -> Value {
    let mut config = pipeline::mysql_source(bench.mysql(), &bench.kafka().bootstrap(), prefix, TABLE);
    let schemas = (case.variant == "json-schemas").to_string();
    let json = "org.apache.kafka.connect.json.JsonConverter";
    add(
        &mut config,
        json!({
            "snapshot.mode": snapshot,
            "key.converter": json,
            "key.converter.schemas.enable": schemas,
            "value.converter": json,
            "value.converter.schemas.enable": schemas,
        }),
    );
    case.settings.tune_source(&mut config);
    config
}

/// Loads once; later calls find what is there.
fn load(bench: &Bench) -> Load {
    let server = bench.mysql();
    let bootstrap = bench.kafka().bootstrap();
    let (rows, updates) = (bench.rows, bench.rows / 10);
    let there = format!("select count(*) from information_schema.schemata where schema_name = '{DATABASE}'");
    if server.count(&there) == 0 {
        server.execute(
            "create database bench;
             create table bench.bench_t (id bigint primary key, k int not null, grp int not null,
               created timestamp(6) not null, amount decimal(12,2) not null, flag boolean, name varchar(40), payload text);
             create table bench.loaded (file varchar(64), pos bigint, gtids text)",
        );
        note_history(bench);
        let status = &server.rows("flush binary logs; show binary log status")[0];
        let field = |index: usize| status[index].clone().unwrap_or_default();
        let at = format!(
            "insert into bench.loaded values ('{}', {}, '{}')",
            field(0),
            field(1),
            field(4)
        );
        fill(server, rows, updates);
        server.execute(&at);
    }
    let at = &server.rows("select file, pos, gtids from bench.loaded")[0];
    let pos: u64 = at[1].as_deref().expect("a position").parse().expect("a number");
    Load {
        rows,
        events: rows + updates,
        offset: json!({ "ts_sec": 0, "file": at[0], "pos": pos, "gtids": at[2] }),
        history: read_topic(&bootstrap, &format!("{BASE}.schema-history"))
            .iter()
            .map(tapline_harness::Record::value_json)
            .collect(),
    }
}

/// Has a worker of ours write the schema history, by a snapshot of the schemas alone.
fn note_history(bench: &Bench) {
    let case = Case {
        subject: "tapline",
        variant: "json",
        settings: Settings::Default,
    };
    let worker = Subject::start(bench, case.subject);
    worker.put(BASE, &config(bench, BASE, case, "no_data"));
    eventually("the schemas are noted", Duration::from_secs(60), || {
        let offsets = worker.offsets(BASE);
        let stored = offsets["offsets"].as_array().into_iter().flatten();
        match stored
            .into_iter()
            .any(|stored| stored["offset"]["file"].is_string())
        {
            true => Ok(()),
            false => Err("no offset yet".to_owned()),
        }
    });
    worker.finish(BASE);
}

fn write_history(bootstrap: &str, prefix: &str, history: &[Value]) {
    let topic = format!("{prefix}.schema-history");
    create_topic(bootstrap, &topic, 1, &[]);
    let records = history.iter().map(|record| {
        let mut record = record.clone();
        record["source"]["server"] = prefix.into();
        record.to_string().into_bytes()
    });
    produce_all(bootstrap, &topic, records);
}

fn fill(server: &Mysql, rows: u64, updates: u64) {
    let bar = bar(rows + updates, "loading");
    let run = |statement: &dyn Fn(u64) -> String, each: u64| {
        for first in (1..=rows).step_by((1000 * TOGETHER) as usize) {
            let starts = (first..first + 1000 * TOGETHER).step_by(1000);
            let sql: Vec<String> = starts.take_while(|first| *first <= rows).map(statement).collect();
            server.execute(&sql.join(";"));
            bar.inc(sql.len() as u64 * each);
        }
    };
    run(
        &|first| {
            format!(
                "insert into bench.bench_t with recursive s(x) as (select {first} union all select x + 1 from s where x < {first} + 999)
                 select x, x % 1000, x % 7, now(6), (x % 100000) / 100, x % 2 = 0, concat('customer-', x), repeat(sha2(x, 256), 2) from s"
            )
        },
        1000,
    );
    run(
        &|first| {
            format!(
                "update bench.bench_t set k = k + 1, amount = amount + 1 where id between {first} and {first} + 99"
            )
        },
        100,
    );
    bar.finish_and_clear();
}
