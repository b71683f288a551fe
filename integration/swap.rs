//! Changing places with Kafka Connect: Debezium's source, its JDBC sink and a file sink run on a Java worker, then on
//! `tapline` with the same `worker.properties`, and back, in the middle of a load; stopped cleanly, then by SIGKILL.
//!
//! ```text
//!  load ──▶ t ──▶ source ──▶ topic ──▶ JDBC sink ──▶ copy of t          Java ▶ tapline ▶ Java ✗ tapline ✗ Java
//!                              └─────▶ file sink ──▶ lines
//! ```
//!
//! Held at the end: the table and its copy are equal; there was one snapshot; in the topic nothing is missing, and once
//! repeats are dropped every key's changes are in order; nothing is sent again that the turn before had stored, and what
//! `tapline` stores when it stops is all that it sent.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tapline_harness::{
    Connect, Kafka, Postgres, Process, Sql, end_offset, eventually, folder, pipeline, read_topic, request,
};

const ROWS: i64 = 2000;
const TOPIC: &str = "swap.public.t";
const CONNECTORS: [&str; 3] = ["source", "jdbc", "file"];
const PATIENCE: Duration = Duration::from_secs(120);
/// Records of a turn: enough that it is in the middle of things when it ends.
const TURN: i64 = 2000;

/// What happened.
pub struct Outcome {
    turns: Vec<&'static str>,
    records: usize,
    repeats: usize,
    rows: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{}: {} records, {} repeats, {} rows equal",
            self.turns.join(", "),
            self.records,
            self.repeats,
            self.rows
        )
    }
}

enum End {
    Stop,
    Kill,
}

/// Runs it; panics when a promise is broken.
pub fn run() -> Outcome {
    let (postgres, kafka) = (Postgres::start(&[]), Kafka::start(&[]));
    let bootstrap = kafka.bootstrap();
    let sql = postgres.create_database("original");
    sql.execute(&format!(
        "create table t (id int primary key, n int not null, note text); \
         insert into t select i, 0, 'row ' || i from generate_series(1, {ROWS}) i"
    ));
    postgres.create_database("copy");
    let lines = folder("swap").join("lines.txt");
    let java = Connect::prepare(
        &bootstrap,
        &[
            "offset.flush.interval.ms=1000",
            "scheduled.rebalance.max.delay.ms=0",
            "task.shutdown.graceful.timeout.ms=20000",
        ],
    );
    let mut outcome = Outcome {
        turns: Vec::new(),
        records: 0,
        repeats: 0,
        rows: 0,
    };

    java.start();
    for (name, config) in CONNECTORS.iter().zip(configs(&postgres, &lines)) {
        let path = format!("/connectors/{name}/config");
        let answer = request(&java.address(), "PUT", &path, Some(&config.to_string())).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    // a snapshot that is killed begins again, with either: so it is over first
    grows(&java, &bootstrap, ROWS);
    let load = Load::start(postgres.port());
    let turns = [
        ("Java", End::Stop),
        ("tapline", End::Stop),
        ("Java", End::Kill),
        ("tapline", End::Kill),
        ("Java", End::Stop),
        ("tapline", End::Stop),
    ];
    let last = turns.len() - 1;
    let mut breaks = Vec::new();
    for (turn, (who, end)) in turns.into_iter().enumerate() {
        let mut tapline = None;
        match who {
            "Java" if turn == 0 => {}
            "Java" => java.start(),
            _ => tapline = Some(start_tapline(&java)),
        }
        running(&java);
        grows(&java, &bootstrap, end_offset(&bootstrap, TOPIC) + TURN);
        if turn == last {
            load.stop();
            equal(&sql, &postgres);
            outcome.rows = sql.count("select count(*) from t");
            // what is read here is all there is
            eventually("the file sink has all", PATIENCE, || {
                let (lines, records) = (count(&lines), end_offset(&bootstrap, TOPIC));
                if lines >= records {
                    Ok(())
                } else {
                    Err(format!("{lines} of {records}"))
                }
            });
            break_off(&java, tapline, &end);
            outcome.turns.push(said(who, &end));
            break;
        }
        break_off(&java, tapline, &end);
        outcome.turns.push(said(who, &end));
        breaks.push(Break::now(&bootstrap, said(who, &end)));
    }
    (outcome.records, outcome.repeats) = audit(&bootstrap, &sql, &breaks);
    outcome
}

/// Where a turn ended.
struct Break {
    after: &'static str,
    /// Records of the topic.
    records: usize,
    /// The position that is stored: whoever is next goes on behind it.
    stored: i64,
}

impl Break {
    fn now(bootstrap: &str, after: &'static str) -> Break {
        let key = r#"["source",{"server":"swap"}]"#;
        let offsets = read_topic(bootstrap, "peer-offsets");
        let offset = offsets
            .iter()
            .rfind(|record| record.key == Some(key.as_bytes().to_vec()));
        let records = read_topic(bootstrap, TOPIC);
        let broken = Break {
            after,
            records: records.len(),
            stored: offset.expect("an offset").value_json()["lsn"].as_i64().unwrap(),
        };
        // Java may give up what it has not stored in time; we don't.
        if after == "tapline stopped" {
            let end = position(&records.last().expect("records").value_json()["payload"]);
            assert!(
                broken.stored >= end,
                "{after}: stored {}, sent {end}",
                broken.stored
            );
        }
        broken
    }
}

fn position(event: &Value) -> i64 {
    event["source"]["lsn"].as_i64().unwrap()
}

fn said(who: &str, end: &End) -> &'static str {
    match (who, end) {
        ("Java", End::Stop) => "Java stopped",
        ("Java", End::Kill) => "Java killed",
        (_, End::Stop) => "tapline stopped",
        (_, End::Kill) => "tapline killed",
    }
}

