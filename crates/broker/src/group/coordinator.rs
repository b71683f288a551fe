//! The groups of this node: their machines, the clock that runs them, and the positions they committed.
//!
//! A position is in the small state under `offset/GROUP\0TOPIC\0PARTITION`, the type of a group under `group/GROUP`;
//! both are read once, at open. Groups without members and positions are forgotten.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::machine::{Effects, Group, JoinResult, SyncResult, Time};
use super::{Described, Join, Sync};
use crate::Result;
use crate::state::{self, Flush, State};

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) offset: i64,
    #[serde(default = "no_epoch")]
    pub(crate) epoch: i32,
    #[serde(default)]
    pub(crate) metadata: String,
    /// When it was committed; milliseconds since 1970.
    pub(crate) time: i64,
}

fn no_epoch() -> i32 {
    -1
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    protocol_type: String,
}

type Machine = Group<oneshot::Sender<JoinResult>, oneshot::Sender<SyncResult>>;
/// What became of each partition's position, and the flush that makes it durable.
pub(crate) type Deleted = (Vec<Result<(), ResponseError>>, Flush);
/// By topic and partition.
type Positions = BTreeMap<(String, i32), Position>;

struct Entry {
    machine: Machine,
    positions: Positions,
    /// The deadline that the clock knows of.
    armed: Time,
    /// The type that the small state knows of.
    stored: Option<String>,
    /// No longer in the map: whoever still holds it must look again.
    forgotten: bool,
}

