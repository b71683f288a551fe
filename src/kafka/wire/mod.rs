//! A producer of our own, for what sources write.
//!
//! ```text
//!  caller ── send(record)… ─▶ open batches ── full, or linger.ms ─▶ sender task ─▶ leaders
//!  Delivery ◀── all batches that hold its records are acknowledged ◀───────┘
//! ```
//!
//! A record is encoded once, into the batch that goes out; librdkafka keeps a message of its own for each, with every header
//! copied. It is idempotent always: each partition's batches go out in order, and again in order after a failure. Why
//! there are two producers, and which one writes when: `docs/decisions/0003`.
//!
//! | module | holds |
//! |---|---|
//! | `settings` | whether this producer can do what is configured (pure) |
//! | `batch`, `lz4`, `partition`, `answer`, `lane` | batches, partitions of keys, what answers mean, a partition's batches in order (pure) |
//! | `load`, `spare` | who waits for a batch; room; buffers |
//! | `connection`, `cluster`, `sender` | a connection, what is asked of the cluster, the task that sends |

mod answer;
mod batch;
mod cluster;
mod connection;
mod lane;
mod load;
mod lz4;
mod partition;
mod sender;
mod settings;
mod spare;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use tapline_api::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::batch::Headers;
use self::batch::{Codec, Records};
use self::load::{Load, Room};
use self::lz4::Scratch;
use self::sender::Command;
use self::settings::Settings;
use self::spare::Spare;
use super::error::by_code;
use super::producer::Batch;

/// How long a topic may stay unknown (`max.block.ms`).
const MAX_BLOCK: Duration = Duration::from_secs(60);
/// How often a caller that waits looks whether it should give up.
const LOOK: Duration = Duration::from_millis(20);
/// Batches that wait for the task; what they take is bounded by the room.
const COMMANDS: usize = 64;
/// Addresses of names; more than that are looked up by name again.
const ADDRESSES: usize = 10_000;

/// Records out, for one caller. Dropping it fails what is not yet acknowledged.
pub struct Producer {
    settings: Settings,
    commands: Sender<Command>,
    room: Arc<Room>,
    spare: Arc<Spare>,
    scratch: Scratch,
    topics: Vec<Topic>,
    by_name: HashMap<Arc<str>, usize>,
    /// Names by their address, each held so that its address stays its own.
    by_address: HashMap<usize, (Arc<str>, usize)>,
    last: Option<(usize, usize)>,
    /// Bytes and records in open batches, and since when there are any.
    open: usize,
    waiting: usize,
    since: Option<Instant>,
    _ends: DropGuard,
}

struct Topic {
    name: Arc<str>,
    count: Arc<AtomicU32>,
    open: Vec<Option<Open>>,
    /// Where records without a key go until their batch is full.
    sticky: u32,
}

struct Open {
    records: Records,
    load: Load,
}

/// A record to send; bytes are copied.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The topic, known by its address from then on.
    pub topic: &'a Arc<str>,
    /// The partition, or `None` to choose it by the key's hash, as Java does.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Headers.
    pub headers: Option<&'a Headers>,
}

impl Producer {
    /// A producer with these settings, on `runtime`; `None` when they ask for what only librdkafka does. It does not
    /// wait for a connection.
    pub fn new(config: &ClientConfig, runtime: &Handle) -> Option<Self> {
        let settings = Settings::of(config)?;
        let (commands, received) = channel(COMMANDS);
        let cancel = CancellationToken::new();
        let spare = Arc::new(Spare::default());
        runtime.spawn(sender::run(
            settings.clone(),
            received,
            spare.clone(),
            cancel.clone(),
        ));
        Some(Self {
            room: Room::new(settings.queue),
            settings,
            commands,
            spare,
            scratch: Scratch::default(),
            topics: Vec::new(),
            by_name: HashMap::new(),
            by_address: HashMap::new(),
            last: None,
            open: 0,
            waiting: 0,
            since: None,
            _ends: cancel.drop_guard(),
        })
    }

