//! Who is measured: a fresh worker of ours, or Kafka Connect with Debezium beside it. Both speak one REST API.

use crate::Bench;
use crate::measure::reset_peak;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tapline_harness::{Kafka, Worker, eventually, folder, free_port, guard, request, script};

/// The built binary.
pub const TAPLINE: &str = env!("CARGO_BIN_EXE_tapline");

/// What both subjects are told, and what the rows say of it.
pub const SETTINGS: &str = "lz4, linger 20 ms, batch 512 KiB, buffer 128 MiB; max.batch.size 20480, max.queue.size 81920, poll.interval.ms 50";

/// A running worker that takes connectors.
pub enum Subject<'a> {
    Tapline(Box<Worker>),
    Debezium(&'a Peer),
}

/// Who is to be measured in this run.
pub fn names(bench: &Bench) -> &'static [&'static str] {
    if bench.peers {
        &["tapline", "debezium"]
    } else {
        &["tapline"]
    }
}

impl<'a> Subject<'a> {
    /// A worker on the run's Kafka.
    pub fn start(bench: &'a Bench, name: &str) -> Subject<'a> {
        if name == "debezium" {
            reset_peak(bench.peer().pid);
            return Subject::Debezium(bench.peer());
        }
        Subject::Tapline(Box::new(Worker::start(
            TAPLINE,
            &[("bootstrap.servers", &bench.kafka().bootstrap())],
            &[],
        )))
    }

    pub fn pid(&mut self) -> u32 {
        match self {
            Subject::Tapline(worker) => worker.process().pid(),
            Subject::Debezium(peer) => peer.pid,
        }
    }

    pub fn put(&self, name: &str, config: &Value) {
        let address = match self {
            Subject::Tapline(worker) => worker.address(),
            Subject::Debezium(peer) => &peer.address,
        };
        let path = format!("/connectors/{name}/config");
        let answer = request(address, "PUT", &path, Some(&config.to_string())).expect("an answer");
        assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    }

    /// Ends our worker; of the peer, removes the connector with its offsets, since it serves the next run too.
    pub fn finish(self, name: &str) {
        match self {
            Subject::Tapline(mut worker) => worker.kill(),
            Subject::Debezium(peer) => peer.remove(name),
        }
    }
}

/// A source connector's configuration over the table of [`load`](crate::load), with the common settings.
pub fn source(bench: &Bench, prefix: &str, slot: &str, snapshot: &str, variant: &str) -> Value {
    let schemas = (variant == "json-schemas").to_string();
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": bench.postgres().port().to_string(),
        "database.user": "postgres",
        "database.password": "none",
        "database.dbname": "bench",
        "topic.prefix": prefix,
        "table.include.list": "public.bench_t",
        "publication.name": "bench_pub",
        "publication.autocreate.mode": "disabled",
        "slot.name": slot,
        "snapshot.mode": snapshot,
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": schemas,
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": schemas,
        "max.batch.size": "20480",
        "max.queue.size": "81920",
        "poll.interval.ms": "50",
        "producer.override.linger.ms": "20",
        "producer.override.batch.size": "524288",
        "producer.override.compression.type": "lz4",
        "producer.override.buffer.memory": "134217728",
    })
}

/// Kafka Connect with Debezium, one worker for the whole run.
pub struct Peer {
    address: String,
    pid: u32,
}

impl Peer {
    pub fn start(kafka: &Kafka) -> Peer {
        let (dir, port) = (folder("connect"), free_port());
        let kafka_port = kafka.bootstrap().rsplit(':').next().unwrap().to_owned();
        let started = Command::new(script("connect.sh"))
            .args([
                "start",
                &dir.display().to_string(),
                &port.to_string(),
                &kafka_port,
            ])
            .status()
            .expect("bash runs");
        assert!(started.success(), "Kafka Connect does not start");
        guard(&format!("stop {} connect", dir.display()));
        let pid = std::fs::read_to_string(dir.join("connect.pid"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        Peer {
            address: format!("127.0.0.1:{port}"),
            pid,
        }
    }

    fn remove(&self, name: &str) {
        let rest =
            |method, path: &str| request(&self.address, method, &format!("/connectors/{name}{path}"), None);
        rest("PUT", "/stop").expect("an answer");
        eventually("it is stopped", Duration::from_secs(60), || {
            let status = rest("GET", "/status")?.json();
            let stopped = status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([]);
            if stopped { Ok(()) } else { Err(status.to_string()) }
        });
        rest("DELETE", "/offsets").expect("an answer");
        rest("DELETE", "").expect("an answer");
    }
}
