//! Which chunk a reader gets next: tables are planned one after the other, when a reader asks for more.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tapline_api::metrics::Metric;
use tapline_api::{Error, Record, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::chunks::{Chunks, Key};
use super::ledger::Claim;
use super::outlet::Outlet;
use super::progress::{Progress, progress_partition};
use super::run::{Run, stopped};
use crate::envelope::SnapshotMarker;
use crate::java::hash_map_order;

/// A chunk to read.
#[derive(Debug)]
pub struct Work<P> {
    pub(super) claim: Claim,
    /// The table's plan.
    pub plan: Arc<P>,
    /// The table's name, as notifications have it.
    pub table: Arc<str>,
    /// The statement that gives the rows.
    pub sql: String,
    /// The marker of the chunk's first row.
    pub first: SnapshotMarker,
    /// Bytes, roughly.
    pub weight: u64,
    /// The table's place.
    pub(super) index: usize,
    /// The figure of the table's rows.
    pub(super) scanned: Metric,
    /// Rows of the table so far.
    pub rows: Arc<AtomicU64>,
    /// Notifications that come before it.
    told: Vec<Record>,
}

/// A table that is looked at.
#[derive(Debug)]
pub struct Planned<P> {
    /// How its rows are read.
    pub plan: Arc<P>,
    /// How it is cut, and what of it is done.
    pub progress: Progress,
    /// Whether its last chunk is cut further while it is read.
    pub grows: bool,
    /// Bytes; 0 when that is not known.
    pub bytes: u64,
}

/// What a database does for a snapshot.
pub trait Database {
    /// A table's plan.
    type Plan: Send + Sync;

    /// Looks at the table at this place of the list, and cuts it; `None` when it has gone.
    fn plan(&mut self, index: usize) -> impl Future<Output = Result<Option<Planned<Self::Plan>>>> + Send;

    /// The statement that reads a chunk of the table at this place.
    fn statement(
        &self,
        index: usize,
        plan: &Self::Plan,
        key: &[String],
        chunks: &Chunks,
        chunk: u32,
    ) -> String;

    /// Where the last chunk of a table that grows ends; `None` when nothing is behind it.
    fn bound(
        &mut self,
        index: usize,
        plan: &Self::Plan,
        key: &[String],
        chunks: &Chunks,
    ) -> impl Future<Output = Result<Option<Key>>> + Send;
}

/// Asks for chunks.
#[derive(Debug)]
pub struct Asks<P>(mpsc::Sender<oneshot::Sender<Option<Work<P>>>>);

impl<P> Asks<P> {
    /// The next chunk, with what is told before it on its way; `None` when there are no more.
    ///
    /// # Errors
    /// When the task is being stopped.
    pub async fn next(&self, outlet: &mut Outlet) -> Result<Option<Work<P>>> {
        let (reply, work) = oneshot::channel();
        self.0.send(reply).await.map_err(|_| stopped())?;
        let mut work = work.await.map_err(|_| stopped())?;
        if let Some(work) = &mut work {
            outlet.also(&mut work.told);
        }
        Ok(work)
    }
}

/// The table that chunks are given out of.
#[derive(Debug)]
struct Current<P> {
    index: usize,
    /// As the ledger numbers it.
    number: usize,
    plan: Arc<P>,
    table: Arc<str>,
    key: Vec<String>,
    chunks: Chunks,
    grows: bool,
    weight: u64,
    scanned: Metric,
    rows: Arc<AtomicU64>,
}

struct Tables<'a, D: Database> {
    run: &'a Run,
    database: &'a mut D,
    tables: &'a [String],
    /// The names of `tables`, as notifications give them.
    names: String,
    /// How many are planned, and told of.
    planned: usize,
    told: usize,
    current: Option<Current<D::Plan>>,
}

