//! Records in, by batch, as a member of a group.
//!
//! A consumer belongs to one thread, which polls it; committing, pausing and asking may be done from others. The
//! bytes of a batch are copied once, into one arena that all its keys and values are slices of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, Timestamp};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tapline_api::record::{TimestampType, TopicPartition};
use tapline_api::sink::{Assigned, SinkOffsets};
use tapline_api::{Error, Result};

use super::clients::log;
use super::error::classify;

/// How long a request to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A record as it lay in its topic.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Which clock set it.
    pub timestamp_type: TimestampType,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

/// Hears of partitions that come and go, on the thread that polls. It may block: heartbeats go on meanwhile.
pub trait Rebalance: Send + Sync + 'static {
    /// Partitions come. Returns where to start those for which the group does not know best.
    fn assigned(&self, partitions: Vec<Assigned>) -> SinkOffsets;

    /// Partitions go. They are this consumer's until this returns, unless `lost`.
    fn revoked(&self, partitions: Vec<TopicPartition>, lost: bool);
}

/// A consumer in a group.
#[derive(Clone)]
pub struct Consumer(Arc<BaseConsumer<Context>>);

struct Context {
    name: String,
    rebalance: Box<dyn Rebalance>,
    paused: AtomicBool,
    /// Bytes of the batch before.
    filled: AtomicUsize,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.name, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::info!(target: "librdkafka", client = self.name, "{error}: {reason}");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list, cooperative)
        } else {
            let partitions = list.elements().iter().map(partition).collect();
            self.rebalance.revoked(partitions, consumer.assignment_lost());
            self.release(consumer, list, cooperative)
        };
        if let Err(error) = done {
            tracing::warn!(client = self.name, "could not take over an assignment: {error}");
        }
    }
}

impl Context {
    /// Lets partitions go, none of them paused: librdkafka would still hold one so when it is assigned again, which a
    /// consumer that has gone on meanwhile would never hear of.
    fn release(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
        cooperative: bool,
    ) -> rdkafka::error::KafkaResult<()> {
        let resumed = if self.paused.load(Ordering::Acquire) {
            consumer.resume(list)
        } else {
            Ok(())
        };
        // In any case: what stays assigned here is another consumer's as well.
        let released = if cooperative {
            consumer.incremental_unassign(list)
        } else {
            consumer.unassign()
        };
        released.and(resumed)
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
        cooperative: bool,
    ) -> rdkafka::error::KafkaResult<()> {
        // Without the group's offsets librdkafka asks for them itself, again and again.
        let committed = consumer.committed_offsets(list.clone(), TIMEOUT);
        let committed = committed
            .inspect_err(|error| {
                tracing::warn!(client = self.name, "could not read the group's offsets: {error}")
            })
            .unwrap_or_else(|_| list.clone());
        let partitions: Vec<_> = committed
            .elements()
            .iter()
            .map(|element| Assigned {
                partition: partition(element),
                topic_id: None,
                group_offset: match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                },
            })
            .collect();
        let targets = self.rebalance.assigned(partitions.clone());
        for assigned in partitions {
            let key = &assigned.partition;
            let start = assigned.group_offset.max(targets.get(key).copied());
            if let Some(start) = start {
                list.set_partition_offset(&key.topic, key.partition, Offset::Offset(start))?;
            }
        }
        if cooperative {
            consumer.incremental_assign(list)?;
        } else {
            consumer.assign(list)?;
        }
        if self.paused.load(Ordering::Acquire) {
            consumer.pause(list)?;
        }
        Ok(())
    }
}

