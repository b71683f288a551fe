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

mod commit;
mod dead_letter;
mod decode;
mod events;
mod figures;
mod member;
mod partitions;
mod put;
mod reader;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tapline_api::config::Config;
use tapline_api::record::TopicPartition;
use tapline_api::sink::{SinkConnector, SinkContext, SinkOffsets, SinkTask};
use tapline_api::{Error, Kind, Result};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use self::dead_letter::{DeadLetters, Reporter};
use self::decode::Decoder;
use self::events::{Event, Listener, Shared, Waiting};
use self::figures::Figures;
use self::member::Member;
use self::reader::Reader;
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

/// Runs a sink task until it is cancelled or fails.
pub async fn run(context: &TaskContext, connector: &dyn SinkConnector) -> Result<()> {
    let mut retries = Retries::new(&context.connector);
    while context.resumed().await {
        match attempt(context, connector, &mut retries).await {
            Ok(()) => return Ok(()),
            Err(error) => context.again(&mut retries, error).await?,
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
    let ignored = connector.ignores(&context.config);
    let decoder = Decoder::new(context, tolerance.clone(), dead_letters.clone(), ignored)?;
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
                        member: Member::new(consumer, shared.clone()),
                        shared,
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
    member: Member,
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
        if let Some(left) = self.member.leave() {
            let _ = timeout(self.context.grace(), left).await;
        }
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
}

async fn ended(thread: &mut Option<Thread<()>>) -> Result<()> {
    match thread {
        Some(thread) => thread.ended().await,
        None => std::future::pending().await,
    }
}
