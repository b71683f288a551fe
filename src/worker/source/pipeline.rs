//! The thread behind a source task: transforms, converts and produces batches.
//!
//! Per record nothing is looked up by string and nothing allocated: buffers are reused, a topic is known by the
//! address of its shared name, headers by that of their list.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use tapline_api::convert::Encoded;
use tapline_api::metrics::Metric;
use tapline_api::offset::SourceBatch;
use tapline_api::{Error, Kind, Record, Result};
use tapline_transforms::TransformationChain;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::outlet::{Converted, Outlet};
use crate::kafka::admin::Admin;
use crate::kafka::error::is_of_the_record;
use crate::kafka::producer::{Batch, Delivery};
use crate::kafka::wire;
use crate::worker::channel::{Received, Receiver};
use crate::worker::convert::{Converters, transformations};
use crate::worker::submitted::{Settled, SubmittedRecords};
use crate::worker::task::TaskContext;
use crate::worker::tolerance::{Failure, Stage, Tolerance};
use crate::worker::topics::{Groups, TopicCreator};

/// Batches handed to the producer.
pub(super) type Submitted = SubmittedRecords<Handed>;

/// A batch handed to the producer, and what to do when some of it fails.
pub(super) struct Handed {
    delivery: Delivery,
    tolerance: Arc<Tolerance>,
    let_go: AtomicBool,
}

impl Settled for Handed {
    fn is_settled(&self) -> bool {
        self.delivery.is_settled() && (self.delivery.failed() == 0 || self.let_go.load(Ordering::Acquire))
    }
}

impl Handed {
    /// Decides about records that could not be produced.
    pub(super) fn judge(&self) -> Result<()> {
        if self.delivery.failed() == 0 || self.let_go.load(Ordering::Acquire) {
            return Ok(());
        }
        let Some(error) = self.delivery.error() else {
            return Ok(());
        };
        if self.tolerance.is_tolerant() && is_of_the_record(&error) {
            let failure = Failure {
                stage: Stage::KafkaProduce,
                class: "org.apache.kafka.clients.producer.KafkaProducer".to_owned(),
                error,
            };
            self.tolerance
                .decide(failure, || "the record could not be produced".to_owned())?;
            self.let_go.store(true, Ordering::Release);
            return Ok(());
        }
        let kind = match error.kind() {
            Kind::Retriable => Kind::Retriable,
            _ => Kind::Fatal,
        };
        Err(
            Error::fatal("Unrecoverable exception from producer send callback")
                .cause(error)
                .with_kind(kind),
        )
    }
}

/// What the thread works with.
pub(super) struct Pipeline {
    receiver: Receiver<SourceBatch>,
    chain: TransformationChain,
    converters: Converters,
    outlet: Outlet,
    creator: Option<TopicCreator>,
    topics: HashMap<usize, Arc<str>>,
    /// The last record's: one of them, so that its address is its own.
    topic: usize,
    seen: Box<dyn Fn(&str) + Send>,
    submitted: Arc<Mutex<Submitted>>,
    failures: Arc<Notify>,
    abandon: CancellationToken,
    runtime: Handle,
    tolerance: Arc<Tolerance>,
    key: BytesMut,
    value: BytesMut,
    /// When the batch at hand came, in milliseconds since the epoch.
    at: i64,
    written: Metric,
    active: Metric,
}

/// Topics known by address; more than that are asked for again.
const TOPICS: usize = 10_000;
/// How long to wait for acknowledgements of what came before a failure.
const LAST: std::time::Duration = std::time::Duration::from_secs(5);
/// A buffer that one large record has grown is given back.
const BUFFER: usize = 1 << 20;

