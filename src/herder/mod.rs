//! The herder: which connectors there are, what is wanted of them, and that their tasks do it.
//!
//! [`Herder`] is a handle, cheap to clone. Requests that change something are done one at a time and return when
//! the change stands in the config topic; tasks follow in the background, as in Kafka Connect, and their states
//! tell when they have.

mod config_log;
mod error;
mod standalone;
mod types;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use tapline_api::config::Config;
use tapline_api::metrics::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use error::{Error, Result};
pub use types::{
    ConnectorInfo, ConnectorOffset, ConnectorState, ConnectorStatus, Health, Put, ServerInfo, State,
    TargetState, TaskId, TaskInfo, TaskState,
};

use self::standalone::{Standalone, Startup};
use crate::worker::config::WorkerConfig;

/// How long a request waits for a worker that is starting.
const STARTING: Duration = Duration::from_secs(90);

/// The herder of this process.
#[derive(Clone)]
pub struct Herder(Arc<Inner>);

struct Inner {
    config: WorkerConfig,
    metrics: Registry,
    worker_id: String,
    phase: watch::Sender<Phase>,
    cancel: CancellationToken,
}

#[derive(Clone)]
enum Phase {
    Starting,
    Running(Arc<Standalone>),
    Failed(String),
}

impl Herder {
    /// Starts the worker in the background; [`health`](Self::health) tells when it answers. `worker_id` is
    /// `host:port` as advertised.
    pub fn start(config: WorkerConfig, worker_id: String) -> Self {
        let (phase, _) = watch::channel(Phase::Starting);
        let herder = Self(Arc::new(Inner {
            config: config.clone(),
            metrics: Registry::default(),
            worker_id: worker_id.clone(),
            phase,
            cancel: CancellationToken::new(),
        }));
        let inner = herder.0.clone();
        let startup = Startup {
            config,
            worker_id,
            metrics: inner.metrics.clone(),
            cancel: inner.cancel.clone(),
        };
        tokio::spawn(async move {
            let started = tokio::select! {
                started = standalone::start(startup) => started,
                () = inner.cancel.cancelled() => return,
            };
            inner.phase.send_replace(match started {
                Ok(standalone) => Phase::Running(standalone),
                Err(error) => Phase::Failed(error.to_string()),
            });
        });
        herder
    }

    /// Waits until the worker has started, as long as that takes; the error is why it could not.
    pub async fn started(&self) -> Result<()> {
        self.phase().await.map(|_| ())
    }

    /// Stops the tasks, stores their offsets and ends what the worker started.
    pub async fn stop(&self) {
        self.0.cancel.cancel();
        let running = match &*self.0.phase.borrow() {
            Phase::Running(standalone) => Some(standalone.clone()),
            _ => None,
        };
        if let Some(standalone) = running {
            standalone.stop().await;
        }
    }

    async fn phase(&self) -> Result<Arc<Standalone>> {
        let mut phase = self.0.phase.subscribe();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await;
        match settled.as_deref() {
            Ok(Phase::Running(standalone)) => Ok(standalone.clone()),
            Ok(Phase::Failed(why)) => Err(Error::Internal(why.clone())),
            _ => Err(Error::Timeout("the worker is starting".into())),
        }
    }

    /// The running worker; a request that comes while it starts waits for it.
    async fn running(&self) -> Result<Arc<Standalone>> {
        tokio::time::timeout(STARTING, self.phase())
            .await
            .unwrap_or_else(|_| Err(Error::Timeout("Request timed out: the worker is starting".into())))
    }

    /// The worker's properties.
    pub fn worker_config(&self) -> &WorkerConfig {
        &self.0.config
    }

    /// `host:port` under which this worker appears in states.
    pub fn worker_id(&self) -> &str {
        &self.0.worker_id
    }

    /// All figures of the process.
    pub fn metrics(&self) -> &Registry {
        &self.0.metrics
    }

    /// Addresses of the Kafka cluster, the embedded broker's own among them, once it is known.
    pub async fn bootstrap_servers(&self) -> Result<String> {
        Ok(self.running().await?.bootstrap())
    }

    /// The Kafka cluster's id.
    pub async fn cluster_id(&self) -> Result<String> {
        Ok(self.running().await?.cluster_id())
    }

