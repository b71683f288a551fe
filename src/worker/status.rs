//! States of connectors and tasks, and the topics they use (`KafkaStatusBackingStore`): the status topic, held in
//! memory.
//!
//! A state is told here first, so that REST sees it at once, and then to the topic, in order, in the background. Of
//! several states of one thing that wait, only the last is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tapline_api::Result;
use tapline_api::topic_log::{LogRecord, TopicLog};
use tokio::sync::Notify;

use super::backoff::Backoff;

/// What a user wants of a connector (`TargetState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TargetState {
    /// It runs.
    #[default]
    Started,
    /// It keeps its tasks, which wait.
    Paused,
    /// It has no tasks.
    Stopped,
}

/// What a connector or a task is doing (`AbstractStatus.State`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nobody has it.
    Unassigned,
    /// It runs.
    Running,
    /// It waits for a resume.
    Paused,
    /// It has no tasks, until a resume.
    Stopped,
    /// It ended in an error.
    Failed,
    /// It was deleted.
    Destroyed,
    /// A restart was asked for.
    Restarting,
}

impl State {
    /// As the status topic and REST write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Destroyed => "DESTROYED",
            Self::Restarting => "RESTARTING",
        }
    }

    /// Reads [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "UNASSIGNED" => Self::Unassigned,
            "RUNNING" => Self::Running,
            "PAUSED" => Self::Paused,
            "STOPPED" => Self::Stopped,
            "FAILED" => Self::Failed,
            "DESTROYED" => Self::Destroyed,
            "RESTARTING" => Self::Restarting,
            _ => return None,
        })
    }
}

/// A task of a connector (`ConnectorTaskId`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TaskId {
    /// The connector.
    pub connector: String,
    /// Its number, from 0.
    pub task: u32,
}

/// `{state, worker_id, trace?, version?}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectorState {
    /// What it is doing.
    pub state: State,
    /// `host:port` of the worker that said so.
    pub worker_id: String,
    /// The failure, when FAILED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The plugin's version, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// States and topics of all connectors.
pub struct StatusStore {
    log: Arc<dyn TopicLog>,
    known: RwLock<Known>,
    outbox: Mutex<Outbox>,
    posted: Notify,
    sent: Notify,
}

#[derive(Default)]
struct Known {
    connectors: HashMap<String, ConnectorState>,
    tasks: BTreeMap<TaskId, ConnectorState>,
    topics: HashMap<String, BTreeSet<String>>,
}

/// Records that wait, by key, in the order in which their keys came.
#[derive(Default)]
struct Outbox {
    waiting: Vec<LogRecord>,
    sending: bool,
}

/// A record's value, as `KafkaStatusBackingStore` writes it.
#[derive(Serialize, Deserialize)]
struct Stored {
    state: String,
    trace: Option<String>,
    worker_id: String,
    generation: i32,
    version: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredTopic {
    topic: TopicUse,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicUse {
    name: String,
    connector: String,
    task: u32,
    discover_timestamp: u64,
}

const CONNECTOR: &str = "status-connector-";
const TASK: &str = "status-task-";
const TOPIC: &str = "status-topic-";
const TOPIC_CONNECTOR: &str = ":connector-";

impl StatusStore {
    /// Reads the topic to its end.
    pub async fn load(log: Arc<dyn TopicLog>) -> Result<Self> {
        let mut known = Known::default();
        log.read_to_end(&mut |record| {
            known.apply(&record);
            Ok(())
        })
        .await?;
        Ok(Self {
            log,
            known: RwLock::new(known),
            outbox: Mutex::default(),
            posted: Notify::new(),
            sent: Notify::new(),
        })
    }

    /// A connector's state.
    pub fn connector(&self, name: &str) -> Option<ConnectorState> {
        self.read(|known| known.connectors.get(name).cloned())
    }

    /// A task's state.
    pub fn task(&self, id: &TaskId) -> Option<ConnectorState> {
        self.read(|known| known.tasks.get(id).cloned())
    }

    /// The states of a connector's tasks, by number.
    pub fn tasks(&self, connector: &str) -> Vec<(u32, ConnectorState)> {
        let from = TaskId {
            connector: connector.to_owned(),
            task: 0,
        };
        self.read(|known| {
            known
                .tasks
                .range(from..)
                .take_while(|(id, _)| id.connector == connector)
                .map(|(id, state)| (id.task, state.clone()))
                .collect()
        })
    }

    /// The topics a connector has used.
    pub fn topics(&self, connector: &str) -> Vec<String> {
        self.read(|known| {
            known
                .topics
                .get(connector)
                .into_iter()
                .flatten()
                .cloned()
                .collect()
        })
    }

    /// Tells a connector's state, or forgets it.
    pub fn set_connector(&self, name: &str, state: Option<ConnectorState>) {
        self.post(record(format!("{CONNECTOR}{name}"), state.as_ref().map(stored)));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => known.connectors.insert(name.to_owned(), state),
            None => known.connectors.remove(name),
        };
    }

    /// Tells a task's state, or forgets it.
    pub fn set_task(&self, id: &TaskId, state: Option<ConnectorState>) {
        self.post(record(format!("{TASK}{id}"), state.as_ref().map(stored)));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => known.tasks.insert(id.clone(), state),
            None => known.tasks.remove(id),
        };
    }

