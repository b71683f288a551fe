//! The task that sends a producer's batches to the leaders of their partitions.
//!
//! It alone holds what is known of topics, brokers and batches on their way; nothing in it waits. What takes time happens
//! in tasks of its own and comes back as an event: connecting, reading answers, asking the cluster.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{Receiver, Sender as Channel, channel};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::answer::{Verdict, code_of, may_pass};
use super::batch::Records;
use super::cluster::{self, Ask, Led, Told};
use super::connection::{Connection, answer_of, frame};
use super::lane::Lane;
use super::load::Load;
use super::settings::Settings;
use super::spare::Spare;
use crate::worker::backoff::Backoff;

/// Topics are known by id from version 13 on.
const PRODUCE: i16 = 12;
/// Events that wait to be heard; each is an answer at most.
const EVENTS: usize = 64;
/// How often to look at what has a time limit.
const TICK: Duration = Duration::from_millis(500);
/// How long a topic may be unknown: it may just have been made, on another broker (`topic.metadata.propagation.max.ms`).
const UNKNOWN: Duration = Duration::from_secs(30);

/// What the producer asks of this task.
#[derive(Debug)]
pub(super) enum Command {
    /// A topic will be written to: how many partitions has it?
    Topic(
        Arc<str>,
        std::sync::mpsc::SyncSender<Result<Arc<AtomicU32>, Refusal>>,
    ),
    /// A batch.
    Batch(Arc<str>, i32, Records, Load),
}

/// Why something can't be.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) why: String,
}

/// What comes back from other tasks.
#[derive(Debug)]
pub(super) enum Event {
    Told(io::Result<Told>),
    Up {
        link: u64,
        version: i16,
        frames: Channel<Bytes>,
    },
    Answer {
        link: u64,
        answer: Bytes,
    },
    Lost {
        link: u64,
        why: String,
    },
}

/// Runs until the producer is dropped.
pub(super) async fn run(
    settings: Settings,
    mut commands: Receiver<Command>,
    spare: Arc<Spare>,
    cancel: CancellationToken,
) {
    let (events, mut arrived) = channel(EVENTS);
    let (asks, asked) = channel(1);
    let asking = cluster::run(
        settings.bootstrap.clone(),
        settings.dial.clone(),
        asked,
        events.clone(),
    );
    let asking = tokio::spawn(asking).abort_handle();
    let mut sender = Sender::new(settings, spare, events, asks);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let wake = sender.wake();
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(event) = arrived.recv() => sender.on_event(event),
            command = commands.recv() => match command {
                Some(command) => sender.on_command(command),
                None => break,
            },
            _ = ticks.tick() => sender.look(),
            () = until(wake) => {}
        }
        sender.go_on();
    }
    asking.abort();
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

struct Sender {
    settings: Settings,
    spare: Arc<Spare>,
    events: Channel<Event>,
    asks: Channel<Ask>,
    topics: HashMap<StrBytes, Topic>,
    lanes: Vec<Partition>,
    /// Lanes that may have something to send, each once.
    ready: VecDeque<usize>,
    /// Lanes that wait until a moment, or for a leader.
    resting: Vec<usize>,
    links: BTreeMap<i32, Link>,
    next_link: u64,
    brokers: BTreeMap<i32, String>,
    identity: Identity,
    asking: bool,
    ask_at: Option<Instant>,
    ask_pace: Backoff,
    /// When all topics were last asked for.
    refreshed: Instant,
    /// Leaders may have changed.
    stale: bool,
    refused: Option<Refusal>,
}

struct Topic {
    count: Arc<AtomicU32>,
    lanes: Vec<usize>,
    waiting: Vec<std::sync::mpsc::SyncSender<Result<Arc<AtomicU32>, Refusal>>>,
    wanted: bool,
    unknown_since: Option<Instant>,
}

struct Partition {
    topic: StrBytes,
    index: i32,
    leader: Option<i32>,
    lane: Lane<Load>,
    listed: bool,
    pace: Backoff,
}

enum Identity {
    None,
    Known(i64, i16),
    /// Another is wanted, once nothing is outstanding.
    Spent,
}

