//! One recording, replayed: the built worker with its embedded broker, the recorded configuration, the same SQL.

use super::json::Json;
use super::recording::{self, Event, Outcome, Recording};
use super::target::{Target, end_topic};
use super::window::Window;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tapline_harness::{Record, Worker, create_topic, end_offset, end_offsets, read_topic, topic_names};

/// What a replay came to.
pub enum Replay {
    /// It ran, in this time.
    Done(Outcome, Window),
    /// It needs a transformation, a converter or a post processor that does not exist yet.
    Deferred(String),
}

const NAME: &str = "golden";

/// Replays the recording with `binary` on `target`, and on this Kafka: the binary's own when there is none.
pub fn replay(binary: &str, kafka: Option<&str>, target: &mut dyn Target, recording: &Recording) -> Replay {
    let from = now();
    target.reset();
    let mut settings = vec![("offset.flush.interval.ms", "500")];
    if let Some(bootstrap) = kafka {
        settings.extend([
            ("bootstrap.servers", bootstrap),
            ("config.storage.topic", "connect-configs"),
            ("offset.storage.topic", "connect-offsets"),
            ("status.storage.topic", "connect-status"),
        ]);
    }
    let mut worker = Worker::start(binary, &settings, &[]);
    if let Some(missing) = missing_plugin(&worker, recording) {
        return Replay::Deferred(missing);
    }
    target.sql(&recording.setup);
    let bootstrap = worker.bootstrap();
    let config: serde_json::Map<String, Value> = recording
        .config
        .iter()
        .map(|(name, value)| {
            let value = if name.ends_with("bootstrap.servers") {
                bootstrap.clone()
            } else {
                target.setting(name, value)
            };
            (name.clone(), Value::from(value))
        })
        .collect();
    if let Some(topic) = recording.setting("signal.kafka.topic") {
        create_topic(&bootstrap, topic, 1, &[]);
    }
    let answer = worker.rest(
        "PUT",
        &format!("/connectors/{NAME}/config"),
        Some(&Value::from(config)),
    );
    let mut outcome = Outcome::default();
    if answer.status >= 300 {
        if let Some(option) = deferring(&answer.body, recording) {
            return Replay::Deferred(option);
        }
        outcome.refused = Some(answer.body);
        return Replay::Done(outcome, Window(from, now()));
    }
    run(&mut worker, target, recording);
    outcome.status = recording::states(&status(&worker));
    stop(&worker);
    outcome.events = events(&bootstrap, recording);
    outcome.offsets = offsets(&bootstrap);
    Replay::Done(outcome, Window(from, now()))
}

fn now() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// A class that the configuration names and the worker does not have.
fn missing_plugin(worker: &Worker, recording: &Recording) -> Option<String> {
    let plugins = worker
        .rest("GET", "/connector-plugins?connectorsOnly=false", None)
        .json();
    let known: Vec<&str> = plugins
        .as_array()?
        .iter()
        .filter_map(|p| p["class"].as_str())
        .collect();
    recording
        .config
        .iter()
        .filter(|(name, _)| {
            let transformation = || name.strip_prefix("transforms.")?.strip_suffix(".type");
            name.ends_with(".converter") || transformation().is_some_and(|name| !name.contains('.'))
        })
        .find(|(_, class)| !known.contains(&class.as_str()))
        .map(|(name, class)| format!("{name}={class}"))
}

/// Why a refusal is one of what does not exist yet: it names a post processor or a custom converter.
fn deferring(refusal: &str, recording: &Recording) -> Option<String> {
    ["post.processors", "converters", "transforms"]
        .iter()
        .find(|name| recording.setting(name).is_some() && refusal.contains(**name))
        .map(|name| format!("{name}={}", recording.setting(name).unwrap_or_default()))
}

fn status(worker: &Worker) -> Json {
    let answer = worker.rest("GET", &format!("/connectors/{NAME}/status"), None);
    Json::parse(&answer.body).unwrap_or(Json::Null)
}