fn partition(element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> TopicPartition {
    TopicPartition {
        topic: element.topic().into(),
        partition: element.partition(),
    }
}

/// What to subscribe to.
#[derive(Clone, Debug)]
pub enum Subscription {
    /// These topics.
    Topics(Vec<String>),
    /// All topics whose whole name matches.
    Pattern(String),
}

impl Consumer {
    /// Makes a consumer and subscribes it. It joins the group as it is polled.
    pub fn new(
        config: &ClientConfig,
        subscription: &Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Self> {
        let context = Context {
            name: config.get("client.id").unwrap_or_default().to_owned(),
            rebalance,
            paused: AtomicBool::new(false),
            filled: AtomicUsize::new(0),
        };
        let failed = |error| classify("could not make a Kafka consumer", &error);
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(failed)?;
        let topics: Vec<String> = match subscription {
            Subscription::Topics(topics) => topics.clone(),
            // librdkafka takes a name that starts with ^ for a pattern.
            Subscription::Pattern(pattern) => vec![format!("^({pattern})$")],
        };
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|error| classify("could not subscribe", &error))?;
        Ok(Self(Arc::new(consumer)))
    }

    /// Waits up to `wait` for a first record, then takes what is there, up to `records` and `bytes`.
    ///
    /// An empty batch is no news. Lost brokers are none either: librdkafka finds them again.
    pub fn poll(&self, wait: Duration, records: usize, bytes: usize) -> Result<Vec<RawRecord>> {
        let mut batch = Assembly::default();
        // Grown, it would be copied as often as it doubles.
        batch
            .arena
            .reserve(self.0.context().filled.load(Ordering::Relaxed));
        let mut wait = wait;
        while batch.records.len() < records && batch.arena.len() < bytes {
            match self.0.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    if batch.records.is_empty() {
                        // Grown, it would be copied as often as it doubles.
                        let like_before = self.0.context().filled.load(Ordering::Relaxed);
                        batch.arena.reserve(like_before.min(bytes));
                    }
                    batch.add(&message);
                }
                Some(Err(error)) => refuse(&error)?,
            }
            wait = Duration::ZERO;
        }
        if !batch.records.is_empty() {
            self.0
                .context()
                .filled
                .store(batch.arena.len(), Ordering::Relaxed);
        }
        Ok(batch.finish())
    }

    /// Commits next offsets and waits for the group's answer. Blocks.
    pub fn commit(&self, offsets: &SinkOffsets) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let failed = |error| classify("could not commit consumer offsets", &error);
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (key, offset) in offsets {
            list.add_partition_offset(&key.topic, key.partition, Offset::Offset(*offset))
                .map_err(failed)?;
        }
        self.0.commit(&list, CommitMode::Sync).map_err(failed)
    }

    /// Stops delivering records, staying in the group. What was fetched ahead is dropped.
    pub fn pause(&self) -> Result<()> {
        self.0.context().paused.store(true, Ordering::Release);
        self.each(|list| self.0.pause(list))
    }

    /// Delivers records again.
    pub fn resume(&self) -> Result<()> {
        self.0.context().paused.store(false, Ordering::Release);
        self.each(|list| self.0.resume(list))
    }

    fn each(&self, run: impl FnOnce(&TopicPartitionList) -> rdkafka::error::KafkaResult<()>) -> Result<()> {
        let failed = |error| classify("could not pause or resume a consumer", &error);
        run(&self.0.assignment().map_err(failed)?).map_err(failed)
    }

    /// Leaves the group; revocations are heard meanwhile. Blocks, at most for `timeout`.
    pub fn close(&self, timeout: Duration) {
        self.0.unsubscribe();
        let deadline = Instant::now() + timeout;
        while self.0.assignment().is_ok_and(|list| list.count() > 0) && Instant::now() < deadline {
            let _ = self.0.poll(Duration::from_millis(10));
        }
    }
}

/// Errors that end a consumer; all others are told to the log by librdkafka and pass.
fn refuse(error: &KafkaError) -> Result<()> {
    let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            tracing::warn!("a subscribed topic does not exist: {error}");
            Ok(())
        }
        Some(RDKafkaErrorCode::AutoOffsetReset) => Err(Error::fatal(format!(
            "the offset to read from does not exist, and auto.offset.reset is none: {error}"
        ))
        .exception("org.apache.kafka.clients.consumer.NoOffsetForPartitionException")),
        _ => {
            let error = classify("could not read from Kafka", error);
            match error.kind() {
                tapline_api::Kind::Fatal => Err(error),
                _ if fatal => Err(error),
                _ => {
                    tracing::info!("{error}");
                    Ok(())
                }
            }
        }
    }
}

/// A batch in the making: ranges of one arena, cut into slices at the end.
#[derive(Default)]
struct Assembly {
    arena: BytesMut,
    records: Vec<RawRecord>,
    ranges: Vec<Ranges>,
    topic: Option<Arc<str>>,
    names: Vec<Arc<str>>,
}

type Range = Option<(usize, usize)>;

struct Ranges {
    key: Range,
    value: Range,
    headers: Vec<Range>,
}

impl Assembly {
    fn add(&mut self, message: &BorrowedMessage<'_>) {
        let topic = match &self.topic {
            Some(topic) if **topic == *message.topic() => topic.clone(),
            _ => {
                let topic: Arc<str> = message.topic().into();
                self.topic = Some(topic.clone());
                topic
            }
        };
        let (timestamp, timestamp_type) = match message.timestamp() {
            Timestamp::NotAvailable => (None, TimestampType::None),
            Timestamp::CreateTime(ms) => (Some(ms), TimestampType::CreateTime),
            Timestamp::LogAppendTime(ms) => (Some(ms), TimestampType::LogAppendTime),
        };
        let key = self.copy(message.key());
        let value = self.copy(message.payload());
        let mut headers = Vec::new();
        let mut ranges = Vec::new();
        if let Some(found) = message.headers() {
            headers.reserve_exact(found.count());
            for header in found.iter() {
                headers.push((self.name(header.key), None));
                ranges.push(self.copy(header.value));
            }
        }
        self.ranges.push(Ranges {
            key,
            value,
            headers: ranges,
        });
        self.records.push(RawRecord {
            topic,
            partition: message.partition(),
            offset: message.offset(),
            timestamp,
            timestamp_type,
            key: None,
            value: None,
            headers,
        });
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Range {
        let bytes = bytes?;
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Some((start, self.arena.len()))
    }

    /// Header names repeat from record to record.
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| ***known == *name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        if self.names.len() < 64 {
            self.names.push(name.clone());
        }
        name
    }

    fn finish(self) -> Vec<RawRecord> {
        let arena = self.arena.freeze();
        let slice = |range: Range| range.map(|(start, end)| arena.slice(start..end));
        let mut records = self.records;
        for (record, ranges) in records.iter_mut().zip(self.ranges) {
            record.key = slice(ranges.key);
            record.value = slice(ranges.value);
            for (header, range) in record.headers.iter_mut().zip(ranges.headers) {
                header.1 = slice(range);
            }
        }
        records
    }
}
