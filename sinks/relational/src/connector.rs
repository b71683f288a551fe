//! The connector: what the definition alone can't check.

use async_trait::async_trait;
use tapline_api::Result;
use tapline_api::config::Config;
use tapline_api::sink::{SinkConnector, SinkTask};

use crate::config::CONFIG;
use crate::dialect;
use crate::options::Options;
use crate::task::Task;

pub(crate) struct Connector;

#[async_trait]
impl SinkConnector for Connector {
    async fn validate(&self, config: &Config) -> Vec<(String, String)> {
        match Options::read(config).and_then(|options| dialect::open(&options)) {
            Ok(_) => Vec::new(),
            Err(error) => {
                // The message names the option it is about.
                let message = error.message();
                let named = CONFIG.keys().iter().find(|key| message.contains(key.name));
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

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(Task::default())
    }
}