/// All groups.
pub(crate) struct Groups {
    state: State,
    groups: Mutex<HashMap<String, Arc<Mutex<Entry>>>>,
    deadlines: Mutex<BinaryHeap<Reverse<(Time, String)>>>,
    sooner: Notify,
    began: Instant,
    initial_delay: Time,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(group: &str, topic: &str, partition: i32) -> String {
    format!("offset/{group}\0{topic}\0{partition}")
}

impl Groups {
    pub(crate) fn open(state: &State, initial_delay: Duration) -> Result<Self> {
        let initial_delay = Time::try_from(initial_delay.as_millis()).unwrap_or(Time::MAX);
        let groups = Self {
            state: state.clone(),
            groups: Mutex::default(),
            deadlines: Mutex::default(),
            sooner: Notify::new(),
            began: Instant::now(),
            initial_delay,
        };
        for (key, position) in state.list::<Position>("offset/")? {
            let mut parts = key.splitn(3, '\0');
            let (Some(group), Some(topic), Some(partition)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let Ok(partition) = partition.parse() else {
                continue;
            };
            groups.with(group, |entry| {
                entry.positions.insert((topic.to_owned(), partition), position)
            });
        }
        for (group, Stored { protocol_type }) in state.list("group/")? {
            // One without positions was left by a kill, and is forgotten with this.
            groups.with(&group, |entry| {
                entry.machine.set_protocol_type(protocol_type.clone());
                entry.stored = Some(protocol_type);
            });
        }
        Ok(groups)
    }

    fn now(&self) -> Time {
        Time::try_from(self.began.elapsed().as_millis()).unwrap_or(Time::MAX)
    }

    /// Works on a group, which comes into being for it, and forgets it afterwards when there is nothing to remember.
    fn with<T>(&self, group: &str, work: impl FnOnce(&mut Entry) -> T) -> T {
        loop {
            let entry = {
                let mut groups = lock(&self.groups);
                let new = || {
                    Arc::new(Mutex::new(Entry {
                        machine: Machine::new(self.initial_delay),
                        positions: Positions::new(),
                        armed: Time::MAX,
                        stored: None,
                        forgotten: false,
                    }))
                };
                groups.entry(group.to_owned()).or_insert_with(new).clone()
            };
            let mut entry = lock(&entry);
            if entry.forgotten {
                continue;
            }
            let result = work(&mut entry);
            self.arm(group, &mut entry);
            self.forget_if_idle(group, &mut entry);
            return result;
        }
    }

    /// Works on a group if there is one.
    fn with_known<T>(&self, group: &str, work: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let known = lock(&self.groups).contains_key(group);
        known.then(|| self.with(group, work))
    }

    fn arm(&self, group: &str, entry: &mut Entry) {
        let next = entry.machine.next_deadline();
        if next < entry.armed {
            entry.armed = next;
            lock(&self.deadlines).push(Reverse((next, group.to_owned())));
            self.sooner.notify_one();
        }
    }

    fn forget_if_idle(&self, group: &str, entry: &mut Entry) {
        if !entry.machine.is_deserted() || !entry.positions.is_empty() {
            return;
        }
        entry.forgotten = true;
        lock(&self.groups).remove(group);
        if entry.stored.is_some() {
            // Nobody waits for it: the next start would forget it again.
            drop(self.state.apply(vec![state::remove(format!("group/{group}"))]));
        }
    }

    /// Gives every group its time; runs for as long as the broker.
    pub(crate) async fn run(&self) {
        loop {
            let next = lock(&self.deadlines).peek().map(|Reverse((at, _))| *at);
            let Some(next) = next else {
                self.sooner.notified().await;
                continue;
            };
            let at = self.began + Duration::from_millis(u64::try_from(next).unwrap_or(0));
            // An earlier deadline came in: look again.
            let _ = tokio::time::timeout_at(at, self.sooner.notified()).await;
            let now = self.now();
            loop {
                let due = {
                    let mut deadlines = lock(&self.deadlines);
                    match deadlines.peek() {
                        Some(Reverse((at, _))) if *at <= now => deadlines.pop(),
                        _ => None,
                    }
                };
                let Some(Reverse((_, group))) = due else { break };
                self.with_known(&group, |entry| {
                    entry.armed = Time::MAX;
                    perform(entry.machine.expire(now));
                });
            }
        }
    }

    pub(crate) fn join(&self, group: &str, join: Join) -> oneshot::Receiver<JoinResult> {
        let (waiter, answer) = oneshot::channel();
        self.with(group, |entry| {
            perform(entry.machine.join(self.now(), join, waiter))
        });
        answer
    }

    /// The answer, and the flush of what has to be known before it is told: a new group's type.
    pub(crate) fn sync(&self, group: &str, sync: Sync) -> Result<oneshot::Receiver<SyncResult>> {
        let (waiter, answer) = oneshot::channel();
        let mut waiter = Some(waiter);
        let synced = self.with_known(group, |entry| {
            if let Some(waiter) = waiter.take() {
                perform(entry.machine.sync(self.now(), sync, waiter));
            }
            let protocol_type = entry.machine.protocol_type();
            (entry.stored.as_deref() != Some(protocol_type)).then(|| {
                let protocol_type = protocol_type.to_owned();
                entry.stored = Some(protocol_type.clone());
                state::put(format!("group/{group}"), &Stored { protocol_type })
            })
        });
        if let Some(change) = synced.flatten() {
            // Nobody waits for it: at worst a group without positions is listed with no type after a kill.
            drop(self.state.apply(vec![change])?);
        }
        if let Some(waiter) = waiter {
            let _ = waiter.send(Err(ResponseError::UnknownMemberId));
        }
        Ok(answer)
    }

    pub(crate) fn heartbeat(
        &self,
        group: &str,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let beat = self.with_known(group, |entry| {
            entry.machine.heartbeat(self.now(), id, instance, generation)
        });
        beat.unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    pub(crate) fn leave(&self, group: &str, id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        let left = self.with_known(group, |entry| {
            let (left, effects) = entry.machine.leave(self.now(), id, instance);
            perform(effects);
            left
        });
        left.unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    /// Whether this member, or anyone when `generation` is negative, may commit positions now.
    pub(crate) fn may_commit(
        &self,
        group: &str,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        match self.with_known(group, |entry| {
            entry.machine.may_commit(self.now(), id, instance, generation)
        }) {
            Some(result) => result,
            None if generation < 0 => Ok(()),
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    /// Stores positions; they are read back at once, and durable when the flush is over.
    pub(crate) fn commit(&self, group: &str, positions: Vec<((String, i32), Position)>) -> Result<Flush> {
        self.with(group, |entry| {
            let changes = positions
                .iter()
                .map(|((topic, partition), position)| state::put(key(group, topic, *partition), position));
            // Under the group's lock, so that of two commits the later one stays.
            let flush = self.state.apply(changes.collect())?;
            entry.positions.extend(positions);
            Ok(flush)
        })
    }

    /// The group's positions, of all partitions or of those that `wanted` names.
    pub(crate) fn positions(
        &self,
        group: &str,
        wanted: Option<&[(String, i32)]>,
    ) -> Vec<((String, i32), Option<Position>)> {
        let found = self.with_known(group, |entry| match wanted {
            Some(wanted) => wanted
                .iter()
                .map(|one| (one.clone(), entry.positions.get(one).cloned()))
                .collect(),
            None => entry
                .positions
                .iter()
                .map(|(one, position)| (one.clone(), Some(position.clone())))
                .collect(),
        });
        found.unwrap_or_else(|| {
            wanted
                .unwrap_or_default()
                .iter()
                .map(|one| (one.clone(), None))
                .collect()
        })
    }

    pub(crate) fn describe(&self, group: &str) -> Option<Described> {
        self.with_known(group, |entry| entry.machine.describe())
    }

    /// Name, protocol type and state of every group.
    pub(crate) fn list(&self) -> Vec<(String, String, super::State)> {
        let mut names: Vec<_> = lock(&self.groups).keys().cloned().collect();
        names.sort_unstable();
        let of = |name: String| {
            let (kind, state) = self.with_known(&name, |entry| {
                (entry.machine.protocol_type().to_owned(), entry.machine.state())
            })?;
            Some((name, kind, state))
        };
        names.into_iter().filter_map(of).collect()
    }

    /// Forgets a group that nobody is in, with its positions.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND`, `NON_EMPTY_GROUP`
    pub(crate) fn delete(&self, group: &str) -> Result<Result<Flush, ResponseError>> {
        let deleted = self.with_known(group, |entry| {
            if !entry.machine.is_deserted() {
                return Ok(Err(ResponseError::NonEmptyGroup));
            }
            let gone = std::mem::take(&mut entry.positions);
            entry.stored = None;
            let mut changes: Vec<_> = gone
                .keys()
                .map(|(topic, partition)| state::remove(key(group, topic, *partition)))
                .collect();
            changes.push(state::remove(format!("group/{group}")));
            self.state.apply(changes).map(Ok)
        });
        deleted.unwrap_or(Ok(Err(ResponseError::GroupIdNotFound)))
    }

    /// Forgets positions. `subscribed` tells, of a group of consumers, which topics they are subscribed to.
    pub(crate) fn delete_positions(
        &self,
        group: &str,
        partitions: &[(String, i32)],
        subscribed: impl Fn(bytes::Bytes) -> Vec<String>,
    ) -> Result<Result<Deleted, ResponseError>> {
        let deleted = self.with_known(group, |entry| {
            let mut topics = Vec::new();
            if !entry.machine.is_deserted() {
                if entry.machine.protocol_type() != "consumer" {
                    return Ok(Err(ResponseError::NonEmptyGroup));
                }
                topics = entry.machine.subscriptions().flat_map(&subscribed).collect();
            }
            let mut changes = Vec::new();
            let delete = |(topic, partition): &(String, i32)| {
                if topics.contains(topic) {
                    return Err(ResponseError::GroupSubscribedToTopic);
                }
                entry.positions.remove(&(topic.clone(), *partition));
                changes.push(state::remove(key(group, topic, *partition)));
                Ok(())
            };
            let results = partitions.iter().map(delete).collect();
            self.state.apply(changes).map(|flush| Ok((results, flush)))
        });
        deleted.unwrap_or(Ok(Err(ResponseError::GroupIdNotFound)))
    }

    /// Forgets the positions in a topic that is gone.
    pub(crate) fn forget_topic(&self, topic: &str) -> Result<()> {
        let names: Vec<_> = lock(&self.groups).keys().cloned().collect();
        let mut changes = Vec::new();
        for group in names {
            self.with_known(&group, |entry| {
                entry.positions.retain(|(of, partition), _| {
                    if of == topic {
                        changes.push(state::remove(key(&group, of, *partition)));
                    }
                    of != topic
                });
            });
        }
        drop(self.state.apply(changes)?);
        Ok(())
    }
}

/// Tells those who wait. One who no longer does has closed its connection, and is given up when its session ends.
fn perform(effects: Effects<oneshot::Sender<JoinResult>, oneshot::Sender<SyncResult>>) {
    for (waiter, joined) in effects.joined {
        let _ = waiter.send(joined);
    }
    for (waiter, synced) in effects.synced {
        let _ = waiter.send(synced);
    }
}
