//! What the herder answers with, serialized as REST shows it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use tapline_api::config::Config;
use tapline_api::connector::ConnectorType;

pub use crate::worker::status::{ConnectorState, State, TargetState, TaskId};

impl TargetState {
    /// Reads an `initial_state` (KIP-980).
    pub fn initial(name: &str) -> Result<Self, super::Error> {
        match name.to_ascii_uppercase().as_str() {
            "RUNNING" => Ok(Self::Started),
            "PAUSED" => Ok(Self::Paused),
            "STOPPED" => Ok(Self::Stopped),
            _ => Err(super::Error::BadRequest(format!(
                "initial_state {name} is none of RUNNING, PAUSED, STOPPED"
            ))),
        }
    }
}

/// A connector as created (`ConnectorInfo`): `{name, config, tasks:[{connector, task}], type}`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectorInfo {
    /// The name.
    pub name: String,
    /// The configuration as written, references to config providers unresolved.
    #[serde(serialize_with = "config")]
    pub config: Config,
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// The direction; `unknown` when there is no such plugin.
    #[serde(rename = "type", serialize_with = "kind")]
    pub kind: Option<ConnectorType>,
}

/// `{id, state, worker_id, trace?, version?}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskState {
    /// The task's number.
    pub id: u32,
    /// The rest.
    #[serde(flatten)]
    pub state: ConnectorState,
}

/// A connector's and its tasks' states (`ConnectorStateInfo`): `{name, connector, tasks, type}`.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectorStatus {
    /// The name.
    pub name: String,
    /// The connector's own state.
    pub connector: ConnectorState,
    /// The tasks' states, by number.
    pub tasks: Vec<TaskState>,
    /// The direction.
    #[serde(rename = "type", serialize_with = "kind")]
    pub kind: Option<ConnectorType>,
}

/// A task's configuration (`TaskInfo`): `{id:{connector, task}, config}`.
#[derive(Clone, Debug, Serialize)]
pub struct TaskInfo {
    /// The task.
    pub id: TaskId,
    /// Its configuration, references unresolved.
    #[serde(serialize_with = "config")]
    pub config: Config,
}

/// One position of a connector (`ConnectorOffset`): `{partition, offset}`. A null offset deletes, when altering.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectorOffset {
    /// The source partition, or `{kafka_topic, kafka_partition}`.
    pub partition: Map<String, Json>,
    /// The source offset, or `{kafka_offset}`.
    pub offset: Option<Map<String, Json>>,
}

/// What PUT of a configuration did.
#[derive(Clone, Debug)]
pub struct Put {
    /// Whether the connector is new (201 rather than 200).
    pub created: bool,
    /// The connector.
    pub info: ConnectorInfo,
}

/// How the worker is (KIP-1017).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has started and answers: 200.
    Healthy,
    /// It is starting: 503.
    Starting,
    /// It has started but does not get to its work: 500.
    Unhealthy(String),
}

/// The cluster the worker talks to and who it is there, for `GET /`.
#[derive(Clone, Debug, Serialize)]
pub struct ServerInfo {
    /// Kafka's version whose behaviour this is.
    pub version: &'static str,
    /// What the binary was built from.
    pub commit: &'static str,
    /// The Kafka cluster's id.
    pub kafka_cluster_id: String,
}

fn config<S: Serializer>(config: &Config, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(config.len()))?;
    for (name, value) in config.iter() {
        map.serialize_entry(name, &value)?;
    }
    map.end()
}

// Serde hands a field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option)]
fn kind<S: Serializer>(kind: &Option<ConnectorType>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.map_or("unknown", ConnectorType::name))
}
