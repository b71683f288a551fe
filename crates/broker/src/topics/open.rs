//! Reading the topics at start, and what of their folders has to go.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use uuid::Uuid;

use super::settings::Settings;
use super::{Maps, Stored, Topic, Topics, folder_of};
use crate::log::Log;
use crate::state::{self, Change, State};
use crate::{Config, Error, Result};

/// Partitions are opened side by side: after a kill each reads the end of its file.
const THREADS: usize = 4;

impl Topics {
    /// Opens every topic, finishes deletions that were interrupted. Blocks.
    pub(crate) fn open(config: &Config, state: &State, now: i64) -> Result<Self> {
        let folder = config.data_dir.join("topics");
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let mut stored: BTreeMap<String, Stored> = state.list("topic/")?.into_iter().collect();
        let mut changes = Vec::new();
        let mut aside = Vec::new();
        for (name, topic) in stored.iter().filter(|(_, topic)| topic.deleting) {
            aside.extend(set_aside(&folder, name, topic.id, topic.partitions).map_err(Error::file(&folder))?);
            changes.extend(forget(name, topic.id, topic.partitions));
        }
        stored.retain(|_, topic| !topic.deleting);
        aside.extend(look_around(&folder, &mut stored, &mut changes).map_err(Error::file(&folder))?);
        if !changes.is_empty() {
            drop(state.apply(changes)?);
            state.flush()?;
        }
        if !aside.is_empty() {
            drop(
                std::thread::Builder::new()
                    .name("broker-remove".to_owned())
                    .spawn(move || remove(aside)),
            );
        }
        let starts: BTreeMap<String, i64> = state.list("start/")?.into_iter().collect();
        let mut maps = Maps::default();
        let mut logs = open_logs(&folder, &stored, &starts, now)?;
        for (name, topic) in stored {
            let settings = Settings::from_stored(topic.settings);
            let logs = logs.remove(&topic.id).unwrap_or_default();
            maps.put(Topic::new(name, topic.id, logs, settings, config));
        }
        Ok(Self {
            config: config.clone(),
            state: state.clone(),
            maps: RwLock::new(maps),
            changing: tokio::sync::Mutex::default(),
        })
    }
}

/// Opens every partition, in the order of their numbers, by topic id.
fn open_logs(
    folder: &Path,
    stored: &BTreeMap<String, Stored>,
    starts: &BTreeMap<String, i64>,
    now: i64,
) -> Result<BTreeMap<Uuid, Vec<Arc<Log>>>> {
    let all = stored
        .iter()
        .flat_map(|(name, topic)| (0..topic.partitions).map(move |partition| (name, topic.id, partition)));
    let all: Vec<_> = all.collect();
    let open = |(name, id, partition): &(&String, Uuid, usize)| {
        let folder = folder_of(folder, name, *partition);
        let start = starts.get(&format!("{id}/{partition}")).copied().unwrap_or(0);
        let log = Log::open(folder.clone(), *id, start, now).map_err(Error::file(folder))?;
        Ok((*id, Arc::new(log)))
    };
    let share = all.len().div_ceil(THREADS).max(16);
    let opened: Vec<Result<(Uuid, Arc<Log>)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(open).collect::<Vec<_>>()))
            .collect();
        let failed = |_| {
            vec![Err(Error::State(
                "a thread that opened partitions panicked".to_owned(),
            ))]
        };
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(failed))
            .collect()
    });
    let mut logs: BTreeMap<Uuid, Vec<Arc<Log>>> = BTreeMap::new();
    for log in opened {
        let (id, log) = log?;
        logs.entry(id).or_default().push(log);
    }
    Ok(logs)
}

/// Compares the folders with the topics. A folder of an earlier topic of the same name is set aside; one that no topic
/// knows is taken in again, since its records are worth more than the small state that forgot it.
fn look_around(
    folder: &Path,
    stored: &mut BTreeMap<String, Stored>,
    changes: &mut Vec<Change>,
) -> io::Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    let mut adopted = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if name.ends_with(".deleted") {
            aside.push(path);
            continue;
        }
        let Some((topic, partition)) = name.rsplit_once('-') else {
            continue;
        };
        let Ok(partition) = partition.parse::<usize>() else {
            continue;
        };
        let Some(id) = fs::read_to_string(path.join("topic.id"))
            .ok()
            .and_then(|id| id.parse::<Uuid>().ok())
        else {
            continue;
        };
        match stored.get(topic) {
            Some(known) if known.id == id && partition < known.partitions => {}
            Some(_) => {
                let new = folder.join(format!("{name}.{id}.deleted"));
                fs::rename(&path, &new)?;
                aside.push(new);
            }
            None => {
                let found: &mut (Uuid, usize) = adopted.entry(topic.to_owned()).or_insert((id, 0));
                if found.0 == id {
                    found.1 = found.1.max(partition + 1);
                }
            }
        }
    }
    for (name, (id, partitions)) in adopted {
        tracing::warn!(
            topic = name,
            partitions,
            "the small state has forgotten this topic: taken in again, with default settings"
        );
        let topic = Stored {
            id,
            partitions,
            settings: BTreeMap::new(),
            deleting: false,
        };
        changes.push(state::put(format!("topic/{name}"), &topic));
        stored.insert(name, topic);
    }
    Ok(aside)
}

/// Renames a topic's folders, so that nothing takes them for those of a later topic.
pub(super) fn set_aside(folder: &Path, name: &str, id: Uuid, partitions: usize) -> io::Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    for partition in 0..partitions {
        let new = folder.join(format!("{name}-{partition}.{id}.deleted"));
        match fs::rename(folder_of(folder, name, partition), &new) {
            Ok(()) => aside.push(new),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A name of 249 characters leaves no room.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                fs::remove_dir_all(folder_of(folder, name, partition))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(aside)
}

/// Removes folders that were set aside. Blocks for as long as the file system needs.
pub(super) fn remove(aside: Vec<PathBuf>) {
    for folder in aside {
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "can't remove");
        }
    }
}

/// What the small state must lose with a topic.
pub(super) fn forget(name: &str, id: Uuid, partitions: usize) -> Vec<Change> {
    let starts = (0..partitions).map(|partition| state::remove(format!("start/{id}/{partition}")));
    std::iter::once(state::remove(format!("topic/{name}")))
        .chain(starts)
        .collect()
}
