//! The connector: as many tasks as allowed, all appending to one file.

use async_trait::async_trait;
use tapline_api::Result;
use tapline_api::config::Config;
use tapline_api::record::TopicPartition;
use tapline_api::sink::{SinkConnector, SinkTask};

use crate::task::Task;

pub(crate) struct Connector;

#[async_trait]
impl SinkConnector for Connector {
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
