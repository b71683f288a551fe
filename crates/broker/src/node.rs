//! The request handlers: what Kafka's APIs mean for one node. No socket here; a request comes in decoded, an answer goes
//! out to be encoded.
//!
//! A handler has two parts. What must happen in the order of the requests (writing a batch, joining a group) is done
//! before [`Node::start`] returns; what is waited for (a sync, new records, the other members) is in the [`Pending`] it
//! returns, so that a connection's next requests share the same sync.

mod api;
mod cluster;
mod configs;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod positions;
mod produce;
mod topics;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{BrokerId, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;

use crate::Config;
use crate::group::Groups;
use crate::log::{Refusal, Syncer};
use crate::state::State;
use crate::topics::Topics;

pub(crate) use api::{API_VERSIONS, supported};
pub(crate) use cluster::{ProducerIds, api_versions};
pub(crate) use fetch::Fetched;

/// This node's id. It leads every partition, coordinates every group, and is the controller.
pub(crate) const NODE_ID: BrokerId = BrokerId(1);

/// Everything the handlers need.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) cluster_id: String,
    pub(crate) state: State,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) syncer: Syncer,
    pub(crate) producer_ids: ProducerIds,
    /// Work in the background ends soon.
    pub(crate) stopping: std::sync::atomic::AtomicBool,
    /// Of the data folder: held for as long as anything here may write to it.
    pub(crate) _lock: std::fs::File,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) host: String,
    /// The broker's address as this client reached it: what it is told to connect to.
    pub(crate) broker: (StrBytes, i32),
}

/// What a request is answered with.
pub(crate) enum Answer {
    Message(Box<ResponseKind>),
    Fetched(Fetched),
    /// A produce request with acks=0 has no answer.
    Nothing,
    /// The connection is closed: the only answer that a failed produce request with acks=0 can have.
    Close,
}

impl Answer {
    fn message(response: impl Into<ResponseKind>) -> Self {
        Answer::Message(Box::new(response.into()))
    }
}

/// An answer, now or later.
pub(crate) enum Pending {
    Done(Answer),
    Waiting(BoxFuture<'static, Answer>),
}

impl<T: Into<ResponseKind>> From<T> for Pending {
    fn from(response: T) -> Self {
        Pending::Done(Answer::message(response))
    }
}

impl Node {
    /// Begins a request of a version that [`supported`] has.
    pub(crate) async fn start(
        self: &Arc<Self>,
        client: &Client,
        request: RequestKind,
        version: i16,
    ) -> Pending {
        match request {
            RequestKind::Produce(request) => self.produce(request).await,
            RequestKind::Fetch(request) => self.fetch(request, version),
            RequestKind::ListOffsets(request) => self.list_offsets(request, version).await.into(),
            RequestKind::Metadata(request) => self.metadata(client, request, version).await.into(),
            RequestKind::FindCoordinator(request) => self.find_coordinator(client, request, version).into(),
            RequestKind::ApiVersions(_) => api_versions(None).into(),
            RequestKind::CreateTopics(request) => self.create_topics(request, version).await.into(),
            RequestKind::DeleteTopics(request) => self.delete_topics(request, version).await.into(),
            RequestKind::CreatePartitions(request) => self.create_partitions(request).await.into(),
            RequestKind::DeleteRecords(request) => self.delete_records(request).await.into(),
            RequestKind::DescribeTopicPartitions(request) => self.describe_topic_partitions(request).into(),
            RequestKind::InitProducerId(request) => self.init_producer_id(request).await.into(),
            RequestKind::OffsetForLeaderEpoch(request) => self.offset_for_leader_epoch(request).into(),
            RequestKind::DescribeConfigs(request) => self.describe_configs(request).into(),
            RequestKind::AlterConfigs(request) => self.alter_configs(request).await.into(),
            RequestKind::IncrementalAlterConfigs(request) => {
                self.incremental_alter_configs(request).await.into()
            }
            RequestKind::DescribeCluster(request) => self.describe_cluster(client, request).into(),
            RequestKind::JoinGroup(request) => self.join_group(client, request, version),
            RequestKind::SyncGroup(request) => self.sync_group(request),
            RequestKind::Heartbeat(request) => self.heartbeat(&request).into(),
            RequestKind::LeaveGroup(request) => self.leave_group(request, version).into(),
            RequestKind::OffsetCommit(request) => self.offset_commit(request),
            RequestKind::OffsetFetch(request) => self.offset_fetch(request, version).into(),
            RequestKind::OffsetDelete(request) => self.offset_delete(request).await.into(),
            RequestKind::DescribeGroups(request) => self.describe_groups(request, version).into(),
            RequestKind::ListGroups(request) => self.list_groups(&request).into(),
            RequestKind::DeleteGroups(request) => self.delete_groups(request).await.into(),
            // Only what `supported` lists gets here.
            _ => Pending::Done(Answer::Close),
        }
    }
}

/// The wall clock, milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// A string for an answer.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// The code and the words that an answer carries; 0 and none for success.
fn outcome<T>(result: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (0, None),
        Err(refusal) => (refusal.error.code(), refusal.message.clone().map(text)),
    }
}

/// Refuses a leader epoch that the client can only have from another cluster.
fn check_epoch(epoch: i32) -> Result<(), ResponseError> {
    if epoch > crate::log::LEADER_EPOCH {
        Err(ResponseError::UnknownLeaderEpoch)
    } else {
        Ok(())
    }
}

/// Runs what blocks, off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::new(ResponseError::UnknownServerError, error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests;