impl Pipeline {
    pub(super) fn new(
        context: &TaskContext,
        receiver: Receiver<SourceBatch>,
        submitted: Arc<Mutex<Submitted>>,
        failures: Arc<Notify>,
        abandon: CancellationToken,
    ) -> Result<Self> {
        let worker = &context.worker;
        let overrides = worker.overrides(&context.connector, "producer.override.")?;
        let client_id = format!("connector-producer-{}", context.id);
        let outlet = Outlet::new(&worker.clients.producer(&client_id, &overrides))?;
        let groups = if worker.config.flag("topic.creation.enable") {
            Groups::new(&context.connector)?
        } else {
            None
        };
        let creator = match groups {
            None => None,
            Some(groups) => {
                let overrides = worker.overrides(&context.connector, "admin.override.")?;
                let client_id = format!("connector-adminclient-{}", context.id);
                let admin = Admin::new(worker.clients.admin(&client_id, &overrides));
                Some(TopicCreator::new(groups, admin, Handle::current()))
            }
        };
        let (status, id, tracked) = (
            worker.status.clone(),
            context.id.clone(),
            worker.config.flag("topic.tracking.enable"),
        );
        Ok(Self {
            receiver,
            chain: transformations(&context.connector)?,
            converters: Converters::new(&context.connector, &worker.config.raw)?,
            outlet,
            creator,
            topics: HashMap::new(),
            topic: 0,
            seen: Box::new(move |topic| {
                if tracked {
                    status.add_topic(&id, topic);
                }
            }),
            submitted,
            failures,
            abandon,
            runtime: Handle::current(),
            tolerance: Arc::new(Tolerance::new(&context.id, &context.connector, &context.metrics)),
            key: BytesMut::new(),
            value: BytesMut::new(),
            at: 0,
            written: context.metrics.counter(
                "kafka_connect_source_task_source_record_write_total",
                "Records handed to Kafka's producer after transformations.",
                &[],
            ),
            active: context.metrics.gauge(
                "kafka_connect_source_task_source_record_active_count",
                "Records not yet acknowledged.",
                &[],
            ),
        })
    }