struct Link {
    id: u64,
    up: Option<(i16, Channel<Bytes>)>,
    task: AbortHandle,
    requests: VecDeque<Request>,
    muted: Option<Instant>,
    correlation: i32,
    /// Lanes that wait for this link.
    waiting: Vec<usize>,
}

struct Request {
    correlation: i32,
    at: Instant,
    /// The sequence number of each lane's batch.
    parts: HashMap<usize, i32>,
}

/// A request in the making.
#[derive(Default)]
struct Draft {
    parts: HashMap<usize, (i32, Bytes)>,
    size: usize,
}

impl Sender {
    fn new(settings: Settings, spare: Arc<Spare>, events: Channel<Event>, asks: Channel<Ask>) -> Self {
        Self {
            ask_pace: settings.pace(),
            settings,
            spare,
            events,
            asks,
            topics: HashMap::new(),
            lanes: Vec::new(),
            ready: VecDeque::new(),
            resting: Vec::new(),
            links: BTreeMap::new(),
            next_link: 1,
            brokers: BTreeMap::new(),
            identity: Identity::None,
            asking: false,
            ask_at: None,
            refreshed: Instant::now(),
            stale: false,
            refused: None,
        }
    }

    /// The next moment at which something is to be done.
    fn wake(&self) -> Option<Instant> {
        let resting = self.resting.iter().filter_map(|at| {
            let partition = self.lanes.get(*at)?;
            partition.leader.and(partition.lane.resting())
        });
        let muted = self.links.values().filter_map(|link| link.muted);
        resting.chain(muted).chain(self.ask_at).min()
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Topic(_, reply) if self.refused.is_some() => {
                if let Some(refused) = &self.refused {
                    let _gone = reply.send(Err(refused.clone()));
                }
            }
            Command::Topic(name, reply) => {
                let key = StrBytes::from_string(name.to_string());
                let topic = self.topics.entry(key).or_insert_with(|| Topic {
                    count: Arc::new(AtomicU32::new(0)),
                    lanes: Vec::new(),
                    waiting: Vec::new(),
                    wanted: true,
                    unknown_since: None,
                });
                if topic.count.load(Ordering::Acquire) > 0 {
                    let _gone = reply.send(Ok(topic.count.clone()));
                } else {
                    topic.waiting.push(reply);
                    topic.wanted = true;
                }
            }
            Command::Batch(topic, partition, records, load) => {
                self.on_batch(&topic, partition, records, load)
            }
        }
    }

    fn on_batch(&mut self, topic: &str, partition: i32, records: Records, mut load: Load) {
        if let Some(refused) = &self.refused {
            load.failed(refused.code, &refused.why);
            return;
        }
        let (sealed, buffer) = match records.seal(self.settings.codec) {
            Ok(sealed) => sealed,
            Err(error) => {
                load.failed(Code::BadCompression, error.message());
                return;
            }
        };
        self.spare.give(buffer);
        if let Some(held) = &mut load.held {
            held.shrink(sealed.size());
        }
        let at = self
            .topics
            .get(topic.as_bytes())
            .and_then(|topic| topic.lanes.get(usize::try_from(partition).ok()?))
            .copied();
        match at.and_then(|at| Some((at, self.lanes.get_mut(at)?))) {
            Some((at, partition)) => {
                partition.lane.push(sealed, load);
                self.list(at);
            }
            None => load.failed(
                Code::UnknownPartition,
                &format!("topic {topic} has no partition {partition}"),
            ),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Told(told) => self.on_told(told),
            Event::Up {
                link,
                version,
                frames,
            } => {
                if let Some(link) = self.links.values_mut().find(|known| known.id == link) {
                    link.up = Some((version, frames));
                    let waiting = std::mem::take(&mut link.waiting);
                    self.list_all(waiting);
                }
            }
            Event::Answer { link, answer } => {
                if let Err(error) = self.on_answer(link, answer) {
                    self.drop_link(link, &error.to_string());
                }
            }
            Event::Lost { link, why } => self.drop_link(link, &why),
        }
    }

    fn on_told(&mut self, told: io::Result<Told>) {
        self.asking = false;
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                tracing::info!(client = %self.settings.dial.client, "no metadata: {error}");
                self.ask_at = Some(Instant::now() + self.ask_pace.wait());
                return;
            }
        };
        match told.identity {
            Some(Ok((producer, epoch))) => self.identity = Identity::Known(producer, epoch),
            Some(Err(code)) if may_pass(code) || matches!(code, 15 | 16 | 51) => {}
            Some(Err(code)) => self.refuse(code_of(code), &format!("no producer id: Kafka error {code}")),
            None => {}
        }
        if !told.brokers.is_empty() {
            self.brokers = told.brokers;
        }
        let mut unsettled = false;
        for (name, led) in told.topics {
            unsettled |= !self.on_topic(&name, led);
        }
        let resting = std::mem::take(&mut self.resting);
        self.list_all(resting);
        if unsettled || !matches!(self.identity, Identity::Known(..)) {
            self.ask_at = Some(Instant::now() + self.ask_pace.wait());
        } else {
            self.ask_at = None;
            self.ask_pace.reset();
        }
    }

    /// Whether all is known that there is to know of the topic.
    fn on_topic(&mut self, name: &StrBytes, led: Result<Vec<Led>, i16>) -> bool {
        let Some(topic) = self.topics.get_mut(name) else {
            return true;
        };
        let led = match led {
            Ok(led) if !led.is_empty() => led,
            Ok(_) => return false,
            Err(code) => {
                let since = *topic.unknown_since.get_or_insert_with(Instant::now);
                if may_pass(code) && since.elapsed() < UNKNOWN {
                    return false;
                }
                let why = format!(
                    "no metadata of topic {name}: Kafka error {code}",
                    name = name.as_str()
                );
                let refusal = Refusal {
                    code: code_of(code),
                    why,
                };
                for reply in topic.waiting.drain(..) {
                    let _gone = reply.send(Err(refusal.clone()));
                }
                topic.wanted = false;
                topic.unknown_since = None;
                for at in topic.lanes.clone() {
                    self.fail_lane(at, refusal.code, &refusal.why);
                }
                return true;
            }
        };
        topic.unknown_since = None;
        topic.wanted = false;
        for Led { partition, leader } in &led {
            let place = usize::try_from(*partition).unwrap_or(usize::MAX);
            match topic.lanes.get(place) {
                Some(at) => {
                    if let Some(known) = self.lanes.get_mut(*at) {
                        known.leader = *leader;
                    }
                }
                None if place == topic.lanes.len() => {
                    topic.lanes.push(self.lanes.len());
                    self.lanes.push(Partition {
                        topic: name.clone(),
                        index: *partition,
                        leader: *leader,
                        lane: Lane::default(),
                        listed: false,
                        pace: self.settings.pace(),
                    });
                }
                None => {}
            }
        }
        let count = u32::try_from(topic.lanes.len()).unwrap_or(u32::MAX);
        topic.count.store(count, Ordering::Release);
        for reply in topic.waiting.drain(..) {
            let _gone = reply.send(Ok(topic.count.clone()));
        }
        led.iter().all(|led| led.leader.is_some())
    }

    fn on_answer(&mut self, id: u64, mut answer: Bytes) -> io::Result<()> {
        let Some(link) = self.links.values_mut().find(|link| link.id == id) else {
            return Ok(());
        };
        let version = link.up.as_ref().map_or(PRODUCE, |(version, _)| *version);
        let (correlation, answer) = answer_of::<ProduceRequest>(&mut answer, version)?;
        let request = match link.requests.pop_front() {
            Some(request) if request.correlation == correlation => request,
            _ => return Err(io::Error::other("an answer that nobody waits for")),
        };
        if let Ok(throttle @ 1..) = u64::try_from(answer.throttle_time_ms) {
            link.muted = Some(Instant::now() + Duration::from_millis(throttle));
        }
        let waiting = std::mem::take(&mut link.waiting);
        self.settle(request, &answer);
        self.list_all(waiting);
        Ok(())
    }

    /// What each batch of a request came to.
    fn settle(&mut self, mut request: Request, answer: &ProduceResponse) {
        for topic in &answer.responses {
            for part in &topic.partition_responses {
                let lanes = self.topics.get(&topic.name.0).map(|topic| &topic.lanes);
                let at = lanes
                    .and_then(|lanes| lanes.get(usize::try_from(part.index).ok()?))
                    .copied();
                if let Some((at, sequence)) = at.and_then(|at| request.parts.remove_entry(&at)) {
                    let said = part.error_message.as_ref().map_or("", |message| message.as_str());
                    self.judge(at, sequence, part.error_code, said);
                }
            }
        }
        for (at, sequence) in request.parts {
            self.again(at, sequence);
        }
    }

    fn judge(&mut self, at: usize, sequence: i32, code: i16, said: &str) {
        let Some(partition) = self.lanes.get_mut(at) else {
            return;
        };
        match Verdict::of(code) {
            Verdict::Done => {
                partition.pace.reset();
                if let Some(load) = partition.lane.acknowledged(sequence) {
                    load.settled();
                }
                self.list(at);
            }
            Verdict::Again => self.again(at, sequence),
            Verdict::Elsewhere => {
                self.again(at, sequence);
                self.stale = true;
            }
            Verdict::Gap if !partition.lane.is_first(sequence) => self.again(at, sequence),
            Verdict::Gap | Verdict::Renew => {
                tracing::warn!(
                    client = %self.settings.dial.client,
                    "topic {} partition {}: the broker has lost this producer's place (Kafka error {code}); another producer id is asked for",
                    partition.topic.as_str(),
                    partition.index,
                );
                self.again(at, sequence);
                self.identity = Identity::Spent;
            }
            Verdict::Never(what) => {
                let why = format!(
                    "topic {} partition {}: Kafka error {code} {said}",
                    partition.topic.as_str(),
                    partition.index
                );
                if let Some(load) = partition.lane.rejected(sequence) {
                    load.failed(what, &why);
                }
                self.identity = Identity::Spent;
            }
            Verdict::Fatal(what) => {
                let why = format!("topic {}: Kafka error {code} {said}", partition.topic.as_str());
                self.fail_lane(at, what, &why);
            }
        }
    }

    fn again(&mut self, at: usize, sequence: i32) {
        if let Some(partition) = self.lanes.get_mut(at) {
            let wait = partition.pace.wait();
            partition.lane.failed(sequence, Instant::now() + wait);
        }
        self.list(at);
    }

    fn fail_lane(&mut self, at: usize, code: Code, why: &str) {
        if let Some(partition) = self.lanes.get_mut(at) {
            for load in partition.lane.drain() {
                load.failed(code, why);
                self.identity = Identity::Spent;
            }
        }
    }

    /// Nothing can be sent any more.
    fn refuse(&mut self, code: Code, why: &str) {
        for at in 0..self.lanes.len() {
            self.fail_lane(at, code, why);
        }
        let refusal = Refusal {
            code,
            why: why.to_owned(),
        };
        for topic in self.topics.values_mut() {
            for reply in topic.waiting.drain(..) {
                let _gone = reply.send(Err(refusal.clone()));
            }
        }
        self.refused = Some(refusal);
    }

    fn drop_link(&mut self, id: u64, why: &str) {
        let Some((broker, _)) = self.links.iter().find(|(_, link)| link.id == id) else {
            return;
        };
        let broker = *broker;
        let Some(link) = self.links.remove(&broker) else {
            return;
        };
        link.task.abort();
        let busy = !link.requests.is_empty() || !link.waiting.is_empty();
        if busy {
            tracing::info!(client = %self.settings.dial.client, "the connection to broker {broker} is lost: {why}");
            // Whoever leads now may be another.
            self.stale = true;
        }
        for request in &link.requests {
            for (at, sequence) in &request.parts {
                self.again(*at, *sequence);
            }
        }
        for at in link.waiting {
            let rest = Instant::now() + self.lanes.get_mut(at).map_or(TICK, |lane| lane.pace.wait());
            if let Some(partition) = self.lanes.get_mut(at) {
                partition.lane.rest(rest);
            }
            self.list(at);
        }
    }

    /// Notes that a lane may have something to send.
    fn list(&mut self, at: usize) {
        if let Some(partition) = self.lanes.get_mut(at)
            && !partition.listed
            && partition.lane.has_next()
        {
            partition.listed = true;
            self.ready.push_back(at);
        }
    }

    /// As [`list`](Self::list), of lanes that were listed elsewhere.
    fn list_all(&mut self, lanes: Vec<usize>) {
        for at in lanes {
            if let Some(partition) = self.lanes.get_mut(at) {
                partition.listed = false;
            }
            self.list(at);
        }
    }

    /// What has a time limit.
    fn look(&mut self) {
        let now = Instant::now();
        let silent: Vec<u64> = self
            .links
            .values()
            .filter(|link| {
                let oldest = link.requests.front().map(|request| request.at);
                oldest.is_some_and(|at| now.duration_since(at) > self.settings.dial.request)
            })
            .map(|link| link.id)
            .collect();
        for link in silent {
            self.drop_link(link, "no answer in request.timeout.ms");
        }
        let late = |partition: &Partition| {
            partition.lane.outstanding() == 0
                && partition
                    .lane
                    .oldest()
                    .is_some_and(|load| now.duration_since(load.since) > self.settings.delivery)
        };
        let lanes = self.lanes.iter().enumerate();
        let late: Vec<usize> = lanes.filter(|(_, lane)| late(lane)).map(|(at, _)| at).collect();
        for at in late {
            self.fail_lane(at, Code::MessageTimedOut, "delivery.timeout.ms has passed");
        }
        if now.duration_since(self.refreshed) > self.settings.refresh {
            self.stale = true;
        }
    }

    /// Does what can be done now.
    fn go_on(&mut self) {
        let now = Instant::now();
        let rested =
            |lane: &Partition| lane.lane.resting().is_none_or(|until| until <= now) && lane.leader.is_some();
        let (up, resting) = std::mem::take(&mut self.resting)
            .into_iter()
            .partition(|at| self.lanes.get(*at).is_some_and(rested));
        self.resting = resting;
        self.list_all(up);
        let mut heard = Vec::new();
        for link in self.links.values_mut() {
            if link.muted.is_some_and(|until| until <= now) {
                link.muted = None;
                heard.append(&mut link.waiting);
            }
        }
        self.list_all(heard);
        self.renew();
        if let Identity::Known(producer, epoch) = self.identity {
            self.send_all((producer, epoch), now);
        }
        self.ask(now);
    }

    /// Once nothing is outstanding, all that is left can be numbered anew.
    fn renew(&mut self) {
        if matches!(self.identity, Identity::Spent)
            && self.links.values().all(|link| link.requests.is_empty())
        {
            self.identity = Identity::None;
            self.ask_at = None;
            for at in 0..self.lanes.len() {
                if let Some(partition) = self.lanes.get_mut(at) {
                    partition.lane.renewed();
                }
                self.list(at);
            }
        }
    }

    fn ask(&mut self, now: Instant) {
        let identity = matches!(self.identity, Identity::None);
        let wanted = self.stale || identity || self.topics.values().any(|topic| topic.wanted);
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = None;
        }
        if self.asking || !wanted || self.ask_at.is_some() || self.refused.is_some() {
            return;
        }
        let stale = std::mem::take(&mut self.stale);
        if stale {
            self.refreshed = now;
        }
        let topics = self
            .topics
            .iter()
            .filter(|(_, topic)| topic.wanted || stale)
            .map(|(name, _)| name.clone())
            .collect();
        self.asking = self.asks.try_send(Ask { topics, identity }).is_ok();
    }

    fn send_all(&mut self, producer: (i64, i16), now: Instant) {
        let mut drafts: BTreeMap<i32, Draft> = BTreeMap::new();
        while let Some(at) = self.ready.pop_front() {
            let Some(partition) = self.lanes.get_mut(at) else {
                continue;
            };
            let Some(leader) = partition
                .leader
                .filter(|_| partition.lane.resting().is_none_or(|until| until <= now))
            else {
                self.stale |= partition.leader.is_none();
                self.resting.push(at);
                continue;
            };
            if !self.links.contains_key(&leader) && !self.connect(leader) {
                self.stale = true;
                if let Some(partition) = self.lanes.get_mut(at) {
                    partition.leader = None;
                }
                self.resting.push(at);
                continue;
            }
            let draft = drafts.entry(leader).or_default();
            // A request holds one batch of a partition, and not more than the broker takes.
            let full = draft.size >= self.settings.request_bytes || draft.parts.contains_key(&at);
            if full {
                let draft = std::mem::take(draft);
                self.send(leader, draft, now);
            }
            let Some(link) = self.links.get_mut(&leader) else {
                continue;
            };
            if link.up.is_none() || link.muted.is_some() || link.requests.len() >= self.settings.in_flight {
                link.waiting.push(at);
                continue;
            }
            let Some(partition) = self.lanes.get_mut(at) else {
                continue;
            };
            partition.listed = false;
            if let Some((sequence, bytes)) = partition.lane.take(link.id, producer) {
                let draft = drafts.entry(leader).or_default();
                draft.size += bytes.len();
                draft.parts.insert(at, (sequence, bytes));
                self.list(at);
            }
        }
        for (leader, draft) in drafts {
            self.send(leader, draft, now);
        }
    }

    fn send(&mut self, leader: i32, draft: Draft, now: Instant) {
        let Some(link) = self.links.get_mut(&leader) else {
            return;
        };
        let Some((version, frames)) = &link.up else { return };
        if draft.parts.is_empty() {
            return;
        }
        link.correlation = link.correlation.wrapping_add(1);
        let mut topics: BTreeMap<StrBytes, Vec<PartitionProduceData>> = BTreeMap::new();
        let mut parts = HashMap::with_capacity(draft.parts.len());
        for (at, (sequence, bytes)) in draft.parts {
            parts.insert(at, sequence);
            if let Some(partition) = self.lanes.get(at) {
                let data = PartitionProduceData::default()
                    .with_index(partition.index)
                    .with_records(Some(bytes));
                topics.entry(partition.topic.clone()).or_default().push(data);
            }
        }
        let topics = topics
            .into_iter()
            .map(|(name, data)| {
                TopicProduceData::default()
                    .with_name(TopicName(name))
                    .with_partition_data(data)
            })
            .collect();
        let timeout = i32::try_from(self.settings.dial.request.as_millis()).unwrap_or(i32::MAX);
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(timeout)
            .with_topic_data(topics);
        let sent = frame(&request, *version, link.correlation, &self.settings.dial.client)
            .is_ok_and(|frame| frames.try_send(frame).is_ok());
        link.requests.push_back(Request {
            correlation: link.correlation,
            at: now,
            parts,
        });
        if !sent {
            let id = link.id;
            self.drop_link(id, "it was closed");
        }
    }

    /// Begins to connect to a broker; `false` when its address is not known.
    fn connect(&mut self, broker: i32) -> bool {
        let Some(address) = self.brokers.get(&broker) else {
            return false;
        };
        let id = self.next_link;
        self.next_link += 1;
        let task = tokio::spawn(link(
            id,
            address.clone(),
            self.settings.clone(),
            self.events.clone(),
        ));
        self.links.insert(
            broker,
            Link {
                id,
                up: None,
                task: task.abort_handle(),
                requests: VecDeque::new(),
                muted: None,
                correlation: 0,
                waiting: Vec::new(),
            },
        );
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        for link in self.links.values() {
            link.task.abort();
        }
    }
}

/// A connection's life: requests go out as they come, answers come back as events.
async fn link(id: u64, address: String, settings: Settings, events: Channel<Event>) {
    let lived = async {
        let connection = Connection::open(&address, &settings.dial).await?;
        let version = connection.speaks.version::<ProduceRequest>(PRODUCE)?;
        let Connection {
            mut reader,
            mut writer,
            ..
        } = connection;
        let (frames, mut outgoing) = channel::<Bytes>(settings.in_flight);
        let up = Event::Up {
            link: id,
            version,
            frames,
        };
        let _gone = events.send(up).await;
        let write = async {
            while let Some(frame) = outgoing.recv().await {
                writer.write_all(&frame).await?;
            }
            io::Result::Ok(())
        };
        let read = async {
            loop {
                let answer = reader.next().await?;
                let _gone = events.send(Event::Answer { link: id, answer }).await;
            }
        };
        tokio::select! {
            written = write => written,
            read = read => read,
        }
    };
    let why = match lived.await {
        Ok(()) => "it was closed".to_owned(),
        Err(error) => format!("{address}: {error}"),
    };
    let _gone = events.send(Event::Lost { link: id, why }).await;
}
