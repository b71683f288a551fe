//! Records out, acknowledged by batch.
//!
//! ```text
//!  caller ── send(batch, record)… ──▶ librdkafka's queue ──▶ brokers
//!                                                             │
//!  Delivery ◀── last record of the batch settled ◀── poll thread
//! ```
//!
//! Nothing is allocated or locked per record: each record in flight holds a clone of its batch, and the batch is
//! settled when the last clone is gone. librdkafka's queue is bounded in bytes; a caller that fills it waits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tapline_api::{Error, Result};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::clients::log;
use super::error::{by_code, classify};

/// How long a caller that found the queue full waits at most before it looks again.
const FULL_WAIT: Duration = Duration::from_millis(20);
/// How often the poll thread looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

/// A producer with its poll thread. Dropping it drops what is not yet acknowledged, and blocks for a moment.
pub struct Producer {
    shared: Arc<Shared>,
    poller: Option<JoinHandle<()>>,
}

struct Shared {
    client: BaseProducer<Context>,
    ended: AtomicBool,
}

struct Context {
    name: String,
    room: Arc<Room>,
}

/// Where callers wait for room in the queue. They are told of it once per answer of a broker, not per record.
#[derive(Default)]
struct Room {
    /// Somebody is about to wait.
    wanted: AtomicBool,
    told: Mutex<bool>,
    freed: Condvar,
}

/// A batch as its records hold it: when the last one is settled, so is the batch.
#[derive(Clone, Debug)]
pub struct Batch(Arc<Guard>);

#[derive(Debug)]
struct Guard(Arc<Progress>);

/// A batch as the one who waits for it sees it.
pub struct Delivery(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    settled: AtomicBool,
    failed: AtomicUsize,
    first: OnceLock<(RDKafkaErrorCode, String)>,
    notify: Arc<Notify>,
    only_failures: bool,
}

impl Batch {
    /// A batch, and how it goes. `notify` is told when it is settled.
    pub fn new(notify: Arc<Notify>) -> (Self, Delivery) {
        Self::make(notify, false)
    }

    /// A batch, and how it goes. `notify` is told when it is settled and some of it failed.
    pub fn failing(notify: Arc<Notify>) -> (Self, Delivery) {
        Self::make(notify, true)
    }

    fn make(notify: Arc<Notify>, only_failures: bool) -> (Self, Delivery) {
        let progress = Arc::new(Progress {
            settled: AtomicBool::new(false),
            failed: AtomicUsize::new(0),
            first: OnceLock::new(),
            notify,
            only_failures,
        });
        (Self(Arc::new(Guard(progress.clone()))), Delivery(progress))
    }

    /// Whether both are the same batch.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// So many of its records failed.
    pub(super) fn failed(&self, records: usize, code: RDKafkaErrorCode, why: &str) {
        self.0.failed(records, code, || why.to_owned());
    }
}

impl Guard {
    fn failed(&self, records: usize, code: RDKafkaErrorCode, why: impl FnOnce() -> String) {
        self.0.failed.fetch_add(records, Ordering::AcqRel);
        self.0.first.get_or_init(|| (code, why()));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.settled.store(true, Ordering::Release);
        if !self.0.only_failures || self.0.failed.load(Ordering::Acquire) > 0 {
            self.0.notify.notify_one();
        }
    }
}

impl Delivery {
    /// Whether every record is acknowledged or has failed.
    pub fn is_settled(&self) -> bool {
        self.0.settled.load(Ordering::Acquire)
    }

    /// How many records failed.
    pub fn failed(&self) -> usize {
        self.0.failed.load(Ordering::Acquire)
    }

    /// The first failure.
    pub fn error(&self) -> Option<Error> {
        let (code, why) = self.0.first.get()?;
        Some(by_code(*code, format!("could not produce a record: {why}")))
    }

    /// Waits until it is settled. Only for a batch with a `notify` of its own.
    pub async fn settled(&self) -> Result<()> {
        while !self.is_settled() {
            self.0.notify.notified().await;
        }
        self.error().map_or(Ok(()), Err)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.name, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::info!(target: "librdkafka", client = self.name, "{error}: {reason}");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Guard>;

    fn delivery(&self, result: &DeliveryResult<'_>, guard: Arc<Guard>) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            guard.failed(1, code, || error.to_string());
        }
        if self.room.wanted.load(Ordering::Relaxed) {
            self.room.tell();
        }
    }
}

impl Room {
    /// Asks to be told: of what is settled from here on, [`wait`](Self::wait) hears.
    fn ask(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.wanted.store(true, Ordering::SeqCst);
    }

    fn tell(&self) {
        if self.wanted.swap(false, Ordering::SeqCst) {
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.freed.notify_all();
        }
    }

    fn wait(&self) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.freed.wait_timeout_while(told, FULL_WAIT, |told| !*told);
    }
}

/// A record to send; bytes are copied.
#[derive(Clone, Copy, Default)]
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition, or `None` to choose it by the key's murmur2 hash, as Java does.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Headers, copied.
    pub headers: Option<&'a OwnedHeaders>,
}

impl Producer {
    /// Makes a producer. It does not wait for a connection.
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let name = config.get("client.id").unwrap_or_default().to_owned();
        let room = Arc::new(Room::default());
        let context = Context {
            name: name.clone(),
            room,
        };
        let client: BaseProducer<Context> = config
            .create_with_context(context)
            .map_err(|error| classify("could not make a Kafka producer", &error))?;
        let shared = Arc::new(Shared {
            client,
            ended: AtomicBool::new(false),
        });
        let polled = shared.clone();
        let poller = std::thread::Builder::new()
            .name("kafka-acks".into())
            .spawn(move || {
                while !polled.ended.load(Ordering::Acquire) {
                    polled.client.poll(POLL);
                }
            })
            .map_err(|error| Error::fatal("could not start a thread").cause(error))?;
        Ok(Self {
            shared,
            poller: Some(poller),
        })
    }

    /// Hands a record over. Waits while the queue is full, unless cancelled (`Ok(false)`).
    pub fn send(&self, batch: &Batch, record: Outgoing<'_>, cancel: &CancellationToken) -> Result<bool> {
        let mut base = BaseRecord::with_opaque_to(record.topic, batch.0.clone());
        base.partition = record.partition;
        base.key = record.key;
        base.payload = record.value;
        base.timestamp = record.timestamp;
        base.headers = record.headers.cloned();
        let mut asked = false;
        loop {
            match self.shared.client.send(base) {
                Ok(()) => return Ok(true),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    if cancel.is_cancelled() {
                        return Ok(false);
                    }
                    base = refused;
                    let room = &self.shared.client.context().room;
                    // Between the refusal and the question room may have come: look once more before waiting.
                    if asked {
                        room.wait();
                    } else {
                        room.ask();
                    }
                    asked = !asked;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::Fatal), _)) => {
                    let why = self.shared.client.client().fatal_error();
                    let why = why.map_or(String::new(), |(code, why)| format!(": {code}: {why}"));
                    return Err(Error::retriable(format!(
                        "the producer was fenced or lost its state{why}"
                    )));
                }
                Err((error, _)) => {
                    let what = format!("could not produce to topic \"{}\"", record.topic);
                    return Err(classify(&what, &error));
                }
            }
        }
    }

    /// The cluster's id; `None` when no broker answers in time. Blocks.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        self.shared.client.client().fetch_cluster_id(timeout)
    }

    /// Records and requests that are not yet settled.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.shared.client.in_flight_count()).unwrap_or(0)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(poller) = self.poller.take() {
            let _ = poller.join();
        }
    }
}
