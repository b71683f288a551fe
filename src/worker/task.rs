//! A task as the worker runs it: what it is given, and what becomes of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tapline_api::config::Config;
use tapline_api::connector::{AnyConnector, ConnectorPlugin};
use tapline_api::metrics::Metrics;
use tapline_api::{Error, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::status::{ConnectorState, State, TargetState, TaskId};
use super::thread::panicked;
use super::{Worker, sink, source};

/// What a task is given.
pub struct TaskContext {
    /// The worker.
    pub worker: Arc<Worker>,
    /// Which task.
    pub id: TaskId,
    /// The connector's plugin.
    pub plugin: &'static ConnectorPlugin,
    /// The connector's configuration, references resolved: converters, transformations, `errors.*`.
    pub connector: Config,
    /// The task's configuration, references resolved.
    pub config: Config,
    /// What is wanted of it.
    pub target: watch::Receiver<TargetState>,
    /// Cancelled when it is to end.
    pub cancel: CancellationToken,
    /// Its figures.
    pub metrics: Metrics,
}

impl TaskContext {
    /// Tells the task's state.
    pub fn tell(&self, state: State, trace: Option<String>) {
        self.worker.status.set_task(
            &self.id,
            Some(ConnectorState {
                state,
                worker_id: self.worker.id.clone(),
                trace,
                version: Some(self.plugin.version.to_owned()),
            }),
        );
    }

    /// How long the task may take to end by itself.
    pub fn grace(&self) -> Duration {
        self.worker.config.millis("task.shutdown.graceful.timeout.ms")
    }

    /// After a failure of an attempt: waits for the next one, or gives the failure back.
    ///
    /// # Errors
    /// The failure, when it is not retriable or there were enough retries.
    pub async fn again(&self, retries: &mut Retries, error: Error) -> Result<()> {
        let message = error.to_string();
        let wait = retries.after(error)?;
        tracing::warn!("task {} tries again in {wait:?}: {message}", self.id);
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        Ok(())
    }

    /// Waits while the task is not to run. `false` when it is to end.
    pub async fn resumed(&self) -> bool {
        let mut target = self.target.clone();
        if *target.borrow_and_update() != TargetState::Started {
            self.tell(State::Paused, None);
        }
        loop {
            if *target.borrow_and_update() == TargetState::Started {
                return !self.cancel.is_cancelled();
            }
            tokio::select! {
                () = self.cancel.cancelled() => return false,
                changed = target.changed() => if changed.is_err() { return false },
            }
        }
    }
}

/// A running task. Dropping it ends the task without waiting.
pub struct Task {
    cancel: CancellationToken,
    target: watch::Sender<TargetState>,
    run: JoinHandle<()>,
    grace: Duration,
}

impl Task {
    /// Starts a task. Its end, good or bad, is told as its state.
    pub fn start(
        worker: Arc<Worker>,
        id: TaskId,
        plugin: &'static ConnectorPlugin,
        connector: Config,
        config: Config,
        target: TargetState,
    ) -> Self {
        let cancel = worker.cancel.child_token();
        let (sender, receiver) = watch::channel(target);
        let metrics = worker
            .metrics
            .scope(&[("connector", &id.connector), ("task", &id.task.to_string())]);
        let context = TaskContext {
            worker,
            id,
            plugin,
            connector,
            config,
            target: receiver,
            cancel: cancel.clone(),
            metrics,
        };
        let grace = context.grace();
        let run = tokio::spawn(run(context));
        Self {
            cancel,
            target: sender,
            run,
            grace,
        }
    }

    /// Says what is wanted of it.
    pub fn set_target(&self, target: TargetState) {
        self.target
            .send_if_modified(|now| std::mem::replace(now, target) != target);
    }

    /// Ends it, gracefully at first.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        // The task watches its own time; this is for one that hangs.
        let patience = self.grace + Duration::from_secs(5);
        if tokio::time::timeout(patience, &mut self.run).await.is_err() {
            tracing::warn!("a task did not end in time and is cut off");
            self.run.abort();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn run(context: TaskContext) {
    let figures = context.metrics.gauge(
        "kafka_connect_connector_task_running_ratio",
        "1 while the task runs.",
        &[],
    );
    figures.set(1);
    let result = AssertUnwindSafe(kind(&context)).catch_unwind().await;
    figures.set(0);
    let result: Result<()> = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
    match result {
        Ok(()) => context.tell(State::Unassigned, None),
        Err(error) => {
            let trace = error.trace();
            tracing::error!("task {} failed: {}", context.id, trace.trim_end());
            context.tell(State::Failed, Some(trace));
        }
    }
}

async fn kind(context: &TaskContext) -> Result<()> {
    match context.plugin.connector {
        AnyConnector::Source(connector) => source::run(context, connector).await,
        AnyConnector::Sink(connector) => sink::run(context, connector).await,
    }
}

/// Retriable failures of a connector: how often and how long (`errors.max.retries`, `retriable.restart.connector.wait.ms`).
pub struct Retries {
    left: Option<u64>,
    backoff: super::backoff::Backoff,
}

impl Retries {
    /// From a connector's configuration.
    pub fn new(connector: &Config) -> Self {
        let number = |name, default: i64| {
            let text: Option<&str> = connector.get(name);
            text.and_then(|text| text.trim().parse().ok()).unwrap_or(default)
        };
        let limit = u64::try_from(number("retriable.restart.connector.wait.ms", 10_000)).unwrap_or(10_000);
        Self {
            left: u64::try_from(number("errors.max.retries", -1)).ok(),
            backoff: super::backoff::Backoff::new(Duration::from_millis(limit)),
        }
    }

    /// It made progress: count anew.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }

    /// Decides about a failure: how long to wait before the next attempt, or the failure itself.
    pub fn after(&mut self, error: Error) -> Result<Duration> {
        let attempts = u64::from(self.backoff.attempts());
        if error.kind() != tapline_api::Kind::Retriable {
            return Err(error);
        }
        if self.left.is_some_and(|left| attempts >= left) {
            return Err(Error::fatal(format!("gave up after {attempts} retries")).cause(error));
        }
        Ok(self.backoff.wait())
    }
}
