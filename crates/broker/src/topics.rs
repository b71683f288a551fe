//! Topics: their names, ids, partitions and settings; created, grown, changed and deleted.
//!
//! What exists is in the small state, one record a topic; the records are in `topics/NAME-PARTITION`, made by the first
//! append. Deleting is marked first, then the folders are renamed, then the mark goes: whenever it is interrupted, the
//! next start finishes it.

mod name;
mod open;
pub(crate) mod settings;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::{Log, Refusal, Rules};
use crate::state::{self, State};
use crate::{Config, Result};
use settings::Settings;

pub(crate) use name::check_name;

/// The most partitions of all topics together: each has its place in memory.
const MOST_PARTITIONS: usize = 20_000;

/// A topic as it is at one moment; a change makes a new one, which shares the logs.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) logs: Vec<Arc<Log>>,
    pub(crate) settings: Settings,
    pub(crate) rules: Rules,
}

impl Topic {
    fn new(name: String, id: Uuid, logs: Vec<Arc<Log>>, settings: Settings, config: &Config) -> Arc<Self> {
        let rules = settings.rules(config);
        Arc::new(Self {
            name,
            id,
            logs,
            settings,
            rules,
        })
    }

    pub(crate) fn log(&self, partition: i32) -> Option<&Arc<Log>> {
        self.logs.get(usize::try_from(partition).ok()?)
    }

    /// Kafka's own bookkeeping topics have these names.
    pub(crate) fn is_internal(&self) -> bool {
        matches!(
            self.name.as_str(),
            "__consumer_offsets" | "__transaction_state" | "__share_group_state"
        )
    }

    fn stored(&self) -> Stored {
        let partitions = self.logs.len();
        Stored {
            id: self.id,
            partitions,
            settings: self.settings.overrides().clone(),
            deleting: false,
        }
    }
}

/// A topic's record in the small state, below `topic/NAME`.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    id: Uuid,
    partitions: usize,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    deleting: bool,
}

/// A topic to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: usize,
    pub(crate) settings: Settings,
}

#[derive(Default)]
struct Maps {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Maps {
    fn put(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, topic.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }
}

/// All topics.
pub(crate) struct Topics {
    config: Config,
    state: State,
    maps: RwLock<Maps>,
    /// One change at a time, so that what was checked still holds when it is done.
    changing: tokio::sync::Mutex<()>,
}

pub(crate) fn folder_of(topics: &Path, name: &str, partition: usize) -> PathBuf {
    topics.join(format!("{name}-{partition}"))
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().by_name.get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.read().by_id.get(&id).cloned()
    }

    /// In the order of names.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.read().by_name.values().cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Maps> {
        self.maps.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates topics, all in one flush; durable when it returns. Each gets its own answer.
    pub(crate) async fn create(&self, new: Vec<NewTopic>) -> Vec<Result<Arc<Topic>, Refusal>> {
        let _one_at_a_time = self.changing.lock().await;
        let mut answers = Vec::with_capacity(new.len());
        let mut total: usize = self.read().by_name.values().map(|topic| topic.logs.len()).sum();
        for new in new {
            answers.push(self.prepare(new, &mut total));
        }
        let created: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        if created.is_empty() {
            return answers;
        }
        let changes = created
            .iter()
            .map(|topic| state::put(format!("topic/{}", topic.name), &topic.stored()));
        if let Err(refusal) = self.apply(changes.collect()).await {
            return answers
                .into_iter()
                .map(|answer| answer.and(Err(refusal.clone())))
                .collect();
        }
        let mut maps = self.write();
        for topic in created {
            tracing::info!(topic = topic.name, partitions = topic.logs.len(), "created");
            maps.put(topic.clone());
        }
        answers
    }

    /// Whether the topic could be created; nothing is changed.
    pub(crate) fn check(&self, new: &NewTopic) -> Result<(), Refusal> {
        check_name(&new.name)?;
        if self.get(&new.name).is_some() {
            let message = format!("Topic '{}' already exists.", new.name);
            return Err(Refusal::new(ResponseError::TopicAlreadyExists, message));
        }
        Ok(())
    }

    fn prepare(&self, new: NewTopic, total: &mut usize) -> Result<Arc<Topic>, Refusal> {
        self.check(&new)?;
        *total += new.partitions;
        if *total > MOST_PARTITIONS {
            let message = format!("more than {MOST_PARTITIONS} partitions on one node");
            return Err(Refusal::new(ResponseError::PolicyViolation, message));
        }
        let id = Uuid::new_v4();
        let logs = self.new_logs(&new.name, id, 0..new.partitions)?;
        Ok(Topic::new(new.name, id, logs, new.settings, &self.config))
    }