    /// Tells that a task uses a topic; nothing new is not told again.
    pub fn add_topic(&self, id: &TaskId, topic: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let topics = known.topics.entry(id.connector.clone()).or_default();
        if topics.insert(topic.to_owned()) {
            drop(known);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let stored = StoredTopic {
                topic: TopicUse {
                    name: topic.to_owned(),
                    connector: id.connector.clone(),
                    task: id.task,
                    discover_timestamp: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
                },
            };
            self.post(record(topic_key(topic, &id.connector), Some(json(&stored))));
        }
    }

    /// Forgets the topics a connector has used.
    pub fn reset_topics(&self, connector: &str) {
        let topics = {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.topics.remove(connector).unwrap_or_default()
        };
        for topic in topics {
            self.post(record(topic_key(&topic, connector), None));
        }
    }

    /// Names of connectors and tasks that have a state.
    pub fn names(&self) -> (Vec<String>, Vec<TaskId>) {
        self.read(|known| {
            let connectors = known.connectors.keys().cloned().collect();
            (connectors, known.tasks.keys().cloned().collect())
        })
    }

    /// Writes what is told to the topic, for ever.
    pub async fn write(&self) {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        loop {
            let waiting = {
                let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
                outbox.sending = !outbox.waiting.is_empty();
                std::mem::take(&mut outbox.waiting)
            };
            if waiting.is_empty() {
                self.sent.notify_waiters();
                self.posted.notified().await;
                continue;
            }
            while let Err(error) = self.log.append(waiting.clone()).await {
                tracing::warn!("could not write to the status topic: {error}");
                tokio::time::sleep(backoff.wait()).await;
            }
            backoff.reset();
        }
    }

    /// Waits until everything told so far is written.
    pub async fn flushed(&self) {
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            {
                let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
                if outbox.waiting.is_empty() && !outbox.sending {
                    return;
                }
            }
            sent.await;
        }
    }

    fn read<T>(&self, get: impl FnOnce(&Known) -> T) -> T {
        get(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn post(&self, record: LogRecord) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        match outbox
            .waiting
            .iter_mut()
            .find(|waiting| waiting.key == record.key)
        {
            Some(waiting) => *waiting = record,
            None => outbox.waiting.push(record),
        }
        self.posted.notify_one();
    }
}

