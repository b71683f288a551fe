//! The embedded broker: one node that keeps topics on local disk and speaks the Kafka protocol, so that any Kafka
//! client reads and writes them.
//!
//! ```text
//!   socket ─▶ server ─▶ node: one handler per API ─▶ log: append ─▶ segment file ─▶ sync ─▶ acknowledged
//!                                │                                                   └─▶ fetches wake up
//!                                ├─▶ topics, group: small state ─▶ sled
//! ```
//!
//! What a client was told is on disk: a produced batch, a created topic, a committed position. A kill at any moment
//! loses none of it. For more than one machine there is Apache Kafka.
//!
//! In the data folder: `lock`; `state/`, the small state; `topics/NAME-PARTITION/`, each with `topic.id`, segments
//! `BASEOFFSET.log` of record batches v2 as they were received, and `BASEOFFSET.state` (index and producers' sequence
//! numbers, which can be made again from the log).

mod config;
mod error;
mod group;
mod log;
mod node;
mod server;
mod state;
mod topics;

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::runtime::Handle;

use crate::group::Groups;
use crate::log::Syncer;
use crate::node::{Node, ProducerIds, now_ms};
use crate::server::Server;
use crate::state::State;
use crate::topics::Topics;

pub use config::Config;
pub use error::{Error, Result};

/// How long a shutdown waits for answers that were begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running broker. Dropped without [`Broker::shutdown`] it ends as by a kill: nothing acknowledged is lost, and the
/// next start reads the ends of the logs.
pub struct Broker {
    node: Arc<Node>,
    server: Server,
    compaction: tokio::task::JoinHandle<()>,
}

impl Broker {
    /// Opens the data folder, recovers what a kill left, and listens. Must be called inside a tokio runtime with I/O and
    /// time enabled, which then runs the broker. Clients are served when this returns.
    ///
    /// # Errors
    /// When another process holds the folder, the listener can't be bound, or a file can't be read or written.
    pub async fn open(config: Config) -> Result<Self> {
        // First what fails for reasons that a person mends.
        let listener = Server::bind(config.listen).await?;
        let runtime = Handle::current();
        let opened = tokio::task::spawn_blocking(move || open(config, runtime)).await;
        let node = Arc::new(opened.map_err(|error| Error::State(error.to_string()))??);
        let compaction = compact_at_open(&node);
        let server = Server::start(node.clone(), listener)?;
        tracing::info!(address = %server.address(), cluster_id = node.cluster_id, "the embedded broker listens");
        Ok(Self {
            node,
            server,
            compaction,
        })
    }

    /// Where it listens: what clients use as `bootstrap.servers`.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Kafka's cluster id: 22 characters, the same for the life of the data folder.
    pub fn cluster_id(&self) -> &str {
        &self.node.cluster_id
    }

    /// Answers what was begun, syncs everything, and notes where the logs end, so that the next start is quick. Fetches
    /// and group members that wait are cut off.
    pub async fn shutdown(self) {
        self.node.stopping.store(true, Ordering::Relaxed);
        self.server.stop(PATIENCE).await;
        let _ = self.compaction.await;
        let node = self.node.clone();
        let finish = move || {
            for topic in node.topics.all() {
                topic.logs.iter().for_each(|log| log.finish(now_ms()));
            }
            if let Err(error) = node.state.flush() {
                tracing::error!(%error, "can't flush the small state");
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(finish).await {
            tracing::error!(%error, "the broker's shutdown failed");
        }
    }
}

/// Everything that touches the disk.
fn open(config: Config, runtime: Handle) -> Result<Node> {
    fs::create_dir_all(&config.data_dir).map_err(Error::file(&config.data_dir))?;
    let lock = lock(&config.data_dir)?;
    let state = State::new(
        Box::new(state::open(&config.data_dir.join("state"))?),
        runtime.clone(),
    );
    let cluster_id = cluster_id(&state)?;
    let topics = Topics::open(&config, &state, now_ms())?;
    let producer_ids = ProducerIds::open(&state)?;
    let groups = Groups::open(&state, config.initial_rebalance_delay)?;
    let (syncer, stopping) = (Syncer::new(runtime), AtomicBool::new(false));
    Ok(Node {
        config,
        cluster_id,
        state,
        topics,
        groups,
        syncer,
        producer_ids,
        stopping,
        _lock: lock,
    })
}

fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(data_dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::File(path, error)),
    }
}

fn cluster_id(state: &State) -> Result<String> {
    const KEY: &str = "cluster-id";
    if let Some((_, id)) = state.list::<String>(KEY)?.into_iter().next() {
        return Ok(id);
    }
    let id = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4());
    drop(state.apply(vec![state::put(KEY.to_owned(), &id)])?);
    state.flush()?;
    Ok(id)
}

/// Compacts the compacted topics, one after the other, while clients are served already.
fn compact_at_open(node: &Arc<Node>) -> tokio::task::JoinHandle<()> {
    let node = node.clone();
    tokio::task::spawn_blocking(move || {
        for topic in node.topics.all() {
            let Some(compaction) = topic.settings.compaction(&topic.rules) else {
                continue;
            };
            for log in &topic.logs {
                if node.stopping.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = log::compact(log, &compaction, now_ms()) {
                    tracing::warn!(topic = topic.name, %error, "can't compact");
                }
            }
        }
    })
}
