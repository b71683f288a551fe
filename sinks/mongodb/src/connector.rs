//! The connector: what the definition alone can't check.

use async_trait::async_trait;
use tapline_api::config::Config;
use tapline_api::record::TopicPartition;
use tapline_api::sink::{SinkConnector, SinkTask};
use tapline_api::{Error, Kind, Result};

use crate::client::Client;
use crate::options::CONFIG;
use crate::settings::Topic;
use crate::task::Task;

pub(crate) struct Connector;

#[async_trait]
impl SinkConnector for Connector {
    async fn validate(&self, config: &Config) -> Vec<(String, String)> {
        let mut topics = config.list("topics");
        if topics.is_empty() {
            topics.push("test".to_owned());
        }
        for topic in topics {
            if let Err(error) = Topic::new(config, &topic) {
                return vec![about(&error)];
            }
        }
        let client = match Client::new(config).await {
            Ok(client) => client,
            Err(error) => return vec![about(&error)],
        };
        let answer = client.ping().await;
        client.close().await;
        match answer {
            Ok(()) => Vec::new(),
            Err(error) => {
                let what = if error.kind() == Kind::Retriable {
                    "Unable to connect to the server."
                } else {
                    "Invalid user permissions authentication failed."
                };
                vec![("connection.uri".to_owned(), format!("{what} ({error})"))]
            }
        }
    }

    fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>> {
        Ok(vec![config.clone(); max_tasks as usize])
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(Task::default())
    }

    /// The group's offsets are all there is.
    async fn alter_offsets(
        &self,
        _config: &Config,
        _offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<bool> {
        Ok(true)
    }
}

/// The option that a message names, and the message. The longest name is the one: some begin others.
fn about(error: &Error) -> (String, String) {
    let message = error.message();
    let named = CONFIG.keys().iter().filter(|key| message.contains(key.name));
    let named = named.max_by_key(|key| key.name.len());
    let option = named.map_or("connection.uri", |key| key.name);
    (option.to_owned(), message.to_owned())
}
