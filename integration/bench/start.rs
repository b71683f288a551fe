//! `start`: from the process's start to ready to serve. `idle`: what a worker costs that has nothing to do.

use crate::Bench;
use crate::measure::{cpu_seconds, peak_mb, resident_mb};
use crate::report::{Name, round};
use crate::subject::TAPLINE;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tapline_harness::{Worker, request};

/// The two kinds of worker: with the embedded broker, and on the run's Kafka.
fn kinds(bench: &Bench) -> [(&'static str, Vec<(&'static str, String)>); 2] {
    [
        ("embedded", Vec::new()),
        ("kafka", vec![("bootstrap.servers", bench.kafka().bootstrap())]),
    ]
}

fn prepare(settings: &[(&str, String)]) -> Worker {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Worker::prepare(TAPLINE, &settings, &[])
}

pub fn start(bench: &Bench) {
    for (variant, settings) in kinds(bench) {
        let mut times: Vec<f64> = (0..bench.runs).map(|_| ready(&mut prepare(&settings))).collect();
        times.sort_by(f64::total_cmp);
        let figures = json!({ "secs": round(times[times.len() / 2], 3), "settings": "defaults" });
        bench.report.row(
            Name {
                bench: "start",
                subject: "tapline",
                variant,
            },
            &figures,
        );
    }
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

pub fn idle(bench: &Bench) {
    const WINDOW: Duration = Duration::from_secs(20);
    for (variant, settings) in kinds(bench) {
        let mut worker = prepare(&settings);
        worker.restart();
        let pid = worker.process().pid();
        // what starting left to do is over before the window opens
        thread::sleep(Duration::from_secs(2));
        let cpu = cpu_seconds(pid);
        thread::sleep(WINDOW);
        let busy = (cpu_seconds(pid) - cpu) / WINDOW.as_secs_f64();
        let figures = json!({
            "secs": WINDOW.as_secs(),
            "peak_rss_mb": round(peak_mb(pid), 1),
            "rss_mb": round(resident_mb(pid), 1),
            "cpu_cores": round(busy, 4),
            "settings": "defaults, no connector",
        });
        bench.report.row(
            Name {
                bench: "idle",
                subject: "tapline",
                variant,
            },
            &figures,
        );
    }
}
