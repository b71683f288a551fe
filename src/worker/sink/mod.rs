//! A sink task's loop.
//!
//! ```text
//!  topic ─▶ thread: consume, convert, transform ─▶ put ─▶ flush ─▶ consumer offsets committed
//! ```
//!
//! Batches and rebalances come from the thread in one order. What was put is flushed when there is nothing else to
//! do, and at the latest after a second of work; offsets are committed at `offset.flush.interval.ms`, before
//! partitions go, and at the end, and only for what is flushed. A retriable failure puts the same batch again; the
//! consumer stays in its group meanwhile.

mod dead_letter;
mod decode;
mod events;
mod reader;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tapline_api::config::Config;
use tapline_api::metrics::Metric;
use tapline_api::record::TopicPartition;
use tapline_api::sink::{Assigned, SinkConnector, SinkContext, SinkOffsets, SinkTask};
use tapline_api::{Error, Kind, Result};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use self::dead_letter::{DeadLetters, Reporter};
use self::decode::Decoder;
use self::events::{Batch, Event, Listener, Shared, Waiting};
use self::reader::Reader;
use super::backoff::Backoff;
use super::status::{State, TargetState};
use super::task::{Retries, TaskContext};
use super::thread::{Thread, spawn};
use super::tolerance::Tolerance;
use crate::kafka::consumer::{Consumer, Subscription};

/// Batches that wait between the thread and the loop.
const CHANNEL: usize = 1;
/// Records of a batch, unless `max.poll.records` says otherwise.
const BATCH_RECORDS: usize = 2000;
/// How long rows may stay in a busy sink's buffer.
const FLUSH: Duration = Duration::from_secs(1);
/// The longest wait before a batch is put again.
const PUT_AGAIN: Duration = Duration::from_secs(10);

