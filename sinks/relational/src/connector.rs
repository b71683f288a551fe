//! The connector: what the definition alone can't check.

use async_trait::async_trait;
use tapline_api::config::Config;
use tapline_api::record::TopicPartition;
use tapline_api::sink::{SinkConnector, SinkTask};
use tapline_api::{Result, envelope};

use crate::config::{CONFIG, ExactlyOnce, InsertMode};
use crate::offsets::Offsets;
use crate::options::{Options, Vocabulary};
use crate::task::Task;
use crate::{confluent, dialect};

pub(crate) struct Connector(pub(crate) Vocabulary);

#[async_trait]
impl SinkConnector for Connector {
    async fn validate(&self, config: &Config) -> Vec<(String, String)> {
        match Options::read(self.0, config).and_then(|options| dialect::open(&options)) {
            Ok(_) => Vec::new(),
            Err(error) => {
                // The message names the option it is about.
                let message = error.message();
                let def = match self.0 {
                    Vocabulary::Debezium => &CONFIG,
                    Vocabulary::Confluent => &confluent::CONFIG,
                };
                let named = def.keys().iter().find(|key| message.contains(key.name));
                let option = named.map_or("connection.url", |key| key.name);
                vec![(option.to_owned(), message.to_owned())]
            }
        }
    }

    fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>> {
        Ok((0..max_tasks)
            .map(|task| {
                let mut config = config.clone();
                config.set("task.id", task.to_string());
                config
            })
            .collect())
    }

    /// The offsets in the target are forgotten: the group's then say where to start.
    async fn alter_offsets(
        &self,
        config: &Config,
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<bool> {
        let options = Options::read(self.0, config)?;
        if options.exactly_once == ExactlyOnce::Disabled
            || (options.exactly_once == ExactlyOnce::Auto && options.insert_mode != InsertMode::Insert)
        {
            return Ok(true);
        }
        let mut dialect = dialect::open(&options)?;
        dialect.connect().await?;
        if dialect.columns(&options.offsets_table).await?.is_some() {
            let connector = config.get("name").unwrap_or_default();
            let known = Offsets::new(options.offsets_table, connector.into(), "".into());
            let partitions: Vec<_> = offsets.iter().map(|(key, _)| key.clone()).collect();
            known.forget(&mut *dialect, &partitions).await?;
        }
        Ok(true)
    }

    fn ignores(&self, config: &Config) -> &'static [&'static str] {
        // Confluent's sink takes an envelope for a row.
        let named_by_topic = |options: Options| options.naming.source_fields().next().is_none();
        match (self.0, Options::read(self.0, config).is_ok_and(named_by_topic)) {
            (Vocabulary::Debezium, true) => &[
                envelope::SOURCE,
                envelope::TRANSACTION,
                envelope::TS_MS,
                envelope::TS_US,
                envelope::TS_NS,
            ],
            _ => &[],
        }
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(Task::new(self.0))
    }
}
