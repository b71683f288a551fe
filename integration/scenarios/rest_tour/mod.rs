//! Kafka Connect's REST API, against a recorded tour of the real worker: 153 requests, each answered as it answered
//! them, and the records that they left in the internal topics.
//!
//! What differs from run to run (folders, ports, the worker's address, times) is put into the recording's terms first;
//! then status and body are compared field by field. `documentation` is our own words. What is not compared, or is
//! answered otherwise on purpose, stands in [`expected`] with its reason, and a reason that no longer applies fails
//! the test, so that the list stays true.

mod compare;
mod expected;
mod topics;

use crate::{TAPLINE, kafka, postgres};
use compare::differences;
use expected::Expected;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tapline_harness::{Worker, folder, pipeline, request};

const TOUR: &str = include_str!("../../golden/rest-tour.jsonl");

#[test]
fn every_recorded_request_is_answered_as_kafka_connect_answered_it() {
    let mut tour = Tour::start();
    let mut wrong = Vec::new();
    for line in TOUR.lines() {
        let step: Value = serde_json::from_str(line).unwrap();
        tour.before(step["note"].as_str().unwrap());
        let found = tour.take(&step);
        let title = format!(
            "{} {} {} ({})",
            step["n"], step["method"], step["path"], step["note"]
        );
        wrong.extend(
            found
                .into_iter()
                .map(|difference| format!("{title}: {difference}")),
        );
    }
    wrong.extend(topics::differences(&tour));
    wrong.extend(tour.stale());
    let (deferred, deviations) = expected::counts();
    println!(
        "{} requests; {deferred} deferred, {deviations} answered otherwise on purpose",
        TOUR.lines().count()
    );
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What has to be so before a step is taken, by the step's note: connectors whose tasks run, or that are stopped.
const BEFORE: &[(&str, &str, &[&str])] = &[
    ("create duplicate", "RUNNING", &["tour-src"]),
    ("PATCH config set and remove", "RUNNING", &["tour-sink"]),
    ("restart connector", "RUNNING", &["tour-src"]),
    ("restart includeTasks", "RUNNING", &["tour-src"]),
    ("restart onlyFailed", "RUNNING", &["tour-src"]),
    ("restart task", "RUNNING", &["tour-src"]),
    ("status paused", "PAUSED", &["tour-src"]),
    ("status resumed", "RUNNING", &["tour-src"]),
    ("status stopped", "STOPPED", &["tour-src", "tour-sink"]),
    ("restart stopped", "STOPPED", &["tour-src", "tour-sink"]),
    ("alter source offsets", "STOPPED", &["tour-src", "tour-sink"]),
    ("failing connector", "RUNNING", &["tour-src"]),
    ("debezium alter offsets, invalid", "STOPPED", &["tour-pg"]),
];

/// The worker on tour.
struct Tour {
    worker: Worker,
    dir: PathBuf,
}

impl Tour {
    fn start() -> Tour {
        let dir = folder("tour");
        fs::write(dir.join("in.txt"), "one\ntwo\nthree\n").unwrap();
        let sql = postgres().sql("postgres");
        sql.execute("create role lab superuser login replication password 'lab'");
        sql.execute("create database lab owner lab");
        let (bootstrap, names) = (kafka().bootstrap(), pipeline::internal_topics("tour"));
        let mut settings = pipeline::worker(&bootstrap, &names);
        settings.push(("offset.storage.partitions", "1"));
        settings.push(("status.storage.partitions", "1"));
        Tour {
            worker: Worker::start(TAPLINE, &settings, &[]),
            dir,
        }
    }

    /// The recording's terms into this run's.
    fn here(&self, text: &str) -> String {
        text.replace("/data/", &format!("{}/", self.dir.display()))
            .replace("\"25415\"", &format!("\"{}\"", postgres().port()))
    }

    /// This run's terms into the recording's.
    fn recorded(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.display()), "/data/")
            .replace(&format!("\"{}\"", postgres().port()), "\"25415\"")
            .replace(self.worker.address(), "127.0.0.1:28083")
    }

    fn before(&self, note: &str) {
        for (_, state, connectors) in BEFORE.iter().filter(|(before, _, _)| *before == note) {
            for name in *connectors {
                self.wait(name, state);
            }
        }
    }

    fn wait(&self, name: &str, state: &str) {
        tapline_harness::eventually(&format!("{name} is {state}"), Duration::from_secs(30), || {
            let status = self
                .worker
                .rest("GET", &format!("/connectors/{name}/status"), None)
                .json();
            let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
            let reached = match state {
                "STOPPED" => tasks.is_empty() && status["connector"]["state"] == "STOPPED",
                _ => {
                    let all = tasks.iter().all(|task| task["state"] == state);
                    !tasks.is_empty() && all && status["connector"]["state"] == state
                }
            };
            if reached { Ok(()) } else { Err(status.to_string()) }
        });
    }

    /// Plugins that are listed as deferred, and exist.
    fn stale(&self) -> Vec<String> {
        let plugins = self
            .worker
            .rest("GET", "/connector-plugins?connectorsOnly=false", None)
            .json();
        let classes = plugins
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|plugin| plugin["class"].as_str());
        classes
            .filter(|class| expected::DEFERRED_PLUGINS.contains(class))
            .map(|class| format!("{class} exists, though listed as deferred"))
            .collect()
    }

    /// Sends the step's request, and tells what its answer has otherwise than the recording. States are reached in
    /// their own time: a question is asked again for a while before its answer counts.
    fn take(&mut self, step: &Value) -> Vec<String> {
        let expected = expected::of(step);
        if let Expected::Deferred = expected {
            return Vec::new();
        }
        let patience = if step["method"] == "GET" {
            Duration::from_secs(10)
        } else {
            Duration::ZERO
        };
        let start = std::time::Instant::now();
        loop {
            let found = self.ask(step, &expected);
            if found.is_empty() || start.elapsed() >= patience {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn ask(&self, step: &Value, expected: &Expected) -> Vec<String> {
        let body = match &step["request"] {
            Value::Null => None,
            Value::String(raw) => Some(self.here(raw)),
            json => Some(self.here(&json.to_string())),
        };
        let (method, path) = (step["method"].as_str().unwrap(), step["path"].as_str().unwrap());
        let answer = match request(self.worker.address(), method, path, body.as_deref()) {
            Ok(answer) => answer,
            Err(error) => return vec![error],
        };
        let text = self.recorded(&answer.body);
        let actual = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
        let actual = if actual == "" { Value::Null } else { actual };
        let mut found = Vec::new();
        if answer.status == step["status"] {
            differences("", &step["body"], &actual, &mut found);
            let kind = &step["headers"]["Content-Type"];
            if !kind.is_null() && answer.header("content-type") != kind.as_str() {
                found.push(format!(
                    "content-type {:?} for {kind}",
                    answer.header("content-type")
                ));
            }
        } else {
            found.push(format!(
                "status {} for {}: {actual}",
                answer.status, step["status"]
            ));
        }
        if let Expected::Otherwise(status, contains) = expected {
            let as_said = answer.status == *status && text.contains(contains);
            return match (as_said, found.is_empty()) {
                (true, false) => Vec::new(),
                (true, true) => vec!["answered as recorded, though listed as otherwise".to_owned()],
                (false, _) => vec![format!(
                    "status {} for {status}, {actual} for {contains:?}",
                    answer.status
                )],
            };
        }
        found
    }
}
