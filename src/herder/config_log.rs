//! The config topic (`KafkaConfigBackingStore`): its records, and the state they add up to. Pure.
//!
//! | key | value |
//! |---|---|
//! | `connector-NAME` | `{"properties":{…}}`; null deletes |
//! | `task-NAME-N` | `{"properties":{…}}`; counts once a commit names it |
//! | `commit-NAME` | `{"tasks":N}` |
//! | `target-state-NAME` | `{"state":"PAUSED","state.v2":"STOPPED"}`; null is STARTED |
//!
//! Other keys (`session-key`, `restart-connector-NAME`, `tasks-fencing-NAME`, `logger-cluster-…`) are messages
//! between distributed workers, and passed over.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tapline_api::config::Config;
use tapline_api::topic_log::LogRecord;

use super::TargetState;

const CONNECTOR: &str = "connector-";
const TASK: &str = "task-";
const COMMIT: &str = "commit-";
const TARGET_STATE: &str = "target-state-";
const RESTART: &str = "restart-connector-";

/// All connectors, in the order in which they were created.
#[derive(Debug, Default)]
pub(super) struct ConfigState {
    connectors: IndexMap<String, Stored>,
    targets: HashMap<String, TargetState>,
    deferred: HashMap<String, BTreeMap<u32, Config>>,
}

#[derive(Debug, Default)]
struct Stored {
    config: Config,
    tasks: Vec<Config>,
}

/// One connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connector {
    /// As written.
    pub(super) config: Config,
    /// Its tasks' configurations, references unresolved.
    pub(super) tasks: Vec<Config>,
    /// What is wanted of it.
    pub(super) target: TargetState,
}

#[derive(Serialize, Deserialize)]
struct Properties {
    properties: Map<String, Json>,
}

#[derive(Serialize, Deserialize)]
struct Commit {
    tasks: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Restart {
    include_tasks: bool,
    only_failed: bool,
}

#[derive(Serialize, Deserialize)]
struct Target {
    state: String,
    #[serde(rename = "state.v2", default)]
    v2: Option<String>,
}

impl ConfigState {
    /// The connectors' names.
    pub(super) fn names(&self) -> Vec<String> {
        self.connectors.keys().cloned().collect()
    }

    /// A connector.
    pub(super) fn connector(&self, name: &str) -> Option<Connector> {
        let stored = self.connectors.get(name)?;
        Some(Connector {
            config: stored.config.clone(),
            tasks: stored.tasks.clone(),
            target: self.targets.get(name).copied().unwrap_or_default(),
        })
    }

    /// Takes in a record. What can't be read is reported and left.
    pub(super) fn apply(&mut self, record: &LogRecord) {
        let Some(key) = record
            .key
            .as_deref()
            .and_then(|key| std::str::from_utf8(key).ok())
        else {
            return tracing::warn!("a record of the config topic has no key");
        };
        if let Err(error) = self.take_in(key, record.value.as_deref()) {
            tracing::warn!("the config topic's record of {key} can't be read: {error}");
        }
    }

