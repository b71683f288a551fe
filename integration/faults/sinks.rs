//! A sink's bad days, on every target that can have them: the target is killed in the midst of a batch and stays away for
//! a while; before it is back the group is rebalanced, by a second connector that joins it and leaves it again.
//!
//! ```text
//!  producer ──▶ topic, 3 partitions ──▶ connectors "a" and, for a while, "b": one group ──▶ target ✗ … ▶
//! ```
//!
//! Each record is a version of its key's row. Held at the end: every key has its last version, so nothing is missing and
//! no key went back; no task failed; the worker needed no more memory than it may.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tapline_harness::mysql::Kind;
use tapline_harness::{
    Ferretdb, Kafka, Mysql, Postgres, Worker, create_topic, eventually, folder, pipeline, produce_keyed,
};

/// Which target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Postgres,
    MySql,
    MariaDb,
    /// A file that somebody else locks, in place of a server that is killed.
    Sqlite,
    /// Rows as documents, with text for `_id`: the server looks through all of them, and is quicker with that.
    Documents,
}

/// What is to happen.
#[derive(Clone, Copy)]
pub struct Plan {
    pub target: Target,
    pub records: u64,
    pub keys: u64,
    /// How long the target is away.
    pub outage: Duration,
    /// What the worker may have needed at most, in MiB; it runs on Apache Kafka then, and else on its own broker.
    pub memory: Option<f64>,
}

/// What happened.
pub struct Outcome {
    plan: Plan,
    peak_mb: f64,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:?}: {} records, away for {} s, every key has its last version, peak {:.1} MiB, {:.0} s",
            self.plan.target,
            self.plan.records,
            self.plan.outage.as_secs(),
            self.peak_mb,
            self.took.as_secs_f64()
        )
    }
}

const PATIENCE: Duration = Duration::from_secs(300);
/// Parts of the load: what comes later goes on while the target is away.
const PARTS: u64 = 20;

/// Runs the plan on servers of its own; panics when a promise is broken.
pub fn run(plan: Plan) -> Outcome {
    let begin = Instant::now();
    let server = Server::start(plan.target);
    let name = format!("outage_{:?}", plan.target).to_lowercase();
    let kafka = plan.memory.map(|_| Kafka::start(&[]));
    let (bootstrap, names) = (
        kafka.as_ref().map(Kafka::bootstrap),
        pipeline::internal_topics(&name),
    );
    let settings = bootstrap
        .as_ref()
        .map_or_else(Vec::new, |bootstrap| pipeline::worker(bootstrap, &names));
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_tapline"), &settings, &[]);
    let bootstrap = worker.bootstrap();
    create_topic(&bootstrap, &name, 3, &[]);
    let config = server.sink(&name);

    let produce = |part: u64| {
        let numbers = plan.records * part / PARTS..plan.records * (part + 1) / PARTS;
        produce_keyed(&bootstrap, &name, numbers.map(|n| message(n, plan.keys)));
    };
    produce(0);
    worker.put_connector("a", &config);
    eventually("the first rows are there", PATIENCE, || {
        match server.rows(&name) {
            rows if rows.is_empty() => Err("none".to_owned()),
            _ => Ok(()),
        }
    });
    thread::scope(|scope| {
        let load = scope.spawn(|| (1..PARTS).for_each(produce));
        server.kill();
        thread::sleep(plan.outage);
        if plan.target == Target::Documents {
            // Its configuration is valid only when the server answers.
            server.restart();
            worker.put_connector("b", &config);
        } else {
            // "a" is stuck with a batch, and has paused what it reads.
            worker.put_connector("b", &config);
            server.restart();
        }
        eventually("b has partitions", PATIENCE, || owns(&worker, "b"));
        worker.rest("DELETE", "/connectors/b", None);
        load.join().expect("the load ends");
    });
    eventually("every key has its last version", PATIENCE, || {
        let rows = server.rows(&name);
        let wrong = rows.iter().find(|(id, version)| *version != last(*id, plan));
        match wrong {
            Some((id, version)) => Err(format!("key {id} is at {version}, and not {}", last(*id, plan))),
            None if rows.len() as u64 != plan.keys => Err(format!("{} of {} keys", rows.len(), plan.keys)),
            None => Ok(()),
        }
    });
    worker.wait_running("a");
    let log = worker.process().log();
    assert!(!log.contains("panicked at"), "{log}");
    let peak_mb = peak_mb(worker.process().pid());
    if let Some(limit) = plan.memory {
        assert!(peak_mb <= limit, "{peak_mb} MiB, of {limit}");
    }
    Outcome {
        plan,
        peak_mb,
        took: begin.elapsed(),
    }
}

/// The last version of a key.
fn last(id: u64, plan: Plan) -> u64 {
    id + (plan.records - 1 - id) / plan.keys * plan.keys
}

fn message(n: u64, keys: u64) -> (Vec<u8>, Vec<u8>) {
    let id = json!({"field": "id", "type": "int64"});
    let key = json!({
        "schema": {"type": "struct", "fields": [id]},
        "payload": {"id": n % keys},
    });
    let value = json!({
        "schema": {
            "type": "struct",
            "fields": [id, {"field": "version", "type": "int64"}, {"field": "note", "type": "string"}],
        },
        "payload": {"id": n % keys, "version": n, "note": format!("{n:0>100}")},
    });
    (key.to_string().into_bytes(), value.to_string().into_bytes())
}

