//! The worker: runs connectors' tasks between Kafka and their systems.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the worker's properties |
//! | [`providers`] | config providers, which resolve `${file:…}` and `${env:…}` |
//! | [`task`] | a task as it is started, told and stopped |
//! | [`source`], [`sink`] | the two loops |
//! | [`submitted`] | which positions may be stored (pure) |
//! | [`offsets`], [`status`] | the offsets topic and the status topic |
//! | [`tolerance`], [`backoff`] | what happens to a record, or an attempt, that fails |
//! | [`convert`], [`topics`] | converters; topics that sources create |
//! | [`channel`], [`thread`] | a channel bounded in bytes; threads whose end is a result |

pub mod backoff;
pub mod channel;
pub mod config;
pub mod convert;
pub mod offsets;
pub mod overrides;
pub mod providers;
pub mod sink;
pub mod source;
pub mod status;
pub mod submitted;
pub mod task;
pub mod thread;
pub mod tolerance;
pub mod topics;

use std::sync::Arc;

use tapline_api::Result;
use tapline_api::config::Config;
use tapline_api::metrics::Registry;
use tapline_api::topic_log::TopicLogs;
use tokio_util::sync::CancellationToken;

use self::config::WorkerConfig;
use self::offsets::OffsetStore;
use self::overrides::Policy;
use self::status::{StatusStore, TaskId};
use crate::kafka::clients::Clients;
use crate::kafka::log::Logs;
use crate::kafka::producer::Producer;

/// What all tasks of this process share.
pub struct Worker {
    /// `host:port` as advertised: who it is in states.
    pub id: String,
    /// The worker's properties.
    pub config: WorkerConfig,
    /// Settings of Kafka's clients.
    pub clients: Clients,
    /// The worker's own producer, for its topics.
    pub producer: Arc<Producer>,
    /// Source offsets.
    pub offsets: Arc<OffsetStore>,
    /// States.
    pub status: Arc<StatusStore>,
    /// The Kafka cluster's id.
    pub cluster_id: Arc<str>,
    /// All figures of the process.
    pub metrics: Registry,
    /// Which client options connectors may override.
    pub policy: Policy,
    /// Cancelled when the worker is to end.
    pub cancel: CancellationToken,
}

impl Worker {
    /// Topics as logs, for a connector's own use.
    pub fn logs(&self, id: &TaskId) -> Arc<dyn TopicLogs> {
        Arc::new(Logs::new(
            self.clients.clone(),
            self.producer.clone(),
            format!("connector-log-{id}"),
        ))
    }

    /// A connector's client options under `prefix`, if the policy lets them all through.
    pub fn overrides(&self, connector: &Config, prefix: &str) -> Result<Config> {
        let overrides = connector.prefixed(prefix);
        self.policy.check(&overrides, prefix)?;
        Ok(overrides)
    }
}