    /// How the worker is.
    pub fn health(&self) -> Health {
        match &*self.0.phase.borrow() {
            Phase::Starting => Health::Starting,
            Phase::Running(_) => Health::Healthy,
            Phase::Failed(why) => Health::Unhealthy(why.clone()),
        }
    }

    /// The connectors' names.
    pub async fn connectors(&self) -> Result<Vec<String>> {
        Ok(self.running().await?.connectors())
    }

    /// A connector. `NotFound`: "Connector X not found".
    pub async fn connector_info(&self, name: &str) -> Result<ConnectorInfo> {
        self.running().await?.info(name)
    }

    /// A connector's configuration as written.
    pub async fn config(&self, name: &str) -> Result<Config> {
        Ok(self.running().await?.connector(name)?.config)
    }

    /// A connector's configuration with references to config providers resolved: for validation and doctor, never
    /// to be shown.
    pub async fn resolve(&self, config: &Config) -> Result<Config> {
        self.running().await?.resolve(config)
    }

    /// Creates a connector or gives it another configuration; `config` has passed validation. With
    /// `allow_replace` false an existing one is a `Conflict`.
    pub async fn put_connector(
        &self,
        name: &str,
        config: Config,
        initial_state: Option<TargetState>,
        allow_replace: bool,
    ) -> Result<Put> {
        let running = self.running().await?;
        running.put(name, config, initial_state, allow_replace).await
    }

    /// What a patch would make of a connector's configuration; a null removes (KIP-477). The caller validates it
    /// and puts it.
    pub async fn patch_config(&self, name: &str, patch: &Config) -> Result<Config> {
        self.running().await?.patched(name, patch)
    }

    /// Deletes a connector.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.running().await?.delete(name).await
    }

    /// A connector's and its tasks' states. `NotFound`: "No status found for connector X".
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus> {
        self.running().await?.status(name)
    }

    /// A task's state. `NotFound`: "No status found for task X-N".
    pub async fn task_status(&self, name: &str, task: u32) -> Result<TaskState> {
        self.running().await?.task_status(name, task)
    }

    /// The tasks' configurations as stored.
    pub async fn task_configs(&self, name: &str) -> Result<Vec<TaskInfo>> {
        self.running().await?.task_configs(name)
    }

    /// Lets tasks wait.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.running().await?.set_target(name, TargetState::Paused).await
    }

    /// Starts again after a pause or a stop.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.running().await?.set_target(name, TargetState::Started).await
    }

    /// Takes a connector's tasks away, keeping its configuration and offsets.
    pub async fn stop_connector(&self, name: &str) -> Result<()> {
        self.running().await?.set_target(name, TargetState::Stopped).await
    }

    /// Restarts the connector (KIP-745). `None` when neither tasks nor only the failed were asked for (204), else
    /// the states as planned (202).
    pub async fn restart_connector(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<Option<ConnectorStatus>> {
        self.running()
            .await?
            .restart_connector(name, include_tasks, only_failed)
            .await
    }

    /// Restarts a task.
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<()> {
        self.running().await?.restart_task(name, task)
    }

    /// A connector's positions.
    pub async fn offsets(&self, name: &str) -> Result<Vec<ConnectorOffset>> {
        self.running().await?.offsets(name).await
    }

    /// Changes positions of a stopped connector; returns the message to answer with.
    pub async fn alter_offsets(&self, name: &str, offsets: Vec<ConnectorOffset>) -> Result<String> {
        self.running().await?.alter_offsets(name, offsets).await
    }

    /// Forgets all positions of a stopped connector; returns the message to answer with.
    pub async fn reset_offsets(&self, name: &str) -> Result<String> {
        self.running().await?.reset_offsets(name).await
    }

    /// The topics a connector has used since the last reset; none for an unknown one. `Forbidden` when topic
    /// tracking is off.
    pub async fn topics(&self, name: &str) -> Result<Vec<String>> {
        self.running().await?.topics(name)
    }

    /// Forgets the topics a connector has used.
    pub async fn reset_topics(&self, name: &str) -> Result<()> {
        self.running().await?.reset_topics(name)
    }
}
