//! Handlers on a node in a temporary folder: every API in every version that is advertised.

use bytes::BytesMut;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};
use tokio::runtime::Handle;

use super::*;
use crate::log::tests::{Folder, one};

pub(crate) fn node(folder: &Folder) -> Arc<Node> {
    Arc::new(crate::open(Config::new(&folder.0), Handle::current()).unwrap())
}

pub(crate) fn client() -> Client {
    Client {
        id: "c".to_owned(),
        host: "/127.0.0.1".to_owned(),
        broker: (text("127.0.0.1"), 9092),
    }
}

pub(crate) async fn ask(node: &Arc<Node>, request: impl Into<RequestKind>, version: i16) -> Answer {
    match node.start(&client(), request.into(), version).await {
        Pending::Done(answer) => answer,
        Pending::Waiting(answer) => answer.await,
    }
}

pub(crate) async fn message<T>(
    node: &Arc<Node>,
    request: impl Into<RequestKind>,
    version: i16,
    as_: impl Fn(ResponseKind) -> Option<T>,
) -> T {
    match ask(node, request, version).await {
        Answer::Message(message) => as_(*message).unwrap(),
        _ => panic!("no message"),
    }
}

macro_rules! is {
    ($kind:ident) => {
        |message| match message {
            ResponseKind::$kind(response) => Some(response),
            _ => None,
        }
    };
}

fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

async fn create(node: &Arc<Node>, topic: &'static str, partitions: i32) -> CreateTopicsResponse {
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(3);
    message(
        node,
        CreateTopicsRequest::default().with_topics(vec![topic]),
        7,
        is!(CreateTopics),
    )
    .await
}

fn produce(topic: &'static str, records: Vec<u8>) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(records.into()));
    let topic = TopicProduceData::default()
        .with_name(name(topic))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_topic_data(vec![topic])
}

