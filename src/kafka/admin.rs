//! Topics, groups, and the cluster's id.
//!
//! A client is made for a request and dropped after it: such requests are rare, and an idle client costs threads.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as NativeTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tapline_api::record::TopicPartition;
use tapline_api::topic_log::NewTopic;
use tapline_api::{Error, Result};

use super::clients::Quiet;
use super::error::{by_code, classify};

/// How long a request to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Administers the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Admin(ClientConfig);

/// A topic as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// The name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
}

/// What became of a topic that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    Yes,
    /// It was there.
    Existed,
}

impl Admin {
    /// With these settings ([`Clients::admin`](super::clients::Clients::admin)).
    pub fn new(config: ClientConfig) -> Self {
        Self(config)
    }

    fn client(&self) -> Result<AdminClient<Quiet>> {
        let name = self.0.get("client.id").unwrap_or_default().to_owned();
        self.0
            .create_with_context(Quiet(name))
            .map_err(|error| classify("could not make a Kafka admin client", &error))
    }

    /// Creates topics, in one request; the answers are in their order.
    pub async fn create(&self, topics: &[(String, NewTopic)]) -> Result<Vec<Result<Created>>> {
        let client = self.client()?;
        let natives: Vec<_> = topics
            .iter()
            .map(|(name, new)| {
                let replication = TopicReplication::Fixed(new.replication_factor);
                let native = NativeTopic::new(name, new.partitions, replication);
                new.settings
                    .iter()
                    .fold(native, |native, (k, v)| native.set(k, v))
            })
            .collect();
        let results = client
            .create_topics(&natives, &options())
            .await
            .map_err(|error| classify("could not create topics", &error))?;
        let made = results.into_iter().map(|result| match result {
            Ok(_) => Ok(Created::Yes),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(Created::Existed),
            Err((name, code)) => Err(by_code(
                code,
                format!("could not create topic \"{name}\": {code}"),
            )),
        });
        let made = made.collect();
        drop_elsewhere(client);
        Ok(made)
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        let client = self.client()?;
        let results = client
            .delete_topics(&[name], &options())
            .await
            .map_err(|error| classify("could not delete a topic", &error))?;
        drop_elsewhere(client);
        match results.into_iter().next() {
            Some(Err((name, code))) => Err(by_code(
                code,
                format!("could not delete topic \"{name}\": {code}"),
            )),
            _ => Ok(()),
        }
    }

    /// Deletes a consumer group with its offsets; one that is not there is deleted already.
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        let client = self.client()?;
        let results = client
            .delete_groups(&[group], &options())
            .await
            .map_err(|error| classify("could not delete a consumer group", &error))?;
        drop_elsewhere(client);
        match results.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) | Some(Ok(_)) | None => Ok(()),
            Some(Err((name, code))) => {
                let message = format!("could not delete consumer group \"{name}\": {code}");
                Err(match code {
                    RDKafkaErrorCode::NonEmptyGroup => Error::retriable(message),
                    code => by_code(code, message),
                })
            }
        }
    }

    /// All topics of the cluster.
    pub async fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.consumer("", |consumer| {
            let metadata = consumer
                .fetch_metadata(None, TIMEOUT)
                .map_err(|error| classify("could not list topics", &error))?;
            let topics = metadata.topics().iter().map(|topic| TopicInfo {
                name: topic.name().to_owned(),
                partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
            });
            Ok(topics.collect())
        })
        .await
    }

    /// A topic, if it is there. It is not created by the question.
    pub async fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        let name = name.to_owned();
        self.consumer("", move |consumer| {
            let what = format!("could not look for topic \"{name}\"");
            let metadata = consumer
                .fetch_metadata(Some(&name), TIMEOUT)
                .map_err(|error| classify(&what, &error))?;
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            match found.and_then(|topic| topic.error()) {
                None => Ok(found
                    .map(|topic| TopicInfo {
                        name: name.clone(),
                        partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
                    })
                    .filter(|topic| topic.partitions > 0)),
                Some(error) => match RDKafkaErrorCode::from(error) {
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(None),
                    RDKafkaErrorCode::LeaderNotAvailable => Ok(None),
                    code => Err(by_code(code, format!("{what}: {code}"))),
                },
            }
        })
        .await
    }

    /// The offsets a group has committed, in all partitions of the cluster.
    pub async fn group_offsets(&self, group: &str) -> Result<Vec<(TopicPartition, i64)>> {
        let failed = |error| classify("could not read a consumer group's offsets", &error);
        self.consumer(group, move |consumer| {
            let metadata = consumer.fetch_metadata(None, TIMEOUT).map_err(failed)?;
            let mut list = TopicPartitionList::new();
            for topic in metadata.topics() {
                for partition in topic.partitions() {
                    list.add_partition(topic.name(), partition.id());
                }
            }
            let committed = consumer.committed_offsets(list, TIMEOUT).map_err(failed)?;
            let known = committed
                .elements()
                .into_iter()
                .filter_map(|element| match element.offset() {
                    Offset::Offset(offset) => Some((
                        TopicPartition {
                            topic: element.topic().into(),
                            partition: element.partition(),
                        },
                        offset,
                    )),
                    _ => None,
                });
            Ok(known.collect())
        })
        .await
    }

    /// Sets offsets of a group that has no members.
    pub async fn set_group_offsets(&self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let failed = |error| classify("could not set a consumer group's offsets", &error);
        let mut list = TopicPartitionList::new();
        for (key, offset) in offsets {
            list.add_partition_offset(&key.topic, key.partition, Offset::Offset(*offset))
                .map_err(failed)?;
        }
        self.consumer(group, move |consumer| {
            consumer.commit(&list, CommitMode::Sync).map_err(failed)
        })
        .await
    }

    /// Runs a blocking request on a consumer, which never creates topics by asking for them.
    async fn consumer<T: Send + 'static>(
        &self,
        group: &str,
        run: impl FnOnce(&BaseConsumer<Quiet>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut config = self.0.clone();
        let name = config.get("client.id").unwrap_or_default().to_owned();
        config.set("allow.auto.create.topics", "false");
        config.set("enable.auto.commit", "false");
        config.set("group.id", if group.is_empty() { &name } else { group });
        let run = move || {
            let consumer: BaseConsumer<Quiet> = config
                .create_with_context(Quiet(name))
                .map_err(|error| classify("could not make a Kafka consumer", &error))?;
            run(&consumer)
        };
        tokio::task::spawn_blocking(run)
            .await
            .unwrap_or_else(|error| Err(Error::fatal("a request to Kafka was cut off").cause(error)))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT))
}

/// An admin client waits for its thread when it is dropped.
fn drop_elsewhere(client: AdminClient<Quiet>) {
    tokio::task::spawn_blocking(move || drop(client));
}
