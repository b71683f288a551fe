//! A source task's loop.
//!
//! ```text
//!  poll ─▶ channel ─▶ thread: transform, convert, produce ─▶ acknowledged
//!   ▲                                                            │
//!   └── commit ◀── offset record acknowledged ◀── submitted records
//! ```
//!
//! The loop alone calls the task, one method at a time. Positions are stored at `offset.flush.interval.ms` and at
//! the end, and only those behind which everything is acknowledged. A retriable failure ends the attempt; the next
//! one has a fresh task that starts from what is stored. The state stays RUNNING meanwhile.

mod outlet;
mod pipeline;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tapline_api::metrics::Metric;
use tapline_api::offset::SourceBatch;
use tapline_api::source::{SourceConnector, SourceContext, SourceTask};
use tapline_api::{Error, Kind, Result};
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use self::pipeline::{Pipeline, Submitted};
use super::channel::{Sender, bounded};
use super::offsets::ConnectorOffsets;
use super::status::{State, TargetState};
use super::task::{Retries, TaskContext};
use super::thread::{Thread, spawn};

/// How often to look whether a batch whose marks the source waits for is acknowledged.
const LOOK: Duration = Duration::from_millis(5);
/// When to try again what could not be stored.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes that wait between polling and converting.
const CHANNEL_BYTES: usize = 2 << 20;

/// Runs a source task until it is cancelled or fails.
pub async fn run(context: &TaskContext, connector: &dyn SourceConnector) -> Result<()> {
    let mut retries = Retries::new(&context.connector);
    while context.resumed().await {
        match attempt(context, connector, &mut retries).await {
            Ok(()) => return Ok(()),
            Err(error) => context.again(&mut retries, error).await?,
        }
    }
    Ok(())
}

/// One life of a task: started, polled until it fails or is to end, and stopped in any case.
async fn attempt(
    context: &TaskContext,
    connector: &dyn SourceConnector,
    retries: &mut Retries,
) -> Result<()> {
    let mut task = connector.task();
    // Its background work ends with this attempt.
    let cancel = context.cancel.child_token();
    let source = SourceContext {
        connector: Arc::from(context.id.connector.as_str()),
        task: context.id.task,
        config: context.config.clone(),
        offsets: Arc::new(ConnectorOffsets {
            store: context.worker.offsets.clone(),
            connector: Arc::from(context.id.connector.as_str()),
        }),
        logs: context.worker.logs(&context.id),
        metrics: context.metrics.clone(),
        cancel: cancel.clone(),
    };
    let result = tokio::select! {
        started = task.start(source) => Some(started),
        () = context.cancel.cancelled() => None,
    };
    let result = match result {
        Some(Ok(())) => {
            context.tell(State::Running, None);
            pump(context, &mut *task, retries).await
        }
        Some(Err(error)) => {
            if error.kind() == Kind::Retriable {
                context.tell(State::Running, None);
            }
            Err(error)
        }
        None => Ok(()),
    };
    cancel.cancel();
    if timeout(context.grace().max(Duration::from_secs(1)), task.stop())
        .await
        .is_err()
    {
        tracing::warn!("task {} did not stop in time", context.id);
    }
    result
}

