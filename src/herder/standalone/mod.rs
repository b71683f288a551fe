//! The standalone herder: one process, with its state in the topics where a Connect cluster keeps it.
//!
//! A change is one append to the config topic, done while no other is; when that is acknowledged the change counts,
//! and [`reconcile`] makes tasks follow in the background. Reconciling reads what is wanted and what is, so it may
//! run again, or late, without harm; per connector it runs one at a time.

mod offsets;
mod reconcile;
mod start;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tapline_api::config::Config;
use tapline_api::topic_log::{LogRecord, TopicLog};
use tapline_broker::Broker;
use tokio_util::task::TaskTracker;

use self::reconcile::{Restart, Slot};
use super::config_log::{self, ConfigState, Connector};
use super::{
    ConnectorInfo, ConnectorState, ConnectorStatus, Error, Put, Result, State, TargetState, TaskId, TaskInfo,
    TaskState,
};
use crate::kafka::admin::Admin;
use crate::plugins;
use crate::worker::Worker;
use crate::worker::providers::Providers;

pub(super) use start::{Startup, start};

/// How long an append to the config topic may take (`HerderRequestHandler`'s 90 seconds).
const WRITE: Duration = Duration::from_secs(90);

/// A worker that has started.
pub(super) struct Standalone {
    worker: Arc<Worker>,
    providers: Providers,
    log: Arc<dyn TopicLog>,
    state: RwLock<ConfigState>,
    /// Held while a change is written: one at a time.
    change: tokio::sync::Mutex<()>,
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Slot>>>>,
    background: TaskTracker,
    broker: Mutex<Option<Broker>>,
}

impl Standalone {
    pub(super) fn bootstrap(&self) -> String {
        self.worker.clients.bootstrap().to_owned()
    }

    pub(super) fn cluster_id(&self) -> String {
        self.worker.cluster_id.to_string()
    }

    pub(super) fn connectors(&self) -> Vec<String> {
        self.read(ConfigState::names)
    }

    pub(super) fn resolve(&self, config: &Config) -> Result<Config> {
        Ok(self.providers.resolve(config)?)
    }

    pub(super) fn connector(&self, name: &str) -> Result<Connector> {
        self.read(|state| state.connector(name))
            .ok_or_else(|| Error::NotFound(format!("Connector {name} not found")))
    }

    pub(super) fn info(&self, name: &str) -> Result<ConnectorInfo> {
        Ok(info(name, self.connector(name)?))
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        name: &str,
        mut config: Config,
        initial_state: Option<TargetState>,
        allow_replace: bool,
    ) -> Result<Put> {
        let _change = self.change.lock().await;
        let created = self.connector(name).is_err();
        if !created && !allow_replace {
            return Err(Error::Conflict(format!("Connector {name} already exists")));
        }
        if config.get("name").is_none() {
            config.set("name", name);
        }
        let mut records = Vec::new();
        if let Some(target) = initial_state {
            records.push(config_log::target(name, Some(target)));
        }
        records.push(config_log::connector(name, Some(&config)));
        self.write(records).await?;
        let info = self.info(name)?;
        self.follow(name, Restart::default());
        Ok(Put { created, info })
    }

    pub(super) fn patched(&self, name: &str, patch: &Config) -> Result<Config> {
        let mut config = self.connector(name)?.config;
        for (option, value) in patch.iter() {
            match value {
                Some(value) => config.set(option, value),
                None => config.remove(option),
            }
        }
        Ok(config)
    }

    pub(super) async fn delete(self: &Arc<Self>, name: &str) -> Result<()> {
        let _change = self.change.lock().await;
        self.connector(name)?;
        self.write(vec![
            config_log::connector(name, None),
            config_log::target(name, None),
        ])
        .await?;
        self.follow(name, Restart::default());
        Ok(())
    }

    pub(super) async fn set_target(self: &Arc<Self>, name: &str, target: TargetState) -> Result<()> {
        let _change = self.change.lock().await;
        self.connector(name)
            .map_err(|_| Error::NotFound(format!("Unknown connector {name}")))?;
        let mut records = Vec::new();
        if target == TargetState::Stopped {
            records.extend(config_log::tasks(name, &[]));
        }
        records.push(config_log::target(name, Some(target)));
        self.write(records).await?;
        self.follow(name, Restart::default());
        Ok(())
    }

    pub(super) fn status(&self, name: &str) -> Result<ConnectorStatus> {
        let missing = || Error::NotFound(format!("No status found for connector {name}"));
        let connector = self.worker.status.connector(name).ok_or_else(missing)?;
        let tasks = self.worker.status.tasks(name);
        let config = self.connector(name).map_err(|_| missing())?.config;
        Ok(ConnectorStatus {
            name: name.to_owned(),
            connector,
            tasks: tasks
                .into_iter()
                .map(|(id, state)| TaskState { id, state })
                .collect(),
            kind: config
                .get("connector.class")
                .and_then(plugins::connector)
                .map(|plugin| plugin.kind()),
        })
    }

    pub(super) fn task_status(&self, name: &str, task: u32) -> Result<TaskState> {
        let id = task_id(name, task);
        let state = self.worker.status.task(&id);
        let state = state.ok_or_else(|| Error::NotFound(format!("No status found for task {id}")))?;
        Ok(TaskState { id: task, state })
    }

    pub(super) fn task_configs(&self, name: &str) -> Result<Vec<TaskInfo>> {
        let tasks = self.connector(name)?.tasks;
        Ok((0..)
            .zip(tasks)
            .map(|(task, config)| TaskInfo {
                id: task_id(name, task),
                config,
            })
            .collect())
    }