/// Runs a sink task until it is cancelled or fails.
pub async fn run(context: &TaskContext, connector: &dyn SinkConnector) -> Result<()> {
    let mut retries = Retries::new(&context.connector);
    while context.resumed().await {
        let error = match attempt(context, connector, &mut retries).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let message = error.to_string();
        let wait = retries.after(error)?;
        tracing::warn!("task {} tries again in {wait:?}: {message}", context.id);
        tokio::select! {
            () = context.cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}

/// One life of a task.
async fn attempt(context: &TaskContext, connector: &dyn SinkConnector, retries: &mut Retries) -> Result<()> {
    let tolerance = Arc::new(Tolerance::new(&context.id, &context.connector, &context.metrics));
    let dead_letters = DeadLetters::open(context).await?;
    let reporter = Arc::new(Reporter {
        tolerance: tolerance.clone(),
        dead_letters: dead_letters.clone(),
        class: context.plugin.task_class,
        current: Mutex::default(),
    });
    let decoder = Decoder::new(context, tolerance.clone(), dead_letters.clone())?;
    let mut task = connector.task();
    let cancel = context.cancel.child_token();
    let sink = SinkContext {
        connector: Arc::from(context.id.connector.as_str()),
        task: context.id.task,
        config: context.config.clone(),
        cluster_id: context.worker.cluster_id.clone(),
        errant: reporter.clone(),
        metrics: context.metrics.clone(),
        cancel: cancel.clone(),
    };
    let started = tokio::select! {
        started = task.start(sink) => Some(started),
        () = context.cancel.cancelled() => None,
    };
    let result = match started {
        Some(Ok(())) => {
            context.tell(State::Running, None);
            let (events, received) = mpsc::channel(CHANNEL);
            let shared = Arc::new(Shared::default());
            match read(context, decoder, events, shared.clone(), cancel.clone()) {
                Ok((consumer, thread)) => {
                    let sink = Loop {
                        context,
                        task: &mut *task,
                        events: received,
                        waiting: Waiting::new(),
                        shared,
                        consumer,
                        thread: Some(thread),
                        reporter,
                        accepted: SinkOffsets::new(),
                        durable: SinkOffsets::new(),
                        committed: SinkOffsets::new(),
                        owned: Vec::new(),
                        broken: None,
                        flushed: Instant::now(),
                        figures: Figures::new(context),
                    };
                    sink.run(retries, &cancel).await
                }
                Err(error) => Err(error),
            }
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

/// Starts the reading thread.
fn read(
    context: &TaskContext,
    decoder: Decoder,
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
    cancel: CancellationToken,
) -> Result<(Consumer, Thread<()>)> {
    let worker = &context.worker;
    let overrides = worker.overrides(&context.connector, "consumer.override.")?;
    let group = format!("connect-{}", context.id.connector);
    let client_id = format!("connector-consumer-{}", context.id);
    let config = worker.clients.consumer(&client_id, &group, &overrides);
    let listener = Listener {
        events: events.clone(),
        shared: shared.clone(),
    };
    let consumer = Consumer::new(&config, &subscription(&context.connector)?, Box::new(listener))?;
    let most = overrides
        .get("max.poll.records")
        .or_else(|| worker.config.raw.get("consumer.max.poll.records"))
        .and_then(|text| text.trim().parse().ok());
    let (status, id, tracked) = (
        worker.status.clone(),
        context.id.clone(),
        worker.config.flag("topic.tracking.enable"),
    );
    let reader = Reader {
        consumer: consumer.clone(),
        decoder,
        events,
        shared,
        runtime: tokio::runtime::Handle::current(),
        cancel,
        batch_records: most.unwrap_or(BATCH_RECORDS).max(1),
        paused: false,
        read: context.metrics.counter(
            "kafka_connect_sink_task_sink_record_read_total",
            "Records read from Kafka, before transformations.",
            &[],
        ),
        seen: Box::new(move |topic| {
            if tracked {
                status.add_topic(&id, topic);
            }
        }),
    };
    let thread = spawn(&format!("snk-{}", context.id), move || reader.run())?;
    Ok((consumer, thread))
}

/// The consumer group of a sink, which `consumer.override.group.id` may change.
pub fn group(connector: &str, config: &Config) -> String {
    config
        .get("consumer.override.group.id")
        .map_or_else(|| format!("connect-{connector}"), str::to_owned)
}

fn subscription(config: &Config) -> Result<Subscription> {
    let topics = config.list("topics");
    let regex = config
        .get("topics.regex")
        .filter(|regex| !regex.trim().is_empty());
    match (topics.is_empty(), regex) {
        (false, None) => Ok(Subscription::Topics(topics)),
        (true, Some(regex)) => Ok(Subscription::Pattern(regex.to_owned())),
        (false, Some(_)) => Err(Error::config(
            "topics and topics.regex are mutually exclusive options, but both are set.",
        )),
        (true, None) => Err(Error::config("Must configure one of topics or topics.regex")),
    }
}

struct Loop<'a> {
    context: &'a TaskContext,
    task: &'a mut dyn SinkTask,
    events: mpsc::Receiver<Event>,
    waiting: Waiting,
    shared: Arc<Shared>,
    consumer: Consumer,
    thread: Option<Thread<()>>,
    reporter: Arc<Reporter>,
    /// Next offsets behind what was put.
    accepted: SinkOffsets,
    /// Next offsets behind what was flushed.
    durable: SinkOffsets,
    /// Next offsets as committed.
    committed: SinkOffsets,
    owned: Vec<TopicPartition>,
    /// A rebalance that could not be followed while a batch was tried again.
    broken: Option<Error>,
    flushed: Instant,
    figures: Figures,
}

impl Loop<'_> {
    async fn run(mut self, retries: &mut Retries, cancel: &CancellationToken) -> Result<()> {
        let result = self.consume(retries).await;
        // The thread must not wait for answers while it is being ended.
        self.shared.closing.store(true, Ordering::Release);
        cancel.cancel();
        let ending = timeout(self.context.grace(), async {
            let flushed = if result.is_ok() {
                self.flush().await
            } else {
                Ok(())
            };
            let committed = self.commit().await;
            let owned = std::mem::take(&mut self.owned);
            let closed = self.task.close(&owned).await;
            flushed.and(committed).and(closed)
        });
        let ended = ending.await;
        self.events.close();
        while self.events.try_recv().is_ok() {}
        if let Some(mut thread) = self.thread.take() {
            let _ = timeout(self.context.grace(), thread.ended()).await;
        }
        // To drop the consumer is to leave the group, which takes a round trip.
        let consumer = self.consumer;
        let left = tokio::task::spawn_blocking(move || drop(consumer));
        let _ = timeout(self.context.grace(), left).await;
        match ended {
            Ok(ended) => result.and(ended),
            Err(_) => {
                tracing::warn!(
                    "task {} could not flush in time: some records come again",
                    self.context.id
                );
                result
            }
        }
    }

    async fn consume(&mut self, retries: &mut Retries) -> Result<()> {
        let every = self
            .context
            .worker
            .config
            .millis("offset.flush.interval.ms")
            .max(Duration::from_millis(1));
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut target = self.context.target.clone();
        loop {
            if self.context.cancel.is_cancelled() {
                return Ok(());
            }
            if let Some(batch) = self.waiting.pop_front() {
                self.put(batch, retries).await?;
                continue;
            }
            let event = match self.events.try_recv() {
                Ok(event) => Some(event),
                Err(_) => {
                    if self.accepted != self.durable {
                        self.flush_or_wait(retries).await?;
                    }
                    None
                }
            };
            let event = match event {
                Some(event) => event,
                None => tokio::select! {
                    biased;
                    () = self.context.cancel.cancelled() => return Ok(()),
                    changed = target.changed() => {
                        if changed.is_err() {
                            return Ok(());
                        }
                        self.turn(*target.borrow_and_update());
                        continue;
                    }
                    _ = ticks.tick() => {
                        self.commit_or_later().await;
                        continue;
                    }
                    event = self.events.recv() => match event {
                        Some(event) => event,
                        None => return Err(Error::fatal("the consuming thread ended")),
                    },
                    // Behind its events: the consumer's own context keeps the channel open.
                    ended = ended(&mut self.thread) => {
                        self.thread = None;
                        return ended.and(Err(Error::fatal("the consuming thread ended")));
                    }
                },
            };
            self.hear(event).await?;
            if self.flushed.elapsed() > FLUSH && self.accepted != self.durable {
                self.flush_or_wait(retries).await?;
            }
            if target.has_changed().unwrap_or(true) {
                self.turn(*target.borrow_and_update());
            }
            if ticks.period() < self.figures.since_commit() {
                self.commit_or_later().await;
            }
        }
    }

    fn turn(&self, target: TargetState) {
        let running = target == TargetState::Started;
        self.shared.paused.store(!running, Ordering::Release);
        self.context
            .tell(if running { State::Running } else { State::Paused }, None);
    }

    /// Takes in one event.
    async fn hear(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Batch(batch) => self.waiting.push_back(batch),
            Event::Assigned(partitions, answer) => {
                self.shared.rebalances.fetch_sub(1, Ordering::AcqRel);
                let starts = self.open(partitions).await?;
                let _ = answer.send(starts);
            }
            Event::Revoked(partitions, lost, answer) => {
                self.shared.rebalances.fetch_sub(1, Ordering::AcqRel);
                self.release(partitions, lost).await?;
                let _ = answer.send(());
            }
        }
        Ok(())
    }

    async fn open(&mut self, partitions: Vec<Assigned>) -> Result<SinkOffsets> {
        let mut backoff = Backoff::new(PUT_AGAIN);
        let starts = loop {
            match self.task.open(&partitions).await {
                Err(error) if error.kind() == Kind::Retriable && !self.context.cancel.is_cancelled() => {
                    tracing::warn!(
                        "task {} could not open partitions, and will again: {error}",
                        self.context.id
                    );
                    self.wait(backoff.wait()).await;
                }
                opened => break opened?,
            }
        };
        self.owned
            .extend(partitions.into_iter().map(|assigned| assigned.partition));
        self.figures
            .partitions
            .set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
        tracing::debug!("task {} has partitions {:?}", self.context.id, self.owned);
        Ok(starts)
    }

    /// Partitions go: makes what was put of them durable and commits it, unless they are lost already.
    async fn release(&mut self, partitions: Vec<TopicPartition>, lost: bool) -> Result<()> {
        if !lost {
            // One try each: what fails comes again, to whoever has the partitions next.
            for batch in std::mem::take(&mut self.waiting) {
                if let Err(error) = self.try_put(batch).await {
                    tracing::warn!(
                        "task {} gives partitions up unfinished: {}",
                        self.context.id,
                        error.1
                    );
                    self.waiting.push_back(error.0);
                }
            }
            match self.flush().await {
                Ok(()) => self.commit_or_later().await,
                Err(error) => {
                    tracing::warn!("task {} gives partitions up unflushed: {error}", self.context.id)
                }
            }
        }
        for batch in &mut self.waiting {
            batch.forget(&partitions);
        }
        self.waiting.retain(|batch| !batch.is_empty());
        for offsets in [&mut self.accepted, &mut self.durable, &mut self.committed] {
            offsets.retain(|key, _| !partitions.contains(key));
        }
        self.owned.retain(|key| !partitions.contains(key));
        self.figures
            .partitions
            .set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
        self.task.close(&partitions).await
    }

    /// Puts a batch, as often as it takes.
    async fn put(&mut self, batch: Batch, retries: &mut Retries) -> Result<()> {
        let tolerance = self.reporter.tolerance.clone();
        // Without a limit of its own a batch is put again for ever, as Java redelivers it.
        let limit = tolerance.retry_timeout().filter(|limit| !limit.is_zero());
        let mut backoff = Backoff::new(tolerance.retry_delay_max().min(PUT_AGAIN));
        let started = Instant::now();
        let mut batch = batch;
        loop {
            let (left, error) = match self.try_put(batch).await {
                Ok(()) => {
                    retries.reset();
                    return Ok(());
                }
                Err(failed) => failed,
            };
            if error.kind() != Kind::Retriable {
                return Err(unrecoverable(error));
            }
            if limit.is_some_and(|limit| started.elapsed() > limit) {
                let limit = limit.unwrap_or_default();
                return Err(unrecoverable(
                    Error::fatal(format!(
                        "gave up putting a batch after errors.retry.timeout={limit:?}"
                    ))
                    .cause(error),
                ));
            }
            tolerance.retried();
            tracing::warn!("task {} will put a batch again: {error}", self.context.id);
            self.waiting.push_front(left);
            self.wait(backoff.wait()).await;
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            if self.context.cancel.is_cancelled() {
                return Ok(());
            }
            match self.waiting.pop_front() {
                Some(next) => batch = next,
                // A rebalance has taken it.
                None => return Ok(()),
            }
        }
    }

    /// Waits, but hears out a rebalance meanwhile.
    async fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = self.context.cancel.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                () = self.shared.rebalancing.notified() => {}
            }
            // The thread waits in the rebalance, behind what it told before.
            while self.shared.rebalances.load(Ordering::Acquire) > 0 {
                let Some(event) = self.events.recv().await else {
                    return;
                };
                if let Err(error) = Box::pin(self.hear(event)).await {
                    self.broken.get_or_insert(error);
                    return;
                }
            }
        }
    }

    /// Puts a batch once, letting records go whose data is at fault where that is tolerated. A failure gives the
    /// rest of the batch back.
    async fn try_put(&mut self, mut batch: Batch) -> Result<(), (Batch, Error)> {
        if !batch.raw.is_empty() {
            *self
                .reporter
                .current
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = batch.raw.clone();
        }
        // Parts are put on their own to find a record that the sink did not name.
        let mut part = batch.records.len();
        while !batch.records.is_empty() {
            part = part.min(batch.records.len()).max(1);
            let Some(now) = batch.records.get(..part) else {
                break;
            };
            let started = Instant::now();
            let error = match self.task.put(now).await {
                Ok(()) => {
                    self.figures.put(part, started.elapsed());
                    batch.records.drain(..part);
                    part = batch.records.len();
                    continue;
                }
                Err(error) => error,
            };
            if error.kind() != Kind::Data {
                return Err((batch, error));
            }
            let bad = match error.record() {
                Some(index) if index < part => index,
                _ if part == 1 => 0,
                _ if self.reporter.tolerance.is_tolerant() => {
                    part /= 2;
                    continue;
                }
                _ => return Err((batch, error)),
            };
            let Some(record) = batch.records.get(bad) else {
                return Err((batch, error));
            };
            let error = at(record, error);
            let refused = tokio::task::block_in_place(|| self.reporter.refuse(record, error));
            if let Err(error) = refused {
                return Err((batch, error));
            }
            batch.records.remove(bad);
            part = batch.records.len();
        }
        self.accepted.extend(batch.next);
        Ok(())
    }

    /// Flushes, as often as it takes.
    async fn flush_or_wait(&mut self, retries: &mut Retries) -> Result<()> {
        let mut backoff = Backoff::new(PUT_AGAIN);
        loop {
            match self.flush().await {
                Ok(()) => {
                    retries.reset();
                    return Ok(());
                }
                // What was accepted may be gone with the connection: only a fresh task reads it again.
                Err(error) if error.kind() == Kind::Retriable && backoff.attempts() < 1 => {
                    tracing::warn!("task {} will flush again: {error}", self.context.id);
                    self.wait(backoff.wait()).await;
                    if let Some(error) = self.broken.take() {
                        return Err(error);
                    }
                    if self.context.cancel.is_cancelled() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == Kind::Retriable => return Err(error),
                Err(error) => return Err(unrecoverable(error)),
            }
        }
    }

    async fn flush(&mut self) -> Result<()> {
        self.task.flush().await?;
        if let Some(dead_letters) = &self.reporter.dead_letters {
            dead_letters.flush().await?;
        }
        self.durable.clone_from(&self.accepted);
        self.flushed = Instant::now();
        Ok(())
    }

    /// Commits what is durable; a failure is told, and made good by the next commit.
    async fn commit_or_later(&mut self) {
        if let Err(error) = self.commit().await {
            tracing::warn!(
                "task {} could not commit its offsets, and will again: {error}",
                self.context.id
            );
        }
    }

    async fn commit(&mut self) -> Result<()> {
        let started = Instant::now();
        self.figures.committed_at = started;
        let news: SinkOffsets = self
            .durable
            .iter()
            .filter(|(key, offset)| self.committed.get(*key) != Some(*offset))
            .map(|(key, offset)| (key.clone(), *offset))
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let (consumer, offsets) = (self.consumer.clone(), news.clone());
        let committing = tokio::task::spawn_blocking(move || consumer.commit(&offsets));
        let patience = self.context.worker.config.millis("offset.flush.timeout.ms");
        let committed = match timeout(patience, committing).await {
            Ok(committed) => {
                committed.unwrap_or_else(|error| Err(Error::fatal("a commit was cut off").cause(error)))
            }
            Err(_) => Err(Error::retriable("the group's coordinator did not answer in time")),
        };
        self.figures.committed(started.elapsed(), committed.is_ok());
        committed?;
        self.committed.extend(news);
        Ok(())
    }
}

