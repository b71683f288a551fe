//! One run of one subject: a clock over what arrives, and what it costs whom.

use crate::Bench;
use crate::proc::{cpu_seconds, ended_children_seconds, machine_seconds, peak_mb, tree_seconds};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tapline_harness::{Ferretdb, Mysql, Postgres};

/// What one run of a subject cost.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Events counted.
    pub events: u64,
    /// From the first event seen at the far end to the last.
    pub secs: f64,
    /// Events a second within `secs`.
    pub per_s: f64,
    /// The subject's CPU seconds, from before its start to the last event.
    pub cpu_s: f64,
    /// The subject's peak memory; none for a tool that has ended.
    pub peak_mb: Option<f64>,
    /// CPU seconds of the Kafka broker.
    pub kafka_s: f64,
    /// CPU seconds of the database server.
    pub database_s: f64,
    /// Cores that were busy with something else: where this is not near 0, rates are contended and CPU seconds compare.
    pub other_cores: f64,
}

/// Counts the CPU of a subject and of the servers around it, from its making on.
pub struct Meter<'a> {
    bench: &'a Bench,
    subject: Option<u32>,
    begin: Spent,
    start: Instant,
}

/// CPU seconds since each process's start.
#[derive(Clone, Copy)]
struct Spent {
    subject: f64,
    kafka: f64,
    database: f64,
    own: f64,
    machine: f64,
}

impl<'a> Meter<'a> {
    /// For the process `pid`.
    pub fn of(bench: &'a Bench, pid: u32) -> Meter<'a> {
        Meter::new(bench, Some(pid))
    }

    fn new(bench: &'a Bench, subject: Option<u32>) -> Meter<'a> {
        Meter {
            bench,
            subject,
            begin: spent(bench, subject),
            start: Instant::now(),
        }
    }

    /// Runs a tool to its end: `events` pass through it.
    pub fn tool(bench: &'a Bench, command: &mut Command, events: u64) -> Run {
        let meter = Meter::new(bench, None);
        let status = command.stdout(Stdio::null()).status();
        let status = status.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        assert!(status.success(), "{command:?} failed");
        meter.run(events, meter.start.elapsed().as_secs_f64(), events)
    }

    /// Runs one statement of the database's own.
    pub fn server(bench: &'a Bench, events: u64, work: impl FnOnce()) -> Run {
        let meter = Meter::new(bench, None);
        work();
        let mut run = meter.run(events, meter.start.elapsed().as_secs_f64(), events);
        run.cpu_s = run.database_s;
        run
    }

    /// Watches a growing count until it reaches `want`, and tells how fast it grew after its first change.
    ///
    /// # Panics
    /// When it stands still for a minute and a half.
    pub fn watch(&self, what: &str, want: u64, mut count: impl FnMut() -> u64) -> Run {
        let bar = bar(want, what);
        let start = count();
        let mut first: Option<(Instant, u64)> = None;
        let (mut last, mut seen) = (Instant::now(), start);
        while seen < want {
            std::thread::sleep(Duration::from_millis(20));
            let now = count();
            if now != seen {
                (last, seen) = (Instant::now(), now);
                first.get_or_insert((last, now));
                bar.set_position(seen);
            }
            assert!(
                last.elapsed() < Duration::from_secs(90),
                "{what} stands still at {seen} of {want}"
            );
        }
        bar.finish_and_clear();
        let (begin, base) = first.unwrap_or((last, start));
        self.run(seen - start, (last - begin).as_secs_f64().max(0.001), seen - base)
    }

    /// `counted` events passed within `secs`, of `events` in all.
    fn run(&self, events: u64, secs: f64, counted: u64) -> Run {
        let (now, begin) = (spent(self.bench, self.subject), self.begin);
        let cpu_s = now.subject - begin.subject;
        let (kafka_s, database_s) = (now.kafka - begin.kafka, now.database - begin.database);
        let others = now.machine - begin.machine - cpu_s - kafka_s - database_s - (now.own - begin.own);
        Run {
            events,
            secs,
            per_s: counted as f64 / secs,
            cpu_s,
            peak_mb: self.subject.map(peak_mb),
            kafka_s,
            database_s,
            other_cores: (others / self.start.elapsed().as_secs_f64()).max(0.0),
        }
    }
}

fn spent(bench: &Bench, subject: Option<u32>) -> Spent {
    Spent {
        subject: subject.map_or_else(ended_children_seconds, cpu_seconds),
        kafka: bench.kafka.get().map_or(0.0, |kafka| tree_seconds(kafka.pid())),
        database: [
            bench.postgres.get().map(Postgres::pid),
            bench.mysql.get().map(Mysql::pid),
            bench.ferretdb.get().map(Ferretdb::pid),
        ]
        .into_iter()
        .flatten()
        .map(tree_seconds)
        .sum(),
        own: cpu_seconds(std::process::id()),
        machine: machine_seconds(),
    }
}

/// A progress bar on a terminal; nothing elsewhere.
pub fn bar(length: u64, what: &str) -> ProgressBar {
    let style = "{msg:32} {wide_bar} {human_pos}/{human_len} {per_sec:>14} {eta:>4}";
    let style = ProgressStyle::with_template(style).expect("a template");
    ProgressBar::new(length)
        .with_style(style)
        .with_message(what.to_owned())
}

/// The end of a one-partition topic, asked over one lasting connection.
pub struct TopicEnd {
    consumer: BaseConsumer,
    topic: String,
}

impl TopicEnd {
    pub fn new(bootstrap: &str, topic: &str) -> TopicEnd {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "bench")
            .create()
            .expect("a consumer");
        TopicEnd {
            consumer,
            topic: topic.to_owned(),
        }
    }

    /// Its end offset; 0 while it is not there.
    pub fn get(&self) -> u64 {
        let ends = self
            .consumer
            .fetch_watermarks(&self.topic, 0, Duration::from_secs(20));
        ends.map_or(0, |(_, high)| high as u64)
    }
}