    /// Hands a record over, from a thread that may block. Waits while there is no room, unless cancelled (`Ok(false)`).
    pub fn send(&mut self, batch: &Batch, record: Outgoing<'_>, cancel: &CancellationToken) -> Result<bool> {
        let Some(at) = self.topic(record.topic, cancel)? else {
            return Ok(false);
        };
        let size = Records::size_of(record.key, record.value, record.headers);
        if size + batch::HEADER > self.settings.largest {
            return Err(too_large(
                record.topic,
                size + batch::HEADER,
                self.settings.largest,
            ));
        }
        let Some(topic) = self.topics.get_mut(at) else {
            return Err(forgotten());
        };
        let place = topic.place(&record)?;
        if topic.is_full(place, size, &self.settings)
            && let Some(closed) = topic.close(place)
        {
            let name = topic.name.clone();
            if !self.hand_over(&name, place, closed, cancel)? {
                return Ok(false);
            }
        }
        let open = self
            .topics
            .get_mut(at)
            .and_then(|topic| topic.open(place, self.settings.codec, &self.spare, &mut self.since));
        let Some(open) = open else { return Err(forgotten()) };
        let before = open.records.held();
        let (key, value) = (record.key, record.value);
        open.records
            .push(record.timestamp, key, value, record.headers, &mut self.scratch)?;
        open.load.add(batch);
        self.open = (self.open + open.records.held()).saturating_sub(before);
        self.waiting += 1;
        // Thousands of tables with a little each are bounded like one with much.
        if self.open > self.settings.queue {
            return self.flush(cancel);
        }
        Ok(true)
    }

    /// When what is open must go: `linger.ms` after its first record, or at once while nothing is on its way, which a
    /// later record could be batched with.
    pub fn due(&self) -> Option<Instant> {
        let since = self.since?;
        Some(match self.room.records() {
            0 => since,
            _ => since + self.settings.linger,
        })
    }

