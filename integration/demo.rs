//! `make demo`: a real PostgreSQL, the worker with its embedded broker, 100,000 rows snapshotted and 50,000 changes
//! streamed into a second database and into a file of JSON lines; all three compared at the end, row by row.
//!
//! Ends with 0 only when they are equal.
#![allow(unreachable_pub, reason = "a program has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a demonstration stops at the first surprise, and says it"
)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{Postgres, Sql, Worker, end_offset, pipeline};

const ROWS: u64 = 100_000;
const CHANGES: u64 = 50_000;
const TOPIC: &str = "demo.public.orders";
/// One row as text, the same in the source, in the target and in the file.
const COLUMNS: &str = "id::text, customer, quantity::text, cents::text, paid::text, \
                       to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

type Rows = BTreeMap<u64, Vec<Option<String>>>;

fn main() -> ExitCode {
    let begin = Instant::now();
    println!("starting PostgreSQL, and tapline with its embedded broker");
    let postgres = Postgres::start(&[]);
    let shop = postgres.create_database("shop");
    postgres.create_database("copy");
    shop.execute(&format!(
        "create table orders (id bigserial primary key, customer text not null, quantity int not null, cents bigint not null,
           paid boolean not null default false, at timestamptz not null default clock_timestamp());
         insert into orders (customer, quantity, cents) select 'customer ' || i % 5000, i % 9 + 1, i * 37 % 100000 from generate_series(1, {ROWS}) i"
    ));
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &[], &[]);
    let file = worker.dir().join("orders.jsonl");
    println!(
        "  PostgreSQL  127.0.0.1:{}, databases shop and copy",
        postgres.port()
    );
    println!("  REST        http://{}/connectors", worker.address());
    println!("  Kafka       {}", worker.bootstrap());

    worker.put_connector(
        "orders-source",
        &pipeline::source(&postgres, "shop", "demo", "public.orders"),
    );
    worker.put_connector("orders-to-copy", &pipeline::sink(&postgres, "copy", TOPIC));
    worker.put_connector("orders-to-file", &to_file(&file));
    let mut watch = Watch {
        topic: worker.bootstrap(),
        copy: postgres.sql("copy"),
        line: Line::new(),
    };

    let snapshot = Instant::now();
    watch.until("snapshot", ROWS, |copied, _| copied == ROWS);
    report("snapshot", ROWS, snapshot.elapsed());

    let streaming = Instant::now();
    let load = change(postgres.port());
    let written = load.join().expect("the changes are made");
    // every change is one record, and every deletion a tombstone more
    let records = i64::try_from(ROWS + written.changes + written.deletes).unwrap();
    let rows = shop.count("select count(*) from orders");
    watch.until("changes", written.changes, |copied, end| {
        copied == rows && end >= records
    });
    let took = streaming.elapsed();

    let source = table(&shop, "orders");
    let copied = settle(&source, || table(&watch.copy, "demo_public_orders"));
    let filed = settle(&source, || replay(&file));
    watch.line.end();
    report("changes", written.changes, took);
    println!(
        "  {} inserts, {} updates, {} deletes, each in a transaction of a hundred",
        written.inserts, written.updates, written.deletes
    );
    let lines = BufReader::new(File::open(&file).unwrap()).lines().count();
    println!(
        "  topic {TOPIC}: {} records; {}: {lines} lines",
        end_offset(&worker.bootstrap(), TOPIC),
        file.display()
    );
    let equal = verdict("the second database", &source, &copied) & verdict("the file", &source, &filed);
    println!("{:.1} s in all", begin.elapsed().as_secs_f64());
    assert!(worker.terminate().success(), "the worker ends in order");
    if equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A sink that writes each record as a JSON object on a line of its own.
fn to_file(file: &Path) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "topics": TOPIC,
        "file": file.display().to_string(),
        "format": "jsonl",
    })
}

/// What was changed.
struct Written {
    inserts: u64,
    updates: u64,
    deletes: u64,
    changes: u64,
}

