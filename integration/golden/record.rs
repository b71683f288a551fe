//! Makes recordings: the same replay with the real Debezium on Kafka Connect, and what came of it written into the layout of
//! [`super::recording`]. `variants.json` says with which settings a fixture is run beside its defaults.

use super::Options;
use super::json::Json;
use super::recording::{Outcome, Recording, part};
use super::replay::{Replay, replay};
use super::target;
use super::window::Window;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use tapline_harness::{Kafka, script};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Records every fixture of the folder, in each of its variants.
pub fn run(options: &Options) {
    let folder = options.folder.clone().expect("FIXTURES says which folder");
    let (kind, start) = target::find(&options.target).expect("TARGET is one of those known");
    let variants: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("variants.json")).unwrap_or("{}".into()))
            .unwrap();
    let mut server = start(&options.target);
    let connect = script("connect-worker.sh").display().to_string();
    let mut files: Vec<_> = fs::read_dir(folder.join("fixtures").join(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let fixture = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let mut wanted: Map<String, Value> = [("default".to_owned(), json!({}))].into_iter().collect();
        wanted.extend(variants[kind][&fixture].as_object().cloned().unwrap_or_default());
        for (variant, settings) in wanted {
            let mut config = base(kind, &options.target);
            config.extend(settings.as_object().unwrap().clone());
            let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let recording = Recording {
                fixture: fixture.clone(),
                variant,
                setup: part(&text, "setup"),
                stream: part(&text, "stream"),
                config: config
                    .iter()
                    .map(|(name, value)| (name.clone(), text_of(value)))
                    .collect(),
                outcome: Outcome::default(),
                window: Window(0, 0),
            };
            let kafka = Kafka::start(&[]);
            match replay(&connect, Some(&kafka.bootstrap()), server.as_mut(), &recording) {
                Replay::Done(outcome, window) => {
                    write(
                        &folder.join("out").join(&options.target),
                        &recording,
                        &outcome,
                        window,
                    );
                    println!(
                        "{}: {} records, {}",
                        recording.name(),
                        outcome.events.len(),
                        outcome.status
                    );
                }
                Replay::Deferred(missing) => println!("{}: {missing} is missing", recording.name()),
            }
            kafka.kill();
        }
    }
}

fn base(kind: &str, target: &str) -> Map<String, Value> {
    let mut config = json!({
        "database.hostname": "127.0.0.1", "database.port": "0", "database.user": "lab", "database.password": "lab",
        "topic.prefix": "g", "tasks.max": "1",
        "key.converter": JSON, "key.converter.schemas.enable": "true",
        "value.converter": JSON, "value.converter.schemas.enable": "true",
    });
    let own = if kind == "pg" {
        json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
            "database.dbname": "lab", "slot.name": "g_slot", "publication.name": "g_pub", "schema.include.list": "fx",
        })
    } else {
        let class = if target == "mysql" {
            "mysql.MySqlConnector"
        } else {
            "mariadb.MariaDbConnector"
        };
        json!({
            "connector.class": format!("io.debezium.connector.{class}"), "database.server.id": "9001",
            "database.include.list": "fx", "schema.history.internal.kafka.bootstrap.servers": "",
            "schema.history.internal.kafka.topic": "g.schema-history",
        })
    };
    let config = config.as_object_mut().unwrap();
    config.extend(own.as_object().unwrap().clone());
    config.clone()
}

fn write(out: &Path, recording: &Recording, outcome: &Outcome, window: Window) {
    let folder = out.join(&recording.fixture).join(&recording.variant);
    fs::create_dir_all(&folder).unwrap();
    let config: Map<String, Value> = recording
        .config
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    fs::write(
        folder.join("config.json"),
        serde_json::to_string_pretty(&config).unwrap(),
    )
    .unwrap();
    let events: String = outcome
        .events
        .iter()
        .map(|event| {
            let field = |name: &str, value: Json| (name.to_owned(), value);
            let line = Json::Object(vec![
                field("topic", Json::Text(event.topic.clone())),
                field("partition", Json::Number(event.partition.to_string())),
                field("timestamp", Json::Number(window.1.to_string())),
                field("headers", event.headers.clone()),
                field("key", event.key.clone()),
                field("value", event.value.clone()),
            ]);
            format!("{line}\n")
        })
        .collect();
    fs::write(folder.join("events.jsonl"), events).unwrap();
    let offsets: String = outcome
        .offsets
        .iter()
        .map(|(key, value)| format!("{}\n", json!({"key": key, "value": value})))
        .collect();
    fs::write(folder.join("offsets.jsonl"), offsets).unwrap();
    let status = json!({"error": outcome.refused, "states": outcome.status});
    fs::write(folder.join("status.json"), status.to_string()).unwrap();
}
