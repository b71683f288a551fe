//! A topic as a log (`KafkaBasedLog`): read to its end, followed, appended to with acknowledgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tapline_api::config::Config;
use tapline_api::topic_log::{LogRecord, LogTail, NewTopic, TopicLog, TopicLogs};
use tapline_api::{Error, Result};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::admin::Admin;
use super::clients::{Clients, Quiet};
use super::error::classify;
use super::producer::{Batch, Outgoing, Producer};

/// How many records travel at once from the reading thread.
const CHUNK: usize = 500;
/// How many bytes travel at once from the reading thread.
const CHUNK_BYTES: usize = 1 << 20;
/// How long reading may go without news before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for a topic that was just created to be known everywhere.
const PROPAGATION: Duration = Duration::from_secs(30);

/// Opens topics as logs, for connectors.
pub struct Logs {
    clients: Clients,
    producer: Arc<Producer>,
    name: String,
}

impl Logs {
    /// On the worker's cluster; `producer` serves all logs that have no settings of their own.
    pub fn new(clients: Clients, producer: Arc<Producer>, name: impl Into<String>) -> Self {
        Self {
            clients,
            producer,
            name: name.into(),
        }
    }

    /// As [`TopicLogs::open`], of a known type.
    pub async fn log(&self, topic: &str, overrides: &Config, create: Option<NewTopic>) -> Result<Log> {
        if let Some(new) = create {
            let admin = Admin::new(self.clients.admin(&self.name, overrides));
            for made in admin.create(&[(topic.to_owned(), new)]).await? {
                made?;
            }
        }
        let producer = if overrides.is_empty() {
            self.producer.clone()
        } else {
            Arc::new(Producer::new(
                &self.clients.internal_producer(&self.name, overrides),
            )?)
        };
        let mut consumer = self.clients.internal_consumer(&self.name, overrides);
        consumer.set("enable.partition.eof", "true");
        Ok(Log(Arc::new(Inner {
            topic: topic.to_owned(),
            producer: Some(producer),
            consumer,
        })))
    }
}

#[async_trait]
impl TopicLogs for Logs {
    async fn open(
        &self,
        topic: &str,
        clients: &Config,
        create: Option<NewTopic>,
    ) -> Result<Arc<dyn TopicLog>> {
        Ok(Arc::new(self.log(topic, clients, create).await?))
    }
}

/// One topic. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    topic: String,
    producer: Option<Arc<Producer>>,
    consumer: ClientConfig,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last user of a producer waits for its thread: not on a thread that serves others.
        if let Some(producer) = self.producer.take().and_then(Arc::into_inner) {
            std::thread::spawn(move || drop(producer));
        }
    }
}

impl Log {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    fn send(&self, records: &[LogRecord]) -> Result<super::producer::Delivery> {
        let producer = self
            .0
            .producer
            .as_ref()
            .ok_or_else(|| Error::fatal("the log is closed"))?;
        let (batch, delivery) = Batch::new(Arc::new(Notify::new()));
        let never = CancellationToken::new();
        for record in records {
            let headers = (!record.headers.is_empty()).then(|| {
                record
                    .headers
                    .iter()
                    .fold(OwnedHeaders::new(), |headers, (key, value)| {
                        headers.insert(Header {
                            key,
                            value: value.as_deref(),
                        })
                    })
            });
            let outgoing = Outgoing {
                topic: &self.0.topic,
                partition: (record.partition >= 0).then_some(record.partition),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                timestamp: record.timestamp,
                headers: headers.as_ref(),
            };
            producer.send(&batch, outgoing, &never)?;
        }
        Ok(delivery)
    }

    /// Runs a reader on a thread of its own. `eof` ends it at the end of every partition.
    fn read(&self, from: Option<Vec<(i32, i64)>>) -> (mpsc::Receiver<Result<Vec<LogRecord>>>, Ended) {
        let (sender, receiver) = mpsc::channel(2);
        let ended = Arc::new(AtomicBool::new(false));
        let (log, stop) = (self.clone(), ended.clone());
        let run = move || {
            let reader = Reader {
                log,
                sender: &sender,
                stop: &stop,
            };
            if let Err(error) = reader.run(from.as_deref()) {
                let _ = sender.blocking_send(Err(error));
            }
        };
        let started = std::thread::Builder::new().name("kafka-log".into()).spawn(run);
        if let Err(error) = started {
            tracing::error!("could not start a thread: {error}");
        }
        (receiver, Ended(ended))
    }
}

/// Partitions are chosen by the key's hash, unless a record names one; a negative one is none.
#[async_trait]
impl TopicLog for Log {
    async fn append(&self, records: Vec<LogRecord>) -> Result<()> {
        let log = self.clone();
        let send = move || log.send(&records);
        let delivery = tokio::task::spawn_blocking(send)
            .await
            .map_err(|error| Error::fatal("an append was cut off").cause(error))??;
        delivery.settled().await
    }

    async fn read_to_end(&self, each: &mut (dyn FnMut(LogRecord) -> Result<()> + Send)) -> Result<()> {
        let (mut chunks, _ended) = self.read(None);
        while let Some(chunk) = chunks.recv().await {
            for record in chunk? {
                each(record)?;
            }
        }
        Ok(())
    }

