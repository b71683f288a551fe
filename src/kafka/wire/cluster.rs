//! What the producer asks of the cluster at large: who leads a topic's partitions, and a producer id.

use std::collections::BTreeMap;
use std::io;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProducerId, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::mpsc::{Receiver, Sender};

use super::connection::{Connection, Dial};
use super::sender::Event;

/// What is to be asked.
#[derive(Debug, Default)]
pub(super) struct Ask {
    /// These topics.
    pub(super) topics: Vec<StrBytes>,
    /// A new producer id.
    pub(super) identity: bool,
}

/// What the cluster said.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// `host:port` by id.
    pub(super) brokers: BTreeMap<i32, String>,
    /// Each topic's partitions, or an error code.
    pub(super) topics: Vec<(StrBytes, Result<Vec<Led>, i16>)>,
    /// A new producer id and its epoch, or an error code.
    pub(super) identity: Option<Result<(i64, i16), i16>>,
}

/// A partition and its leader, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) partition: i32,
    pub(super) leader: Option<i32>,
}

/// Topics are known by id from version 13 on.
const METADATA: i16 = 12;
const PRODUCER_ID: i16 = 4;

/// Answers one question after the other, over one connection while it lasts.
pub(super) async fn run(bootstrap: Vec<String>, dial: Dial, mut asks: Receiver<Ask>, events: Sender<Event>) {
    let mut cluster = Cluster {
        addresses: bootstrap.clone(),
        bootstrap,
        dial,
        open: None,
    };
    while let Some(ask) = asks.recv().await {
        let told = cluster.ask(&ask).await;
        if events.send(Event::Told(told)).await.is_err() {
            return;
        }
    }
}

struct Cluster {
    bootstrap: Vec<String>,
    /// Where to try next, first to last.
    addresses: Vec<String>,
    dial: Dial,
    open: Option<Connection>,
}

impl Cluster {
    async fn ask(&mut self, ask: &Ask) -> io::Result<Told> {
        // A broker closes what has been idle: that says nothing about the next attempt.
        if let Some(mut open) = self.open.take()
            && let Ok(told) = put(&mut open, ask).await
        {
            return Ok(self.keep(open, told));
        }
        let mut failed = io::Error::other("bootstrap.servers names no broker");
        for address in self.addresses.clone() {
            let asked = async {
                let mut connection = Connection::open(&address, &self.dial).await?;
                let told = put(&mut connection, ask).await?;
                io::Result::Ok((connection, told))
            };
            match asked.await {
                Ok((connection, told)) => return Ok(self.keep(connection, told)),
                Err(error) => {
                    tracing::debug!("asking {address} for metadata: {error}");
                    failed = io::Error::new(error.kind(), format!("{address}: {error}"));
                }
            }
        }
        // All were tried: the next attempt begins with another.
        let first = 1.min(self.addresses.len());
        self.addresses.rotate_left(first);
        Err(failed)
    }

    fn keep(&mut self, connection: Connection, told: Told) -> Told {
        self.open = Some(connection);
        let known = told
            .brokers
            .values()
            .filter(|address| !self.bootstrap.contains(address));
        self.addresses = self.bootstrap.iter().chain(known).cloned().collect();
        told
    }
}

async fn put(connection: &mut Connection, ask: &Ask) -> io::Result<Told> {
    let mut told = Told::default();
    if ask.identity {
        let version = connection.speaks.version::<InitProducerIdRequest>(PRODUCER_ID)?;
        let mut request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX);
        if version >= 3 {
            request = request.with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
        }
        told.identity = Some(identity(&connection.call(&request, version).await?));
    }
    if !ask.topics.is_empty() {
        let version = connection.speaks.version::<MetadataRequest>(METADATA)?;
        let topics = ask
            .topics
            .iter()
            .map(|topic| MetadataRequestTopic::default().with_name(Some(TopicName(topic.clone()))));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(true);
        read(&connection.call(&request, version).await?, &mut told);
    }
    Ok(told)
}

fn identity(answer: &InitProducerIdResponse) -> Result<(i64, i16), i16> {
    match answer.error_code {
        0 => Ok((answer.producer_id.0, answer.producer_epoch)),
        code => Err(code),
    }
}

fn read(answer: &MetadataResponse, told: &mut Told) {
    told.brokers = answer
        .brokers
        .iter()
        .map(|broker| {
            (
                broker.node_id.0,
                format!("{}:{}", host(&broker.host), broker.port),
            )
        })
        .collect();
    told.topics = answer
        .topics
        .iter()
        .filter_map(|topic| {
            let name = topic.name.as_ref()?.0.clone();
            let mut led: Vec<Led> = topic
                .partitions
                .iter()
                .map(|partition| Led {
                    partition: partition.partition_index,
                    leader: Some(partition.leader_id.0).filter(|leader| *leader >= 0),
                })
                .collect();
            led.sort_unstable_by_key(|led| led.partition);
            Some((
                name,
                if topic.error_code == 0 {
                    Ok(led)
                } else {
                    Err(topic.error_code)
                },
            ))
        })
        .collect();
}

/// An IPv6 address in brackets.
fn host(host: &StrBytes) -> String {
    if host.contains(':') {
        format!("[{}]", host.as_str())
    } else {
        host.to_string()
    }
}
