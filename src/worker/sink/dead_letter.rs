//! The dead letter queue of a sink (`errors.deadletterqueue.*`, KIP-298), and the reporter sinks are given
//! (KIP-610).
//!
//! A record goes there as it lay in its topic, with headers that say what was wrong. It counts as written before
//! its offset is committed.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rdkafka::message::{Header, OwnedHeaders};
use tapline_api::metrics::Metric;
use tapline_api::record::SinkRecord;
use tapline_api::sink::ErrantRecordReporter;
use tapline_api::topic_log::NewTopic;
use tapline_api::{Error, Kind, Result};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::kafka::admin::Admin;
use crate::kafka::consumer::RawRecord;
use crate::kafka::producer::{Batch, Delivery, Outgoing, Producer};
use crate::worker::task::TaskContext;
use crate::worker::tolerance::{Failure, Stage, Tolerance};

/// A sink task's dead letter queue.
pub(super) struct DeadLetters {
    topic: String,
    context_headers: bool,
    connector: String,
    task: u32,
    producer: Mutex<Option<Producer>>,
    sent: Mutex<Vec<Delivery>>,
    cancel: CancellationToken,
    requests: Metric,
    failures: Metric,
}

impl DeadLetters {
    /// As configured; `None` without a topic. The topic is created when it is missing.
    pub(super) async fn open(context: &TaskContext) -> Result<Option<Arc<Self>>> {
        let config = &context.connector;
        let get = |name: &str| config.get(&format!("errors.deadletterqueue.{name}"));
        let Some(topic) = get("topic.name").map(str::trim).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let worker = &context.worker;
        let replicas = get("topic.replication.factor")
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(3);
        let admin = Admin::new(worker.clients.admin(
            &format!("connector-dlq-adminclient-{}", context.id.connector),
            &worker.overrides(config, "admin.override.")?,
        ));
        if admin.topic(topic).await?.is_none() {
            let new = NewTopic {
                partitions: 1,
                replication_factor: replicas,
                settings: Vec::new(),
            };
            for made in admin.create(&[(topic.to_owned(), new)]).await? {
                made.map_err(|error| {
                    let kind = error.kind();
                    Error::fatal(format!("Could not initialize dead letter queue with topic={topic}"))
                        .hint("errors.deadletterqueue.topic.replication.factor must not be greater than the number of brokers")
                        .cause(error)
                        .with_kind(kind)
                })?;
            }
        }
        let client_id = format!("connector-dlq-producer-{}", context.id);
        let overrides = worker.overrides(config, "producer.override.")?;
        let counter = |name, help| context.metrics.counter(name, help, &[]);
        Ok(Some(Arc::new(Self {
            topic: topic.to_owned(),
            context_headers: get("context.headers.enable").is_some_and(|text| text.trim() == "true"),
            connector: context.id.connector.clone(),
            task: context.id.task,
            producer: Mutex::new(Some(Producer::new(
                &worker.clients.producer(&client_id, &overrides),
            )?)),
            sent: Mutex::default(),
            cancel: context.cancel.clone(),
            requests: counter(
                "kafka_connect_task_error_deadletterqueue_produce_requests",
                "Records sent to the queue.",
            ),
            failures: counter(
                "kafka_connect_task_error_deadletterqueue_produce_failures",
                "Records it did not take.",
            ),
        })))
    }