    async fn tail(&self, from: &[(i32, i64)]) -> Result<Box<dyn LogTail>> {
        let (chunks, ended) = self.read(Some(from.to_vec()));
        Ok(Box::new(Tail {
            chunks,
            _ended: ended,
        }))
    }
}

/// Ends the reader when dropped.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

struct Tail {
    chunks: mpsc::Receiver<Result<Vec<LogRecord>>>,
    _ended: Ended,
}

#[async_trait]
impl LogTail for Tail {
    async fn next(&mut self) -> Result<Vec<LogRecord>> {
        match self.chunks.recv().await {
            Some(chunk) => chunk,
            None => Err(Error::retriable("the reader of the log has ended")),
        }
    }
}

struct Reader<'a> {
    log: Log,
    sender: &'a mpsc::Sender<Result<Vec<LogRecord>>>,
    stop: &'a AtomicBool,
}

impl Reader<'_> {
    /// From the beginning to the end, or on from given offsets for ever.
    fn run(&self, from: Option<&[(i32, i64)]>) -> Result<()> {
        let topic = &self.log.0.topic;
        let what = format!("could not read topic \"{topic}\"");
        let failed = |error: KafkaError| classify(&what, &error);
        let mut config = self.log.0.consumer.clone();
        if from.is_none() {
            // The end is told by an empty answer, which the broker would hold back.
            config.set("fetch.wait.max.ms", "5");
        }
        let name = config.get("client.id").unwrap_or_default().to_owned();
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet(name)).map_err(failed)?;
        let partitions = self.partitions(&consumer, &what)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let given = from.and_then(|from| from.iter().find(|(p, _)| *p == partition));
            let offset = match (from, given) {
                (None, _) => Offset::Beginning,
                (Some(_), Some((_, offset))) => Offset::Offset(*offset),
                (Some(_), None) => Offset::End,
            };
            list.add_partition_offset(topic, partition, offset)
                .map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
        let mut open: Vec<bool> = vec![true; usize::try_from(partitions).unwrap_or(0)];
        let mut news = Instant::now();
        let mut chunk = Chunk::default();
        while !self.stop.load(Ordering::Acquire) {
            // What has gathered is handed over before there is a wait.
            let wait = if chunk.records.is_empty() {
                Duration::from_millis(100)
            } else {
                Duration::ZERO
            };
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    chunk.add(&message);
                    news = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    news = Instant::now();
                    if let Some(flag) = usize::try_from(partition)
                        .ok()
                        .and_then(|index| open.get_mut(index))
                    {
                        *flag = false;
                    }
                    if from.is_none() && !open.contains(&true) {
                        return self.hand_over(&mut chunk);
                    }
                }
                Some(Err(error)) => {
                    let error = failed(error);
                    if error.kind() != tapline_api::Kind::Retriable {
                        return Err(error);
                    }
                    tracing::info!("{error}");
                }
                None if !chunk.records.is_empty() => self.hand_over(&mut chunk)?,
                None if from.is_none() && news.elapsed() > PATIENCE => {
                    return Err(Error::retriable(format!("{what}: no answer from the brokers")));
                }
                None => {}
            }
            if chunk.records.len() >= CHUNK || chunk.bytes >= CHUNK_BYTES {
                self.hand_over(&mut chunk)?;
            }
        }
        Ok(())
    }

    /// How many partitions the topic has; waits for one that was just created.
    fn partitions(&self, consumer: &BaseConsumer<Quiet>, what: &str) -> Result<i32> {
        let topic = &self.log.0.topic;
        let deadline = Instant::now() + PROPAGATION;
        loop {
            let error = match consumer.fetch_metadata(Some(topic), PROPAGATION) {
                Ok(metadata) => match metadata.topics().first() {
                    Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
                        return Ok(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX));
                    }
                    found => {
                        let code = found.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
                        KafkaError::MetadataFetch(code.unwrap_or(RDKafkaErrorCode::UnknownTopicOrPartition))
                    }
                },
                Err(error) => error,
            };
            let error = classify(what, &error);
            if error.kind() != tapline_api::Kind::Retriable
                || Instant::now() > deadline
                || self.stop.load(Ordering::Acquire)
            {
                return Err(error);
            }
            // A poll serves librdkafka's events, and is a pause.
            let _ = consumer.poll(Duration::from_millis(20));
        }
    }

    fn hand_over(&self, chunk: &mut Chunk) -> Result<()> {
        chunk.bytes = 0;
        let records = std::mem::take(&mut chunk.records);
        if records.is_empty() {
            return Ok(());
        }
        self.sender
            .blocking_send(Ok(records))
            .map_err(|_| Error::fatal("nobody reads any more"))
    }
}

#[derive(Default)]
struct Chunk {
    records: Vec<LogRecord>,
    bytes: usize,
}

impl Chunk {
    fn add(&mut self, message: &BorrowedMessage<'_>) {
        let copy = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (Arc::from(header.key), copy(header.value)))
                .collect()
        });
        self.bytes += message.key_len() + message.payload_len();
        self.records.push(LogRecord {
            partition: message.partition(),
            offset: message.offset(),
            key: copy(message.key()),
            value: copy(message.payload()),
            headers,
            timestamp: message.timestamp().to_millis(),
        });
    }
}
