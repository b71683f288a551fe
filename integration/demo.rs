//! `make demo`: a real PostgreSQL, the worker with its embedded broker, 100,000 rows snapshotted and 50,000 changes
//! streamed into a second database and into a file of JSON lines; all three compared at the end, row by row.
//! `make demo DB=mysql` or `DB=mariadb`: the same from such a server into PostgreSQL.
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
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, Postgres, Sql, Worker, end_offset, pipeline};

const ROWS: u64 = 100_000;
const CHANGES: u64 = 50_000;
/// One row as text, the same in the source, in the target and in the file.
const COLUMNS: &str = "id::text, customer, quantity::text, cents::text, paid::text, \
                       to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

type Rows = BTreeMap<u64, Vec<Option<String>>>;

/// Where the orders are.
enum Shop {
    Postgres(Sql),
    Mysql(Mysql),
}

impl Shop {
    /// Makes the database `shop` with its orders, in the server that `$DB` names.
    fn open(postgres: &Postgres) -> Shop {
        let kind = match std::env::var("DB").unwrap_or_default().as_str() {
            "" | "postgres" => {
                let sql = postgres.create_database("shop");
                sql.execute(&format!(
                    "create table orders (id bigserial primary key, customer text not null, quantity int not null, cents bigint not null,
                       paid boolean not null default false, at timestamptz not null default clock_timestamp());
                     insert into orders (customer, quantity, cents) select 'customer ' || i % 5000, i % 9 + 1, i * 37 % 100000 from generate_series(1, {ROWS}) i"
                ));
                return Shop::Postgres(sql);
            }
            "mysql" => Kind::MySql,
            "mariadb" => Kind::MariaDb,
            other => panic!("unknown DB={other}: postgres, mysql or mariadb"),
        };
        let server = Mysql::start(kind, &[]);
        server.execute(
            "create database shop; use shop;
             create table orders (id bigint auto_increment primary key, customer text not null, quantity int not null,
               cents bigint not null, paid boolean not null default false,
               at timestamp(6) not null default current_timestamp(6))",
        );
        for first in (1..=ROWS).step_by(1000) {
            server.execute(&format!(
                "insert into shop.orders (id, customer, quantity, cents) with recursive s(i) as
                   (select {first} union all select i + 1 from s where i < {first} + 999)
                 select i, concat('customer ', i % 5000), i % 9 + 1, i * 37 % 100000 from s"
            ));
        }
        Shop::Mysql(server)
    }

    fn place(&self, postgres: &Postgres) -> (&'static str, u16) {
        match self {
            Shop::Postgres(_) => ("PostgreSQL", postgres.port()),
            Shop::Mysql(server) if server.kind() == Kind::MariaDb => ("MariaDB", server.port()),
            Shop::Mysql(server) => ("MySQL", server.port()),
        }
    }

    /// The schema or database that the topic's and the target's names have.
    fn schema(&self) -> &'static str {
        match self {
            Shop::Postgres(_) => "public",
            Shop::Mysql(_) => "shop",
        }
    }

    fn source(&self, postgres: &Postgres, bootstrap: &str) -> Value {
        match self {
            Shop::Postgres(_) => pipeline::source(postgres, "shop", "demo", "public.orders"),
            Shop::Mysql(server) => pipeline::mysql_source(server, bootstrap, "demo", "shop.orders"),
        }
    }

    fn rows(&self) -> Rows {
        match self {
            Shop::Postgres(sql) => table(sql, "orders"),
            Shop::Mysql(server) => keyed(server.rows(
                "select id, customer, quantity, cents, paid, date_format(at, '%Y-%m-%dT%H:%i:%s.%fZ') from shop.orders",
            )),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Shop::Postgres(sql) => sql.count("select count(*) from orders"),
            Shop::Mysql(server) => server.count("select count(*) from shop.orders"),
        }
    }
}