    /// Until the sender has gone and all is acknowledged, or something fails.
    pub(super) fn run(mut self) -> Result<()> {
        let taken = self.take_all();
        if matches!(taken, Ok(false)) {
            return Ok(());
        }
        // What came before a failure is sent all the same. A producer that is dropped drops what it has, so the
        // acknowledgements are waited for, which the loop looks for; after a failure not for long.
        let flushed = self.outlet.flush(&self.abandon);
        let until = taken.is_err().then(|| Instant::now() + LAST);
        while self.outlet.in_flight() > 0
            && !self.abandon.is_cancelled()
            && until.is_none_or(|until| Instant::now() < until)
        {
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
        taken.and(flushed).map(|_| ())
    }

    /// Hands over what comes, until the sender has gone; `false` when the task has given up meanwhile.
    fn take_all(&mut self) -> Result<bool> {
        loop {
            let received = match self.outlet.due() {
                Some(due) => self.receiver.recv_until(due, &self.runtime),
                None => match self.receiver.recv() {
                    Some((batch, held)) => Received::Item(batch, held),
                    None => Received::Ended,
                },
            };
            match received {
                Received::Item(batch, held) => {
                    if !self.batch(batch)? {
                        return Ok(false);
                    }
                    drop(held);
                }
                Received::Late => {}
                Received::Ended => return Ok(true),
            }
            let due = self.outlet.due().is_some_and(|due| due <= Instant::now());
            if due && !self.outlet.flush(&self.abandon)? {
                return Ok(false);
            }
        }
    }

    /// Hands a batch over; `false` when the task has given up meanwhile.
    fn batch(&mut self, batch: SourceBatch) -> Result<bool> {
        let (guard, delivery) = Batch::failing(self.failures.clone());
        self.at = wire::now();
        let mut written = 0;
        for record in batch.records {
            match self.record(record, &guard)? {
                Handing::Sent => written += 1,
                Handing::Dropped => {}
                Handing::Abandoned => return Ok(false),
            }
        }
        drop(guard);
        self.written.add(written);
        self.active
            .set(i64::try_from(self.outlet.in_flight()).unwrap_or(i64::MAX));
        let handed = Handed {
            delivery,
            tolerance: self.tolerance.clone(),
            let_go: AtomicBool::new(false),
        };
        self.submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .submit(handed, batch.marks, batch.flush);
        for buffer in [&mut self.key, &mut self.value] {
            if buffer.capacity() > BUFFER {
                *buffer = BytesMut::new();
            }
        }
        Ok(true)
    }

    fn record(&mut self, record: Record, guard: &Batch) -> Result<Handing> {
        let record = match self.transform(record) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Handing::Dropped),
            Err(error) => return Err(error),
        };
        let mut tried = self.convert(&record, guard);
        if matches!(&tried, Err(failure) if failure.error.kind() == Kind::Retriable)
            && self.tolerance.retry_timeout() != Some(std::time::Duration::ZERO)
        {
            tried = self.again(&record, guard, tried);
        }
        match tried {
            Ok(handing) => Ok(handing),
            Err(failure) => {
                self.tolerance.decide(failure, || describe(&record))?;
                Ok(Handing::Dropped)
            }
        }
    }

    /// The transformed record; `None` when it is dropped, by a transformation or for its failure.
    fn transform(&mut self, record: Record) -> Result<Option<Record>> {
        if self.chain.is_empty() {
            return Ok(Some(record));
        }
        // A failed transformation keeps the record, so what is to be tried again or told of is kept beforehand.
        let kept = self.tolerance.looks_back().then(|| record.clone());
        let failed = match self.chain.apply(record, None) {
            Ok(transformed) => return Ok(transformed),
            Err(failed) => failed,
        };
        let mut class = failed.class;
        let mut first = Some(failed.error);
        let done = match &kept {
            Some(kept) => self.tolerance.run(&self.abandon, || match first.take() {
                Some(error) => Err(error),
                None => self.chain.apply(kept.clone(), None).map_err(|failed| {
                    class = failed.class;
                    failed.error
                }),
            }),
            None => Err(first.unwrap_or_else(|| Error::fatal("a transformation failed"))),
        };
        match done {
            Ok(transformed) => Ok(transformed),
            Err(error) => {
                let failed = failure(Stage::Transformation, class, error);
                self.tolerance
                    .decide(failed, || kept.as_ref().map_or_else(String::new, describe))?;
                Ok(None)
            }
        }
    }

    /// The slow way, for a failure that may pass.
    fn again(
        &mut self,
        record: &Record,
        guard: &Batch,
        first: Result<Handing, Failure>,
    ) -> Result<Handing, Failure> {
        let (tolerance, abandon) = (self.tolerance.clone(), self.abandon.clone());
        let mut tried = first;
        let mut place = (Stage::ValueConverter, String::new());
        let mut attempts = 0;
        let done = tolerance.run(&abandon, || {
            let now = if attempts == 0 {
                std::mem::replace(&mut tried, Ok(Handing::Dropped))
            } else {
                self.convert(record, guard)
            };
            attempts += 1;
            now.map_err(|failure| {
                place = (failure.stage, failure.class);
                failure.error
            })
        });
        done.map_err(|error| Failure {
            stage: place.0,
            class: place.1,
            error,
        })
    }

    fn convert(&mut self, record: &Record, guard: &Batch) -> Result<Handing, Failure> {
        let topic = &record.topic;
        if address(topic) != self.topic {
            if !self.topics.contains_key(&address(topic)) {
                self.first(topic)
                    .map_err(|error| failure(Stage::KafkaProduce, "topic.creation", error))?;
            }
            self.topic = address(topic);
        }
        let converters = &mut self.converters;
        self.key.clear();
        let key = converters
            .key
            .encode(topic, record.key_schema.as_ref(), &record.key, &mut self.key)
            .map_err(|error| failure(Stage::KeyConverter, converters.key_class, error))?;
        self.value.clear();
        let value = converters
            .value
            .encode(
                topic,
                record.value_schema.as_ref(),
                &record.value,
                &mut self.value,
            )
            .map_err(|error| failure(Stage::ValueConverter, converters.value_class, error))?;
        if record.timestamp.is_some_and(|timestamp| timestamp < 0) {
            let error = Error::data(format!(
                "Invalid record timestamp {}",
                record.timestamp.unwrap_or_default()
            ))
            .exception("org.apache.kafka.common.InvalidRecordException");
            return Err(failure(Stage::KafkaProduce, "producer", error));
        }
        let converted = Converted {
            key: (key == Encoded::Bytes).then_some(&*self.key),
            value: (value == Encoded::Bytes).then_some(&*self.value),
            at: self.at,
        };
        match self
            .outlet
            .send(guard, record, converted, converters, &self.abandon)?
        {
            true => Ok(Handing::Sent),
            false => Ok(Handing::Abandoned),
        }
    }

    /// A topic's first record.
    fn first(&mut self, topic: &Arc<str>) -> Result<()> {
        let known = self.topics.values().any(|known| known == topic);
        if !known {
            if let Some(creator) = &self.creator {
                creator.ensure(topic)?;
            }
            (self.seen)(topic);
        }
        if self.topics.len() >= TOPICS {
            self.topics.clear();
        }
        // Holding the name keeps its address its own.
        self.topics.insert(address(topic), topic.clone());
        Ok(())
    }
}

enum Handing {
    Sent,
    Dropped,
    Abandoned,
}

fn address(topic: &Arc<str>) -> usize {
    Arc::as_ptr(topic).cast::<u8>() as usize
}

pub(super) fn failure(stage: Stage, class: &str, error: Error) -> Failure {
    Failure {
        stage,
        class: class.to_owned(),
        error,
    }
}

fn describe(record: &Record) -> String {
    format!(
        "source record is = {{topic='{}', partition={:?}, timestamp={:?}}}",
        record.topic, record.partition, record.timestamp
    )
}
