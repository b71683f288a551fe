//! OffsetCommit, OffsetFetch, OffsetDelete: the positions of groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ConsumerProtocolSubscription, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Message};

use super::groups::check_group;
use super::{Answer, Node, Pending, now_ms, text};
use crate::group::Position;

/// `offset.metadata.max.bytes`
const MOST_METADATA: usize = 4096;

/// By topic: partition and position.
type ByTopic = BTreeMap<String, Vec<(i32, Option<Position>)>>;

impl Node {
    pub(super) fn offset_commit(self: &Arc<Self>, request: OffsetCommitRequest) -> Pending {
        let generation = request.generation_id_or_member_epoch;
        let instance = request.group_instance_id.as_deref();
        let allowed = check_group(&request.group_id).and_then(|()| {
            self.groups
                .may_commit(&request.group_id, &request.member_id, instance, generation)
        });
        let now = now_ms();
        let mut positions = Vec::new();
        let mut check = |topic: &TopicName, partition: i32, position: Position| {
            allowed?;
            if position.metadata.len() > MOST_METADATA {
                return Err(ResponseError::OffsetMetadataTooLarge);
            }
            let found = self
                .topics
                .get(topic)
                .is_some_and(|topic| topic.log(partition).is_some());
            if !found {
                return Err(ResponseError::UnknownTopicOrPartition);
            }
            positions.push(((topic.to_string(), partition), position));
            Ok(())
        };
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|partition| {
                let position = Position {
                    offset: partition.committed_offset,
                    epoch: partition.committed_leader_epoch,
                    metadata: partition
                        .committed_metadata
                        .as_deref()
                        .unwrap_or_default()
                        .to_owned(),
                    time: now,
                };
                let code = check(&topic.name, partition.partition_index, position)
                    .err()
                    .map_or(0, |error| error.code());
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            // Only the name's bytes are kept, not the whole request's.
            let name = TopicName(text(topic.name.as_str()));
            topics.push(
                OffsetCommitResponseTopic::default()
                    .with_name(name)
                    .with_partitions(partitions),
            );
        }
        let mut response = OffsetCommitResponse::default().with_topics(topics);
        if positions.is_empty() {
            return response.into();
        }
        let committed = self.groups.commit(&request.group_id, positions);
        let wait = async move {
            let flushed = match committed {
                Ok(flush) => flush.wait().await,
                Err(error) => Err(error),
            };
            if let Err(error) = flushed {
                tracing::error!(%error, "positions can't be committed");
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = ResponseError::CoordinatorNotAvailable.code();
                }
            }
            Answer::message(response)
        };
        Pending::Waiting(wait.boxed())
    }

    pub(super) fn offset_fetch(&self, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
        if version < 8 {
            let wanted = request.topics.map(|topics| {
                topics
                    .into_iter()
                    .flat_map(|topic| {
                        topic
                            .partition_indexes
                            .into_iter()
                            .map(move |at| (topic.name.to_string(), at))
                    })
                    .collect()
            });
            let topics = self
                .by_topic(&request.group_id, wanted)
                .into_iter()
                .map(|(name, positions)| {
                    let partitions = positions.into_iter().map(|(at, position)| {
                        let (offset, epoch, metadata) = told(position);
                        // Before version 5 there is no epoch.
                        OffsetFetchResponsePartition::default()
                            .with_partition_index(at)
                            .with_committed_offset(offset)
                            .with_committed_leader_epoch(if version >= 5 { epoch } else { -1 })
                            .with_metadata(Some(text(metadata)))
                    });
                    OffsetFetchResponseTopic::default()
                        .with_name(TopicName(text(name)))
                        .with_partitions(partitions.collect())
                });
            return OffsetFetchResponse::default().with_topics(topics.collect());
        }
        let groups = request.groups.into_iter().map(|group| {
            let wanted = group.topics.map(|topics| {
                topics
                    .into_iter()
                    .flat_map(|topic| {
                        topic
                            .partition_indexes
                            .into_iter()
                            .map(move |at| (topic.name.to_string(), at))
                    })
                    .collect()
            });
            let topics = self
                .by_topic(&group.group_id, wanted)
                .into_iter()
                .map(|(name, positions)| {
                    let partitions = positions.into_iter().map(|(at, position)| {
                        let (offset, epoch, metadata) = told(position);
                        OffsetFetchResponsePartitions::default()
                            .with_partition_index(at)
                            .with_committed_offset(offset)
                            .with_committed_leader_epoch(epoch)
                            .with_metadata(Some(text(metadata)))
                    });
                    OffsetFetchResponseTopics::default()
                        .with_name(TopicName(text(name)))
                        .with_partitions(partitions.collect())
                });
            let topics = topics.collect();
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_topics(topics)
        });
        OffsetFetchResponse::default().with_groups(groups.collect())
    }

    fn by_topic(&self, group: &str, wanted: Option<Vec<(String, i32)>>) -> ByTopic {
        let mut topics = ByTopic::new();
        for ((topic, partition), position) in self.groups.positions(group, wanted.as_deref()) {
            topics.entry(topic).or_default().push((partition, position));
        }
        topics
    }

    pub(super) async fn offset_delete(&self, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
        let response = OffsetDeleteResponse::default();
        let all = request.topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|at| (topic.name.to_string(), at.partition_index))
        });
        let all: Vec<_> = all.collect();
        let deleted = match self.groups.delete_positions(&request.group_id, &all, subscribed) {
            Ok(Ok((results, flush))) => flush
                .wait()
                .await
                .map(|()| results)
                .map_err(|_| ResponseError::CoordinatorNotAvailable),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ResponseError::CoordinatorNotAvailable),
        };
        let results = match deleted {
            Ok(results) => results,
            Err(error) => return response.with_error_code(error.code()),
        };
        let mut topics: BTreeMap<String, Vec<OffsetDeleteResponsePartition>> = BTreeMap::new();
        for ((topic, partition), result) in all.into_iter().zip(results) {
            let known = self
                .topics
                .get(&topic)
                .is_some_and(|topic| topic.log(partition).is_some());
            let result = result.and(if known {
                Ok(())
            } else {
                Err(ResponseError::UnknownTopicOrPartition)
            });
            let code = result.err().map_or(0, |error| error.code());
            let answer = OffsetDeleteResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(code);
            topics.entry(topic).or_default().push(answer);
        }
        let topic = |(name, partitions): (String, _)| {
            OffsetDeleteResponseTopic::default()
                .with_name(TopicName(text(name)))
                .with_partitions(partitions)
        };
        response.with_topics(topics.into_iter().map(topic).collect())
    }
}

/// Offset, leader epoch and metadata as they are told.
fn told(position: Option<Position>) -> (i64, i32, String) {
    position.map_or((-1, -1, String::new()), |position| {
        (position.offset, position.epoch, position.metadata)
    })
}

/// The topics that a consumer's metadata names (`ConsumerProtocol`).
fn subscribed(mut metadata: Bytes) -> Vec<String> {
    let Ok(version) = metadata.try_get_i16() else {
        return Vec::new();
    };
    let version = version.clamp(0, ConsumerProtocolSubscription::VERSIONS.max);
    let decoded = ConsumerProtocolSubscription::decode(&mut metadata, version);
    decoded
        .map(|subscription| {
            subscription
                .topics
                .iter()
                .map(|topic| topic.to_string())
                .collect()
        })
        .unwrap_or_default()
}