fn main() -> ExitCode {
    let begin = Instant::now();
    println!("starting the databases, and tapline with its embedded broker");
    let postgres = Postgres::start(&[]);
    let shop = Shop::open(&postgres);
    postgres.create_database("copy");
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &[], &[]);
    let file = worker.dir().join("orders.jsonl");
    let (server, port) = shop.place(&postgres);
    println!("  {server:<11} 127.0.0.1:{port}, database shop");
    println!("  PostgreSQL  127.0.0.1:{}, database copy", postgres.port());
    println!("  REST        http://{}/connectors", worker.address());
    println!("  Kafka       {}", worker.bootstrap());

    let topic = format!("demo.{}.orders", shop.schema());
    let copied_table = topic.replace('.', "_");
    worker.put_connector("orders-source", &shop.source(&postgres, &worker.bootstrap()));
    worker.put_connector("orders-to-copy", &pipeline::sink(&postgres, "copy", &topic));
    worker.put_connector("orders-to-file", &to_file(&topic, &file));
    let mut watch = Watch {
        bootstrap: worker.bootstrap(),
        topic: topic.clone(),
        count: format!("select count(*) from {copied_table}"),
        copy: postgres.sql("copy"),
        line: Line::new(),
    };

    let snapshot = Instant::now();
    watch.until("snapshot", ROWS, |copied, _| copied == ROWS);
    report("snapshot", ROWS, snapshot.elapsed());

    let streaming = Instant::now();
    let written = change(&shop);
    // every change is one record, and every deletion a tombstone more
    let records = i64::try_from(ROWS + written.changes + written.deletes).unwrap();
    let rows = shop.count();
    watch.until("changes", written.changes, |copied, end| {
        copied == rows && end >= records
    });
    let took = streaming.elapsed();

    let source = shop.rows();
    let copied = settle(&source, || table(&watch.copy, &copied_table));
    let filed = settle(&source, || replay(&file));
    watch.line.end();
    report("changes", written.changes, took);
    println!(
        "  {} inserts, {} updates, {} deletes, each in a transaction of a hundred",
        written.inserts, written.updates, written.deletes
    );
    let lines = BufReader::new(File::open(&file).unwrap()).lines().count();
    println!(
        "  topic {topic}: {} records; {}: {lines} lines",
        end_offset(&worker.bootstrap(), &topic),
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
fn to_file(topic: &str, file: &Path) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "topics": topic,
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
fn change(shop: &Shop) -> Written {
    let mut w = Written {
        inserts: 0,
        updates: 0,
        deletes: 0,
        changes: 0,
    };
    while w.changes < CHANGES {
        match shop {
            Shop::Postgres(sql) => sql.execute(&transaction(&mut w)),
            // a session of the command-line client takes ten
            Shop::Mysql(server) => {
                let sql: String = (0..10).map(|_| transaction(&mut w)).collect();
                server.execute(&format!("use shop; {sql}"));
            }
        }
    }
    w
}

fn transaction(w: &mut Written) -> String {
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
    batch + "commit;"
}

/// Looks at the topic's end and at the copy until both are where they should be.
struct Watch {
    bootstrap: String,
    topic: String,
    /// Counts the rows of the copy.
    count: String,
    copy: Sql,
    line: Line,
}

impl Watch {
    fn until(&mut self, what: &str, goal: u64, done: impl Fn(u64, i64) -> bool) {
        let start = Instant::now();
        loop {
            let end = end_offset(&self.bootstrap, &self.topic);
            let count = self.copy.try_rows(&self.count);
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
    keyed(sql.rows(&format!("select {COLUMNS} from {name}")))
}

fn keyed(rows: Vec<Vec<Option<String>>>) -> Rows {
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
                Value::String(text) if field == "at" => Some(with_micros(text)),
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

/// A moment with all its digits: a MySQL snapshot's events have no zeros at its end.
fn with_micros(text: &str) -> String {
    let (seconds, fraction) = text
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{seconds}.{fraction:0<6}Z")
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
