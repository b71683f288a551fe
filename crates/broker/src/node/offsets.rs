//! ListOffsets, OffsetForLeaderEpoch and DeleteRecords: where a partition begins and ends.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use super::{Node, blocking, check_epoch};
use crate::log::{LEADER_EPOCH, Log, Refusal};

/// `ListOffsetsRequest.LATEST_TIMESTAMP` and its neighbours.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

impl Node {
    pub(super) async fn list_offsets(
        &self,
        request: ListOffsetsRequest,
        version: i16,
    ) -> ListOffsetsResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for wanted in request.topics {
            let topic = self.topics.get(&wanted.name);
            let mut partitions = Vec::with_capacity(wanted.partitions.len());
            for partition in wanted.partitions {
                let log = topic
                    .as_ref()
                    .and_then(|topic| topic.log(partition.partition_index))
                    .cloned();
                let found = match (log, check_epoch(partition.current_leader_epoch)) {
                    (None, _) => Err(ResponseError::UnknownTopicOrPartition.into()),
                    (_, Err(error)) => Err(error.into()),
                    (Some(log), Ok(())) => find(log, partition.timestamp).await,
                };
                let response =
                    ListOffsetsPartitionResponse::default().with_partition_index(partition.partition_index);
                partitions.push(match found {
                    Ok((offset, timestamp)) => {
                        let epoch = if offset < 0 || version < 4 {
                            -1
                        } else {
                            LEADER_EPOCH
                        };
                        response
                            .with_offset(offset)
                            .with_timestamp(timestamp)
                            .with_leader_epoch(epoch)
                    }
                    Err(refusal) => response
                        .with_error_code(refusal.error.code())
                        .with_offset(-1)
                        .with_timestamp(-1),
                });
            }
            topics.push(
                ListOffsetsTopicResponse::default()
                    .with_name(wanted.name)
                    .with_partitions(partitions),
            );
        }
        ListOffsetsResponse::default().with_topics(topics)
    }

    pub(super) fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let topics = request.topics.into_iter().map(|wanted| {
            let topic = self.topics.get(&wanted.topic);
            let partitions = wanted.partitions.iter().map(|partition| {
                let log = topic.as_ref().and_then(|topic| topic.log(partition.partition));
                let end = EpochEndOffset::default().with_partition(partition.partition);
                match (log, check_epoch(partition.current_leader_epoch)) {
                    (None, _) => end.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                    (_, Err(error)) => end.with_error_code(error.code()),
                    // Of an epoch that never was, nothing is known.
                    (Some(_), _) if partition.leader_epoch > LEADER_EPOCH => {
                        end.with_leader_epoch(-1).with_end_offset(-1)
                    }
                    (Some(log), _) => end
                        .with_leader_epoch(LEADER_EPOCH)
                        .with_end_offset(log.high_watermark()),
                }
            });
            OffsetForLeaderTopicResult::default()
                .with_partitions(partitions.collect())
                .with_topic(wanted.topic)
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }

    pub(super) async fn delete_records(&self, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for wanted in request.topics {
            let topic = self.topics.get(&wanted.name);
            let mut partitions = Vec::with_capacity(wanted.partitions.len());
            for partition in wanted.partitions {
                let start = match &topic {
                    Some(topic) => {
                        self.topics
                            .delete_records(topic, partition.partition_index, partition.offset)
                            .await
                    }
                    None => Err(ResponseError::UnknownTopicOrPartition.into()),
                };
                let result =
                    DeleteRecordsPartitionResult::default().with_partition_index(partition.partition_index);
                partitions.push(match start {
                    Ok(start) => result.with_low_watermark(start),
                    Err(refusal) => result
                        .with_low_watermark(-1)
                        .with_error_code(refusal.error.code()),
                });
            }
            topics.push(
                DeleteRecordsTopicResult::default()
                    .with_name(wanted.name)
                    .with_partitions(partitions),
            );
        }
        DeleteRecordsResponse::default().with_topics(topics)
    }
}

/// The offset and time that a ListOffsets timestamp stands for; -1 and -1 when there is none.
async fn find(log: Arc<Log>, timestamp: i64) -> Result<(i64, i64), Refusal> {
    match timestamp {
        LATEST => Ok((log.high_watermark(), -1)),
        EARLIEST | EARLIEST_LOCAL => Ok((log.start(), -1)),
        LATEST_TIERED => Ok((-1, -1)),
        MAX_TIMESTAMP => match log.max_time() {
            Some(time) => Ok(blocking(move || log.find_time(time)).await??.unwrap_or((-1, -1))),
            None => Ok((-1, -1)),
        },
        time if time >= 0 => Ok(blocking(move || log.find_time(time)).await??.unwrap_or((-1, -1))),
        _ => Err(ResponseError::InvalidRequest.into()),
    }
}
