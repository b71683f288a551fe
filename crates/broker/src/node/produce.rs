//! Produce: batches are written in the order they came, and acknowledged when they are synced.

use std::sync::Arc;

use futures_util::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use tokio::sync::watch;

use super::{Answer, Node, Pending, blocking, now_ms, text};
use crate::log::{Appended, Log, Mark, Refusal};

/// One partition's part of a request, written.
struct Written {
    index: i32,
    result: Result<(Appended, Arc<Log>), Refusal>,
}

impl Node {
    pub(super) async fn produce(self: &Arc<Self>, request: ProduceRequest) -> Pending {
        let acks = request.acks;
        let node = self.clone();
        // Writing to the page cache can block when there is too much in it that is not on disk.
        let written = blocking(move || node.write_all(request)).await;
        let Ok(written) = written else {
            return Pending::Done(Answer::Close);
        };
        if acks == 0 {
            let failed = written
                .iter()
                .flat_map(|(_, partitions)| partitions)
                .any(|partition| partition.result.is_err());
            return Pending::Done(if failed { Answer::Close } else { Answer::Nothing });
        }
        let acknowledged = async move {
            let mut responses = Vec::with_capacity(written.len());
            for (mut topic, partitions) in written {
                for partition in partitions {
                    topic.partition_responses.push(acknowledge(partition).await);
                }
                responses.push(topic);
            }
            Answer::message(ProduceResponse::default().with_responses(responses))
        };
        Pending::Waiting(acknowledged.boxed())
    }

    fn write_all(&self, request: ProduceRequest) -> Vec<(TopicProduceResponse, Vec<Written>)> {
        let now = now_ms();
        let refused = match () {
            () if request.transactional_id.is_some() => {
                Some(ResponseError::TransactionalIdAuthorizationFailed)
            }
            () if !matches!(request.acks, -1..=1) => Some(ResponseError::InvalidRequiredAcks),
            () => None,
        };
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for data in request.topic_data {
            let by_name = !data.name.is_empty();
            let topic = if by_name {
                self.topics.get(&data.name)
            } else {
                self.topics.by_id(data.topic_id)
            };
            let unknown = if by_name {
                ResponseError::UnknownTopicOrPartition
            } else {
                ResponseError::UnknownTopicId
            };
            let mut written = Vec::with_capacity(data.partition_data.len());
            for partition in data.partition_data {
                let write = || -> Result<(Appended, Arc<Log>), Refusal> {
                    if let Some(error) = refused {
                        return Err(error.into());
                    }
                    let topic = topic.as_ref().ok_or(unknown)?;
                    let log = topic
                        .log(partition.index)
                        .ok_or(ResponseError::UnknownTopicOrPartition)?;
                    let records = partition.records.as_deref().unwrap_or_default();
                    let appended = log.append(records, &topic.rules, now)?;
                    self.syncer.ask(log);
                    Ok((appended, log.clone()))
                };
                written.push(Written {
                    index: partition.index,
                    result: write(),
                });
            }
            // A copy: a slice of the request would keep all of it in memory until the batch is synced.
            let name = TopicName(text(data.name.as_str()));
            let response = TopicProduceResponse::default()
                .with_name(name)
                .with_topic_id(data.topic_id);
            responses.push((response, written));
        }
        responses
    }
}

/// Waits until the batch is synced.
async fn acknowledge(written: Written) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(written.index);
    let result = match written.result {
        Ok((appended, log)) => synced(log.mark(), appended.end).await.map(|()| (appended, log)),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok((appended, log)) => response
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.append_time)
            .with_log_start_offset(log.start()),
        Err(refusal) => response
            .with_error_code(refusal.error.code())
            .with_error_message(refusal.message.map(text))
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1),
    }
}

async fn synced(mut mark: watch::Receiver<Mark>, end: i64) -> Result<(), Refusal> {
    let reached = mark
        .wait_for(|mark| mark.high_watermark >= end || mark.closed.is_some())
        .await;
    match reached {
        Ok(mark) if mark.high_watermark >= end => Ok(()),
        Ok(mark) => Err(mark.closed.unwrap_or(ResponseError::KafkaStorageError).into()),
        Err(_) => Err(ResponseError::KafkaStorageError.into()),
    }
}
