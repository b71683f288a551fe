//! Metadata and DescribeTopicPartitions: which topics there are, and that this node leads them all.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, MetadataRequest, MetadataResponse,
    TopicName,
};

use super::{Client, NODE_ID, Node, text};
use crate::log::{LEADER_EPOCH, Refusal};
use crate::topics::settings::Settings;
use crate::topics::{NewTopic, Topic, check_name};

impl Node {
    pub(super) async fn metadata(
        &self,
        client: &Client,
        request: MetadataRequest,
        version: i16,
    ) -> MetadataResponse {
        let topics = match request.topics {
            // Version 0 has no null.
            Some(topics) if version == 0 && topics.is_empty() => None,
            topics => topics,
        };
        let create = self.config.auto_create_topics && (version < 4 || request.allow_auto_topic_creation);
        let topics = match topics {
            None => self.topics.all().iter().map(|topic| described(topic)).collect(),
            Some(wanted) => self.wanted(wanted, create).await,
        };
        let (host, port) = client.broker.clone();
        let broker = MetadataResponseBroker::default()
            .with_node_id(NODE_ID)
            .with_host(host)
            .with_port(port);
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(text(&self.cluster_id)))
            .with_controller_id(NODE_ID)
            .with_topics(topics)
    }

    async fn wanted(&self, wanted: Vec<MetadataRequestTopic>, create: bool) -> Vec<MetadataResponseTopic> {
        if create {
            let missing = wanted.iter().filter_map(|topic| topic.name.as_ref());
            let missing = missing.filter(|name| self.topics.get(name).is_none());
            let mut missing: Vec<_> = missing.map(|name| name.to_string()).collect();
            missing.sort_unstable();
            missing.dedup();
            let partitions = usize::try_from(self.config.default_partitions)
                .unwrap_or(1)
                .max(1);
            let new = |name| NewTopic {
                name,
                partitions,
                settings: Settings::default(),
            };
            let missing: Vec<_> = missing.into_iter().map(new).collect();
            if !missing.is_empty() {
                // What could not be created is missing below, too.
                drop(self.topics.create(missing).await);
            }
        }
        let find = |topic: MetadataRequestTopic| match topic.name {
            Some(name) => match self.topics.get(&name) {
                Some(topic) => described(&topic),
                None => {
                    let error = check_name(&name)
                        .err()
                        .map_or(ResponseError::UnknownTopicOrPartition, |refusal| refusal.error);
                    MetadataResponseTopic::default()
                        .with_name(Some(name))
                        .with_error_code(error.code())
                }
            },
            None => match self.topics.by_id(topic.topic_id) {
                Some(topic) => described(&topic),
                None => MetadataResponseTopic::default()
                    .with_topic_id(topic.topic_id)
                    .with_name(None)
                    .with_error_code(ResponseError::UnknownTopicId.code()),
            },
        };
        wanted.into_iter().map(find).collect()
    }

    pub(super) fn describe_topic_partitions(
        &self,
        request: DescribeTopicPartitionsRequest,
    ) -> DescribeTopicPartitionsResponse {
        let mut names: Vec<String> = request
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect();
        if names.is_empty() {
            names = self.topics.all().iter().map(|topic| topic.name.clone()).collect();
        }
        names.sort_unstable();
        names.dedup();
        let (from, mut first) = match request.cursor {
            Some(cursor) => (
                cursor.topic_name.to_string(),
                usize::try_from(cursor.partition_index).unwrap_or(0),
            ),
            None => (String::new(), 0),
        };
        let mut left = usize::try_from(request.response_partition_limit)
            .unwrap_or(0)
            .clamp(1, 2000);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names.into_iter().filter(|name| *name >= from) {
            if name != from {
                first = 0;
            }
            let cursor = |at| {
                Cursor::default()
                    .with_topic_name(TopicName(text(&name)))
                    .with_partition_index(index(at))
            };
            if left == 0 {
                return response.with_next_cursor(Some(cursor(0)));
            }
            let described =
                DescribeTopicPartitionsResponseTopic::default().with_name(Some(TopicName(text(&name))));
            let Some(topic) = self.topics.get(&name) else {
                let error = check_name(&name)
                    .err()
                    .map_or(ResponseError::UnknownTopicOrPartition, |refusal| refusal.error);
                response.topics.push(described.with_error_code(error.code()));
                continue;
            };
            let until = topic.logs.len().min(first + left);
            let partitions = (first..until).map(|at| {
                DescribeTopicPartitionsResponsePartition::default()
                    .with_partition_index(index(at))
                    .with_leader_id(NODE_ID)
                    .with_leader_epoch(LEADER_EPOCH)
                    .with_replica_nodes(vec![NODE_ID])
                    .with_isr_nodes(vec![NODE_ID])
                    .with_eligible_leader_replicas(Some(Vec::new()))
                    .with_last_known_elr(Some(Vec::new()))
            });
            let described = described
                .with_topic_id(topic.id)
                .with_is_internal(topic.is_internal());
            response
                .topics
                .push(described.with_partitions(partitions.collect()));
            left -= until.saturating_sub(first);
            if until < topic.logs.len() {
                return response.with_next_cursor(Some(cursor(until)));
            }
        }
        response
    }

    /// The topic that a request names, or names by id.
    pub(super) fn named_or_by_id(
        &self,
        name: Option<&str>,
        id: uuid::Uuid,
    ) -> Result<std::sync::Arc<Topic>, Refusal> {
        match name {
            Some(name) => self
                .topics
                .get(name)
                .ok_or_else(|| ResponseError::UnknownTopicOrPartition.into()),
            None => self
                .topics
                .by_id(id)
                .ok_or_else(|| ResponseError::UnknownTopicId.into()),
        }
    }
}

/// A partition's number.
fn index(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    let partition = |at| {
        MetadataResponsePartition::default()
            .with_partition_index(index(at))
            .with_leader_id(NODE_ID)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE_ID])
            .with_isr_nodes(vec![NODE_ID])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.is_internal())
        .with_partitions((0..topic.logs.len()).map(partition).collect())
}
