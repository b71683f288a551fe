//! The history's topic: opened, appended to, read.

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::config::Config;
use tapline_api::topic_log::{LogRecord, NewTopic, TopicLog, TopicLogs};
use tapline_api::{Error, Result};

use super::record::HistoryRecord;
use super::recovery::{Recovered, Recovery};

/// Options begin with it.
const PREFIX: &str = "schema.history.internal.";

/// The schema history of a connector.
pub struct SchemaHistory {
    topic: String,
    log: Arc<dyn TopicLog>,
}

impl SchemaHistory {
    /// The topic of `schema.history.internal.kafka.topic`, or else `PREFIX.schema-history`, in the cluster of
    /// `schema.history.internal.kafka.bootstrap.servers`, or else the worker's. It is created if it is missing.
    pub async fn open(logs: &dyn TopicLogs, config: &Config, topic_prefix: &str) -> Result<Self> {
        let topic = topic_name(config, topic_prefix);
        let new = NewTopic {
            partitions: 1,
            replication_factor: -1,
            settings: [
                ("cleanup.policy", "delete"),
                ("retention.ms", "-1"),
                ("retention.bytes", "-1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        let log = logs.open(&topic, &clients(config), Some(new)).await?;
        Ok(Self { topic, log })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Appends records, and returns when they are acknowledged. Schema changes must stand in the history before the
    /// offset behind them is stored.
    pub async fn record(&self, records: &[HistoryRecord]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let records = records.iter().map(|record| LogRecord {
            partition: 0,
            value: Some(Bytes::from(record.to_json())),
            ..LogRecord::default()
        });
        self.log.append(records.collect()).await.map_err(|error| {
            let kind = error.kind();
            Error::retriable(format!(
                "could not write to the db history topic '{}'",
                self.topic
            ))
            .exception("io.debezium.relational.history.SchemaHistoryException")
            .cause(error)
            .with_kind(kind)
        })
    }

    /// Recovers the tables.
    pub async fn recover(&self, mut recovery: Recovery<'_>) -> Result<Recovered> {
        self.log
            .read_to_end(&mut |record: LogRecord| {
                if let Some(value) = &record.value
                    && let Err(error) = recovery.read(value)
                {
                    // As Debezium does.
                    tracing::error!("offset {} of the db history topic: {error}", record.offset);
                }
                Ok(())
            })
            .await?;
        Ok(recovery.recovered)
    }
}

/// The name of the history's topic.
pub fn topic_name(config: &Config, topic_prefix: &str) -> String {
    match config.get("schema.history.internal.kafka.topic") {
        Some(topic) if !topic.trim().is_empty() => topic.trim().to_owned(),
        _ => format!("{topic_prefix}.schema-history"),
    }
}

/// Settings of the clients: `kafka.bootstrap.servers`, `producer.*`, `consumer.*`, without their prefixes.
fn clients(config: &Config) -> Config {
    let mut clients = Config::new();
    let own = config.prefixed(PREFIX);
    for prefix in ["producer.", "consumer."] {
        for (name, value) in own.prefixed(prefix).iter() {
            if let Some(value) = value {
                clients.set(name, value);
            }
        }
    }
    if let Some(servers) = own
        .get("kafka.bootstrap.servers")
        .filter(|servers| !servers.trim().is_empty())
    {
        clients.set("bootstrap.servers", servers);
    }
    clients
}
