//! Kills during a snapshot of MySQL or MariaDB: see [`super::chunks`].
//!
//! `t` is cut by numbers, `log` by bytes that come in no order.

use super::audit::{self, History};
use super::chunks::{self, CHUNK, Inserts, NAME, Outcome, THREADS};
use super::mysql::{Load, Writes, prepare, run_client};
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, Random, Worker, pipeline};

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub kind: Kind,
    pub kills: u64,
    /// Rows of each table before the snapshot.
    pub rows: u64,
    /// Whether `t` changes its structure, too.
    pub alters: bool,
    pub seed: u64,
}

const ID: &str = "unhex(substr(sha2(concat(uuid(), rand()), 256), 1, 32))";

/// Runs the plan on servers of its own; panics when a promise is broken.
pub fn run(plan: Plan) -> Outcome {
    eprintln!("seed {} (SEED={0} repeats it)", plan.seed);
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    // Every other seed knows places by file and position alone.
    let settings: &[&str] = match plan.kind == Kind::MySql && plan.seed.is_multiple_of(2) {
        true => &["gtid_mode=OFF"],
        false => &[],
    };
    let server = Mysql::start(plan.kind, settings);
    prepare(&server, plan.rows);
    server.execute(&format!(
        "use source; create table source.log (id binary(16) primary key, payload text);
         insert into source.log select {ID}, repeat(hex(id), 3) from source.t;
         analyze table source.log, source.t"
    ));
    let size = "select data_length from information_schema.tables where table_schema = 'source' and table_name = 'log'";
    let chunk = plan.rows * CHUNK / server.count(size);

    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &[], &[]);
    let tables = "source.t,source.log,source.marker";
    let mut config = pipeline::mysql_source(&server, &worker.bootstrap(), NAME, tables);
    config["snapshot.max.threads"] = THREADS.to_string().into();
    config["internal.snapshot.chunk.bytes"] = CHUNK.to_string().into();
    config["retriable.restart.connector.wait.ms"] = "500".into();
    let load = Load::start(Writes {
        dir: server.dir().display().to_string(),
        seed: random.next(),
        changes: 1000,
        rows: plan.rows,
        alters: plan.alters,
    });
    let (dir, rows) = (
        server.dir().display().to_string(),
        format!("insert into source.log values ({ID}, 'new');").repeat(20),
    );
    let inserts = Inserts::start(Duration::from_millis(20), move || run_client(&dir, &rows));
    worker.put_connector("source", &config);

    let topics = ["log", "t"].map(|table| format!("{NAME}.source.{table}"));
    let bootstrap = worker.bootstrap();
    chunks::kill(&mut worker, &topics, plan.kills, plan.rows, &mut random);
    let mark = |name: &str| {
        let seq = server.count("select max(seq) from source.history");
        server.execute(&format!("insert into source.marker values ('{name}', {seq})"));
        chunks::comes_through(&bootstrap, &format!("{NAME}.source.marker"), name);
    };
    mark("snapshot");
    thread::sleep(Duration::from_millis(300));
    load.finish();
    inserts.finish();
    mark("end");

    let noted = server.rows("select id, op, version, seq from source.history order by seq");
    let seq = server.value("select seq from source.marker where name = 'snapshot'");
    let history = History::of(&noted, seq.parse().expect("it was written"));
    audit::topic(&bootstrap, &topics[1], &history);
    audit::folds_to(
        &server.rows("select id, version from source.t"),
        &bootstrap,
        &topics[1],
    );
    let ids = server.rows("select to_base64(id) from source.log");
    let (logged, repeats) = audit::once(&ids, &bootstrap, &topics[0]);
    // Chunks are found roughly; a change of structure ends a run as a kill does.
    let most = plan.kills * THREADS * chunk * 2;
    assert!(
        repeats <= most || plan.alters,
        "{repeats} rows came again, {most} are a chunk per session and kill"
    );
    Outcome {
        what: format!("{:?}, seed {}", plan.kind, plan.seed),
        kills: plan.kills,
        rows: plan.rows,
        changes: history.len(),
        logged,
        repeats,
        took: begin.elapsed(),
    }
}
