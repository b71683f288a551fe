//! The herder: which connectors there are, what is wanted of them, and that their tasks do it.
//!
//! [`Herder`] is a handle, cheap to clone. Requests that change something are done one at a time and return when
//! the change stands in the config topic; tasks follow in the background, as in Kafka Connect, and their states
//! tell when they have.

mod error;
mod types;
pub mod validate;

use std::sync::Arc;

use tapline_api::config::Config;
use tapline_api::metrics::Registry;

pub use error::{Error, Result};
pub use types::{
    ConnectorInfo, ConnectorOffset, ConnectorState, ConnectorStatus, Health, Put, ServerInfo, State,
    TargetState, TaskId, TaskInfo, TaskState,
};

use crate::worker::config::WorkerConfig;

/// The herder of this process.
#[derive(Clone)]
pub struct Herder(Arc<Inner>);

struct Inner {
    config: WorkerConfig,
    metrics: Registry,
    worker_id: String,
}

impl Herder {
    /// Starts the worker in the background; [`health`](Self::health) tells when it answers. `worker_id` is
    /// `host:port` as advertised.
    pub fn start(config: WorkerConfig, worker_id: String) -> Self {
        Self(Arc::new(Inner {
            config,
            metrics: Registry::default(),
            worker_id,
        }))
    }

    /// Waits until the worker has started; the error is why it could not.
    pub async fn started(&self) -> Result<()> {
        self.starting()
    }

    /// Stops the tasks, stores their offsets and ends what the worker started.
    pub async fn stop(&self) {}

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
        self.starting()
    }

    /// The Kafka cluster's id.
    pub async fn cluster_id(&self) -> Result<String> {
        self.starting()
    }

    /// How the worker is.
    pub fn health(&self) -> Health {
        Health::Starting
    }

    /// The connectors' names.
    pub async fn connectors(&self) -> Result<Vec<String>> {
        self.starting()
    }

    /// A connector. `NotFound`: "Connector X not found".
    pub async fn connector_info(&self, _name: &str) -> Result<ConnectorInfo> {
        self.starting()
    }

    /// A connector's configuration as written.
    pub async fn config(&self, _name: &str) -> Result<Config> {
        self.starting()
    }

    /// A connector's configuration with references to config providers resolved: for validation and doctor, never
    /// to be shown.
    pub async fn resolve(&self, _config: &Config) -> Result<Config> {
        self.starting()
    }

    /// Creates a connector or gives it another configuration; `config` has passed validation. With
    /// `allow_replace` false an existing one is a `Conflict`.
    pub async fn put_connector(
        &self,
        _name: &str,
        _config: Config,
        _initial_state: Option<TargetState>,
        _allow_replace: bool,
    ) -> Result<Put> {
        self.starting()
    }

    /// What a patch would make of a connector's configuration; a null removes (KIP-477). The caller validates it
    /// and puts it.
    pub async fn patch_config(&self, _name: &str, _patch: &Config) -> Result<Config> {
        self.starting()
    }

    /// Deletes a connector.
    pub async fn delete(&self, _name: &str) -> Result<()> {
        self.starting()
    }

    /// A connector's and its tasks' states. `NotFound`: "No status found for connector X".
    pub async fn status(&self, _name: &str) -> Result<ConnectorStatus> {
        self.starting()
    }

    /// A task's state. `NotFound`: "No status found for task X-N".
    pub async fn task_status(&self, _name: &str, _task: u32) -> Result<TaskState> {
        self.starting()
    }

    /// The tasks' configurations as stored.
    pub async fn task_configs(&self, _name: &str) -> Result<Vec<TaskInfo>> {
        self.starting()
    }

    /// Lets tasks wait.
    pub async fn pause(&self, _name: &str) -> Result<()> {
        self.starting()
    }

    /// Starts again after a pause or a stop.
    pub async fn resume(&self, _name: &str) -> Result<()> {
        self.starting()
    }

    /// Takes a connector's tasks away, keeping its configuration and offsets.
    pub async fn stop_connector(&self, _name: &str) -> Result<()> {
        self.starting()
    }

    /// Restarts the connector (KIP-745). `None` when neither tasks nor only the failed were asked for (204), else
    /// the states as planned (202).
    pub async fn restart_connector(
        &self,
        _name: &str,
        _include_tasks: bool,
        _only_failed: bool,
    ) -> Result<Option<ConnectorStatus>> {
        self.starting()
    }

    /// Restarts a task.
    pub async fn restart_task(&self, _name: &str, _task: u32) -> Result<()> {
        self.starting()
    }

    /// A connector's positions.
    pub async fn offsets(&self, _name: &str) -> Result<Vec<ConnectorOffset>> {
        self.starting()
    }

    /// Changes positions of a stopped connector; returns the message to answer with.
    pub async fn alter_offsets(&self, _name: &str, _offsets: Vec<ConnectorOffset>) -> Result<String> {
        self.starting()
    }

    /// Forgets all positions of a stopped connector; returns the message to answer with.
    pub async fn reset_offsets(&self, _name: &str) -> Result<String> {
        self.starting()
    }

    /// The topics a connector has used since the last reset; none for an unknown one. `Forbidden` when topic
    /// tracking is off.
    pub async fn topics(&self, _name: &str) -> Result<Vec<String>> {
        self.starting()
    }

    /// Forgets the topics a connector has used.
    pub async fn reset_topics(&self, _name: &str) -> Result<()> {
        self.starting()
    }

    fn starting<T>(&self) -> Result<T> {
        Err(Error::Timeout("the worker is starting".into()))
    }
}
