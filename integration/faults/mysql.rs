//! Kills under load, with MySQL or MariaDB as the source: the worker, with its embedded broker, and the database server
//! end by SIGKILL at random moments, while rows and the table itself change.
//!
//! Held at the end: every column of the source's table is equal in Postgres, row by row; every committed change since the
//! snapshot lies in the topic (a trigger's history knows them); and the positions of each key only rise.

use super::audit::{self, History, envelope};
use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, Postgres, Random, Worker, eventually, pipeline, read_topic, script};

const ROWS: u64 = 5_000;
const NAME: &str = "faults";
const TOPIC: &str = "faults.source.t";
const MARKERS: &str = "faults.source.marker";
const PATIENCE: Duration = Duration::from_secs(180);
/// Changes a second: so that kills fall into the load, and not after it.
const RATE: u64 = 2000;
/// Transactions of one run of the command-line client.
const TOGETHER: u64 = 20;

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub kind: Kind,
    /// Row changes, at least; the load goes on until the kills are over.
    pub changes: u64,
    pub kills: u32,
    /// Decides the load, the victims and the moments.
    pub seed: u64,
}

/// What happened.
pub struct Outcome {
    plan: Plan,
    servers: usize,
    statements: u64,
    changes: u64,
    audit: audit::Audit,
    rows: u64,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:?}, seed {}: {} kills ({} of the server), {} changes and {} ALTER TABLE, {} records, {} repeats, \
             {} rows compared, {:.0} s",
            self.plan.kind,
            self.plan.seed,
            self.plan.kills,
            self.servers,
            self.changes,
            self.statements,
            self.audit.records,
            self.audit.repeats,
            self.rows,
            self.took.as_secs_f64()
        )
    }
}

/// Runs the plan on servers of its own; panics when a promise is broken.
pub fn run(plan: Plan) -> Outcome {
    eprintln!("seed {} (SEED={0} repeats it)", plan.seed);
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let server = Mysql::start(plan.kind, &[]);
    let postgres = Postgres::start(&[]);
    postgres.create_database("target");
    prepare(&server, ROWS);
    let mut worker = Worker::start(
        env!("CARGO_BIN_EXE_tapline"),
        &[("offset.flush.interval.ms", "1000")],
        &[],
    );
    let source = pipeline::mysql_source(&server, &worker.bootstrap(), NAME, "source.t,source.marker");
    worker.put_connector("source", &source);
    let topics = format!("{TOPIC},{MARKERS}");
    worker.put_connector("sink", &pipeline::sink(&postgres, "target", &topics));
    streams(&server, &worker);
    passes(&server, &postgres, "snapshot");

    let load = Load::start(Writes {
        dir: server.dir().display().to_string(),
        seed: random.next(),
        changes: plan.changes,
        rows: ROWS,
        alters: true,
    });
    let mut servers = 0;
    for kill in 0..plan.kills {
        thread::sleep(Duration::from_millis(random.between(0, 3000)));
        let pause = Duration::from_millis(random.between(0, 800));
        // one of the first two kills is the server's, at least
        if random.between(0, 3) == 0 || kill == 1 && servers == 0 {
            server.kill();
            thread::sleep(pause);
            server.restart();
            servers += 1;
        } else {
            worker.kill();
            thread::sleep(pause);
            worker.restart();
        }
    }
    load.finish();
    passes(&server, &postgres, "end");
    worker.wait_running("source");
    worker.wait_running("sink");

    let rows = equal(&server, &postgres);
    let noted = server.rows("select id, op, version, seq from source.history order by seq");
    let seq = server.value("select seq from source.marker where name = 'snapshot'");
    let history = History::of(&noted, seq.parse().expect("it was written"));
    let audit = audit::topic(&worker.bootstrap(), TOPIC, &history);
    Outcome {
        plan,
        servers,
        statements: columns(&server).len() as u64,
        changes: history.len(),
        audit,
        rows,
        took: begin.elapsed(),
    }
}

pub fn prepare(server: &Mysql, rows: u64) {
    let note = |event: &str, op: char, row: &str| {
        format!(
            "create trigger note_{op} after {event} on t for each row
             insert into history (id, op, version) values ({row}.id, '{op}', {row}.version);"
        )
    };
    server.execute(&format!(
        "create database source; use source;
         create table t (id bigint auto_increment primary key, version int not null default 1, amount decimal(10,2),
           payload text, at timestamp(6) not null default current_timestamp(6));
         create table marker (name varchar(50) primary key, seq bigint not null);
         create table history (seq bigint auto_increment primary key, id bigint not null, op char not null, version int not null);
         {} {} {}
         insert into t (amount, payload) with recursive s(i) as (select 1 union all select i + 1 from s where i < 1000)
           select i / 7, repeat(sha2(i, 256), 2) from s;",
        note("insert", 'c', "new"),
        note("update", 'u', "new"),
        note("delete", 'd', "old"),
    ));
    let mut there = 1000;
    while there < rows {
        let more = there.min(rows - there).min(50_000);
        server.execute(&format!(
            "insert into source.t (amount, payload) select amount, payload from source.t limit {more}"
        ));
        there += more;
    }
}

/// The columns that the load has added.
fn columns(server: &Mysql) -> Vec<String> {
    let rows = server.rows(
        "select column_name from information_schema.columns
         where table_schema = 'source' and table_name = 't' and column_name like 'c\\_%'",
    );
    rows.into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect()
}

