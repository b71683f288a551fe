//! Makes a connector's tasks what is wanted of them.

use std::sync::Arc;

use tapline_api::config::Config;
use tapline_api::connector::{AnyConnector, ConnectorPlugin};
use tapline_api::{Error, Result};

use super::{Standalone, task_id};
use crate::herder::config_log::{self, Connector};
use crate::herder::{State, TargetState};
use crate::plugins;
use crate::worker::providers::Providers;
use crate::worker::task::Task;

/// What runs of one connector.
#[derive(Default)]
pub(super) struct Slot {
    /// The configuration its tasks were last made from.
    applied: Option<Config>,
    /// By number, with the configuration they run with.
    tasks: Vec<Option<(Config, Task)>>,
}

/// What is to be restarted, whatever the configuration says.
#[derive(Debug, Default)]
pub(super) struct Restart {
    pub(super) connector: bool,
    pub(super) tasks: Vec<u32>,
}

impl Restart {
    pub(super) fn of_connector() -> Self {
        Self {
            connector: true,
            tasks: Vec::new(),
        }
    }
}

impl Slot {
    /// Ends all tasks at once, and waits.
    pub(super) async fn stop_all(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        let stopping = tasks.into_iter().flatten().map(|(_, task)| task.stop());
        futures_util::future::join_all(stopping).await;
    }
}

impl Standalone {
    /// Reconciles a connector in the background.
    pub(super) fn follow(self: &Arc<Self>, name: &str, restart: Restart) {
        let (herder, name) = (self.clone(), name.to_owned());
        self.background.spawn(async move {
            let slot = herder.slot(&name);
            let mut slot = slot.lock().await;
            if !herder.worker.cancel.is_cancelled() {
                herder.reconcile(&name, &mut slot, restart).await;
            }
        });
    }

    async fn reconcile(&self, name: &str, slot: &mut Slot, restart: Restart) {
        let Ok(connector) = self.connector(name) else {
            return self.forget(name, slot).await;
        };
        if connector.target == TargetState::Stopped {
            slot.stop_all().await;
            slot.applied = None;
            for (task, _) in self.worker.status.tasks(name) {
                self.worker.status.set_task(&task_id(name, task), None);
            }
            return self.tell(name, State::Stopped, None);
        }
        let changed = slot.applied.as_ref() != Some(&connector.config);
        let mut connector = connector;
        let mut resolved = self.providers.resolve(&connector.config);
        if changed || restart.connector {
            slot.applied = Some(connector.config.clone());
            let configured = match &resolved {
                Ok(resolved) => self.configure(name, &connector, resolved).await,
                Err(error) => Err(Error::config(error.to_string())),
            };
            match configured {
                Ok(tasks) => connector.tasks = tasks,
                Err(error) => {
                    let trace = error.trace();
                    tracing::error!(connector = name, "the connector failed: {}", trace.trim_end());
                    return self.tell(name, State::Failed, Some(trace));
                }
            }
        }
        match connector.target {
            TargetState::Paused => self.tell(name, State::Paused, None),
            _ => self.tell(name, State::Running, None),
        }
        let plugin = connector
            .config
            .get("connector.class")
            .and_then(plugins::connector);
        if let (Some(plugin), Ok(resolved)) = (plugin, &mut resolved) {
            self.tasks(name, slot, &connector, plugin, resolved, changed, &restart)
                .await;
        }
    }

    /// The tasks' configurations; stores them when they are new. A paused connector keeps what it has.
    async fn configure(&self, name: &str, connector: &Connector, resolved: &Config) -> Result<Vec<Config>> {
        let class = resolved.get("connector.class").unwrap_or_default();
        let plugin = plugins::connector(class).ok_or_else(|| {
            Error::config(format!(
                "Failed to find any class that implements Connector and which name matches {class}"
            ))
        })?;
        if connector.target == TargetState::Paused {
            return Ok(connector.tasks.clone());
        }
        let most = resolved
            .get("tasks.max")
            .map_or(Ok(1), |text| text.trim().parse::<u32>());
        let most = most.map_err(|_| {
            Error::config("Invalid value for configuration tasks.max: Not a number of type INT")
        })?;
        let made = match plugin.connector {
            AnyConnector::Source(source) => source.task_configs(resolved, most)?,
            AnyConnector::Sink(sink) => sink.task_configs(resolved, most)?,
        };
        let made: Vec<_> = made
            .into_iter()
            .map(|mut task| {
                task.set("task.class", plugin.task_class);
                Providers::unresolve(&task, &connector.config, resolved)
            })
            .collect();
        if made != connector.tasks {
            let _change = self.change.lock().await;
            self.write(config_log::tasks(name, &made))
                .await
                .map_err(|error| Error::fatal(error.to_string()))?;
        }
        Ok(made)
    }

    /// Starts, restarts and ends tasks.
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of reconcile, cut out to fit a screen"
    )]
    async fn tasks(
        &self,
        name: &str,
        slot: &mut Slot,
        connector: &Connector,
        plugin: &'static ConnectorPlugin,
        resolved: &Config,
        changed: bool,
        restart: &Restart,
    ) {
        let count = connector.tasks.len();
        let mut ending = Vec::new();
        for (number, running) in (0..).zip(&mut slot.tasks) {
            let wanted = usize::try_from(number)
                .ok()
                .and_then(|number| connector.tasks.get(number));
            let same = running.as_ref().is_some_and(|(config, _)| wanted == Some(config));
            if !same || changed || restart.tasks.contains(&number) {
                ending.extend(running.take().map(|(_, task)| task.stop()));
            }
        }
        futures_util::future::join_all(ending).await;
        for (task, _) in self.worker.status.tasks(name) {
            if usize::try_from(task).is_ok_and(|task| task >= count) {
                self.worker.status.set_task(&task_id(name, task), None);
            }
        }
        slot.tasks.resize_with(count, || None);
        for ((number, config), running) in (0..).zip(&connector.tasks).zip(&mut slot.tasks) {
            if let Some((_, task)) = running {
                task.set_target(connector.target);
                continue;
            }
            let id = task_id(name, number);
            match self.providers.resolve(config) {
                Ok(task) => {
                    let (worker, resolved) = (self.worker.clone(), resolved.clone());
                    let task = Task::start(worker, id, plugin, resolved, task, connector.target);
                    *running = Some((config.clone(), task));
                }
                Err(error) => {
                    let state = crate::herder::ConnectorState {
                        state: State::Failed,
                        worker_id: self.worker.id.clone(),
                        trace: Some(error.trace()),
                        version: Some(plugin.version.to_owned()),
                    };
                    self.worker.status.set_task(&id, Some(state));
                }
            }
        }
    }

    /// A connector was deleted.
    async fn forget(&self, name: &str, slot: &mut Slot) {
        slot.stop_all().await;
        slot.applied = None;
        for (task, _) in self.worker.status.tasks(name) {
            self.worker.status.set_task(&task_id(name, task), None);
        }
        self.worker.status.reset_topics(name);
        self.worker.status.set_connector(name, None);
    }
}