/// Polls until there is a failure or the task is to end, then drains.
async fn pump(context: &TaskContext, task: &mut dyn SourceTask, retries: &mut Retries) -> Result<()> {
    let (sender, receiver) = bounded(CHANNEL_BYTES);
    let submitted = Arc::new(Mutex::new(Submitted::default()));
    let failures = Arc::new(Notify::new());
    let abandon = CancellationToken::new();
    // The thread must not outlive a task that is cut off.
    let _abandoned = abandon.clone().drop_guard();
    let pipeline = Pipeline::new(
        context,
        receiver,
        submitted.clone(),
        failures.clone(),
        abandon.clone(),
    )?;
    let thread = spawn(&format!("src-{}", context.id), move || pipeline.run())?;
    let mut pump = Pump {
        context,
        task,
        sender: Some(sender),
        submitted,
        failures,
        thread: Some(thread),
        ticks: ticks(context.worker.config.millis("offset.flush.interval.ms")),
        awaited: 0,
        look: Instant::now(),
        figures: Figures::new(context),
    };
    let polled = pump.poll(retries).await;
    let drained = timeout(context.grace(), pump.drain()).await;
    abandon.cancel();
    match drained {
        Ok(drained) => polled.and(drained),
        Err(_) if polled.is_ok() => {
            tracing::warn!(
                "task {} could not drain in time: what was not acknowledged comes again",
                context.id
            );
            polled
        }
        Err(_) => polled,
    }
}

fn ticks(every: Duration) -> Interval {
    let every = every.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

struct Pump<'a> {
    context: &'a TaskContext,
    task: &'a mut dyn SourceTask,
    sender: Option<Sender<SourceBatch>>,
    submitted: Arc<Mutex<Submitted>>,
    failures: Arc<Notify>,
    thread: Option<Thread<()>>,
    ticks: Interval,
    /// Batches handed on whose marks the source waits for, and when to look for them.
    awaited: usize,
    look: Instant,
    figures: Figures,
}

/// What the loop woke for.
enum Event {
    End,
    Target,
    Failure,
    Flush,
    Awaited,
    Ended(Result<()>),
    Sent,
    Batch(Result<SourceBatch>),
}

impl Pump<'_> {
    async fn poll(&mut self, retries: &mut Retries) -> Result<()> {
        let mut target = self.context.target.clone();
        let mut running = true;
        let mut waiting: Option<SourceBatch> = None;
        loop {
            let event = tokio::select! {
                biased;
                () = self.context.cancel.cancelled() => Event::End,
                changed = target.changed() => if changed.is_ok() { Event::Target } else { Event::End },
                () = self.failures.notified() => Event::Failure,
                _ = self.ticks.tick() => Event::Flush,
                ended = ended(&mut self.thread) => Event::Ended(ended),
                () = tokio::time::sleep_until(self.look), if self.awaited > 0 => Event::Awaited,
                () = send(self.sender.as_ref(), &mut waiting), if waiting.is_some() => Event::Sent,
                batch = self.task.poll(), if running && waiting.is_none() => Event::Batch(batch),
            };
            match event {
                Event::End => return Ok(()),
                Event::Target => running = self.turn(*target.borrow_and_update()),
                Event::Failure => self.failed()?,
                Event::Flush => {
                    self.failed()?;
                    self.store().await?;
                }
                Event::Awaited => {
                    self.look = Instant::now() + LOOK;
                    self.store_awaited().await?;
                }
                Event::Ended(result) => {
                    self.thread = None;
                    return result.and(Err(Error::fatal("the converting thread ended")));
                }
                Event::Sent => {}
                Event::Batch(batch) => {
                    let batch = batch?;
                    if !batch.records.is_empty() {
                        retries.reset();
                    }
                    self.figures.polled(&batch);
                    if !batch.records.is_empty() || !batch.marks.is_empty() {
                        self.awaited += usize::from(batch.flush);
                        waiting = Some(batch);
                    }
                }
            }
        }
    }

    /// Takes up what is wanted; tells whether to poll.
    fn turn(&self, target: TargetState) -> bool {
        let running = target == TargetState::Started;
        self.context
            .tell(if running { State::Running } else { State::Paused }, None);
        running
    }

    /// Records could not be produced: lets them go where that is tolerated.
    fn failed(&self) -> Result<()> {
        let submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        submitted.each(|delivery| delivery.judge())
    }

    /// Stores early where the source waits for it.
    async fn store_awaited(&mut self) -> Result<()> {
        let settled = self
            .submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .awaited();
        if settled == 0 {
            return Ok(());
        }
        self.awaited = self.awaited.saturating_sub(settled);
        self.store().await
    }

    /// Stores what may be stored, then tells the source.
    async fn store(&mut self) -> Result<()> {
        let offsets = self
            .submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if offsets.0.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let worker = &self.context.worker;
        let stored = worker.offsets.store(&self.context.id.connector, &offsets);
        let stored = timeout(worker.config.millis("offset.flush.timeout.ms"), stored).await;
        let failed = match stored {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("Kafka did not acknowledge in time".to_owned()),
        };
        self.figures.stored(started.elapsed(), failed.is_none());
        if let Some(why) = failed {
            tracing::warn!(
                "task {} could not store its offsets, and will again: {why}",
                self.context.id
            );
            self.submitted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .give_back(offsets);
            self.awaited += 1;
            self.look = Instant::now() + AGAIN;
            return Ok(());
        }
        self.task.commit(&offsets).await
    }

    /// Lets what was polled be produced and acknowledged, and stores how far that is.
    async fn drain(&mut self) -> Result<()> {
        self.sender = None;
        let mut result = Ok(());
        if let Some(mut thread) = self.thread.take() {
            result = thread.ended().await;
        }
        loop {
            let in_flight = self
                .submitted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .in_flight();
            if in_flight == 0 || result.is_err() {
                break;
            }
            result = result.and(self.failed());
            // Acknowledgements tell of failures only.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Even after a failure, what is acknowledged need not come again.
        result.and(self.store().await)
    }
}

