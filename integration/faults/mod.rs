//! Kills under load: worker, broker and database end by SIGKILL at random moments, while a load changes rows and a
//! pipeline carries them from one database to another.
//!
//! ```text
//!  load ──▶ source.t ──▶ worker ──▶ topic ──▶ worker ──▶ target.t          killer: one of worker, Kafka, Postgres,
//!              └─ trigger ▶ source.history                                          again and again
//! ```
//!
//! Held at the end: the two tables are equal; every committed change since the snapshot lies in the topic (the
//! trigger's history, written in the same transactions, knows them); and, once repeats are dropped by position, the
//! positions of each key only rise.

pub mod audit;
mod chunks;
mod load;
pub mod mysql;
pub mod mysql_snapshot;
pub mod once;
pub mod sinks;
pub mod snapshot;
pub mod two_brokers;

use load::Load;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{
    Kafka, Postgres, Random, Record, Worker, end_offset, eventually, pipeline, read_topic,
};

/// Where the topics are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Broker {
    /// In the worker: killing the one is killing the other.
    Embedded,
    /// Apache Kafka, which is killed too.
    Kafka,
}

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub broker: Broker,
    /// Row changes, at least; the load goes on until the kills are over.
    pub changes: u64,
    pub kills: u32,
    /// How many of the kills fall into the initial snapshot.
    pub during_snapshot: u32,
    /// Decides the load, the victims and the moments.
    pub seed: u64,
}

/// What happened.
pub struct Outcome {
    plan: Plan,
    victims: Vec<&'static str>,
    rows: u64,
    changes: u64,
    records: u64,
    repeats: u64,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Outcome {
            plan,
            victims,
            rows,
            changes,
            records,
            repeats,
            took,
        } = self;
        let times = |victim| victims.iter().filter(|v| **v == victim).count();
        write!(
            f,
            "{:?} broker, seed {}: {} kills (worker {}, Kafka {}, Postgres {}), {changes} changes, {records} records, \
             {repeats} repeats, {rows} rows compared, {:.0} s",
            plan.broker,
            plan.seed,
            victims.len(),
            times("worker"),
            times("Kafka"),
            times("Postgres"),
            took.as_secs_f64()
        )
    }
}

const ROWS: u64 = 20_000;
const NAME: &str = "faults";
const TOPIC: &str = "faults.public.t";
const MARKERS: &str = "faults.public.marker";
/// How long the pipeline may take to catch up after the last kill.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs the plan on servers of its own; panics when a promise is broken.
pub fn run(plan: Plan) -> Outcome {
    eprintln!("seed {} (SEED={0} repeats it)", plan.seed);
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let postgres = Postgres::start(&["wal_sender_timeout=10s"]);
    let kafka = (plan.broker == Broker::Kafka).then(|| Kafka::start(&[]));
    load::prepare(&postgres, ROWS);
    postgres.create_database("target");

    let bootstrap = kafka.as_ref().map(Kafka::bootstrap);
    let names = pipeline::internal_topics(NAME);
    let settings = bootstrap
        .as_ref()
        .map_or_else(Vec::new, |bootstrap| pipeline::worker(bootstrap, &names));
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &settings, &[]);
    worker.put_connector(
        "source",
        &pipeline::source(&postgres, "source", NAME, "public.t,public.marker"),
    );
    let topics = format!("{TOPIC},{MARKERS}");
    worker.put_connector("sink", &pipeline::sink(&postgres, "target", &topics));

    // kills fall into the snapshot and into the streaming
    let load = Load::start(postgres.port(), random.next(), plan.changes);
    let early = plan.during_snapshot;
    let mut victims = Vec::new();
    let mut kill = |victims: &mut Vec<_>, worker: &mut Worker, pause| {
        thread::sleep(Duration::from_millis(random.between(0, pause)));
        victims.push(kill_one(&mut random, worker, &postgres, kafka.as_ref()));
    };
    for _ in 0..early {
        kill(&mut victims, &mut worker, 400);
    }
    snapshot_is_over(&postgres, &mut worker);
    passes(&postgres, &mut worker, "snapshot");
    for _ in early..plan.kills {
        kill(&mut victims, &mut worker, 3000);
    }
    load.finish();
    passes(&postgres, &mut worker, "end");
    worker.wait_running("source");
    worker.wait_running("sink");

    let rows = equal(&postgres);
    let history = audit::History::read(&postgres.sql("source"), "snapshot");
    let audit = audit::topic(&worker.bootstrap(), TOPIC, &history);
    let changes = history.len();
    Outcome {
        plan,
        victims,
        rows,
        changes,
        records: audit.records,
        repeats: audit.repeats,
        took: begin.elapsed(),
    }
}