    /// Sends a record there. Blocks while the producer's queue is full.
    pub(super) fn send(&self, record: &RawRecord, failure: &Failure) -> Result<()> {
        let (batch, delivery) = Batch::new(Arc::new(Notify::new()));
        let headers = self.headers(record, failure);
        let outgoing = Outgoing {
            topic: &self.topic,
            partition: None,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            timestamp: record.timestamp,
            headers: headers.as_ref(),
        };
        self.requests.add(1);
        if let Some(producer) = &*self.producer.lock().unwrap_or_else(PoisonError::into_inner) {
            producer.send(&batch, outgoing, &self.cancel)?;
        }
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|delivery| !delivery.is_settled() || delivery.failed() > 0);
        sent.push(delivery);
        Ok(())
    }

    /// Waits until everything sent is acknowledged.
    pub(super) async fn flush(&self) -> Result<()> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner));
        for delivery in sent {
            if let Err(error) = delivery.settled().await {
                self.failures.add(1);
                let kind = match error.kind() {
                    Kind::Retriable => Kind::Retriable,
                    _ => Kind::Fatal,
                };
                return Err(
                    Error::fatal(format!("could not write to the dead letter queue {}", self.topic))
                        .cause(error)
                        .with_kind(kind),
                );
            }
        }
        Ok(())
    }

    fn headers(&self, record: &RawRecord, failure: &Failure) -> Option<OwnedHeaders> {
        if record.headers.is_empty() && !self.context_headers {
            return None;
        }
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + 10);
        for (key, value) in &record.headers {
            headers = headers.insert(Header {
                key,
                value: value.as_deref(),
            });
        }
        if !self.context_headers {
            return Some(headers);
        }
        let (partition, offset, task) = (
            record.partition.to_string(),
            record.offset.to_string(),
            self.task.to_string(),
        );
        // What failed, not what we say around it.
        let error = innermost(&failure.error);
        let trace = failure.error.trace();
        let context: [(&str, &str); 10] = [
            ("topic", &record.topic),
            ("partition", &partition),
            ("offset", &offset),
            ("connector.name", &self.connector),
            ("task.id", &task),
            ("stage", failure.stage.name()),
            ("class.name", &failure.class),
            ("exception.class.name", error.exception_class()),
            ("exception.message", error.message()),
            ("exception.stacktrace", &trace),
        ];
        for (name, value) in context {
            headers = headers.insert(Header {
                key: &format!("__connect.errors.{name}"),
                value: Some(value),
            });
        }
        Some(headers)
    }
}

impl Drop for DeadLetters {
    fn drop(&mut self) {
        let producer = self
            .producer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        std::thread::spawn(move || drop(producer));
    }
}

fn innermost(error: &Error) -> &Error {
    let mut found = error;
    while let Some(cause) = std::error::Error::source(found).and_then(|cause| cause.downcast_ref::<Error>()) {
        found = cause;
    }
    found
}

/// What a sink task reports single records to.
pub(super) struct Reporter {
    pub(super) tolerance: Arc<Tolerance>,
    pub(super) dead_letters: Option<Arc<DeadLetters>>,
    pub(super) class: &'static str,
    /// The records being put, as they lay in their topics.
    pub(super) current: Mutex<Vec<RawRecord>>,
}

impl Reporter {
    /// Lets a record go, or says that it may not.
    pub(super) fn refuse(&self, record: &SinkRecord, error: Error) -> Result<()> {
        let origin = &record.origin;
        let failure = Failure {
            stage: Stage::TaskPut,
            class: self.class.to_owned(),
            error,
        };
        let failure = self.tolerance.decide(failure, || {
            format!(
                "consumed record is {{topic='{}', partition={}, offset={}, timestamp={}}}",
                origin.topic,
                origin.partition,
                origin.offset,
                record.record.timestamp.unwrap_or(-1)
            )
        })?;
        let Some(dead_letters) = &self.dead_letters else {
            return Ok(());
        };
        let raw = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current
                .iter()
                .find(|raw| {
                    raw.offset == origin.offset
                        && raw.partition == origin.partition
                        && raw.topic == origin.topic
                })
                .cloned()
        };
        match raw {
            Some(raw) => dead_letters.send(&raw, &failure),
            None => Err(Error::fatal("a sink reported a record that it was not given").cause(failure.error)),
        }
    }
}

#[async_trait]
impl ErrantRecordReporter for Reporter {
    async fn report(&self, record: &SinkRecord, error: Error) -> Result<()> {
        if !self.tolerance.is_tolerant() {
            return Err(error);
        }
        tokio::task::block_in_place(|| self.refuse(record, error))
    }
}