fn configs(postgres: &Postgres, lines: &Path) -> [Value; 3] {
    let mut sink = pipeline::sink(postgres, "copy", TOPIC);
    // the group's next owner need not wait for a killed one for long
    sink["consumer.override.session.timeout.ms"] = "6000".into();
    let text = "org.apache.kafka.connect.storage.StringConverter";
    let file = serde_json::json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "topics": TOPIC,
        "file": lines.display().to_string(),
        "key.converter": text,
        "value.converter": text,
        "consumer.override.session.timeout.ms": "6000",
    });
    [
        pipeline::source(postgres, "original", "swap", "public.t"),
        sink,
        file,
    ]
}

fn start_tapline(java: &Connect) -> Process {
    let dir = folder("tapline");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapline"));
    command
        .arg("worker")
        .arg(java.properties())
        .arg("--data-dir")
        .arg(dir.join("data"));
    Process::spawn(&mut command, &dir, "worker")
}

fn break_off(java: &Connect, tapline: Option<Process>, end: &End) {
    match (tapline, end) {
        (Some(mut tapline), End::Stop) => {
            let status = tapline.terminate(Duration::from_secs(60)).expect("it ends");
            assert!(status.success(), "{status}");
        }
        (Some(mut tapline), End::Kill) => tapline.kill(),
        (None, End::Stop) => java.stop(),
        (None, End::Kill) => java.kill(),
    }
}

/// Until every connector and its task are RUNNING.
fn running(java: &Connect) {
    for name in CONNECTORS {
        eventually(&format!("{name} runs"), PATIENCE, || {
            let path = format!("/connectors/{name}/status");
            let status = request(&java.address(), "GET", &path, None)?.json();
            assert_ne!(status["tasks"][0]["state"], "FAILED", "{status:#}");
            let well = status["connector"]["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING";
            if well { Ok(()) } else { Err(status.to_string()) }
        });
    }
}

fn grows(java: &Connect, bootstrap: &str, to: i64) {
    eventually(&format!("{TOPIC} has {to} records"), PATIENCE, || {
        let end = end_offset(bootstrap, TOPIC);
        if end >= to {
            return Ok(());
        }
        let status = request(&java.address(), "GET", "/connectors/source/status", None)?;
        Err(format!("{end}; {}", status.body))
    });
}

fn equal(sql: &Sql, postgres: &Postgres) {
    let all = "select coalesce(md5(string_agg(id || ':' || n || ':' || note, ',' order by id)), '') from ";
    let copy = postgres.sql("copy");
    eventually("the copy is equal", PATIENCE, || {
        let (left, right) = (
            sql.value(&format!("{all} t")),
            copy.value(&format!("{all} swap_public_t")),
        );
        if left == right {
            Ok(())
        } else {
            Err("it differs".to_owned())
        }
    });
}

fn count(lines: &Path) -> i64 {
    let text = std::fs::read(lines).unwrap_or_default();
    i64::try_from(text.iter().filter(|byte| **byte == b'\n').count()).unwrap()
}

/// Records and repeats of the topic; panics at a second snapshot, a gap, or a repeat of what the turn before had stored.
fn audit(bootstrap: &str, sql: &Sql, breaks: &[Break]) -> (usize, usize) {
    let records = read_topic(bootstrap, TOPIC);
    let mut at: HashMap<i64, i64> = HashMap::new();
    let (mut repeats, mut snapshotted, mut streamed) = (0, 0, false);
    for (index, record) in records.iter().enumerate() {
        let value = record.value_json();
        let event = &value["payload"];
        let row = &event["after"];
        let (id, n) = (row["id"].as_i64().unwrap(), row["n"].as_i64().unwrap());
        if event["op"] == "r" {
            assert!(!streamed, "a second snapshot: {event}");
            snapshotted += 1;
            at.insert(id, n);
            continue;
        }
        streamed = true;
        match at.get(&id) {
            None => assert_eq!(n, 0, "key {id} begins in the middle"),
            Some(&last) if n <= last => {
                let before = breaks.iter().rfind(|broken| broken.records <= index);
                let before = before.unwrap_or_else(|| panic!("a repeat in the first turn: {event}"));
                assert!(
                    position(event) > before.stored,
                    "{}, {} stored, and sent again: {event}",
                    before.after,
                    before.stored
                );
                repeats += 1;
                continue;
            }
            Some(&last) => assert_eq!(n, last + 1, "key {id}: a change is missing"),
        }
        at.insert(id, n);
    }
    assert_eq!(snapshotted, ROWS);
    for row in sql.rows("select id, n from t") {
        let number = |cell: &Option<String>| cell.as_deref().unwrap().parse::<i64>().unwrap();
        assert_eq!(
            at.get(&number(&row[0])),
            Some(&number(&row[1])),
            "key {}",
            number(&row[0])
        );
    }
    (records.len(), repeats)
}

/// Inserts and updates, some hundred a second.
struct Load {
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    fn start(port: u16) -> Load {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let work = move || {
            let sql = Sql::connect(port, "original").expect("a session");
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                let next = ROWS + round * 10;
                sql.execute(&format!(
                    "begin; insert into t select i, 0, 'new' from generate_series({next} + 1, {next} + 10) i; \
                     update t set n = n + 1 where id % 100 = {round} % 100; commit"
                ));
                round += 1;
                thread::sleep(Duration::from_millis(100));
            }
        };
        Load {
            done,
            thread: thread::spawn(work),
        }
    }

    fn stop(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load goes on");
    }
}