/// Writes markers until one comes into its topic as a change, and not by the snapshot.
fn snapshot_is_over(postgres: &Postgres, worker: &mut Worker) {
    let mut n = 0;
    let bootstrap = worker.bootstrap();
    eventually("the snapshot is over", PATIENCE, || {
        n += 1;
        postgres
            .sql("source")
            .execute(&format!("insert into marker values ('early {n}', 0)"));
        let records = read_topic(&bootstrap, MARKERS);
        let streamed = |r: &Record| audit::envelope(&r.value_json())["op"] == "c";
        if records.iter().any(streamed) {
            Ok(())
        } else {
            Err(format!("{} markers", records.len()))
        }
    });
}

/// Writes a marker into the source and waits until the target has it.
fn passes(postgres: &Postgres, worker: &mut Worker, marker: &str) {
    postgres.sql("source").execute(&format!(
        "insert into marker select '{marker}', coalesce(max(seq), 0) from history on conflict do nothing"
    ));
    let target = postgres.sql("target");
    let found = format!("select 1 from faults_public_marker where name = '{marker}'");
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if target.try_rows(&found).is_ok_and(|rows| !rows.is_empty()) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let states = ["source", "sink"].map(|name| {
        worker
            .rest("GET", &format!("/connectors/{name}/status"), None)
            .body
    });
    panic!(
        "the marker {marker} does not come through; {states:#?}, topic ends at {}",
        end_offset(&worker.bootstrap(), TOPIC)
    );
}

/// Ends one of them without a warning, and starts it again after a moment.
fn kill_one(
    random: &mut Random,
    worker: &mut Worker,
    postgres: &Postgres,
    kafka: Option<&Kafka>,
) -> &'static str {
    let pause = Duration::from_millis(random.between(0, 800));
    let victim = match (random.between(0, 3), kafka) {
        (0, Some(kafka)) => {
            kafka.kill();
            thread::sleep(pause);
            kafka.restart();
            "Kafka"
        }
        (1, _) => {
            postgres.kill();
            thread::sleep(pause);
            postgres.restart();
            "Postgres"
        }
        _ => {
            worker.kill();
            thread::sleep(pause);
            worker.restart();
            "worker"
        }
    };
    eprintln!("killed {victim}");
    victim
}

/// Compares source and target row by row, once the last changes have had time to arrive; gives the number of rows.
fn equal(postgres: &Postgres) -> u64 {
    let rows = |database: &str, table: &str| {
        postgres.sql(database).rows(&format!(
            "select id, version, amount::text, flag, payload, at at time zone 'UTC' from {table} order by id"
        ))
    };
    eventually("source and target are equal", PATIENCE, || {
        let (source, target) = (rows("source", "t"), rows("target", "faults_public_t"));
        let different = source.iter().zip(&target).find(|(a, b)| a != b);
        match different {
            Some((a, b)) => Err(format!("{a:?} became {b:?}")),
            None if source.len() != target.len() => {
                Err(format!("{} rows became {}", source.len(), target.len()))
            }
            None => Ok(source.len() as u64),
        }
    })
}