/// A request of every API about a topic `t`, as a client of this version would send it.
pub(crate) fn request(key: ApiKey, version: i16, id: uuid::Uuid) -> RequestKind {
    match key {
        ApiKey::Produce => {
            let mut request = produce("t", one(b"v"));
            if version >= 13 {
                request.topic_data[0].name = TopicName::default();
                request.topic_data[0].topic_id = id;
            }
            request.into()
        }
        ApiKey::Fetch => {
            let partitions = vec![FetchPartition::default().with_partition_max_bytes(1 << 20)];
            let topic = FetchTopic::default().with_partitions(partitions);
            let topic = if version >= 13 {
                topic.with_topic_id(id)
            } else {
                topic.with_topic(name("t"))
            };
            FetchRequest::default()
                .with_max_bytes(1 << 20)
                .with_topics(vec![topic])
                .into()
        }
        ApiKey::ListOffsets => {
            let partitions =
                [-1, -2, -3, -4, -5, 0].map(|time| ListOffsetsPartition::default().with_timestamp(time));
            let topic = ListOffsetsTopic::default()
                .with_name(name("t"))
                .with_partitions(partitions.to_vec());
            ListOffsetsRequest::default().with_topics(vec![topic]).into()
        }
        ApiKey::Metadata => MetadataRequest::default().with_topics(Some(vec![])).into(),
        ApiKey::CreateTopics => {
            let new = CreatableTopic::default()
                .with_name(name("new"))
                .with_num_partitions(1)
                .with_replication_factor(1);
            let bad = CreatableTopic::default()
                .with_name(name("a b"))
                .with_num_partitions(1)
                .with_replication_factor(1);
            CreateTopicsRequest::default().with_topics(vec![new, bad]).into()
        }
        ApiKey::FindCoordinator => {
            let request = FindCoordinatorRequest::default();
            match version {
                0..=3 => request.with_key(text("g")).into(),
                _ => request.with_coordinator_keys(vec![text("g")]).into(),
            }
        }
        ApiKey::JoinGroup => {
            let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
            let request = JoinGroupRequest::default()
                .with_group_id(text(format!("g{version}")).into())
                .with_session_timeout_ms(10_000);
            request
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol])
                .with_group_instance_id(None)
                .into()
        }
        ApiKey::SyncGroup => SyncGroupRequest::default().with_group_id(text("g").into()).into(),
        ApiKey::Heartbeat => HeartbeatRequest::default().with_group_id(text("g").into()).into(),
        ApiKey::LeaveGroup => {
            let member = MemberIdentity::default().with_member_id(text("m"));
            let members = if version >= 3 { vec![member] } else { Vec::new() };
            LeaveGroupRequest::default()
                .with_group_id(text("g").into())
                .with_members(members)
                .into()
        }
        ApiKey::OffsetCommit => {
            let partitions = [0, 1].map(|at| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(at)
                    .with_committed_offset(7)
            });
            let topic = OffsetCommitRequestTopic::default()
                .with_name(name("t"))
                .with_partitions(partitions.to_vec());
            OffsetCommitRequest::default()
                .with_group_id(text("p").into())
                .with_topics(vec![topic])
                .into()
        }
        ApiKey::OffsetFetch if version >= 8 => {
            let group = |topics| {
                OffsetFetchRequestGroup::default()
                    .with_group_id(text("p").into())
                    .with_topics(topics)
            };
            let topic = OffsetFetchRequestTopics::default()
                .with_name(name("t"))
                .with_partition_indexes(vec![0, 5]);
            OffsetFetchRequest::default()
                .with_groups(vec![group(None), group(Some(vec![topic]))])
                .into()
        }
        ApiKey::OffsetFetch => {
            let topic = OffsetFetchRequestTopic::default()
                .with_name(name("t"))
                .with_partition_indexes(vec![0, 5]);
            OffsetFetchRequest::default()
                .with_group_id(text("p").into())
                .with_topics(Some(vec![topic]))
                .into()
        }
        ApiKey::DescribeGroups => DescribeGroupsRequest::default()
            .with_groups(vec![text("p").into(), text("none").into()])
            .into(),
        ApiKey::ListGroups => ListGroupsRequest::default().into(),
        ApiKey::DeleteGroups => DeleteGroupsRequest::default()
            .with_groups_names(vec![text("p").into(), text("none").into()])
            .into(),
        ApiKey::OffsetDelete => OffsetDeleteRequest::default()
            .with_group_id(text("none").into())
            .into(),
        ApiKey::ApiVersions => ApiVersionsRequest::default().into(),
        ApiKey::DeleteTopics => DeleteTopicsRequest::default().into(),
        ApiKey::DeleteRecords => DeleteRecordsRequest::default().into(),
        ApiKey::InitProducerId => InitProducerIdRequest::default()
            .with_transactional_id(None)
            .into(),
        ApiKey::OffsetForLeaderEpoch => OffsetForLeaderEpochRequest::default().into(),
        ApiKey::DescribeConfigs => {
            let of = |kind, name| {
                DescribeConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(text(name))
            };
            let resources = vec![of(2, "t"), of(4, "1"), of(4, ""), of(8, "1"), of(2, "none")];
            DescribeConfigsRequest::default()
                .with_resources(resources)
                .with_include_synonyms(true)
                .into()
        }
        ApiKey::AlterConfigs => AlterConfigsRequest::default().into(),
        ApiKey::IncrementalAlterConfigs => IncrementalAlterConfigsRequest::default().into(),
        ApiKey::CreatePartitions => CreatePartitionsRequest::default().into(),
        ApiKey::DescribeCluster => DescribeClusterRequest::default().into(),
        ApiKey::DescribeTopicPartitions => DescribeTopicPartitionsRequest::default().with_cursor(None).into(),
        other => panic!("no request of {other:?} here"),
    }
}

