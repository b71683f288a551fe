//! The connector: as many tasks as allowed, all appending to one file; one, where that is rotated.

use async_trait::async_trait;
use tapline_api::Result;
use tapline_api::config::Config;
use tapline_api::record::TopicPartition;
use tapline_api::sink::{SinkConnector, SinkTask};

use crate::task::Task;
use crate::{CONFIG, ROTATE_BYTES, ROTATE_INTERVAL};

pub(crate) struct Connector;

#[async_trait]
impl SinkConnector for Connector {
    /// Two tasks can't rotate one file.
    fn task_configs(&self, config: &Config, max_tasks: u32) -> Result<Vec<Config>> {
        let parsed = CONFIG.parse(config)?;
        let rotates = parsed.count(ROTATE_BYTES)? > 0 || parsed.count(ROTATE_INTERVAL)? > 0;
        let tasks = if rotates { 1 } else { max_tasks };
        Ok(vec![config.clone(); tasks as usize])
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
