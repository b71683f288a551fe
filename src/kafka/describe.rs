//! A topic in detail: where its partitions begin and end, who holds them, and its settings.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigSource, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde::Serialize;
use tapline_api::{Error, Result};

use super::admin::Admin;
use super::clients::Quiet;
use super::error::classify;

/// How long a request to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A topic in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicDescription {
    /// The name.
    pub topic: String,
    /// The partitions, in order.
    pub partitions: Vec<PartitionDescription>,
    /// The settings that are the topic's own.
    pub settings: Vec<(String, String)>,
}

/// A partition in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionDescription {
    /// The number.
    pub partition: i32,
    /// The first offset that is there.
    pub earliest: i64,
    /// The offset that the next record gets.
    pub latest: i64,
    /// The broker that leads.
    pub leader: i32,
    /// The brokers that have it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

/// Describes a topic, if it is there.
pub async fn describe(config: &ClientConfig, topic: &str) -> Result<Option<TopicDescription>> {
    if Admin::new(config.clone()).topic(topic).await?.is_none() {
        return Ok(None);
    }
    let (clients, name) = (config.clone(), topic.to_owned());
    let mut partitions = tokio::task::spawn_blocking(move || partitions(&clients, &name))
        .await
        .map_err(|error| Error::fatal("a request to Kafka was cut off").cause(error))??;
    partitions.sort_by_key(|partition| partition.partition);
    Ok(Some(TopicDescription {
        topic: topic.to_owned(),
        partitions,
        settings: settings(config, topic).await?,
    }))
}

fn partitions(config: &ClientConfig, topic: &str) -> Result<Vec<PartitionDescription>> {
    let what = format!("could not describe topic \"{topic}\"");
    let failed = |error| classify(&what, &error);
    let mut config = config.clone();
    let name = config.get("client.id").unwrap_or_default().to_owned();
    config.set("group.id", &name);
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet(name)).map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
    let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
    found
        .map(|partition| {
            let (earliest, latest) = consumer
                .fetch_watermarks(topic, partition.id(), TIMEOUT)
                .map_err(failed)?;
            Ok(PartitionDescription {
                partition: partition.id(),
                earliest,
                latest,
                leader: partition.leader(),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
            })
        })
        .collect()
}

async fn settings(config: &ClientConfig, topic: &str) -> Result<Vec<(String, String)>> {
    let what = format!("could not read the settings of topic \"{topic}\"");
    let failed = |error| classify(&what, &error);
    let name = config.get("client.id").unwrap_or_default().to_owned();
    let client: AdminClient<Quiet> = config.create_with_context(Quiet(name)).map_err(failed)?;
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let resource = ResourceSpecifier::Topic(topic);
    let described = client
        .describe_configs([&resource], &options)
        .await
        .map_err(failed);
    // An admin client waits for its thread when it is dropped.
    tokio::task::spawn_blocking(move || drop(client));
    let mut settings = Vec::new();
    for resource in described? {
        let resource = resource.map_err(|code| super::error::by_code(code, format!("{what}: {code}")))?;
        let own = resource
            .entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        settings.extend(own.map(|entry| (entry.name, entry.value.unwrap_or_default())));
    }
    settings.sort();
    Ok(settings)
}
