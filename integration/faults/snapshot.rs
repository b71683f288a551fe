//! Kills during a snapshot: the worker ends by SIGKILL again and again while tables are read that a load changes.
//!
//! ```text
//!  load ──▶ source.t   (inserts, updates, deletes) ──▶ worker ──▶ topic      killer: the worker, whenever the
//!  load ──▶ source.log (inserts alone) ──────────────▶ worker ──▶ topic              snapshot is somewhat further
//! ```
//!
//! Held at the end: of `t` nothing is missing and no key goes back in time; the topic says of every key what the table
//! says; `log`'s topic has every row, and repeats no more than one chunk per session and kill.

use super::audit::{self, envelope};
use super::load::{self, Load};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{Postgres, Random, Sql, Worker, end_offset, eventually, pipeline, read_topic};

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub kills: u64,
    /// Rows of each table before the snapshot.
    pub rows: u64,
    pub seed: u64,
}

/// What happened.
pub struct Outcome {
    plan: Plan,
    changes: u64,
    logged: u64,
    repeats: u64,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "seed {}: {} kills during the snapshot of twice {} rows, {} changes; {} rows of log, {} repeats, {:.0} s",
            self.plan.seed,
            self.plan.kills,
            self.plan.rows,
            self.changes,
            self.logged,
            self.repeats,
            self.took.as_secs_f64()
        )
    }
}

const NAME: &str = "chunks";
const THREADS: u64 = 2;
const CHUNK: u64 = 128 * 1024;
const PATIENCE: Duration = Duration::from_secs(180);

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
    let inserts = Inserts::start(postgres.port());
    worker.put_connector("source", &config);

    let topics = ["log", "t"].map(|table| format!("{NAME}.public.{table}"));
    let bootstrap = worker.bootstrap();
    let records = || {
        topics
            .iter()
            .map(|topic| end_offset(&bootstrap, topic))
            .sum::<i64>()
    };
    for kill in 0..plan.kills {
        // Each a random part of what is left further than the one before.
        let left = (2 * plan.rows).saturating_sub(records().cast_unsigned());
        let step = random.between(1, (left / (plan.kills + 1 - kill)).max(2));
        let until = records() + step.cast_signed();
        let further = || {
            if records() >= until {
                Ok(())
            } else {
                Err("it is not".to_owned())
            }
        };
        eventually("the snapshot is further", PATIENCE, further);
        worker.kill();
        worker.restart();
    }
    eventually("the snapshot is over", PATIENCE, || {
        let log = worker.process().log();
        if log.contains("snapshot is complete") {
            Ok(())
        } else {
            Err("it is not".to_owned())
        }
    });
    assert!(
        worker.process().log().contains("goes on where it was killed"),
        "no kill fell into the snapshot"
    );
    let mark = |name: &str| {
        sql.execute(&format!(
            "insert into marker select '{name}', coalesce(max(seq), 0) from history"
        ));
        eventually("a marker comes through", PATIENCE, || {
            let markers = read_topic(&bootstrap, &format!("{NAME}.public.marker"));
            let found = markers
                .iter()
                .any(|record| envelope(&record.key_json())["name"] == name);
            if found {
                Ok(())
            } else {
                Err(format!("{} markers", markers.len()))
            }
        });
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
        plan,
        changes: history.len(),
        logged,
        repeats,
        took: begin.elapsed(),
    }
}

/// A thread that only inserts.
struct Inserts {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Inserts {
    fn start(port: u16) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let sql = Sql::connect(port, "source").expect("a session");
            while !stop.load(Ordering::Relaxed) {
                sql.execute("insert into log (payload) select 'new' from generate_series(1, 20)");
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self { done, thread }
    }

    fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("it inserts to the end");
    }
}