fn failed(worker: &Worker) -> bool {
    recording::states(&status(worker)).contains(" FAILED")
}

/// Waits until `ready`, or the task has failed, or time is up.
fn wait(worker: &Worker, patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        if ready() {
            return true;
        }
        if failed(worker) {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn run(worker: &mut Worker, target: &mut dyn Target, recording: &Recording) {
    let bootstrap = worker.bootstrap();
    let records = |topic: &str| end_offset(&bootstrap, topic);
    wait(&*worker, Duration::from_secs(40), || target.streaming(&records));
    if let Some(topic) = recording.setting("signal.kafka.topic") {
        signal(worker, topic);
    }
    statements(worker, target, recording);
    // all records are there, or the last one is and nothing more comes
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    let heartbeats = heartbeats(recording);
    for event in recording
        .outcome
        .events
        .iter()
        .filter(|e| !e.topic.starts_with(&heartbeats))
    {
        *wanted.entry(&event.topic).or_default() += 1;
    }
    let (end, count) = end_topic(recording);
    let (mut last, mut since) = (HashMap::new(), Instant::now());
    let expects_failure = recording.outcome.status.contains(" FAILED");
    // a recording that is still to be made wants nothing: all that comes until the closing row is there
    let making = wanted.is_empty();
    if making {
        wanted.insert(&end, 1);
    }
    let count = if making { 1 } else { count };
    wait(
        &*worker,
        Duration::from_secs(if making { 60 } else { 15 }),
        || {
            // the closing row comes last: until then the other topics need not be asked
            if count > 0 && records(&end) < count && since.elapsed() < Duration::from_secs(1) {
                return false;
            }
            let topics: Vec<&str> = wanted.keys().copied().collect();
            let there: HashMap<&str, i64> = topics
                .iter()
                .copied()
                .zip(end_offsets(&bootstrap, &topics))
                .collect();
            if there != last {
                (last, since) = (there, Instant::now());
            }
            let all = wanted.iter().all(|(topic, count)| last[topic] >= *count);
            let ended = count > 0 && last.get(end.as_str()).is_some_and(|n| *n >= count);
            let quiet = since.elapsed();
            !expects_failure && (all && !making || ended && quiet > Duration::from_millis(700))
                || !making && quiet > Duration::from_secs(5)
        },
    );
    if recording.setting("heartbeat.interval.ms").is_some() {
        let recorded = recording
            .outcome
            .events
            .iter()
            .find(|e| e.topic.starts_with(&heartbeats));
        // the recording's script let one more come: with it goes the last commit
        if let Some(event) = recorded {
            let so_far = records(&event.topic);
            wait(&*worker, Duration::from_secs(5), || {
                records(&event.topic) > so_far
            });
        }
    }
}

/// Runs the fixture's statements. The recorded connector was hundreds of milliseconds behind them, so that where it looks
/// into the catalog (which columns may be null, their defaults) it saw what the last statement left. Ours is held while
/// they run, to see the same; unless they wait for what the connector does. Signals wait for it in between: what is written
/// from one pause to the next comes in one piece there too, or what a signal makes the connector write would stand between.
fn statements(worker: &mut Worker, target: &dyn Target, recording: &Recording) {
    let pid = worker.process().pid();
    let making = recording.outcome.events.is_empty();
    let held = |work: &dyn Fn()| {
        let send = |signal: &str| {
            let status = Command::new("kill").args([signal, &pid.to_string()]).status();
            assert!(status.expect("kill runs").success());
        };
        send("-STOP");
        work();
        send("-CONT");
    };
    let sleeps = recording.stream.contains("sleep(");
    if making || sleeps && recording.setting("signal.data.collection").is_none() {
        target.sql(&recording.stream);
        return target.end();
    }
    if !sleeps {
        return held(&|| {
            target.sql(&recording.stream);
            target.end();
        });
    }
    let lines: Vec<&str> = recording.stream.lines().collect();
    let pause = |line: &str| line.contains("sleep(");
    for piece in lines.chunk_by(|one, next| pause(one) == pause(next)) {
        let text = piece.join("\n") + "\n";
        if pause(&text) {
            target.sql_in_session(&text);
        } else {
            held(&|| target.sql_in_session(&text));
        }
    }
    target.end();
}

/// The signal that the recording's script sent by the Kafka channel.
fn signal(worker: &Worker, topic: &str) {
    let value = r#"{"type":"execute-snapshot","data":{"data-collections":["fx.s1"],"type":"INCREMENTAL"}}"#;
    tapline_harness::produce(&worker.bootstrap(), topic, Some(b"g"), value.as_bytes());
    // as the recording's script did: the snapshot is over before the fixture's statements begin
    thread::sleep(Duration::from_secs(2));
}

fn stop(worker: &Worker) {
    worker.rest("PUT", &format!("/connectors/{NAME}/stop"), Some(&json!({})));
    tapline_harness::eventually("the connector is stopped", Duration::from_secs(30), || {
        let text = recording::states(&status(worker));
        if text == "connector STOPPED" {
            Ok(())
        } else {
            Err(text)
        }
    });
}

/// The beginning of the names of heartbeat topics.
pub fn heartbeats(recording: &Recording) -> String {
    recording
        .setting("topic.heartbeat.prefix")
        .unwrap_or("__debezium-heartbeat")
        .to_owned()
}

fn events(bootstrap: &str, recording: &Recording) -> Vec<Event> {
    let prefix = recording.setting("topic.prefix").unwrap_or("g");
    let heartbeat = format!("{}.{prefix}", heartbeats(recording));
    let ours = |name: &String| {
        *name == prefix || name.starts_with(&format!("{prefix}.")) || name.starts_with(&heartbeat)
    };
    let signals = recording.setting("signal.kafka.topic");
    let recorded = |topic: &str| recording.outcome.events.iter().any(|e| e.topic == topic);
    let mut all = Vec::new();
    for topic in topic_names(bootstrap).into_iter().filter(ours) {
        if signals == Some(topic.as_str()) && !recorded(&topic) {
            continue;
        }
        all.extend(
            read_topic(bootstrap, &topic)
                .iter()
                .map(|record| event(&topic, record)),
        );
    }
    all
}

fn event(topic: &str, record: &Record) -> Event {
    let headers = record.headers.iter().map(|(name, value)| {
        let value = value.as_ref().map_or(Json::Null, |bytes| text(bytes));
        Json::List(vec![Json::Text(name.clone()), value])
    });
    Event {
        topic: topic.to_owned(),
        partition: i64::from(record.partition),
        headers: Json::List(headers.collect()),
        key: record.key.as_ref().map_or(Json::Null, |bytes| document(bytes)),
        value: record.value.as_ref().map_or(Json::Null, |bytes| document(bytes)),
    }
}

/// Bytes as a recording keeps them: JSON, else text, else `{"hex":…}`.
fn document(bytes: &[u8]) -> Json {
    let parsed = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| Json::parse(text).ok());
    parsed.unwrap_or_else(|| text(bytes))
}

fn text(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.first() != Some(&0) => Json::Text(text.to_owned()),
        _ => {
            let hex = bytes.iter().map(|b| format!("{b:02x}")).collect();
            Json::Object(vec![("hex".into(), Json::Text(hex))])
        }
    }
}

/// The last record per key of the offsets topic, in the order of the keys' first appearance.
fn offsets(bootstrap: &str) -> Vec<(String, Option<String>)> {
    let mut last: Vec<(String, Option<String>)> = Vec::new();
    let own = format!("[\"{NAME}\"");
    for record in read_topic(bootstrap, "connect-offsets") {
        let lossy = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let Some(key) = record.key.as_ref().map(lossy).filter(|key| key.starts_with(&own)) else {
            continue;
        };
        let value = record.value.as_ref().map(lossy);
        match last.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => last.push((key, value)),
        }
    }
    last
}
