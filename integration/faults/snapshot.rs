//! Kills during a snapshot of Postgres: see [`super::chunks`].

use super::audit;
use super::chunks::{self, CHUNK, Inserts, NAME, Outcome, THREADS};
use super::load::{self, Load};
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{Postgres, Random, Worker, pipeline};

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub kills: u64,
    /// Rows of each table before the snapshot.
    pub rows: u64,
    pub seed: u64,
}

/// Runs the plan on servers of its own; panics when a promise is broken.
pub fn run(plan: Plan) -> Outcome {
    eprintln!("seed {} (SEED={0} repeats it)", plan.seed);
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let postgres = Postgres::start(&[]);
    load::prepare(&postgres, plan.rows);
    let sql = postgres.sql("source");
    sql.execute(&format!(
        "create table log (id uuid primary key default gen_random_uuid(), payload text);
         insert into log (payload) select repeat(md5(i::text), 3) from generate_series(1, {}) i;
         analyze log; analyze t",
        plan.rows
    ));
    let size: u64 = sql.value("select pg_table_size('log')").parse().unwrap();
    let chunk = plan.rows * CHUNK / size;

    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &[], &[]);
    let mut config = pipeline::source(&postgres, "source", NAME, "public.t,public.log,public.marker");
    config["snapshot.max.threads"] = THREADS.to_string().into();
    config["internal.snapshot.chunk.bytes"] = CHUNK.to_string().into();
    let load = Load::start(postgres.port(), random.next(), 1000);
    let inserting = postgres.sql("source");
    let inserts = Inserts::start(Duration::from_millis(10), move || {
        inserting.execute("insert into log (payload) select 'new' from generate_series(1, 20)");
    });
    worker.put_connector("source", &config);

    let topics = ["log", "t"].map(|table| format!("{NAME}.public.{table}"));
    let bootstrap = worker.bootstrap();
    chunks::kill(&mut worker, &topics, plan.kills, plan.rows, &mut random);
    let mark = |name: &str| {
        sql.execute(&format!(
            "insert into marker select '{name}', coalesce(max(seq), 0) from history"
        ));
        chunks::comes_through(&bootstrap, &format!("{NAME}.public.marker"), name);
    };
    mark("snapshot");
    thread::sleep(Duration::from_millis(300));
    load.finish();
    inserts.finish();
    mark("end");

    let history = audit::History::read(&sql, "snapshot");
    audit::topic(&bootstrap, &topics[1], &history);
    audit::folds_to(&sql.rows("select id, version from t"), &bootstrap, &topics[1]);
    let (logged, repeats) = audit::once(&sql.rows("select id::text from log"), &bootstrap, &topics[0]);
    // A sample finds a chunk's bounds roughly.
    let most = plan.kills * THREADS * chunk * 3 / 2;
    assert!(
        repeats <= most,
        "{repeats} rows came again, {most} are a chunk per session and kill"
    );
    Outcome {
        what: format!("Postgres, seed {}", plan.seed),
        kills: plan.kills,
        rows: plan.rows,
        changes: history.len(),
        logged,
        repeats,
        took: begin.elapsed(),
    }
}
