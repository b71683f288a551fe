//! ApiVersions, DescribeCluster, FindCoordinator, InitProducerId: this node, and what it hands out.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse, ProducerId,
};

use super::{API_VERSIONS, Client, NODE_ID, Node, text};
use crate::log::Refusal;
use crate::state::{self, State};

/// FindCoordinator's key types.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Ids that one flush of the small state reserves.
const BLOCK: i64 = 1000;

/// The answer to ApiVersions; with `error` the one to a version of it that is not known, which a client reads as
/// version 0 and asks again.
pub(crate) fn api_versions(error: Option<ResponseError>) -> ApiVersionsResponse {
    let api = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    ApiVersionsResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_api_keys(API_VERSIONS().into_iter().map(api).collect())
}

/// Hands out producer ids. Each is given once: a block is noted as used, and flushed, before its first id is.
pub(crate) struct ProducerIds(tokio::sync::Mutex<std::ops::Range<i64>>);

impl ProducerIds {
    const KEY: &'static str = "producer-ids/next";

    pub(crate) fn open(state: &State) -> crate::Result<Self> {
        let next = state.list::<i64>(Self::KEY)?.first().map_or(0, |(_, next)| *next);
        Ok(Self(tokio::sync::Mutex::new(next..next)))
    }

    async fn next(&self, state: &State) -> crate::Result<i64> {
        let mut block = self.0.lock().await;
        if block.is_empty() {
            let next = block.end;
            state
                .apply(vec![state::put(Self::KEY.to_owned(), &(next + BLOCK))])?
                .wait()
                .await?;
            *block = next..next + BLOCK;
        }
        let id = block.start;
        block.start += 1;
        Ok(id)
    }
}

impl Node {
    pub(super) async fn init_producer_id(&self, request: InitProducerIdRequest) -> InitProducerIdResponse {
        let refused = |error: ResponseError| {
            InitProducerIdResponse::default()
                .with_error_code(error.code())
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1)
        };
        if let Some(id) = request.transactional_id {
            warn_of_transactions(&id);
            return refused(ResponseError::TransactionalIdAuthorizationFailed);
        }
        match self.producer_ids.next(&self.state).await {
            Ok(id) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(id))
                .with_producer_epoch(0),
            Err(error) => {
                tracing::error!(%error, "no producer id");
                refused(ResponseError::CoordinatorNotAvailable)
            }
        }
    }

    pub(super) fn find_coordinator(
        &self,
        client: &Client,
        request: FindCoordinatorRequest,
        version: i16,
    ) -> FindCoordinatorResponse {
        let (host, port) = client.broker.clone();
        let coordinator = |key: &str| match request.key_type {
            GROUP => Ok(()),
            TRANSACTION => {
                warn_of_transactions(key);
                let message = "this broker has no transactions yet";
                Err(Refusal::new(
                    ResponseError::TransactionalIdAuthorizationFailed,
                    message,
                ))
            }
            _ => Err(ResponseError::InvalidRequest.into()),
        };
        if version < 4 {
            let (code, message) = super::outcome(&coordinator(&request.key));
            let response = FindCoordinatorResponse::default()
                .with_error_code(code)
                .with_error_message(message);
            return match code {
                0 => response.with_node_id(NODE_ID).with_host(host).with_port(port),
                _ => response.with_node_id(BrokerId(-1)).with_port(-1),
            };
        }
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let (code, message) = super::outcome(&coordinator(key));
            let found = Coordinator::default()
                .with_key(key.clone())
                .with_error_code(code)
                .with_error_message(message);
            match code {
                0 => found
                    .with_node_id(NODE_ID)
                    .with_host(host.clone())
                    .with_port(port),
                _ => found.with_node_id(BrokerId(-1)).with_port(-1),
            }
        });
        FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
    }

    pub(super) fn describe_cluster(
        &self,
        client: &Client,
        request: DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        let (host, port) = client.broker.clone();
        let response = DescribeClusterResponse::default().with_endpoint_type(request.endpoint_type);
        if request.endpoint_type == 2 {
            let message = "there are no controllers to connect to: this broker is its own";
            return response
                .with_error_code(ResponseError::UnsupportedEndpointType.code())
                .with_error_message(Some(text(message)));
        }
        let broker = DescribeClusterBroker::default()
            .with_broker_id(NODE_ID)
            .with_host(host)
            .with_port(port);
        response
            .with_cluster_id(text(&self.cluster_id))
            .with_controller_id(NODE_ID)
            .with_brokers(vec![broker])
    }
}

fn warn_of_transactions(id: &str) {
    tracing::warn!(
        transactional_id = id,
        "refused: the embedded broker has no transactions yet"
    );
}