#[tokio::test]
async fn every_advertised_version_has_an_answer_that_can_be_encoded() {
    let folder = Folder::new();
    let node = node(&folder);
    let id = create(&node, "t", 1).await.topics[0].topic_id;
    for (key, min, max) in API_VERSIONS() {
        for version in min..=max {
            let Some(key) = supported(key, version) else {
                continue;
            };
            match ask(&node, request(key, version, id), version).await {
                Answer::Message(message) => {
                    let mut bytes = BytesMut::new();
                    let encoded = ResponseKind::encode(&message, &mut bytes, version);
                    assert!(encoded.is_ok(), "{key:?} version {version}: {encoded:?}");
                    let mut bytes = bytes.freeze();
                    let decoded = ResponseKind::decode(key, &mut bytes, version);
                    assert!(
                        decoded.is_ok() && bytes.is_empty(),
                        "{key:?} version {version}: {decoded:?}"
                    );
                }
                Answer::Fetched(fetched) => {
                    assert!(fetched.parts.iter().map(crate::log::Slice::len).sum::<usize>() > 60)
                }
                Answer::Nothing | Answer::Close => panic!("{key:?} version {version} has no answer"),
            }
        }
    }
}

#[tokio::test]
async fn a_topic_comes_into_being_when_a_client_that_may_asks_for_it() {
    let folder = Folder::new();
    let node = node(&folder);
    let ask = async |topic: &'static str, allowed: bool| {
        let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(allowed);
        message(&node, request, 12, is!(Metadata)).await.topics.remove(0)
    };
    assert_eq!(
        ask("a", false).await.error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
    let made = ask("a", true).await;
    assert_eq!((made.error_code, made.partitions.len()), (0, 1));
    assert_eq!(ask("a", false).await.topic_id, made.topic_id);
    assert_eq!(
        ask("not a topic", true).await.error_code,
        ResponseError::InvalidTopicException.code()
    );
}

#[tokio::test]
async fn topics_outlive_a_kill_and_deleted_ones_do_not_come_back() {
    let folder = Folder::new();
    let killed = node(&folder);
    assert_eq!(create(&killed, "t", 3).await.topics[0].error_code, 0);
    assert_eq!(
        create(&killed, "t", 3).await.topics[0].error_code,
        ResponseError::TopicAlreadyExists.code()
    );
    create(&killed, "gone", 1).await;
    for topic in ["t", "gone"] {
        message(&killed, produce(topic, one(b"v")), 9, is!(Produce)).await;
    }
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("gone"), name("never")]);
    let deleted = message(&killed, delete, 5, is!(DeleteTopics)).await;
    let codes: Vec<_> = deleted.responses.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, ResponseError::UnknownTopicOrPartition.code()]);
    let id = killed.topics.get("t").unwrap().id;
    drop(killed);

    let node = reopened(&folder).await;
    let topic = node.topics.get("t").unwrap();
    assert_eq!(
        (topic.id, topic.logs.len(), topic.logs[0].high_watermark()),
        (id, 3, 1)
    );
    assert!(node.topics.get("gone").is_none());
    create(&node, "gone", 1).await;
    assert_eq!(node.topics.get("gone").unwrap().logs[0].high_watermark(), 0);
}

