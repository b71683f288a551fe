//! Two brokers of Apache Kafka: one of them is killed and started again while changes are streamed into a topic that both
//! have, and then both, while records wait for a partition that only one has.
//!
//! ```text
//!  load ──▶ source.t      ──▶ worker ──▶ topic, 6 partitions, 2 replicas    the second broker is killed: the first leads
//!           source.marker ──▶ worker ──▶ topic, 6 partitions, 1 replica     half of it has no leader then; the first is
//!                                                                           killed too, so that nobody can be asked for one
//! ```
//!
//! Held at the end: every committed change lies in the topic, and the positions of each key only rise.

use super::load::{self, Load};
use super::{MARKERS, NAME, PATIENCE, TOPIC, audit, chunks, snapshot_is_over};
use std::fmt;
use std::time::{Duration, Instant};
use tapline_harness::{Kafka, Postgres, Random, Worker, end_offset, eventually, leaders, pipeline};

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Row changes, at least; the load goes on until the kills are over.
    pub changes: u64,
    /// Of the second broker, under load.
    pub kills: u32,
    pub seed: u64,
}

/// What happened.
pub struct Outcome {
    plan: Plan,
    changes: u64,
    audit: audit::Audit,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "two brokers, seed {}: {} kills of one and one of both, {} changes, {} records, {} repeats, {:.0} s",
            self.plan.seed,
            self.plan.kills,
            self.changes,
            self.audit.records,
            self.audit.repeats,
            self.took.as_secs_f64()
        )
    }
}

/// What passes while a broker is away, so that its partitions must have gone to the other: much more than is on its way
/// at a time.
const MEANWHILE: i64 = 3_000;
const WAITING: i64 = 24;
/// Rows behind the markers that wait, so that these are known to be with the producer; and how many rows may still have
/// been on their way when they were counted.
const ROWS: i64 = 3_000;
const ON_THEIR_WAY: i64 = 1_000;

/// Runs the plan on servers of its own; panics when a promise is broken.
pub fn run(plan: Plan) -> Outcome {
    eprintln!("seed {} (SEED={0} repeats it)", plan.seed);
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let postgres = Postgres::start(&[]);
    load::prepare(&postgres, 2_000);
    let sql = postgres.sql("source");
    // Partitions go back to the broker that is theirs as soon as it is there.
    let first = Kafka::start(&[
        "leader.imbalance.check.interval.seconds=1",
        "leader.imbalance.per.broker.percentage=0",
    ]);
    let second = first.join(2);
    let bootstrap = format!("{},{}", first.bootstrap(), second.bootstrap());
    let names = pipeline::internal_topics(NAME);
    let mut settings = pipeline::worker(&bootstrap, &names);
    settings.extend([
        ("config.storage.replication.factor", "2"),
        ("offset.storage.replication.factor", "2"),
        ("status.storage.replication.factor", "2"),
    ]);
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &settings, &[]);
    let mut source = pipeline::source(&postgres, "source", NAME, "public.t,public.marker");
    for (name, value) in [
        ("topic.creation.default.partitions", "6"),
        ("topic.creation.default.replication.factor", "2"),
        ("topic.creation.groups", "single"),
        ("topic.creation.single.include", ".*[.]marker"),
        ("topic.creation.single.partitions", "6"),
        ("topic.creation.single.replication.factor", "1"),
    ] {
        source[name] = value.into();
    }
    worker.put_connector("source", &source);
    snapshot_is_over(&postgres, &mut worker);
    sql.execute("insert into marker select 'snapshot', coalesce(max(seq), 0) from history");

    let load = Load::start(postgres.port(), random.next(), plan.changes);
    let leads = |broker: i32, topic: &str| {
        eventually(&format!("broker {broker} leads"), PATIENCE, || {
            let leaders = leaders(&bootstrap, topic);
            match leaders.contains(&broker) {
                true => Ok(()),
                false => Err(format!("{leaders:?}")),
            }
        });
    };
    let grows = |more: i64| {
        let from = end_offset(&bootstrap, TOPIC);
        eventually("changes go on", PATIENCE, || {
            match end_offset(&bootstrap, TOPIC) - from {
                passed if passed >= more => Ok(()),
                passed => Err(format!("{passed} records")),
            }
        });
    };
    for _ in 0..plan.kills {
        leads(2, TOPIC);
        grows(random.between(1, 1000).cast_signed());
        second.kill();
        leads_no_more(&first.bootstrap(), TOPIC);
        grows(MEANWHILE);
        second.restart();
    }
    load.finish();

    // Nothing is on its way when nobody answers, but what waits for a leader.
    sql.execute("insert into marker values ('quiet', 0)");
    chunks::comes_through(&bootstrap, MARKERS, "quiet");
    leads(2, MARKERS);
    let before = end_offset(&bootstrap, MARKERS);
    second.kill();
    leads_no_more(&first.bootstrap(), MARKERS);
    let early = end_offset(&first.bootstrap(), TOPIC);
    sql.execute(&format!(
        "insert into marker select 'waits ' || i, 0 from generate_series(1, {WAITING}) i;
         insert into t (amount) select i from generate_series(1, {ROWS}) i"
    ));
    eventually("all leaders were asked for", PATIENCE, || {
        match end_offset(&first.bootstrap(), TOPIC) - early {
            passed if passed >= ROWS - ON_THEIR_WAY => Ok(()),
            passed => Err(format!("{passed} rows")),
        }
    });
    let unanswered = |worker: &mut Worker| worker.process().log().matches("no metadata").count();
    let heard = unanswered(&mut worker);
    first.kill();
    eventually("leaders can't be asked for", PATIENCE, || {
        match unanswered(&mut worker) > heard {
            true => Ok(()),
            false => Err("they are not".to_owned()),
        }
    });
    first.restart();
    second.restart();
    eventually("what waited comes through", PATIENCE, || {
        leads(2, MARKERS);
        match end_offset(&bootstrap, MARKERS) - before {
            WAITING.. => Ok(()),
            passed => Err(format!("{passed} of {WAITING} markers more than {before}")),
        }
    });
    worker.wait_running("source");
    let history = audit::History::read(&sql, "snapshot");
    let audit = audit::topic(&bootstrap, TOPIC, &history);
    Outcome {
        plan,
        changes: history.len(),
        audit,
        took: begin.elapsed(),
    }
}

/// Waits until the second broker leads no partition of the topic, as the first says.
fn leads_no_more(first: &str, topic: &str) {
    eventually("the second broker leads no more", PATIENCE, || {
        let leaders = leaders(first, topic);
        match leaders.is_empty() || leaders.contains(&2) {
            true => Err(format!("{leaders:?}")),
            false => Ok(()),
        }
    });
}