/// Writes markers until one comes into its topic as a change, and not by the snapshot.
fn streams(server: &Mysql, worker: &Worker) {
    let mut n = 0;
    eventually("the snapshot is over", PATIENCE, || {
        n += 1;
        server.execute(&format!("insert into source.marker values ('early {n}', 0)"));
        let records = read_topic(&worker.bootstrap(), MARKERS);
        match records.iter().any(|r| envelope(&r.value_json())["op"] == "c") {
            true => Ok(()),
            false => Err(format!("{} markers", records.len())),
        }
    });
}

/// Writes a marker into the source and waits until the target has it.
fn passes(server: &Mysql, postgres: &Postgres, marker: &str) {
    server.execute(&format!(
        "insert into source.marker select '{marker}', coalesce(max(seq), 0) from source.history"
    ));
    let found = format!("select 1 from faults_source_marker where name = '{marker}'");
    eventually(&format!("the marker {marker} comes through"), PATIENCE, || {
        let rows = postgres.sql("target").try_rows(&found);
        match rows.is_ok_and(|rows| !rows.is_empty()) {
            true => Ok(()),
            false => Err("it is not there".to_owned()),
        }
    });
}

/// Compares source and target row by row; gives the number of rows.
fn equal(server: &Mysql, postgres: &Postgres) -> u64 {
    let more: String = columns(server).iter().map(|name| format!(", {name}")).collect();
    let source = format!("select id, version, amount, payload, at{more} from source.t order by id");
    let target = format!(
        "select id, version, amount, payload, to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'){more}
         from faults_source_t order by id"
    );
    eventually("source and target are equal", PATIENCE, || {
        let there = postgres
            .sql("target")
            .try_rows(&target)
            .map_err(|e| e.to_string())?;
        let here = server.rows(&source);
        match here.iter().zip(&there).find(|(a, b)| a != b) {
            Some((a, b)) => Err(format!("{a:?} became {b:?}")),
            None if here.len() != there.len() => Err(format!("{} rows became {}", here.len(), there.len())),
            None => Ok(here.len() as u64),
        }
    })
}

/// What a load does.
pub struct Writes {
    /// The server's folder.
    pub dir: String,
    pub seed: u64,
    /// Changes, at least.
    pub changes: u64,
    /// Rows that were there before; ids of up to twice as many are tried.
    pub rows: u64,
    /// Whether the table itself changes.
    pub alters: bool,
}

/// The running load: it outlives the server's deaths.
pub struct Load {
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    pub fn start(writes: Writes) -> Load {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        Load {
            done,
            thread: thread::spawn(move || work(&writes, &stop)),
        }
    }

    pub fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load goes on through everything");
    }
}

fn work(writes: &Writes, stop: &AtomicBool) {
    let mut random = Random::new(writes.seed);
    let (start, mut sent, mut column) = (Instant::now(), 0, 0);
    while sent < writes.changes || !stop.load(Ordering::Relaxed) {
        let mut sql = String::from("use source;");
        for _ in 0..TOGETHER {
            let statements = random.between(1, 12);
            sql += &transaction(&mut random, statements, column, writes.rows);
            sent += statements;
        }
        if writes.alters && random.between(0, 8) == 0 {
            column += 1;
            sql += &alter(&mut random, column);
        }
        // a client whose server dies leaves it unknown what was committed; the trigger knows
        run_client(&writes.dir, &sql);
        let due = Duration::from_secs_f64(sent as f64 / RATE as f64);
        thread::sleep(due.saturating_sub(start.elapsed()).max(Duration::from_millis(5)));
    }
    // A column that no row has been written with has not come to the target.
    run_client(
        &writes.dir,
        "use source; insert into t (amount, payload) values (1, 'the last');",
    );
}

fn transaction(random: &mut Random, statements: u64, column: u64, rows: u64) -> String {
    let mut sql = String::from("begin;");
    for _ in 0..statements {
        // one that is gone, or never came, changes nothing
        let id = random.between(1, rows * 2);
        let text = format!("repeat('{:x}', {})", random.next(), random.between(0, 20));
        sql += &match random.between(0, 10) {
            0..4 => format!(
                "insert into t (amount, payload) values ({}, {text});",
                random.between(0, 10_000_000) as f64 / 100.0
            ),
            // the newest column, where it has come into being
            4 if column > 0 => {
                format!("update t set version = version + 1, c_{column} = {id} where id = {id};")
            }
            4..9 => format!(
                "update t set version = version + 1, payload = {text}, at = current_timestamp(6) where id = {id};"
            ),
            _ => format!("delete from t where id = {id};"),
        };
    }
    // a few transactions come to nothing
    sql + if random.between(0, 20) == 0 {
        "rollback;"
    } else {
        "commit;"
    }
}

/// A new column, with a value for the rows that are there, at either end; names are never used again.
fn alter(random: &mut Random, column: u64) -> String {
    let place = match random.between(0, 3) {
        0 => "",
        1 => " first",
        _ => " after version",
    };
    format!("alter table t add column c_{column} int not null default {column}{place};")
}

pub fn run_client(dir: &str, sql: &str) {
    let client = Command::new(script("mysql.sh"))
        .args(["sql", dir, "--force"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut client = client.expect("bash runs");
    // it reads no more where its server is gone
    let _ = client.stdin.take().expect("a pipe").write_all(sql.as_bytes());
    client.wait().expect("the client ends");
}
