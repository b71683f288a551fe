//! What the kernel says of a process: CPU seconds and peak memory; and a clock over a topic.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::fs;
use std::time::{Duration, Instant};

/// A clock tick of `/proc/PID/stat`: Linux gives every program 100 to the second.
const TICK: f64 = 0.01;

/// CPU seconds, user and system, that the process has used so far.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |i: usize| fields[i].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) * TICK
}

/// Peak resident memory in MiB, since the start or since [`reset_peak`].
pub fn peak_mb(pid: u32) -> f64 {
    status_mb(pid, "VmHWM:")
}

/// Resident memory now, in MiB.
pub fn resident_mb(pid: u32) -> f64 {
    status_mb(pid, "VmRSS:")
}

fn status_mb(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .expect("Linux tells");
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<f64>()
        .expect("a number")
        / 1024.0
}

/// Forgets the peak of a process that serves several runs.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
}

/// What one run of a subject cost.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Events counted.
    pub events: u64,
    /// From the first event seen at the far end to the last.
    pub secs: f64,
    /// Events a second within `secs`.
    pub per_s: f64,
    /// The subject's CPU, from before its start to the last event.
    pub cpu_s: f64,
    /// The subject's peak memory.
    pub peak_mb: f64,
}

/// Watches a growing count until it reaches `want`, and tells how fast it grew after its first change. Panics when it
/// stands still for a minute and a half.
pub fn watch(what: &str, want: u64, pid: u32, mut count: impl FnMut() -> u64) -> Run {
    let cpu = cpu_seconds(pid);
    let start = count();
    let mut first: Option<(Instant, u64)> = None;
    let (mut last, mut seen) = (Instant::now(), start);
    while seen < want {
        std::thread::sleep(Duration::from_millis(20));
        let now = count();
        if now != seen {
            (last, seen) = (Instant::now(), now);
            first.get_or_insert((last, now));
        }
        assert!(
            last.elapsed() < Duration::from_secs(90),
            "{what} stands still at {seen} of {want}"
        );
    }
    let (begin, base) = first.unwrap_or((last, start));
    let secs = (last - begin).as_secs_f64().max(0.001);
    Run {
        events: seen - start,
        secs,
        per_s: (seen - base) as f64 / secs,
        cpu_s: cpu_seconds(pid) - cpu,
        peak_mb: peak_mb(pid),
    }
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

/// The middle one by rate.
pub fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
    runs[runs.len() / 2]
}