/// Whether the connector's task has partitions by now.
fn owns(worker: &Worker, connector: &str) -> Result<(), String> {
    let metrics = worker.rest("GET", "/metrics", None).body;
    let label = format!("connector=\"{connector}\"");
    let mut lines = metrics.lines();
    let figure = lines
        .find(|line| line.starts_with("kafka_connect_sink_task_partition_count{") && line.contains(&label));
    match figure.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()) {
        Some(count) if count > 0.0 => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

pub fn peak_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok())
        .expect("Linux tells");
    kib / 1024.0
}

enum Server {
    Postgres(Postgres),
    Mysql(Mysql),
    Sqlite(PathBuf, std::cell::RefCell<Option<rusqlite::Connection>>),
    Documents(Ferretdb),
}

/// The database in the target.
const DATABASE: &str = "outage";

impl Server {
    fn start(target: Target) -> Server {
        let mysql = |kind| {
            let server = Mysql::start(kind, &[]);
            server.execute(&format!("create database {DATABASE}"));
            Server::Mysql(server)
        };
        match target {
            Target::Postgres => {
                let server = Postgres::start(&[]);
                server.create_database(DATABASE);
                Server::Postgres(server)
            }
            Target::MySql => mysql(Kind::MySql),
            Target::MariaDb => mysql(Kind::MariaDb),
            Target::Sqlite => Server::Sqlite(folder("outage").join("target.db"), None.into()),
            Target::Documents => Server::Documents(Ferretdb::start()),
        }
    }

    /// A sink of the topic into a table or collection of its name.
    fn sink(&self, topic: &str) -> Value {
        let mut config = json!({
            "topics": topic,
            "tasks.max": "1",
            "consumer.override.group.id": format!("{topic}_group"),
            "consumer.override.auto.offset.reset": "earliest",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        });
        let own = match self {
            Server::Postgres(server) => table(
                format!("jdbc:postgresql://127.0.0.1:{}/{DATABASE}", server.port()),
                "postgres",
            ),
            Server::Mysql(server) => {
                let scheme = if server.kind() == Kind::MySql {
                    "mysql"
                } else {
                    "mariadb"
                };
                table(
                    format!("jdbc:{scheme}://127.0.0.1:{}/{DATABASE}", server.port()),
                    "tapline",
                )
            }
            Server::Sqlite(path, _) => table(format!("jdbc:sqlite:{}", path.display()), "tapline"),
            Server::Documents(server) => json!({
                "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
                "connection.uri": server.uri(),
                "database": DATABASE,
                "document.id.strategy": "com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy",
                "transforms": "text,id",
                "transforms.text.type": "org.apache.kafka.connect.transforms.Cast$Value",
                "transforms.text.spec": "id:string",
                "transforms.id.type": "org.apache.kafka.connect.transforms.ReplaceField$Value",
                "transforms.id.renames": "id:_id",
            }),
        };
        if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
            config.extend(own);
        }
        config
    }

    /// Keys and versions; none while the table is not there.
    fn rows(&self, table: &str) -> Vec<(u64, u64)> {
        let select = format!("select id, version from {table}");
        let text = |rows: Vec<Vec<Option<String>>>| {
            let number = |cell: &Option<String>| cell.as_deref().and_then(|text| text.parse().ok());
            let pairs = rows.iter().map(|row| (number(&row[0]), number(&row[1])));
            pairs.filter_map(|(id, version)| Some((id?, version?))).collect()
        };
        match self {
            Server::Postgres(server) => text(server.sql(DATABASE).try_rows(&select).unwrap_or_default()),
            Server::Mysql(server) => {
                let there = format!(
                    "select count(*) from information_schema.tables where table_schema = '{DATABASE}'"
                );
                match server.count(&there) {
                    0 => Vec::new(),
                    _ => text(server.rows(&format!("use {DATABASE}; {select}"))),
                }
            }
            Server::Sqlite(path, _) => sqlite(path, &select).unwrap_or_default(),
            Server::Documents(server) => {
                let documents = server.documents(DATABASE, table);
                let number = |document: &Value| {
                    let id = document["_id"].as_str()?.parse().ok()?;
                    Some((id, document["version"].as_u64()?))
                };
                documents.iter().filter_map(number).collect()
            }
        }
    }

    fn kill(&self) {
        match self {
            Server::Postgres(server) => server.kill(),
            Server::Mysql(server) => server.kill(),
            Server::Sqlite(path, lock) => {
                let connection = rusqlite::Connection::open(path).expect("it is there");
                connection
                    .busy_timeout(Duration::from_secs(60))
                    .and_then(|()| connection.execute_batch("BEGIN EXCLUSIVE"))
                    .expect("locked");
                lock.replace(Some(connection));
            }
            Server::Documents(server) => server.kill(),
        }
    }

    fn restart(&self) {
        match self {
            Server::Postgres(server) => server.restart(),
            Server::Mysql(server) => server.restart(),
            Server::Sqlite(_, lock) => drop(lock.replace(None)),
            Server::Documents(server) => server.restart(),
        }
    }
}

/// Upserts by key, into a table that the sink makes.
fn table(url: String, user: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "connection.url": url,
        "connection.username": user,
        "connection.password": user,
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
    })
}

fn sqlite(path: &PathBuf, select: &str) -> rusqlite::Result<Vec<(u64, u64)>> {
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mut statement = connection.prepare(select)?;
    let rows = statement.query_map((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| row.map(|(id, version)| (id.unsigned_abs(), version.unsigned_abs())))
        .collect()
}