    fn new_logs(
        &self,
        name: &str,
        id: Uuid,
        partitions: std::ops::Range<usize>,
    ) -> io::Result<Vec<Arc<Log>>> {
        let folder = self.folder();
        let open = |partition| {
            let folder = folder_of(&folder, name, partition);
            // An earlier topic of this name, whose folder was not renamed before a kill.
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            Log::open(folder, id, 0, 0).map(Arc::new)
        };
        partitions.map(open).collect()
    }

    fn folder(&self) -> PathBuf {
        self.config.data_dir.join("topics")
    }

    async fn apply(&self, changes: Vec<state::Change>) -> Result<(), Refusal> {
        let flushed = match self.state.apply(changes) {
            Ok(flush) => flush.wait().await,
            Err(error) => Err(error),
        };
        flushed.map_err(|error| Refusal::new(ResponseError::KafkaStorageError, error.to_string()))
    }

    /// Gives a topic more partitions; `check_only` changes nothing.
    pub(crate) async fn grow(&self, name: &str, partitions: usize, check_only: bool) -> Result<(), Refusal> {
        let _one_at_a_time = self.changing.lock().await;
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let now = topic.logs.len();
        let invalid = |message: String| Err(Refusal::new(ResponseError::InvalidPartitions, message));
        if partitions == now {
            return invalid(format!("Topic already has {now} partition(s)."));
        }
        if partitions < now {
            return invalid(format!(
                "The topic {name} currently has {now} partition(s); {partitions} would not be an increase."
            ));
        }
        if partitions > MOST_PARTITIONS {
            return invalid(format!("more than {MOST_PARTITIONS} partitions on one node"));
        }
        if check_only {
            return Ok(());
        }
        let mut logs = topic.logs.clone();
        logs.extend(self.new_logs(name, topic.id, now..partitions)?);
        let topic = Topic::new(
            name.to_owned(),
            topic.id,
            logs,
            topic.settings.clone(),
            &self.config,
        );
        self.change(topic).await
    }

    /// Changes a topic's settings by `change`, which answers with the new ones; `check_only` changes nothing.
    pub(crate) async fn alter(
        &self,
        name: &str,
        check_only: bool,
        change: impl FnOnce(&Settings) -> Result<Settings, Refusal>,
    ) -> Result<(), Refusal> {
        let _one_at_a_time = self.changing.lock().await;
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let settings = change(&topic.settings)?;
        if check_only {
            return Ok(());
        }
        self.change(Topic::new(
            name.to_owned(),
            topic.id,
            topic.logs.clone(),
            settings,
            &self.config,
        ))
        .await
    }

    async fn change(&self, topic: Arc<Topic>) -> Result<(), Refusal> {
        self.apply(vec![state::put(format!("topic/{}", topic.name), &topic.stored())])
            .await?;
        self.write().put(topic);
        Ok(())
    }

    /// Deletes a topic; durable when it returns. Its files go later.
    pub(crate) async fn delete(&self, name: &str) -> Result<Arc<Topic>, Refusal> {
        let _one_at_a_time = self.changing.lock().await;
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let deleting = Stored {
            deleting: true,
            ..topic.stored()
        };
        self.apply(vec![state::put(format!("topic/{name}"), &deleting)])
            .await?;
        {
            let mut maps = self.write();
            maps.by_name.remove(name);
            maps.by_id.remove(&topic.id);
        }
        for log in &topic.logs {
            log.close(ResponseError::UnknownTopicOrPartition);
        }
        let folder = self.folder();
        let set_aside = topic.clone();
        let done = tokio::task::spawn_blocking(move || {
            open::set_aside(&folder, &set_aside.name, set_aside.id, set_aside.logs.len())
        });
        let aside = done.await.map_err(io::Error::other)??;
        self.apply(open::forget(name, topic.id, topic.logs.len())).await?;
        tracing::info!(topic = name, "deleted");
        drop(tokio::task::spawn_blocking(move || open::remove(aside)));
        Ok(topic)
    }

    /// Forgets the records of a partition before `offset`; -1 stands for all that are readable. Returns the new start.
    pub(crate) async fn delete_records(
        &self,
        topic: &Topic,
        partition: i32,
        offset: i64,
    ) -> Result<i64, Refusal> {
        let log = topic
            .log(partition)
            .ok_or(ResponseError::UnknownTopicOrPartition)?
            .clone();
        let offset = if offset == -1 {
            log.high_watermark()
        } else {
            offset
        };
        if offset < 0 || offset > log.high_watermark() {
            return Err(ResponseError::OffsetOutOfRange.into());
        }
        let start = offset.max(log.start());
        // Kept first: a start that is told to a client must not fall back.
        self.apply(vec![state::put(
            format!("start/{}/{partition}", topic.id),
            &start,
        )])
        .await?;
        let deleted = tokio::task::spawn_blocking(move || log.delete_before(start));
        Ok(deleted.await.map_err(io::Error::other)??)
    }
}
