//! The task that sends a producer's batches to the leaders of their partitions.
//!
//! It alone holds what is known of topics, brokers and batches on their way; nothing in it waits. What takes time happens
//! in tasks of its own and comes back as an event: connecting, reading answers, asking the cluster.

mod answers;
mod links;
mod topics;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::mpsc::{Receiver, Sender as Channel, channel};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::batch::Records;
use super::cluster::{self, Ask, Told};
use super::lane::Lane;
use super::load::Load;
use super::lz4::Scratch;
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
    scratch: Scratch,
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

impl Sender {
    fn new(settings: Settings, spare: Arc<Spare>, events: Channel<Event>, asks: Channel<Ask>) -> Self {
        Self {
            ask_pace: settings.pace(),
            settings,
            spare,
            scratch: Scratch::default(),
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
        let (sealed, buffer) = match records.seal(&mut self.scratch) {
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
}

impl Drop for Sender {
    fn drop(&mut self) {
        for link in self.links.values() {
            link.task.abort();
        }
    }
}
