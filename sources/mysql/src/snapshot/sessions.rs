//! The sessions of a snapshot, opened under the lock of `snapshot.locking.mode`, so that all see the same rows.
//!
//! ```text
//!  minimal:   FLUSH TABLES WITH READ LOCK ─ all begin ─ position ─ schemas ─ UNLOCK ─ rows
//!  extended:  … the same, and the lock is kept until the rows are read
//!  none:      position ─ all begin ─ schemas ─ rows          changes in between are read and streamed
//! ```
//!
//! Without the right to lock all tables, the captured ones are locked by name.

use futures_util::future::try_join_all;
use tapline_api::Result;
use tapline_databases::mysql::qualified;

use crate::catalog::{Catalog, End};
use crate::config::{Locking, Options};
use crate::schema::TableId;
use crate::wire::Connection;

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// Sessions with a transaction each.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Asks about tables.
    pub(crate) planner: Catalog,
    /// Read rows.
    pub(super) readers: Vec<Connection>,
    /// Holds the lock.
    lock: Option<Connection>,
    /// Where the log ends: what is before it is seen.
    pub(crate) end: End,
    /// The server's clock then, in seconds.
    pub(super) seconds: i64,
}

impl Sessions {
    /// Opens them.
    pub(crate) async fn open(options: &Options) -> Result<Self> {
        let (mut planner, mut readers) = connect(options).await?;
        // The position first: what changes before the transactions begin is read, and streamed once more.
        let early = match options.locking {
            Locking::None => Some(planner.end().await?),
            _ => None,
        };
        let lock = match early {
            Some(_) => None,
            None => Some(lock(options, &mut planner).await?),
        };
        begin(&mut planner, &mut readers).await?;
        let end = match early {
            Some(end) => end,
            None => planner.end().await?,
        };
        let seconds = planner.now().await?;
        Ok(Self {
            planner,
            readers,
            lock,
            end,
            seconds,
        })
    }

    /// Sessions for a blocking snapshot, which need not agree with the log: what changes meanwhile comes again.
    pub(super) async fn open_now(options: &Options) -> Result<Self> {
        let (mut planner, mut readers) = connect(options).await?;
        begin(&mut planner, &mut readers).await?;
        let seconds = planner.now().await?;
        Ok(Self {
            planner,
            readers,
            lock: None,
            end: End::default(),
            seconds,
        })
    }

    /// The schemas are read: others may write again, if the mode lets them.
    pub(super) async fn schemas_are_read(&mut self, options: &Options) -> Result<()> {
        if options.locking == Locking::Minimal {
            self.unlock().await?;
        }
        Ok(())
    }

    /// Lets the lock go.
    pub(super) async fn unlock(&mut self) -> Result<()> {
        if let Some(mut lock) = self.lock.take() {
            lock.execute("UNLOCK TABLES").await?;
            lock.close().await;
        }
        Ok(())
    }
}

/// A session that plans, and those that read.
async fn connect(options: &Options) -> Result<(Catalog, Vec<Connection>)> {
    let planner = session(options).await?;
    let readers = (0..options.snapshot_threads).map(|_| session(options));
    let readers = try_join_all(readers).await?;
    Ok((
        planner,
        readers.into_iter().map(|catalog| catalog.connection).collect(),
    ))
}

async fn begin(planner: &mut Catalog, readers: &mut [Connection]) -> Result<()> {
    let all = readers.iter_mut().chain([&mut planner.connection]);
    try_join_all(all.map(|connection| connection.execute(BEGIN))).await?;
    Ok(())
}

async fn session(options: &Options) -> Result<Catalog> {
    let mut catalog = Catalog::connect_to_read(options).await?;
    catalog
        .connection
        .execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await?;
    // What is known of tables' sizes may be a day old else; MariaDB always looks.
    if !catalog.connection.version.contains("MariaDB") {
        let asked = catalog
            .connection
            .execute("SET SESSION information_schema_stats_expiry=0")
            .await;
        match asked {
            // A server before 8.0 keeps nothing.
            Err(error) if error.code() == Some(1193) => {}
            asked => asked?,
        }
    }
    Ok(catalog)
}

async fn lock(options: &Options, planner: &mut Catalog) -> Result<Connection> {
    let seconds = options.lock_timeout.as_millis().div_ceil(1000).max(1);
    let mut lock = Catalog::connect(options).await?.connection;
    lock.execute(&format!("SET SESSION lock_wait_timeout={seconds}"))
        .await?;
    match lock.execute("FLUSH TABLES WITH READ LOCK").await {
        Ok(()) => return Ok(lock),
        Err(error) if error.is_config() => {
            tracing::info!(%error, "no right to lock all tables; the captured ones are locked by name");
        }
        Err(error) => return Err(error.into()),
    }
    let captured = |id: &TableId| options.captures(&id.database, &id.table);
    let names: Vec<String> = planner
        .tables()
        .await?
        .iter()
        .filter(|id| captured(id))
        .map(|id| format!("{} READ", qualified(&id.database, &id.table)))
        .collect();
    if !names.is_empty() {
        lock.execute(&format!("LOCK TABLES {}", names.join(", "))).await?;
    }
    Ok(lock)
}