    /// Sends what is open. Waits while there is no room, unless cancelled (`Ok(false)`).
    pub fn flush(&mut self, cancel: &CancellationToken) -> Result<bool> {
        if self.since.take().is_none() {
            return Ok(true);
        }
        let mut closed = Vec::new();
        for topic in &mut self.topics {
            for place in 0..topic.open.len() {
                if let Some(open) = topic.close(place) {
                    closed.push((topic.name.clone(), place, open));
                }
            }
        }
        for (topic, place, open) in closed {
            if !self.hand_over(&topic, place, open, cancel)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Records that are sent and not yet settled.
    pub fn in_flight(&self) -> usize {
        self.room.records() + self.waiting
    }

    /// A topic's place among those known; `None` when cancelled.
    fn topic(&mut self, name: &Arc<str>, cancel: &CancellationToken) -> Result<Option<usize>> {
        let address = Arc::as_ptr(name).cast::<u8>() as usize;
        if let Some((last, at)) = self.last
            && last == address
        {
            return Ok(Some(at));
        }
        let known = self.by_address.get(&address).map(|(_, at)| *at);
        let at = match known.or_else(|| self.by_name.get(name).copied()) {
            Some(at) => at,
            None => {
                let Some(topic) = self.ask(name, cancel)? else {
                    return Ok(None);
                };
                self.topics.push(topic);
                self.by_name.insert(name.clone(), self.topics.len() - 1);
                self.topics.len() - 1
            }
        };
        if known.is_none() {
            if self.by_address.len() >= ADDRESSES {
                self.by_address.clear();
            }
            self.by_address.insert(address, (name.clone(), at));
        }
        self.last = Some((address, at));
        Ok(Some(at))
    }

    fn hand_over(
        &mut self,
        topic: &Arc<str>,
        place: usize,
        open: Open,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        let Open { records, mut load } = open;
        let size = records.held();
        let count = usize::try_from(records.count()).unwrap_or(0);
        self.open = self.open.saturating_sub(size - batch::HEADER);
        self.waiting = self.waiting.saturating_sub(count);
        load.held = loop {
            if let Some(held) = self.room.take(size, count, LOOK) {
                break Some(held);
            }
            if cancel.is_cancelled() {
                return Ok(false);
            }
        };
        let partition = i32::try_from(place).unwrap_or(i32::MAX);
        self.commands
            .blocking_send(Command::Batch(topic.clone(), partition, records, load))
            .map_err(|_| Error::retriable("the producer's task has ended"))?;
        Ok(true)
    }

    /// Asks for a topic's partitions, and waits.
    fn ask(&self, name: &Arc<str>, cancel: &CancellationToken) -> Result<Option<Topic>> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.commands
            .blocking_send(Command::Topic(name.clone(), reply))
            .map_err(|_| Error::retriable("the producer's task has ended"))?;
        let asked = Instant::now();
        loop {
            match answer.recv_timeout(LOOK) {
                Ok(Ok(count)) => {
                    return Ok(Some(Topic {
                        name: name.clone(),
                        count,
                        open: Vec::new(),
                        sticky: 0,
                    }));
                }
                Ok(Err(refusal)) => {
                    let what = format!("could not produce to topic \"{name}\": {}", refusal.why);
                    return Err(by_code(refusal.code, what));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::retriable("the producer's task has ended"));
                }
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => return Ok(None),
                Err(RecvTimeoutError::Timeout) if asked.elapsed() > MAX_BLOCK => {
                    return Err(Error::retriable(format!(
                        "Topic {name} not present in metadata after {} ms.",
                        MAX_BLOCK.as_millis()
                    ))
                    .exception("org.apache.kafka.common.errors.TimeoutException"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Topic {
    /// The partition of a record.
    fn place(&mut self, record: &Outgoing<'_>) -> Result<usize> {
        let count = self.count.load(Ordering::Relaxed).max(1);
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => match u32::try_from(partition) {
                Ok(partition) if partition < count => partition,
                _ => {
                    return Err(Error::data(format!(
                        "Invalid partition given with record: {partition} is not in the range [0...{count})."
                    ))
                    .exception("org.apache.kafka.common.KafkaException"));
                }
            },
            (None, Some(key)) => partition::of_key(key, count),
            (None, None) => self.sticky % count,
        };
        Ok(partition as usize)
    }

    /// Whether a record of `size` no longer fits the open batch.
    fn is_full(&self, place: usize, size: usize, settings: &Settings) -> bool {
        let open = self.open.get(place).and_then(Option::as_ref);
        open.map(|open| &open.records).is_some_and(|records| {
            !records.is_empty()
                && (records.held() + size > settings.batch || records.size() + size > settings.unpacked)
        })
    }

    fn close(&mut self, place: usize) -> Option<Open> {
        let closed = self.open.get_mut(place)?.take()?;
        self.sticky = self.sticky.wrapping_add(1);
        Some(closed)
    }

    fn open(
        &mut self,
        place: usize,
        codec: Codec,
        spare: &Spare,
        since: &mut Option<Instant>,
    ) -> Option<&mut Open> {
        if self.open.len() <= place {
            self.open.resize_with(place + 1, || None);
        }
        let open = self.open.get_mut(place)?;
        Some(open.get_or_insert_with(|| {
            let now = Instant::now();
            since.get_or_insert(now);
            Open {
                records: Records::reusing(codec, spare.take()),
                load: Load::new(now),
            }
        }))
    }
}

fn forgotten() -> Error {
    Error::fatal("a topic of the producer was forgotten")
}

fn too_large(topic: &str, size: usize, most: usize) -> Error {
    Error::data(format!(
        "could not produce to topic \"{topic}\": The message is {size} bytes when serialized which is larger than {most}, which is the \
         value of the max.request.size configuration."
    ))
    .exception("org.apache.kafka.common.errors.RecordTooLargeException")
    .hint("raise max.request.size, and message.max.bytes of the broker or max.message.bytes of the topic")
}

/// Milliseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
