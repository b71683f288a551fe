//! Kills during a snapshot of MySQL or MariaDB: as [`super::snapshot`], whose promises are held here too.
//!
//! ```text
//!  load ──▶ source.t   (inserts, updates, deletes) ──▶ worker ──▶ topic      killer: the worker, whenever the
//!  load ──▶ source.log (inserts alone) ──────────────▶ worker ──▶ topic              snapshot is somewhat further
//! ```
//!
//! `t` is cut by numbers, `log` by bytes that come in no order.

use super::audit::{self, History, envelope};
use super::mysql::{Load, Writes, prepare, run_client};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, Random, Worker, end_offset, eventually, pipeline, read_topic};

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
            "{:?}, seed {}: {} kills during the snapshot of twice {} rows, {} changes; {} rows of log, {} repeats, {:.0} s",
            self.plan.kind,
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
    let inserts = Inserts::start(server.dir().display().to_string());
    worker.put_connector("source", &config);

    let topics = ["log", "t"].map(|table| format!("{NAME}.source.{table}"));
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
        eventually("the snapshot is further", PATIENCE, || match records() >= until {
            true => Ok(()),
            false => Err("it is not".to_owned()),
        });
        worker.kill();
        worker.restart();
    }
    eventually("the snapshot is over", PATIENCE, || {
        match worker.process().log().contains("snapshot is complete") {
            true => Ok(()),
            false => Err("it is not".to_owned()),
        }
    });
    assert!(
        worker.process().log().contains("goes on where it was killed"),
        "no kill fell into the snapshot"
    );
    let mark = |name: &str| {
        let seq = server.count("select max(seq) from source.history");
        server.execute(&format!("insert into source.marker values ('{name}', {seq})"));
        eventually("a marker comes through", PATIENCE, || {
            let markers = read_topic(&bootstrap, &format!("{NAME}.source.marker"));
            let found = markers
                .iter()
                .any(|record| envelope(&record.key_json())["name"] == name);
            match found {
                true => Ok(()),
                false => Err(format!("{} markers", markers.len())),
            }
        });
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
    fn start(dir: String) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let rows = vec![format!("insert into source.log values ({ID}, 'new');"); 20];
            while !stop.load(Ordering::Relaxed) {
                run_client(&dir, &rows.concat());
                thread::sleep(Duration::from_millis(20));
            }
        });
        Self { done, thread }
    }

    fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("it inserts to the end");
    }
}
