//! The Postgres source alone, driven as the worker drives it: what a restart repeats, which gaps it refuses, and what an
//! idle database confirms.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use tapline_api::config::Config;
use tapline_api::connector::AnyConnector;
use tapline_api::metrics::Registry;
use tapline_api::offset::{CommittedOffsets, Offset, Partition, SourceBatch};
use tapline_api::source::{OffsetReader, SourceContext, SourceTask};
use tapline_api::topic_log::{NewTopic, TopicLog, TopicLogs};
use tapline_api::{Error, Kind, Result};
use tapline_harness::Postgres;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::{postgres, postgres_18};

/// The same on both.
const SERVERS: [fn() -> &'static Postgres; 2] = [postgres, postgres_18];

const PATIENCE: Duration = Duration::from_secs(30);

/// Stored offsets, by the text of their partition.
#[derive(Clone, Default)]
struct Offsets(Arc<Mutex<Map<String, Json>>>);

fn text(partition: &Partition) -> String {
    serde_json::to_string(&*partition.0).unwrap()
}

#[async_trait]
impl OffsetReader for Offsets {
    async fn offset(&self, partition: &Partition) -> Result<Option<Offset>> {
        let stored = self.0.lock().unwrap();
        Ok(stored
            .get(&text(partition))
            .map(|value| Offset(Arc::new(value.as_object().unwrap().clone()))))
    }
}

struct NoLogs;

#[async_trait]
impl TopicLogs for NoLogs {
    async fn open(&self, _: &str, _: &Config, _: Option<NewTopic>) -> Result<Arc<dyn TopicLog>> {
        Err(Error::fatal("no topics here"))
    }
}

/// The source of one database, named after it.
struct Source {
    runtime: Runtime,
    config: Config,
    offsets: Offsets,
}

impl Source {
    fn new(server: &Postgres, name: &str, options: &[(&str, &str)]) -> Self {
        let mut config: Config = [
            ("database.hostname", "127.0.0.1"),
            ("database.port", &server.port().to_string()),
            ("database.user", "postgres"),
            ("database.dbname", name),
            ("topic.prefix", name),
            ("slot.name", name),
            ("publication.name", name),
            ("publication.autocreate.mode", "filtered"),
            ("table.include.list", "public.t"),
        ]
        .into_iter()
        .collect();
        for (option, value) in options {
            config.set(*option, *value);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            config,
            offsets: Offsets::default(),
        }
    }

    /// One run of the task: polls until `done` says so, storing and confirming each batch's offsets.
    fn run(&self, mut done: impl FnMut(&SourceBatch) -> bool) -> Result<()> {
        let AnyConnector::Source(connector) = tapline_source_postgres::PLUGIN.connector else {
            panic!()
        };
        let mut task: Box<dyn SourceTask> = connector.task();
        let polling = async {
            task.start(SourceContext {
                connector: "alone".into(),
                task: 0,
                config: self.config.clone(),
                offsets: Arc::new(self.offsets.clone()),
                logs: Arc::new(NoLogs),
                metrics: Registry::default().scope(&[]),
                cancel: CancellationToken::new(),
            })
            .await?;
            loop {
                let batch = tokio::time::timeout(PATIENCE, task.poll())
                    .await
                    .expect("a batch in time")?;
                let mut acknowledged = CommittedOffsets::default();
                for mark in &batch.marks {
                    let mut offsets = self.offsets.0.lock().unwrap();
                    match &mark.offset {
                        Some(offset) => {
                            offsets.insert(text(&mark.partition), Json::Object((*offset.0).clone()))
                        }
                        None => offsets.remove(&text(&mark.partition)),
                    };
                    acknowledged.0.push((mark.partition.clone(), mark.offset.clone()));
                }
                task.commit(&acknowledged).await?;
                if done(&batch) {
                    return Ok(());
                }
            }
        };
        let ended = self.runtime.block_on(polling);
        self.runtime.block_on(task.stop());
        ended
    }
}

/// The `id` of each row that a batch's records bring.
fn ids(batch: &SourceBatch) -> Vec<i64> {
    let id = |record: &tapline_api::Record| {
        record
            .value
            .as_struct()?
            .get("after")?
            .as_struct()?
            .get("id")?
            .as_i64()
    };
    batch.records.iter().filter_map(id).collect()
}

/// Whether the batch ends the snapshot.
fn ends_snapshot(batch: &SourceBatch) -> bool {
    let completed = |offset: &Offset| offset.get("snapshot_completed") == Some(&Json::Bool(true));
    batch
        .marks
        .iter()
        .any(|mark| mark.offset.as_ref().is_some_and(completed))
}

#[test]
fn a_transaction_read_in_many_runs_comes_once_and_in_order() {
    SERVERS.iter().for_each(|server| resumes(server()));
}

fn resumes(server: &Postgres) {
    let database = server.create_database("source_resumes");
    database.execute("create table t (id int primary key)");
    let source = Source::new(server, "source_resumes", &[("max.batch.size", "7")]);
    // The snapshot of an empty table: positions without a record.
    source.run(ends_snapshot).unwrap();
    // COPY puts many rows under one position in the log.
    database.execute(
        "begin; copy t from program 'seq 1 400'; insert into t select generate_series(401, 500); commit",
    );
    let mut seen = Vec::new();
    while seen.len() < 500 {
        let mut batches = 0;
        source
            .run(|batch| {
                seen.extend(ids(batch));
                batches += usize::from(!batch.records.is_empty());
                batches == 3 || seen.len() >= 500
            })
            .unwrap();
    }
    assert_eq!(seen, (1..=500).collect::<Vec<i64>>());
}

#[test]
fn a_slot_that_has_gone_or_moved_on_is_refused_by_name() {
    SERVERS.iter().for_each(|server| refuses(server()));
}

fn refuses(server: &Postgres) {
    let database = server.create_database("source_gaps");
    database.execute("create table t (id int primary key); insert into t values (1)");
    let source = Source::new(server, "source_gaps", &[]);
    source.run(ends_snapshot).unwrap();
    let refused = |what: &str| {
        let error = source.run(|_| false).expect_err(what);
        assert_eq!(error.kind(), Kind::Fatal, "{error}");
        assert!(error.message().contains(what), "{error}");
        assert!(error.trace().contains("Hint"), "{error}");
    };
    database.execute("insert into t values (2)");
    // The walsender of the last run may need a moment to go.
    tapline_harness::eventually("the slot moves", PATIENCE, || {
        database
            .try_rows("select pg_replication_slot_advance('source_gaps', pg_current_wal_lsn())")
            .map_err(|error| error.to_string())
    });
    refused("has moved past the stored offset");
    database.execute("select pg_drop_replication_slot('source_gaps')");
    refused("does not exist");
}

#[test]
fn changes_of_tables_that_are_not_captured_confirm_the_slot() {
    SERVERS.iter().for_each(|server| confirms(server()));
}

fn confirms(server: &Postgres) {
    let database = server.create_database("source_idles");
    database.execute("create table t (id int primary key); create table other (id int)");
    let source = Source::new(server, "source_idles", &[("status.update.interval.ms", "200")]);
    source.run(ends_snapshot).unwrap();
    database.execute("insert into other select generate_series(1, 10000)");
    let aim: i64 = database
        .value("select pg_current_wal_lsn() - '0/0'")
        .parse()
        .unwrap();
    source
        .run(|batch| {
            let position = batch
                .marks
                .last()
                .and_then(|mark| mark.offset.as_ref()?.get("lsn_commit")?.as_i64());
            position.is_some_and(|position| position >= aim)
        })
        .unwrap();
    let confirmed =
        "select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = 'source_idles'";
    tapline_harness::eventually("the slot is confirmed", PATIENCE, || {
        let at: i64 = database.value(confirmed).parse().unwrap();
        if at >= aim {
            Ok(())
        } else {
            Err(format!("stands at {at}"))
        }
    });
}