    fn take_in(&mut self, key: &str, value: Option<&[u8]>) -> serde_json::Result<()> {
        if let Some(name) = key.strip_prefix(TARGET_STATE) {
            let target = value.map(serde_json::from_slice::<Target>).transpose()?;
            match target {
                None => self.targets.remove(name),
                Some(target) => self.targets.insert(name.to_owned(), target.parse()),
            };
        } else if let Some(name) = key.strip_prefix(CONNECTOR) {
            match value {
                None => {
                    self.connectors.shift_remove(name);
                    self.deferred.remove(name);
                }
                Some(value) => {
                    let config = properties(value)?;
                    self.connectors.entry(name.to_owned()).or_default().config = config;
                }
            }
        } else if let Some(id) = key.strip_prefix(TASK) {
            let named = id
                .rsplit_once('-')
                .and_then(|(name, task)| Some((name, task.parse().ok()?)));
            if let (Some((name, task)), Some(value)) = (named, value) {
                let config = properties(value)?;
                self.deferred
                    .entry(name.to_owned())
                    .or_default()
                    .insert(task, config);
            }
        } else if let Some(name) = key.strip_prefix(COMMIT) {
            let Some(value) = value else {
                return Ok(());
            };
            let commit: Commit = serde_json::from_slice(value)?;
            let deferred = self.deferred.remove(name).unwrap_or_default();
            // A commit of a deleted connector, before compaction has removed it.
            if let Some(stored) = self.connectors.get_mut(name) {
                stored.commit(commit.tasks, deferred);
            }
        }
        Ok(())
    }
}

impl Stored {
    /// The first `count` tasks are now as deferred. After compaction some may be missing: then there are none, and
    /// the connector makes them anew.
    fn commit(&mut self, count: usize, deferred: BTreeMap<u32, Config>) {
        let mut tasks: Vec<Option<Config>> = std::mem::take(&mut self.tasks).into_iter().map(Some).collect();
        tasks.resize(count, None);
        for (task, config) in deferred {
            if let Some(slot) = usize::try_from(task).ok().and_then(|task| tasks.get_mut(task)) {
                *slot = Some(config);
            }
        }
        self.tasks = tasks.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default();
    }
}

impl Target {
    fn parse(&self) -> TargetState {
        match self.v2.as_deref().unwrap_or(&self.state) {
            "PAUSED" => TargetState::Paused,
            "STOPPED" => TargetState::Stopped,
            _ => TargetState::Started,
        }
    }
}

fn properties(value: &[u8]) -> serde_json::Result<Config> {
    let stored: Properties = serde_json::from_slice(value)?;
    let text = |value| match value {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(stored
        .properties
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect())
}

/// A connector's configuration; `None` deletes.
pub(super) fn connector(name: &str, config: Option<&Config>) -> LogRecord {
    record(format!("{CONNECTOR}{name}"), config.map(stored))
}

/// Tasks' configurations and the commit that makes them count.
pub(super) fn tasks(name: &str, configs: &[Config]) -> Vec<LogRecord> {
    let mut records: Vec<_> = configs
        .iter()
        .enumerate()
        .map(|(task, config)| record(format!("{TASK}{name}-{task}"), Some(stored(config))))
        .collect();
    let commit = json(&Commit { tasks: configs.len() });
    records.push(record(format!("{COMMIT}{name}"), Some(commit)));
    records
}

/// What is wanted of a connector; `None` forgets.
pub(super) fn target(name: &str, target: Option<TargetState>) -> LogRecord {
    let value = target.map(|target| {
        // Workers before 3.5 do not know STOPPED, and read the first.
        let (state, v2) = match target {
            TargetState::Started => ("STARTED", "STARTED"),
            TargetState::Paused => ("PAUSED", "PAUSED"),
            TargetState::Stopped => ("PAUSED", "STOPPED"),
        };
        json(&Target {
            state: state.to_owned(),
            v2: Some(v2.to_owned()),
        })
    });
    record(format!("{TARGET_STATE}{name}"), value)
}

/// A restart was asked for (KIP-745). It says nothing of what is wanted, so nothing is read from it at the start.
pub(super) fn restart(name: &str, include_tasks: bool, only_failed: bool) -> LogRecord {
    let value = json(&Restart {
        include_tasks,
        only_failed,
    });
    record(format!("{RESTART}{name}"), Some(value))
}

fn stored(config: &Config) -> Bytes {
    let properties = config
        .iter()
        .map(|(name, value)| (name.to_owned(), value.map_or(Json::Null, Json::from)))
        .collect();
    json(&Properties { properties })
}

fn record(key: String, value: Option<Bytes>) -> LogRecord {
    LogRecord {
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

    /// Records as a Kafka Connect 4.3.1 worker wrote them.
    const RECORDED: &[(&str, Option<&str>)] = &[
        (
            "session-key",
            Some(r#"{"key":"c2Vzc2lvbi1rZXk=","algorithm":"HmacSHA256","creation-timestamp":1795401431823}"#),
        ),
        (
            "target-state-tour-stopped",
            Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
        ),
        (
            "connector-tour-stopped",
            Some(r#"{"properties":{"connector.class":"a.B","tasks.max":"1","name":"tour-stopped"}}"#),
        ),
        (
            "connector-tour-src",
            Some(r#"{"properties":{"connector.class":"a.B","batch.size":null,"name":"tour-src"}}"#),
        ),
        (
            "task-tour-src-0",
            Some(r#"{"properties":{"connector.class":"a.B","task.class":"a.C"}}"#),
        ),
        ("commit-tour-src", Some(r#"{"tasks":1}"#)),
        (
            "restart-connector-tour-src",
            Some(r#"{"include-tasks":true,"only-failed":false}"#),
        ),
    ];

    fn state(records: &[(&str, Option<&str>)]) -> ConfigState {
        let mut state = ConfigState::default();
        for (key, value) in records {
            state.apply(&record(
                (*key).to_owned(),
                value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            ));
        }
        state
    }

    #[test]
    fn records_of_kafka_connect_add_up_to_its_connectors() {
        let state = state(RECORDED);
        assert_eq!(state.names(), ["tour-stopped", "tour-src"]);
        let source = state.connector("tour-src").unwrap();
        assert_eq!((source.tasks.len(), source.target), (1, TargetState::Started));
        assert_eq!(source.tasks[0].get("task.class"), Some("a.C"));
        assert!(source.config.contains("batch.size") && source.config.get("batch.size").is_none());
        assert_eq!(
            state.connector("tour-stopped").unwrap().target,
            TargetState::Stopped
        );
    }

    #[test]
    fn a_restart_is_written_as_kafka_connect_writes_it() {
        let record = restart("tour-src", true, false);
        assert_eq!(record.key.as_deref(), Some(&b"restart-connector-tour-src"[..]));
        let value = record.value.unwrap();
        assert_eq!(value, &br#"{"include-tasks":true,"only-failed":false}"#[..]);
    }

    #[test]
    fn records_are_written_as_kafka_connect_writes_them() {
        let state = state(RECORDED);
        let source = state.connector("tour-src").unwrap();
        let mut written = vec![
            target("tour-stopped", Some(TargetState::Stopped)),
            connector(
                "tour-stopped",
                Some(&state.connector("tour-stopped").unwrap().config),
            ),
            connector("tour-src", Some(&source.config)),
        ];
        written.extend(tasks("tour-src", &source.tasks));
        let written: Vec<_> = written
            .iter()
            .map(|record| {
                let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                (
                    text(record.key.as_ref().unwrap()),
                    record.value.as_ref().map(text),
                )
            })
            .collect();
        let recorded: Vec<_> = RECORDED[1..6]
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
            .collect();
        assert_eq!(written, recorded);
        assert_eq!(connector("x", None).value, None);
    }

    #[test]
    fn task_configurations_count_only_when_committed_and_when_all_are_there() {
        let task = |n: u32| (format!("task-c-{n}"), Some(r#"{"properties":{}}"#));
        let (one, two) = (task(0), task(1));
        let connector = ("connector-c", Some(r#"{"properties":{}}"#));
        let uncommitted = state(&[connector, (&one.0, one.1)]);
        assert!(uncommitted.connector("c").unwrap().tasks.is_empty());
        let whole = state(&[
            connector,
            (&one.0, one.1),
            (&two.0, two.1),
            ("commit-c", Some(r#"{"tasks":2}"#)),
        ]);
        assert_eq!(whole.connector("c").unwrap().tasks.len(), 2);
        let compacted = state(&[connector, (&two.0, two.1), ("commit-c", Some(r#"{"tasks":2}"#))]);
        assert!(compacted.connector("c").unwrap().tasks.is_empty());
        let deleted = state(&[
            connector,
            (&one.0, one.1),
            ("connector-c", None),
            ("commit-c", Some(r#"{"tasks":1}"#)),
        ]);
        assert!(deleted.connector("c").is_none());
    }
}