async fn ended(thread: &mut Option<Thread<()>>) -> Result<()> {
    match thread {
        Some(thread) => thread.ended().await,
        None => std::future::pending().await,
    }
}

/// Sends the waiting batch when there is room for it. Cancel-safe.
async fn send(sender: Option<&Sender<SourceBatch>>, waiting: &mut Option<SourceBatch>) {
    let (Some(sender), Some(bytes)) = (sender, waiting.as_ref().map(|batch| batch.bytes)) else {
        return;
    };
    match sender.reserve(bytes).await {
        Some(room) => {
            if let Some(batch) = waiting.take() {
                room.send(batch);
            }
        }
        // The thread has ended, and its result is about to be seen.
        None => std::future::pending().await,
    }
}

/// `source-task-metrics` and what `connector-task-metrics` say of commits.
struct Figures {
    polled: Metric,
    batch_max: Metric,
    commits: Metric,
    commit_failures: Metric,
    commit_ms: Metric,
}

impl Figures {
    fn new(context: &TaskContext) -> Self {
        let counter = |name, help| context.metrics.counter(name, help, &[]);
        let gauge = |name, help| context.metrics.gauge(name, help, &[]);
        Self {
            polled: counter(
                "kafka_connect_source_task_source_record_poll_total",
                "Records polled from the source.",
            ),
            batch_max: gauge(
                "kafka_connect_connector_task_batch_size_max",
                "The largest batch.",
            ),
            commits: counter(
                "kafka_connect_connector_task_offset_commit_success_total",
                "Commits of offsets.",
            ),
            commit_failures: counter(
                "kafka_connect_connector_task_offset_commit_failure_total",
                "Commits of offsets that failed.",
            ),
            commit_ms: gauge(
                "kafka_connect_connector_task_offset_commit_max_time_ms",
                "The longest commit of offsets.",
            ),
        }
    }

    fn polled(&self, batch: &SourceBatch) {
        let records = i64::try_from(batch.records.len()).unwrap_or(i64::MAX);
        self.polled.add(records);
        if records > self.batch_max.get() {
            self.batch_max.set(records);
        }
    }

    fn stored(&self, took: Duration, well: bool) {
        if well {
            &self.commits
        } else {
            &self.commit_failures
        }
        .add(1);
        let ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        if ms > self.commit_ms.get() {
            self.commit_ms.set(ms);
        }
    }
}
