//! Who is measured: a fresh worker of ours, or Kafka Connect with Debezium beside it. Both speak one REST API.

use crate::Bench;
use crate::peer::Peer;
use crate::proc::reset_peak;
use crate::settings::Settings;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tapline_harness::{Worker, eventually, request};

/// The built binary.
pub const TAPLINE: &str = env!("CARGO_BIN_EXE_tapline");

/// What a run measures.
#[derive(Clone, Copy)]
pub struct Case {
    pub subject: &'static str,
    pub variant: &'static str,
    pub settings: Settings,
}

/// Every subject (but the limit) with tuned settings, with and without schemas; beside Debezium with the defaults too.
pub fn cases(bench: &Bench) -> Vec<Case> {
    let mut cases = Vec::new();
    for subject in workers(bench) {
        let mut add = |variant, settings| {
            cases.push(Case {
                subject,
                variant,
                settings,
            });
        };
        add("json", Settings::Tuned);
        add("json-schemas", Settings::Tuned);
        if bench.peers {
            add("json", Settings::Default);
        }
    }
    cases
}

/// The workers among the subjects of this run.
pub fn workers(bench: &Bench) -> Vec<&'static str> {
    let all = ["tapline", "debezium"];
    all.into_iter().filter(|subject| bench.has(subject)).collect()
}

/// A running worker that takes connectors.
pub enum Subject<'a> {
    Tapline(Box<Worker>),
    Debezium(&'a Peer),
}

impl<'a> Subject<'a> {
    /// A worker on the run's Kafka: ours afresh, the peer as it runs.
    pub fn start(bench: &'a Bench, name: &str) -> Subject<'a> {
        if name == "debezium" {
            reset_peak(bench.peer().pid());
            return Subject::Debezium(bench.peer());
        }
        let mut worker = prepare(&on_kafka(bench));
        worker.restart();
        Subject::Tapline(Box::new(worker))
    }

    pub fn pid(&mut self) -> u32 {
        match self {
            Subject::Tapline(worker) => worker.process().pid(),
            Subject::Debezium(peer) => peer.pid(),
        }
    }

    fn address(&self) -> &str {
        match self {
            Subject::Tapline(worker) => worker.address(),
            Subject::Debezium(peer) => peer.address(),
        }
    }

    pub fn put(&self, name: &str, config: &Value) {
        let path = format!("/connectors/{name}/config");
        let answer = request(self.address(), "PUT", &path, Some(&config.to_string())).expect("an answer");
        assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    }

    /// Makes the connector, stopped, with a stored offset of its server.
    pub fn put_at(&self, name: &str, config: &Value, offset: &Value) {
        let made = json!({ "name": name, "config": config, "initial_state": "STOPPED" });
        self.ask("POST", "/connectors", Some(&made));
        let offsets = json!({ "offsets": [{ "partition": { "server": name }, "offset": offset }] });
        self.ask("PATCH", &format!("/connectors/{name}/offsets"), Some(&offsets));
    }

    /// Lets a stopped connector run.
    pub fn resume(&self, name: &str) {
        self.ask("PUT", &format!("/connectors/{name}/resume"), None);
    }

    /// The connector's stored offsets.
    pub fn offsets(&self, name: &str) -> Value {
        self.ask("GET", &format!("/connectors/{name}/offsets"), None)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string);
        let answer = request(self.address(), method, path, body.as_deref()).expect("an answer");
        assert!(answer.status < 300, "{} {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// Stops the connector, then deletes its offsets and itself.
    pub fn remove(&self, name: &str) {
        let rest =
            |method, path: &str| request(self.address(), method, &format!("/connectors/{name}{path}"), None);
        rest("PUT", "/stop").expect("an answer");
        eventually("it is stopped", Duration::from_secs(60), || {
            let status = rest("GET", "/status")?.json();
            let stopped = status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([]);
            if stopped { Ok(()) } else { Err(status.to_string()) }
        });
        rest("DELETE", "/offsets").expect("an answer");
        rest("DELETE", "").expect("an answer");
    }

    /// Removes the connector, and ends our worker; the peer serves the next run too.
    pub fn finish(self, name: &str) {
        self.remove(name);
        if let Subject::Tapline(mut worker) = self {
            worker.kill();
        }
    }
}

/// A worker of ours, not yet started.
pub fn prepare(settings: &[(&str, String)]) -> Worker {
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    Worker::prepare(TAPLINE, &settings, &[])
}

/// The settings of a worker on the run's Kafka, with storage topics of its own.
pub fn on_kafka(bench: &Bench) -> Vec<(&'static str, String)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let topic = |name: &str| format!("worker-{n}-{name}");
    vec![
        ("bootstrap.servers", bench.kafka().bootstrap()),
        ("config.storage.topic", topic("configs")),
        ("offset.storage.topic", topic("offsets")),
        ("status.storage.topic", topic("status")),
        ("offset.storage.partitions", "1".to_owned()),
        ("status.storage.partitions", "1".to_owned()),
    ]
}

/// A source connector that reads the table `public.{table}` of `database` through the slot and the publication named
/// like its topic prefix.
pub fn source(bench: &Bench, database: &str, table: &str, prefix: &str, variant: &str) -> Value {
    let schemas = (variant == "json-schemas").to_string();
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": bench.postgres().port().to_string(),
        "database.user": "postgres",
        "database.password": "none",
        "database.dbname": database,
        "topic.prefix": prefix,
        "table.include.list": format!("public.{table}"),
        "publication.name": format!("{table}_pub"),
        "publication.autocreate.mode": "disabled",
        "slot.name": prefix,
        "snapshot.mode": "no_data",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": schemas,
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": schemas,
    })
}