    pub(super) async fn restart_connector(
        self: &Arc<Self>,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<Option<ConnectorStatus>> {
        let unknown = || Error::NotFound(format!("Unknown connector: {name}"));
        let connector = self.connector(name).map_err(|_| unknown())?;
        if !include_tasks && !only_failed {
            self.follow(name, Restart::of_connector());
            return Ok(None);
        }
        {
            let _change = self.change.lock().await;
            self.write(vec![config_log::restart(name, include_tasks, only_failed)])
                .await?;
        }
        let mut planned = self.status(name).map_err(|_| {
            Error::NotFound(format!(
                "Status for connector {name} cannot be found, the connector cannot be restarted."
            ))
        })?;
        let chosen = |state: &ConnectorState| !only_failed || state.state == State::Failed;
        let mut restart = Restart::default();
        if chosen(&planned.connector) {
            restart.connector = true;
            restarting(&mut planned.connector);
        }
        for task in &mut planned.tasks {
            if include_tasks && chosen(&task.state) {
                restart.tasks.push(task.id);
                restarting(&mut task.state);
            }
        }
        if restart.connector {
            self.worker
                .status
                .set_connector(name, Some(planned.connector.clone()));
        }
        for task in planned
            .tasks
            .iter()
            .filter(|task| restart.tasks.contains(&task.id))
        {
            self.worker
                .status
                .set_task(&task_id(name, task.id), Some(task.state.clone()));
        }
        if restart.connector || !restart.tasks.is_empty() {
            tracing::info!(connector = name, target = ?connector.target, "restarting as asked");
            self.follow(name, restart);
        }
        Ok(Some(planned))
    }

    pub(super) fn restart_task(self: &Arc<Self>, name: &str, task: u32) -> Result<()> {
        let connector = self
            .connector(name)
            .map_err(|_| Error::NotFound(format!("Unknown connector: {name}")))?;
        let known = usize::try_from(task).is_ok_and(|task| task < connector.tasks.len());
        if !known {
            return Err(Error::NotFound(format!("Unknown task: {}", task_id(name, task))));
        }
        self.follow(
            name,
            Restart {
                connector: false,
                tasks: vec![task],
            },
        );
        Ok(())
    }

    pub(super) fn topics(&self, name: &str) -> Result<Vec<String>> {
        if !self.worker.config.flag("topic.tracking.enable") {
            return Err(Error::Forbidden("Topic tracking is disabled.".into()));
        }
        Ok(self.worker.status.topics(name))
    }

    pub(super) fn reset_topics(&self, name: &str) -> Result<()> {
        if !self.worker.config.flag("topic.tracking.enable") {
            return Err(Error::Forbidden("Topic tracking is disabled.".into()));
        }
        if !self.worker.config.flag("topic.tracking.allow.reset") {
            return Err(Error::Forbidden("Topic tracking reset is disabled.".into()));
        }
        self.worker.status.reset_topics(name);
        Ok(())
    }

    /// Ends all tasks, gracefully at first, then what the worker itself started.
    pub(super) async fn stop(self: &Arc<Self>) {
        self.worker.cancel.cancel();
        self.background.close();
        self.background.wait().await;
        let slots: Vec<_> = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.drain().collect()
        };
        let stopping = slots.into_iter().map(|(name, slot)| async move {
            slot.lock().await.stop_all().await;
            self.tell(&name, State::Unassigned, None);
        });
        futures_util::future::join_all(stopping).await;
        let flushed = tokio::time::timeout(Duration::from_secs(5), self.worker.status.flushed()).await;
        if flushed.is_err() {
            tracing::warn!("the last states could not be written");
        }
        let broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(broker) = broker {
            broker.shutdown().await;
        }
    }

    /// Appends to the config topic and takes it in.
    async fn write(&self, records: Vec<LogRecord>) -> Result<()> {
        let failed = |why: String| Error::Internal(format!("Failed to write to the config topic: {why}"));
        tokio::time::timeout(WRITE, self.log.append(records.clone()))
            .await
            .map_err(|_| Error::Timeout("Request timed out: Kafka did not acknowledge the change".into()))?
            .map_err(|error| failed(error.to_string()))?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        records.iter().for_each(|record| state.apply(record));
        Ok(())
    }

    fn read<T>(&self, get: impl FnOnce(&ConfigState) -> T) -> T {
        get(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn slot(&self, name: &str) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(name.to_owned()).or_default().clone()
    }

    fn tell(&self, name: &str, state: State, trace: Option<String>) {
        let config = self
            .read(|state| state.connector(name))
            .map(|connector| connector.config);
        let plugin = config
            .as_ref()
            .and_then(|config| plugins::connector(config.get("connector.class")?));
        self.worker.status.set_connector(
            name,
            Some(ConnectorState {
                state,
                worker_id: self.worker.id.clone(),
                trace,
                version: plugin.map(|plugin| plugin.version.to_owned()),
            }),
        );
    }

    fn admin(&self, name: &str) -> Admin {
        Admin::new(
            self.worker
                .clients
                .admin(&format!("connector-adminclient-{name}"), &Config::new()),
        )
    }
}

fn restarting(state: &mut ConnectorState) {
    state.state = State::Restarting;
    state.trace = None;
}

fn task_id(name: &str, task: u32) -> TaskId {
    TaskId {
        connector: name.to_owned(),
        task,
    }
}

fn info(name: &str, connector: Connector) -> ConnectorInfo {
    let kind = connector
        .config
        .get("connector.class")
        .and_then(plugins::connector)
        .map(|plugin| plugin.kind());
    ConnectorInfo {
        name: name.to_owned(),
        tasks: (0..)
            .zip(&connector.tasks)
            .map(|(task, _)| task_id(name, task))
            .collect(),
        config: connector.config,
        kind,
    }
}