impl Known {
    /// Takes in a record of the topic. What can't be read is reported and left.
    fn apply(&mut self, record: &LogRecord) {
        let Some(key) = record
            .key
            .as_deref()
            .and_then(|key| std::str::from_utf8(key).ok())
        else {
            return tracing::warn!("a record of the status topic has no key");
        };
        let value = record.value.as_deref();
        if let Some(name) = key.strip_prefix(CONNECTOR) {
            match value.and_then(|value| parse(key, value)) {
                Some(state) => self.connectors.insert(name.to_owned(), state),
                None => self.connectors.remove(name),
            };
        } else if let Some(name) = key.strip_prefix(TASK) {
            let Some((connector, task)) = name
                .rsplit_once('-')
                .and_then(|(c, t)| Some((c, t.parse().ok()?)))
            else {
                return tracing::warn!("the status topic's key {key} names no task");
            };
            let id = TaskId {
                connector: connector.to_owned(),
                task,
            };
            match value.and_then(|value| parse(key, value)) {
                Some(state) => self.tasks.insert(id, state),
                None => self.tasks.remove(&id),
            };
        } else if let Some((topic, connector)) = key
            .strip_prefix(TOPIC)
            .and_then(|rest| rest.split_once(TOPIC_CONNECTOR))
        {
            let topics = self.topics.entry(connector.to_owned()).or_default();
            match value {
                Some(_) => topics.insert(topic.to_owned()),
                None => topics.remove(topic),
            };
        }
    }
}

fn parse(key: &str, value: &[u8]) -> Option<ConnectorState> {
    let stored: Stored = match serde_json::from_slice(value) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!("the status topic's record of {key} can't be read: {error}");
            return None;
        }
    };
    Some(ConnectorState {
        state: State::parse(&stored.state)?,
        worker_id: stored.worker_id,
        trace: stored.trace,
        version: stored.version,
    })
}

fn stored(state: &ConnectorState) -> Bytes {
    json(&Stored {
        state: state.state.name().to_owned(),
        trace: state.trace.clone(),
        worker_id: state.worker_id.clone(),
        // A standalone worker has no group, so no generation of one.
        generation: 0,
        version: state.version.clone(),
    })
}

fn topic_key(topic: &str, connector: &str) -> String {
    format!("{TOPIC}{topic}{TOPIC_CONNECTOR}{connector}")
}

fn record(key: String, value: Option<Bytes>) -> LogRecord {
    LogRecord {
        partition: -1,
        key: Some(key.into()),
        value,
        ..LogRecord::default()
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: State, trace: Option<&str>, version: Option<&str>) -> ConnectorState {
        ConnectorState {
            state,
            worker_id: "127.0.0.1:28083".into(),
            trace: trace.map(str::to_owned),
            version: version.map(str::to_owned),
        }
    }

    #[test]
    fn values_are_those_that_kafka_connect_writes_and_come_back() {
        let cases = [
            (
                state(State::Running, None, Some("4.3.1")),
                r#"{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:28083","generation":0,"version":"4.3.1"}"#,
            ),
            (
                state(State::Failed, Some("a\n\tb"), None),
                r#"{"state":"FAILED","trace":"a\n\tb","worker_id":"127.0.0.1:28083","generation":0,"version":null}"#,
            ),
        ];
        for (state, text) in cases {
            assert_eq!(stored(&state), text);
            assert_eq!(parse("k", text.as_bytes()), Some(state));
        }
    }

    #[test]
    fn records_of_kafka_connect_are_taken_in_and_nulls_forget() {
        let mut known = Known::default();
        let running =
            r#"{"state":"RUNNING","trace":null,"worker_id":"w:1","generation":957,"version":"4.3.1"}"#;
        let topic =
            r#"{"topic":{"name":"lines","connector":"a-b","task":0,"discoverTimestamp":1795404618205}}"#;
        let apply = |known: &mut Known, key: &str, value: Option<&str>| {
            known.apply(&record(
                key.to_owned(),
                value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            ));
        };
        apply(&mut known, "status-connector-a-b", Some(running));
        apply(&mut known, "status-task-a-b-0", Some(running));
        apply(&mut known, "status-topic-lines:connector-a-b", Some(topic));
        let id = TaskId {
            connector: "a-b".into(),
            task: 0,
        };
        assert_eq!(known.tasks[&id].state, State::Running);
        assert_eq!(known.connectors["a-b"].worker_id, "w:1");
        assert!(known.topics["a-b"].contains("lines"));
        apply(&mut known, "status-task-a-b-0", None);
        apply(&mut known, "status-topic-lines:connector-a-b", None);
        assert!(known.tasks.is_empty() && known.topics["a-b"].is_empty());
    }
}