/// Reads `tables`, each session of `sessions` by a reader of its own.
///
/// # Errors
/// The first error of a reader, or of the database.
pub async fn read<D, S, F>(
    run: &Arc<Run>,
    database: &mut D,
    tables: &[String],
    sessions: Vec<S>,
    reader: impl Fn(S, Asks<D::Plan>, Outlet) -> F,
    stored: &watch::Receiver<u64>,
) -> Result<()>
where
    D: Database,
    D::Plan: 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (asks, mut asked) = mpsc::channel::<oneshot::Sender<Option<Work<D::Plan>>>>(1);
    let mut readers = JoinSet::new();
    for session in sessions {
        let outlet = Outlet::new(run.clone(), stored.clone());
        readers.spawn(reader(session, Asks(asks.clone()), outlet));
    }
    drop(asks);
    let mut names = tables.to_vec();
    names.sort();
    // In the order of a Java set.
    hash_map_order(&mut names, |name| name);
    let mut tables = Tables {
        run,
        database,
        tables,
        names: names.join(","),
        planned: 0,
        told: 0,
        current: None,
    };
    loop {
        tokio::select! {
            Some(ask) = asked.recv() => {
                let work = tables.next().await?;
                // A reader that has failed says so below.
                let _ = ask.send(work);
            }
            ended = readers.join_next() => match ended {
                None => return Ok(()),
                Some(Ok(result)) => result?,
                Some(Err(_)) => {
                    return Err(Error::fatal("a snapshot's reader ended unexpectedly; the log has more"));
                }
            }
        }
    }
}

impl<D: Database> Tables<'_, D> {
    /// The next chunk to read, planning the next table where one is due.
    async fn next(&mut self) -> Result<Option<Work<D::Plan>>> {
        loop {
            let claim = self.run.ledger().claim();
            if let (Some(claim), Some(current)) = (claim, &self.current)
                && current.number == claim.table
            {
                let mut work = self.work(claim, current);
                work.told = self.tell(&work.table);
                return Ok(Some(work));
            }
            if let Some(current) = self.current.as_mut().filter(|current| current.grows) {
                let (index, plan) = (current.index, &current.plan);
                let bound = self
                    .database
                    .bound(index, plan, &current.key, &current.chunks)
                    .await?;
                self.run.ledger().extend(current.number, bound.clone());
                match bound {
                    Some(bound) => current.chunks.push(bound),
                    None => current.grows = false,
                }
                continue;
            }
            if self.planned >= self.tables.len() {
                return Ok(None);
            }
            self.plan().await?;
        }
    }

    /// That a table is begun, once.
    fn tell(&mut self, table: &str) -> Vec<Record> {
        if std::mem::replace(&mut self.told, self.planned) == self.planned {
            return Vec::new();
        }
        self.run.tell(
            "IN_PROGRESS",
            &[
                ("current_collection_in_progress", table.to_owned()),
                ("data_collections", self.names.clone()),
            ],
        )
    }

    fn work(&self, claim: Claim, current: &Current<D::Plan>) -> Work<D::Plan> {
        let first = match (claim.chunk, current.index) {
            (0, 0) => SnapshotMarker::First,
            (0, _) => SnapshotMarker::FirstInDataCollection,
            _ => SnapshotMarker::True,
        };
        Work {
            claim,
            sql: self.database.statement(
                current.index,
                &current.plan,
                &current.key,
                &current.chunks,
                claim.chunk,
            ),
            plan: current.plan.clone(),
            table: current.table.clone(),
            first,
            weight: current.weight,
            index: current.index,
            scanned: current.scanned.clone(),
            rows: current.rows.clone(),
            told: Vec::new(),
        }
    }

    async fn plan(&mut self) -> Result<()> {
        let index = self.planned;
        let planned = self.database.plan(index).await?;
        self.planned += 1;
        self.current = None;
        let (Some(found), Some(name)) = (planned, self.tables.get(index)) else {
            return Ok(());
        };
        let Planned {
            plan,
            progress,
            grows,
            bytes,
        } = found;
        let count = progress.chunks.count();
        let grows = grows && progress.left().last() == Some(&(count - 1));
        let weight = match bytes {
            0 if count == 1 && !grows => self.run.parts.repeated_bytes,
            0 => self.run.parts.chunk_bytes,
            _ if grows => self.run.parts.chunk_bytes,
            bytes => bytes / u64::from(count),
        };
        let by_chunk = !progress.key.is_empty() || count == 1;
        let partition = progress_partition(&self.run.parts.server, name);
        let (key, chunks) = (progress.key.clone(), progress.chunks.clone());
        let number = self.run.ledger().add(partition, progress, by_chunk, grows);
        self.current = Some(Current {
            index,
            number,
            plan,
            table: name.as_str().into(),
            key,
            chunks,
            grows,
            weight,
            scanned: self.run.parts.metrics.rows_of(name),
            rows: Arc::default(),
        });
        Ok(())
    }
}
