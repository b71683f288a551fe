//! What a real Debezium did, as files: the layout that `make golden FIXTURES=folder` takes.
//!
//! ```text
//!  fixtures/pg/NAME.sql, fixtures/mysql/NAME.sql      a part `--@setup`, before the snapshot, and a part `--@stream`
//!  out/TARGET/NAME/VARIANT/config.json                the connector's configuration
//!                          events.jsonl               every record of every topic
//!                          offsets.jsonl              the last record per key that the stopped connector left
//!                          status.json                its last status; `error`, when it was refused
//! ```
//!
//! `out/TARGET.tar.gz` may stand for the folder `out/TARGET`.

use super::json::Json;
use super::window::Window;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One fixture in one variant, and what came of it.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The name of the SQL file.
    pub fixture: String,
    /// The name of the configuration.
    pub variant: String,
    /// SQL before the connector starts.
    pub setup: String,
    /// SQL while it streams.
    pub stream: String,
    /// Settings, in order.
    pub config: Vec<(String, String)>,
    /// What was written.
    pub outcome: Outcome,
    /// When.
    pub window: Window,
}

/// What a run of a connector left behind.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Topic by topic, each in order.
    pub events: Vec<Event>,
    /// Keys and values of the offsets topic; the value is the text of a JSON object.
    pub offsets: Vec<(String, Option<String>)>,
    /// The states of the connector and its tasks, and the first line of a trace.
    pub status: String,
    /// Why the connector was not created.
    pub refused: Option<String>,
}

/// A record as it lay in its topic. What is no JSON stands as text.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub struct Event {
    pub topic: String,
    pub partition: i64,
    pub headers: Json,
    pub key: Json,
    pub value: Json,
}

impl Recording {
    /// `fixture/variant`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.fixture, self.variant)
    }

    /// A setting.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// Reads every recording of `target` under `folder`; `kind` is the folder of its fixtures.
pub fn read(folder: &Path, target: &str, kind: &str) -> Vec<Recording> {
    let out = unpacked(folder, target);
    let mut all = Vec::new();
    for fixture in folders(&out) {
        let file = folder
            .join("fixtures")
            .join(kind)
            .join(format!("{}.sql", name(&fixture)));
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for variant in folders(&fixture) {
            if !variant.join("config.json").exists() {
                continue;
            }
            all.push(Recording {
                fixture: name(&fixture),
                variant: name(&variant),
                setup: part(&text, "setup"),
                stream: part(&text, "stream"),
                config: config(&variant.join("config.json")),
                outcome: outcome(&variant),
                window: window(&variant),
            });
        }
    }
    all
}

fn unpacked(folder: &Path, target: &str) -> PathBuf {
    let out = folder.join("out").join(target);
    let archive = folder.join("out").join(format!("{target}.tar.gz"));
    if out.is_dir() || !archive.exists() {
        assert!(out.is_dir(), "no recordings: {} is missing", out.display());
        return out;
    }
    let temporary = tapline_harness::folder("golden");
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(&temporary)
        .status()
        .expect("tar runs");
    assert!(status.success(), "tar -xzf {} failed", archive.display());
    temporary.join(target)
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(parent)
        .unwrap_or_else(|e| panic!("{}: {e}", parent.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    all.sort();
    all
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The lines between `--@WHICH` and the next line that begins with `--@`.
pub fn part(text: &str, which: &str) -> String {
    let marker = format!("--@{which}");
    text.lines()
        .skip_while(|line| *line != marker)
        .skip(1)
        .take_while(|line| !line.starts_with("--@"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn config(path: &Path) -> Vec<(String, String)> {
    let json = Json::parse(&fs::read_to_string(path).unwrap()).unwrap();
    let text = |value: &Json| value.text().map_or_else(|| value.to_string(), str::to_owned);
    json.fields().iter().map(|(k, v)| (k.clone(), text(v))).collect()
}

fn lines(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| Json::parse(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", path.display())))
        .collect()
}

/// From the first to the last record.
fn window(variant: &Path) -> Window {
    let times: Vec<i64> = lines(&variant.join("events.jsonl"))
        .iter()
        .filter_map(|line| line.get("timestamp")?.integer())
        .collect();
    Window(
        times.iter().min().copied().unwrap_or(0),
        times.iter().max().copied().unwrap_or(0),
    )
}

fn outcome(variant: &Path) -> Outcome {
    let null = |value: Option<&Json>| value.cloned().unwrap_or(Json::Null);
    let events = lines(&variant.join("events.jsonl"))
        .iter()
        .map(|line| Event {
            topic: line.get("topic").and_then(Json::text).unwrap().to_owned(),
            partition: line.get("partition").and_then(Json::integer).unwrap(),
            headers: null(line.get("headers")),
            key: null(line.get("key")),
            value: null(line.get("value")),
        })
        .collect();
    let offsets = lines(&variant.join("offsets.jsonl"))
        .iter()
        .map(|line| {
            let text = |name| line.get(name).and_then(Json::text).map(str::to_owned);
            (text("key").unwrap(), text("value"))
        })
        .collect();
    let text = fs::read_to_string(variant.join("status.json")).unwrap_or_default();
    let status = Json::parse(&text).unwrap_or(Json::Null);
    Outcome {
        events,
        offsets,
        status: match status.get("states").and_then(Json::text) {
            Some(text) => text.to_owned(),
            None => status.get("status").map(states).unwrap_or_default(),
        },
        refused: status
            .get("error")
            .filter(|error| **error != Json::Null)
            .map(Json::to_string),
    }
}

/// `connector RUNNING, task 0 FAILED: the first line of its trace`, of an answer to `GET …/status`.
pub fn states(status: &Json) -> String {
    let state = |of: &Json| of.get("state").and_then(Json::text).unwrap_or("?").to_owned();
    let mut all = vec![format!(
        "connector {}",
        status.get("connector").map_or("?".into(), state)
    )];
    for task in status.get("tasks").map_or(&[][..], Json::list) {
        let id = task.get("id").map_or_else(String::new, Json::to_string);
        let trace = task
            .get("trace")
            .and_then(Json::text)
            .and_then(|trace| trace.lines().next());
        let trace = trace.map_or_else(String::new, |line| format!(": {line}"));
        all.push(format!("task {id} {}{trace}", state(task)));
    }
    all.join(", ")
}
