//! Connections to the leaders, and the requests that go over them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{Sender as Channel, channel};

use super::super::connection::{Connection, frame};
use super::super::settings::Settings;
use super::{Event, Link, PRODUCE, Request, Sender};

/// A request in the making.
#[derive(Default)]
struct Draft {
    parts: HashMap<usize, (i32, Bytes)>,
    size: usize,
}

impl Sender {
    pub(super) fn send_all(&mut self, producer: (i64, i16), now: Instant) {
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

    pub(super) fn drop_link(&mut self, id: u64, why: &str) {
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
        for at in &link.waiting {
            if let Some(partition) = self.lanes.get_mut(*at) {
                let wait = partition.pace.wait();
                partition.lane.rest(Instant::now() + wait);
            }
        }
        self.list_all(link.waiting);
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
