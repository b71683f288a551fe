//! `start`: from the process's start to ready to serve.

use crate::Bench;
use crate::report::{Name, round};
use crate::subject::{on_kafka, prepare};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{Worker, request};

pub fn start(bench: &Bench) {
    if bench.has("tapline") {
        row(bench, "tapline", "embedded", times(bench, &[]));
        row(bench, "tapline", "kafka", times(bench, &on_kafka(bench)));
    }
    if bench.has("debezium") {
        row(bench, "debezium", "kafka", vec![bench.peer().started_in()]);
    }
}

/// Of one worker started again and again: its first start, which makes its topics, does not count.
fn times(bench: &Bench, settings: &[(&str, String)]) -> Vec<f64> {
    let mut worker = prepare(settings);
    ready(&mut worker);
    (0..bench.runs).map(|_| ready(&mut worker)).collect()
}

fn row(bench: &Bench, subject: &'static str, variant: &'static str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let name = Name {
        bench: "start",
        subject,
        variant,
    };
    let figures = json!({ "secs": round(times[times.len() / 2], 3), "settings": "defaults" });
    bench.report.row(name, &figures);
}

fn ready(worker: &mut Worker) -> f64 {
    let start = Instant::now();
    worker.spawn();
    while !request(worker.address(), "GET", "/health", None).is_ok_and(|answer| answer.status == 200) {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "not ready:\n{}",
            worker.process().log()
        );
        thread::sleep(Duration::from_millis(1));
    }
    let secs = start.elapsed().as_secs_f64();
    worker.kill();
    secs
}