/// 50,000 single-row statements, a hundred to a transaction: three inserts, five updates and two deletes in ten.
fn change(port: u16) -> thread::JoinHandle<Written> {
    thread::spawn(move || {
        let sql = Sql::connect(port, "shop").expect("a session");
        let mut w = Written {
            inserts: 0,
            updates: 0,
            deletes: 0,
            changes: 0,
        };
        while w.changes < CHANGES {
            let mut batch = String::from("begin;");
            for _ in 0..100 {
                batch += &match w.changes % 10 {
                    0 | 4 | 8 => {
                        w.inserts += 1;
                        format!(
                            "insert into orders (customer, quantity, cents) values ('new customer {0}', {0} % 5 + 1, {0});",
                            w.inserts
                        )
                    }
                    2 | 6 => {
                        w.deletes += 1;
                        // from the front, where no update goes
                        format!("delete from orders where id = {};", w.deletes)
                    }
                    _ => {
                        w.updates += 1;
                        let id = CHANGES + w.updates * 7919 % (ROWS - CHANGES);
                        format!("update orders set paid = not paid, cents = cents + 1 where id = {id};")
                    }
                };
                w.changes += 1;
            }
            sql.execute(&(batch + "commit"));
        }
        w
    })
}

/// Looks at the topic's end and at the copy until both are where they should be.
struct Watch {
    topic: String,
    copy: Sql,
    line: Line,
}

impl Watch {
    fn until(&mut self, what: &str, goal: u64, done: impl Fn(u64, i64) -> bool) {
        let start = Instant::now();
        loop {
            let end = end_offset(&self.topic, TOPIC);
            let count = self.copy.try_rows("select count(*) from demo_public_orders");
            let copied = count
                .ok()
                .and_then(|rows| rows[0][0].as_deref()?.parse().ok())
                .unwrap_or(0);
            self.line.show(&format!(
                "{what} ({goal}): {end} records in the topic, {copied} rows in the copy"
            ));
            if done(copied, end) {
                return self.line.end();
            }
            assert!(
                start.elapsed() < Duration::from_secs(100),
                "the {what} did not come through"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// One line that changes in place on a terminal, and once a second elsewhere.
struct Line {
    shown: Option<Instant>,
}

impl Line {
    fn new() -> Line {
        Line { shown: None }
    }

    fn show(&mut self, text: &str) {
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[2K  {text}");
            std::io::stdout().flush().unwrap();
        } else if self.shown.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            println!("  {text}");
        } else {
            return;
        }
        self.shown = Some(Instant::now());
    }

    fn end(&mut self) {
        if self.shown.take().is_some() && std::io::stdout().is_terminal() {
            println!();
        }
    }
}

fn report(what: &str, count: u64, took: Duration) {
    let secs = took.as_secs_f64();
    println!(
        "{what}: {count} in {secs:.2} s, {:.0} a second",
        count as f64 / secs
    );
}

fn table(sql: &Sql, name: &str) -> Rows {
    let rows = sql.rows(&format!("select {COLUMNS} from {name}"));
    rows.into_iter()
        .map(|row| (row[0].as_deref().unwrap().parse().unwrap(), row))
        .collect()
}

/// What the lines of the file make, applied one after the other.
fn replay(file: &Path) -> Rows {
    let mut rows = Rows::new();
    for line in BufReader::new(File::open(file).unwrap()).lines() {
        // the last line may still be on its way
        let Ok(record) = serde_json::from_str::<Value>(&line.unwrap()) else {
            continue;
        };
        let event = &record["value"];
        let before = event["before"]["id"].as_u64();
        if let (Some("d"), Some(id)) = (event["op"].as_str(), before) {
            rows.remove(&id);
        } else if let Some(id) = event["after"]["id"].as_u64() {
            let text = |field: &str| match &event["after"][field] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            rows.insert(
                id,
                ["id", "customer", "quantity", "cents", "paid", "at"]
                    .map(text)
                    .to_vec(),
            );
        }
    }
    rows
}

/// Reads again until it is as it should be, or ten seconds have passed: sinks write a moment later.
fn settle(expected: &Rows, read: impl Fn() -> Rows) -> Rows {
    let start = Instant::now();
    loop {
        let rows = read();
        if rows == *expected || start.elapsed() > Duration::from_secs(20) {
            return rows;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn verdict(what: &str, source: &Rows, other: &Rows) -> bool {
    let different = source.iter().find(|(id, row)| other.get(id) != Some(row));
    let more = other.keys().find(|id| !source.contains_key(id));
    match (different, more) {
        (None, None) => println!("{what} equals the source: {} rows compared", source.len()),
        (Some((id, row)), _) => println!("{what} DIFFERS: {row:?} became {:?}", other.get(id)),
        (None, Some(id)) => println!("{what} DIFFERS: row {id} is too much"),
    }
    different.is_none() && more.is_none()
}