/// The folder opened again, as soon as its last user lets go of it.
pub(crate) async fn reopened(folder: &Folder) -> Arc<Node> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        match crate::open(Config::new(&folder.0), Handle::current()) {
            Ok(node) => return Arc::new(node),
            Err(error) => assert!(std::time::Instant::now() < until, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_topic_that_the_small_state_forgot_is_taken_in_again_with_its_records() {
    let folder = Folder::new();
    let killed = node(&folder);
    create(&killed, "t", 1).await;
    message(&killed, produce("t", one(b"v")), 9, is!(Produce)).await;
    let id = killed.topics.get("t").unwrap().id;
    killed
        .state
        .apply(vec![crate::state::remove("topic/t".to_owned())])
        .unwrap()
        .wait()
        .await
        .unwrap();
    drop(killed);
    let node = reopened(&folder).await;
    let topic = node.topics.get("t").unwrap();
    assert_eq!((topic.id, topic.logs[0].high_watermark()), (id, 1));
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = Folder::new();
    let _node = node(&folder);
    let error = crate::open(Config::new(&folder.0), Handle::current())
        .err()
        .unwrap();
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

#[tokio::test]
async fn a_fetch_waits_for_records_and_for_no_longer_than_it_may() {
    let folder = Folder::new();
    let node = node(&folder);
    create(&node, "t", 1).await;
    let request = |wait| match request(ApiKey::Fetch, 12, uuid::Uuid::nil()) {
        RequestKind::Fetch(fetch) => fetch.with_max_wait_ms(wait).with_min_bytes(1),
        _ => unreachable!(),
    };
    let bytes = |answer| match answer {
        Answer::Fetched(fetched) => fetched.parts.iter().map(crate::log::Slice::len).sum::<usize>(),
        _ => panic!("not fetched"),
    };
    let empty = bytes(ask(&node, request(1), 12).await);
    let waiting = tokio::spawn({
        let (node, request) = (node.clone(), request(60_000));
        async move { ask(&node, request, 12).await }
    });
    tokio::task::yield_now().await;
    let batch = one(b"v");
    let size = batch.len();
    message(&node, produce("t", batch), 9, is!(Produce)).await;
    assert_eq!(bytes(waiting.await.unwrap()), empty + size);
}

#[tokio::test]
async fn a_produce_that_waits_to_be_synced_keeps_nothing_of_its_request() {
    let folder = Folder::new();
    let node = node(&folder);
    create(&node, "t", 1).await;
    let mut frame = BytesMut::new();
    produce("t", one(b"v")).encode(&mut frame, 9).unwrap();
    let frame = frame.freeze();
    let request = ProduceRequest::decode(&mut frame.clone(), 9).unwrap();
    assert!(!frame.is_unique());
    let Pending::Waiting(answer) = node.start(&client(), request.into(), 9).await else {
        panic!("not written");
    };
    assert!(frame.is_unique());
    drop(answer);
}

#[tokio::test]
async fn producer_ids_are_never_given_twice() {
    let folder = Folder::new();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let node = reopened(&folder).await;
        for _ in 0..5 {
            let response = message(
                &node,
                InitProducerIdRequest::default().with_transactional_id(None),
                4,
                is!(InitProducerId),
            )
            .await;
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            assert!(ids.insert(response.producer_id.0));
        }
    }
    let transactional = InitProducerIdRequest::default().with_transactional_id(Some(text("x").into()));
    let node = reopened(&folder).await;
    let refused = message(&node, transactional, 4, is!(InitProducerId)).await;
    assert_eq!(
        refused.error_code,
        ResponseError::TransactionalIdAuthorizationFailed.code()
    );
}

#[tokio::test]
async fn committed_positions_outlive_a_kill_and_go_with_their_topic() {
    let folder = Folder::new();
    let killed = node(&folder);
    create(&killed, "t", 1).await;
    let RequestKind::OffsetCommit(commit) = request(ApiKey::OffsetCommit, 9, uuid::Uuid::nil()) else {
        unreachable!()
    };
    let response = message(&killed, commit, 9, is!(OffsetCommit)).await;
    let codes: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|partition| partition.error_code)
        .collect();
    assert_eq!(codes, [0, ResponseError::UnknownTopicOrPartition.code()]);
    drop(killed);
    let node = reopened(&folder).await;
    let fetch = async || {
        let request = request(ApiKey::OffsetFetch, 9, uuid::Uuid::nil());
        let response = message(&node, request, 9, is!(OffsetFetch)).await;
        let offsets = response
            .groups
            .iter()
            .flat_map(|group| &group.topics)
            .flat_map(|topic| &topic.partitions);
        offsets
            .map(|one| (one.partition_index, one.committed_offset))
            .collect::<Vec<_>>()
    };
    assert_eq!(fetch().await, [(0, 7), (0, 7), (5, -1)]);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    message(&node, delete, 5, is!(DeleteTopics)).await;
    assert_eq!(fetch().await, [(0, -1), (5, -1)]);
    assert!(node.groups.list().is_empty());
}
