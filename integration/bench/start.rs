//! `start`: from the process's start to ready to serve.

use crate::Bench;
use crate::report::{Name, round};
use crate::subject::{on_kafka, prepare};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::request;

pub fn start(bench: &Bench) {
    if bench.has("tapline") {
        let times = (0..bench.runs).map(|_| ready(&[]));
        row(bench, "tapline", "embedded", times.collect());
        let times = (0..bench.runs).map(|_| ready(&on_kafka(bench)));
        row(bench, "tapline", "kafka", times.collect());
    }
    if bench.has("debezium") {
        row(bench, "debezium", "kafka", vec![bench.peer().started_in()]);
    }
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

fn ready(settings: &[(&str, String)]) -> f64 {
    let mut worker = prepare(settings);
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
