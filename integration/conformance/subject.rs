//! A sink under test: its connector, what it needs to be told, and how to look into its target.

use std::sync::Arc;

use tapline_api::config::Config;
use tapline_api::connector::{AnyConnector, ConnectorPlugin};
use tapline_api::metrics::Registry;
use tapline_api::record::{SinkRecord, TopicPartition};
use tapline_api::sink::{Assigned, ErrantRecordReporter, SinkContext, SinkTask};
use tapline_api::{Error, Result};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Runs a statement in the subject's target and gives its rows, cells between bars.
type Look = Box<dyn Fn(&str) -> Vec<String> + Send>;

/// A target of its own, and the settings that lead to it.
pub struct Subject {
    pub plugin: &'static ConnectorPlugin,
    pub settings: Vec<(String, String)>,
    pub look: Look,
}

struct NoErrant;

#[async_trait::async_trait]
impl ErrantRecordReporter for NoErrant {
    async fn report(&self, _: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }
}

/// A task that was started.
pub struct Sink {
    runtime: Runtime,
    task: Box<dyn SinkTask>,
}

impl Subject {
    /// Whether its URL begins like this.
    pub fn is(&self, scheme: &str) -> bool {
        self.settings.iter().any(|(_, value)| value.starts_with(scheme))
    }

    pub fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The settings of a user who may only read this table, which is made along.
    pub fn reader(&self, table: &str) -> [(&'static str, String); 2] {
        let url = self.setting("connection.url");
        let database = url.rsplit('/').next().unwrap_or_default();
        // Names of users are the server's, as those of the scenarios' tables are.
        let user = format!("reader_{table}");
        if self.is("jdbc:postgresql") {
            self.rows(&format!("create role {user} login"));
            self.rows(&format!("grant select on {table} to {user}"));
        } else {
            self.rows(&format!("create user {user} identified by 'tapline'"));
            self.rows(&format!("grant select on {database}.{table} to {user}"));
        }
        [
            ("connection.username", user),
            ("connection.password", "tapline".to_owned()),
        ]
    }

    pub fn sink(&self, more: &[(&str, &str)]) -> Sink {
        self.try_sink(more)
            .unwrap_or_else(|error| panic!("{}", error.trace()))
    }

    pub fn try_sink(&self, more: &[(&str, &str)]) -> Result<Sink> {
        let own = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let config: Config = own.chain(more.iter().copied()).collect();
        let AnyConnector::Sink(connector) = self.plugin.connector else {
            panic!("it is a sink");
        };
        let runtime = Runtime::new().unwrap();
        let mut task = connector.task();
        let context = SinkContext {
            connector: "conformance".into(),
            task: 0,
            config,
            cluster_id: "cluster".into(),
            errant: Arc::new(NoErrant),
            metrics: Registry::default().scope(&[]),
            cancel: CancellationToken::new(),
        };
        runtime.block_on(task.start(context))?;
        Ok(Sink { runtime, task })
    }

    pub fn rows(&self, sql: &str) -> Vec<String> {
        (self.look)(sql)
    }
}

impl Sink {
    /// Gives it a partition, as the group left it, and says where it wants to start.
    pub fn open(&mut self, topic: &str, partition: i32, group_offset: Option<i64>) -> Option<i64> {
        let key = TopicPartition {
            topic: topic.into(),
            partition,
        };
        let assigned = Assigned {
            partition: key.clone(),
            topic_id: None,
            group_offset,
        };
        let starts = self.runtime.block_on(self.task.open(&[assigned]));
        let starts = starts.unwrap_or_else(|error| panic!("{}", error.trace()));
        starts.get(&key).copied()
    }

    pub fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let Self { runtime, task } = self;
        runtime.block_on(async {
            task.put(records).await?;
            task.flush().await
        })
    }

    /// Puts what must go well.
    pub fn puts(&mut self, records: &[SinkRecord]) {
        if let Err(error) = self.put(records) {
            panic!("{}", error.trace());
        }
    }
}

/// Cells of a row between bars, `null` for none.
pub fn bars(row: Vec<Option<String>>) -> String {
    let cells = row
        .into_iter()
        .map(|cell| cell.unwrap_or_else(|| "null".to_owned()));
    cells.collect::<Vec<_>>().join("|")
}
