//! Exactly once into a table without a key: a plain producer writes numbers, and each is a row, once, however often the
//! sink's worker ends by SIGKILL, and whatever a former owner does that wakes up later.
//!
//! ```text
//!  producer ──▶ topic ──▶ worker (killed, started again …) ──▶ table, insert only
//!                    └──▶ a second worker, while the first is stopped (SIGSTOP) in its midst
//! ```

use std::fmt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tapline_harness::{
    Connect, Kafka, Postgres, Random, Worker, create_topic, eventually, pipeline, produce_all, request,
};

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub kills: u32,
    pub records: u64,
    pub seed: u64,
}

/// What happened.
pub struct Outcome {
    plan: Plan,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "seed {}: {} kills, {} records, each a row once, {:.0} s",
            self.plan.seed,
            self.plan.kills,
            self.plan.records,
            self.took.as_secs_f64()
        )
    }
}

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the plan; panics when a row is missing or there twice.
pub fn run(kafka: &Kafka, postgres: &Postgres, name: &str, plan: Plan) -> Outcome {
    eprintln!("seed {} (SEED={0} repeats it)", plan.seed);
    let begin = Instant::now();
    let mut random = Random::new(plan.seed);
    let sql = postgres.create_database(name);
    let bootstrap = kafka.bootstrap();
    create_topic(&bootstrap, name, 3, &[]);
    let config = config(postgres, name);
    let workers = [format!("{name}-a"), format!("{name}-b")].map(|worker| {
        let names = pipeline::internal_topics(&worker);
        Worker::prepare(
            env!("CARGO_BIN_EXE_tapline"),
            &pipeline::worker(&bootstrap, &names),
            &[],
        )
    });
    let [mut first, mut second] = workers;
    first.restart();
    first.put_connector(name, &config);

    let producer = thread::spawn({
        let (bootstrap, topic, pause) = (bootstrap.clone(), name.to_owned(), u64::from(plan.kills) * 1500);
        move || {
            for part in 0..100 {
                let numbers = plan.records * part / 100..plan.records * (part + 1) / 100;
                produce_all(
                    &bootstrap,
                    &topic,
                    numbers.map(|id| message(id).to_string().into_bytes()),
                );
                thread::sleep(Duration::from_millis(pause / 100));
            }
        }
    });
    for _ in 0..plan.kills {
        thread::sleep(Duration::from_millis(random.between(300, 1500)));
        first.kill();
        first.restart();
    }
    // The first falls asleep in its midst, and a second, of the same group, takes over.
    signal(&mut first, "STOP");
    second.restart();
    second.put_connector(name, &config);
    producer.join().expect("the producer ends");
    let rows = || sql.count(&format!("select count(*) from {name}"));
    eventually("the second worker has every record", PATIENCE, || {
        match sql.count(&format!("select count(distinct id) from {name}")) {
            count if count == plan.records => Ok(()),
            count => Err(format!("{count} of {} records", plan.records)),
        }
    });
    signal(&mut first, "CONT");
    produce_all(
        &bootstrap,
        name,
        [message(plan.records).to_string().into_bytes()].into_iter(),
    );
    eventually("the last record is there", PATIENCE, || {
        if rows() > plan.records {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    first.wait_running(name);
    assert_eq!(rows(), plan.records + 1, "every record is a row once");
    let offsets = sql.count("select sum(kafka_offset)::bigint from tapline_offsets");
    assert_eq!(offsets, plan.records + 1, "the target's offsets are the topic's");
    Outcome {
        plan,
        took: begin.elapsed(),
    }
}

/// Turns of ours, of Kafka Connect's with Debezium's sink, and of ours again, under one connector's name and so in one
/// group: each record is a row once, for ours begins where the later of group and target says.
#[allow(dead_code, reason = "too long for every change")]
pub fn java_in_between(kafka: &Kafka, postgres: &Postgres, name: &str, records: u64) {
    let sql = postgres.create_database(name);
    let bootstrap = kafka.bootstrap();
    create_topic(&bootstrap, name, 3, &[]);
    let config = config(postgres, name);
    let produce = |turn: u64| {
        let numbers = records * turn..records * (turn + 1);
        produce_all(
            &bootstrap,
            name,
            numbers.map(|id| message(id).to_string().into_bytes()),
        );
    };
    let arrived = |turns: u64| {
        eventually("every record has come", PATIENCE, || {
            let count = sql.try_rows(&format!("select count(distinct id) from {name}"));
            match count
                .ok()
                .and_then(|rows| rows[0][0].as_deref()?.parse::<u64>().ok())
            {
                Some(count) if count == records * turns => Ok(()),
                count => Err(format!("{count:?} of {}", records * turns)),
            }
        });
        let count = sql.count(&format!("select count(*) from {name}"));
        assert_eq!(
            count,
            records * turns,
            "after turn {turns} every record is a row once"
        );
    };

    let names = pipeline::internal_topics(name);
    let mut worker = Worker::start(
        env!("CARGO_BIN_EXE_tapline"),
        &pipeline::worker(&bootstrap, &names),
        &[],
    );
    worker.put_connector(name, &config);
    produce(0);
    arrived(1);
    assert!(worker.terminate().success());

    let java = Connect::prepare(&bootstrap, &[]);
    java.start();
    let path = format!("/connectors/{name}/config");
    let answer = request(&java.address(), "PUT", &path, Some(&config.to_string())).expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.body);
    produce(1);
    arrived(2);
    java.stop();

    worker.restart();
    produce(2);
    worker.kill();
    worker.restart();
    arrived(3);
}

fn config(postgres: &Postgres, name: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "2",
        "topics": name,
        "connection.url": format!("jdbc:postgresql://127.0.0.1:{}/{name}", postgres.port()),
        "connection.username": "postgres",
        "connection.password": "none",
        "schema.evolution": "basic",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "consumer.override.auto.offset.reset": "earliest",
    })
}

fn message(id: u64) -> Value {
    json!({
        "schema": {"type": "struct", "fields": [{"field": "id", "type": "int64"}, {"field": "text", "type": "string"}]},
        "payload": {"id": id, "text": format!("number {id}")},
    })
}

fn signal(worker: &mut Worker, name: &str) {
    let pid = worker.process().pid().to_string();
    let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(sent.expect("kill runs").success());
}