async fn ended(thread: &mut Option<Thread<()>>) -> Result<()> {
    match thread {
        Some(thread) => thread.ended().await,
        None => std::future::pending().await,
    }
}

/// Names the record that a sink refused.
fn at(record: &tapline_api::record::SinkRecord, error: Error) -> Error {
    let origin = &record.origin;
    Error::data(format!(
        "Error writing record of topic '{}' partition {} at offset {}",
        origin.topic, origin.partition, origin.offset
    ))
    .cause(error)
}

fn unrecoverable(error: Error) -> Error {
    Error::fatal("Exiting WorkerSinkTask due to unrecoverable exception.").cause(error)
}

/// `sink-task-metrics` and what `connector-task-metrics` say of commits.
struct Figures {
    sent: Metric,
    put_ms: Metric,
    partitions: Metric,
    commits: Metric,
    commit_failures: Metric,
    commit_ms: Metric,
    batch_max: Metric,
    committed_at: Instant,
}

impl Figures {
    fn new(context: &TaskContext) -> Self {
        let counter = |name, help| context.metrics.counter(name, help, &[]);
        let gauge = |name, help| context.metrics.gauge(name, help, &[]);
        Self {
            sent: counter(
                "kafka_connect_sink_task_sink_record_send_total",
                "Records put to the sink, after transformations.",
            ),
            put_ms: gauge(
                "kafka_connect_sink_task_put_batch_max_time_ms",
                "The longest put.",
            ),
            partitions: gauge(
                "kafka_connect_sink_task_partition_count",
                "Partitions of this task.",
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
            batch_max: gauge(
                "kafka_connect_connector_task_batch_size_max",
                "The largest batch.",
            ),
            committed_at: Instant::now(),
        }
    }

    fn since_commit(&self) -> Duration {
        self.committed_at.elapsed()
    }

    fn put(&self, records: usize, took: Duration) {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.sent.add(records);
        raise(&self.batch_max, records);
        raise(&self.put_ms, i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    }

    fn committed(&self, took: Duration, well: bool) {
        if well {
            &self.commits
        } else {
            &self.commit_failures
        }
        .add(1);
        raise(
            &self.commit_ms,
            i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        );
    }
}

fn raise(figure: &Metric, to: i64) {
    if to > figure.get() {
        figure.set(to);
    }
}
