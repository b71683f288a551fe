//! A task's run from beginning to end: look at the server, take a snapshot if one is due, recover the schemas, stream.
//!
//! It runs beside the worker's calls, in a task of its own. What it finds goes out as batches; what ends it goes out as
//! the last item.

mod dump;
mod recovery;

use std::collections::HashMap;
use std::sync::Arc;

use tapline_api::offset::Offset;
use tapline_api::source::OffsetReader;
use tapline_api::topic_log::TopicLogs;
use tapline_api::{Error, Kind, Result};
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::headers::{ContextHeaders, uuid_v7};
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::metrics::SourceMetrics;
use tapline_cdc::snapshot::is_own;
use tapline_cdc::transaction::Transactions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::dump::silence;
use self::recovery::beginning;
use crate::catalog::{Catalog, Server};
use crate::config::{Options, SnapshotMode};
use crate::event::Events;
use crate::history::{KeptTables, SchemaChangeRecords, SchemaHistory};
use crate::output::Output;
use crate::position::{Position, Tracker, partition};
use crate::quarantine::Quarantine;
use crate::schema::{TableId, Tables};
use crate::signals::Signals;
use crate::snapshot::sieve::Sieve;
use crate::snapshot::{Sessions, Snapshot, position_of};
use crate::stream::{Parts, Stream};

/// What a run starts from.
pub(crate) struct Driver {
    pub(crate) options: Options,
    pub(crate) task: u32,
    /// The stored offset, as it lies there.
    pub(crate) stored: Option<Offset>,
    /// What it says.
    pub(crate) position: Option<Position>,
    pub(crate) signals: Option<Signals>,
    pub(crate) metrics: SourceMetrics,
    pub(crate) offsets: Arc<dyn OffsetReader>,
    pub(crate) logs: Arc<dyn TopicLogs>,
    pub(crate) output: Output,
    /// The number of what a snapshot has stored, as it is committed.
    pub(crate) numbers: watch::Receiver<u64>,
    pub(crate) cancel: CancellationToken,
}

/// The schemas to begin with.
struct Schemas {
    tables: Tables,
    unknown: HashMap<TableId, String>,
    kept: KeptTables,
    quarantine: Quarantine,
}

/// What a snapshot is taken with.
struct SnapshotParts<'a> {
    server: &'a Server,
    history: &'a SchemaHistory,
    changes: &'a SchemaChangeRecords,
    catalog: &'a mut Catalog,
    events: &'a mut Events,
    schemas: &'a mut Schemas,
}

impl Driver {
    /// Runs until cancelled, until all is done (`initial_only`), or until an error, which it sends.
    pub(crate) async fn run(mut self) {
        let (output, cancel) = (self.output.clone(), self.cancel.clone());
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            ended = self.drive() => ended,
        };
        if let Err(error) = ended
            && !cancel.is_cancelled()
        {
            output.fail(error).await;
        }
    }

    async fn drive(&mut self) -> Result<()> {
        let mut catalog = Catalog::connect(&self.options).await?;
        let server = catalog.server().await?;
        let mode = self.options.snapshot_mode;
        let streams = mode.streams();
        if streams {
            require_rows(&server)?;
        }
        let history =
            SchemaHistory::open(&*self.logs, &self.options.config, self.options.naming.prefix()).await?;
        let mut events = Events::new(&self.options, self.headers());
        if let Some(transactions) = &mut events.transactions {
            *transactions = Transactions::load(self.options.naming.transaction(), self.stored.as_ref());
        }
        let changes = SchemaChangeRecords::new(
            self.options.flavor,
            self.options.naming.prefix(),
            events.source_schema(),
        );
        let mut schemas = Schemas {
            tables: Tables::new(server.ignore_case),
            unknown: HashMap::new(),
            kept: KeptTables::new(self.options.naming.prefix()),
            quarantine: Quarantine::new(self.options.naming.prefix()),
        };
        schemas.quarantine.restore(&*self.offsets).await?;
        let mut stored = self.position.clone();
        if let Some(position) = &stored
            && (streams || position.snapshot)
            && let Err(gap) = self.check(&mut catalog, &server, position).await
        {
            if !position.snapshot && !mode.heals() {
                return Err(gap);
            }
            tracing::warn!(%gap, "a snapshot is taken anew");
            stored = None;
        }
        let mut parts = SnapshotParts {
            server: &server,
            history: &history,
            changes: &changes,
            catalog: &mut catalog,
            events: &mut events,
            schemas: &mut schemas,
        };
        let position = match stored {
            Some(position) if !position.snapshot && !mode.repeats() => {
                if !streams {
                    return Ok(());
                }
                self.metrics.snapshot().skipped();
                self.resume(&mut parts, position).await?
            }
            stored => {
                refuse_snapshot(mode, stored.as_ref())?;
                if mode == SnapshotMode::Never {
                    self.metrics.snapshot().skipped();
                    beginning(&mut catalog, &server).await?
                } else {
                    tokio::time::sleep(self.options.snapshot_delay).await;
                    let metrics = self.metrics.snapshot();
                    let begun = std::time::Instant::now();
                    let interrupted = stored.filter(|position| position.snapshot && mode.reads_rows());
                    let position = self
                        .snapshot(&mut parts, interrupted)
                        .await
                        .inspect_err(|_| metrics.ended(false, begun.elapsed().as_secs()))?;
                    if !streams {
                        tracing::info!("nothing is streamed, as snapshot.mode says");
                        return Ok(());
                    }
                    tokio::time::sleep(self.options.streaming_delay).await;
                    position
                }
            }
        };
        self.stream(
            catalog,
            &server,
            &mut events,
            &history,
            &changes,
            schemas,
            position,
        )
        .await
    }

    /// Goes on at the stored position.
    async fn resume(&mut self, parts: &mut SnapshotParts<'_>, position: Position) -> Result<Position> {
        let mode = self.options.snapshot_mode;
        if mode != SnapshotMode::Recovery {
            match self
                .recover(parts.history, parts.server, &position, parts.schemas)
                .await
            {
                Err(error) if mode.heals_history() && error.kind() == Kind::Fatal => {
                    tracing::warn!(%error, "the schemas are read once more, as snapshot.mode says");
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(position),
            }
        }
        tracing::info!("the schema history is made anew from the tables as they are now");
        let sessions = Sessions::open(&self.options).await?;
        self.new_snapshot(parts).take_schemas(sessions, position).await
    }

    fn new_snapshot<'a>(&'a mut self, parts: &'a mut SnapshotParts<'_>) -> Snapshot<'a> {
        Snapshot::new(
            &self.options,
            parts.server,
            parts.events,
            &mut self.output,
            parts.history,
            parts.changes,
            &mut parts.schemas.tables,
            &mut parts.schemas.kept,
            self.metrics.snapshot(),
        )
        .storing(&*self.offsets, self.numbers.clone())
    }

    /// Takes a snapshot, or the rest of one that was `interrupted` at a position.
    async fn snapshot(
        &mut self,
        parts: &mut SnapshotParts<'_>,
        interrupted: Option<Position>,
    ) -> Result<Position> {
        let mut sessions = Sessions::open(&self.options).await?;
        let found = sessions.schemas(&self.options).await?;
        let tables = match self.options.snapshot_mode.reads_rows() {
            true => sessions.tables(&self.options, &found).await?,
            false => Vec::new(),
        };
        let resumes = match interrupted {
            None => false,
            Some(from) => self.catch_up(parts, from, &tables, &sessions).await?,
        };
        self.new_snapshot(parts)
            .take(sessions, &found, tables, resumes)
            .await
    }

    /// Streams what has happened since a snapshot was interrupted, before it goes on in another one; false when it has to
    /// begin anew.
    async fn catch_up(
        &mut self,
        parts: &mut SnapshotParts<'_>,
        from: Position,
        tables: &[TableId],
        sessions: &Sessions,
    ) -> Result<bool> {
        let recovered = self
            .recover(parts.history, parts.server, &from, parts.schemas)
            .await;
        if let Err(error) = recovered {
            if error.kind() == Kind::Retriable {
                return Err(error);
            }
            tracing::warn!(%error, "a snapshot was interrupted, and can't go on where it was: it begins anew");
            return Ok(false);
        }
        let goal = position_of(sessions);
        let known = &parts.schemas.tables;
        let prefix = self.options.naming.prefix();
        let resumes = is_own(&*self.offsets, prefix, &partition(prefix)).await?;
        let sieve = Sieve::load(&*self.offsets, &self.options, tables, known, resumes).await?;
        let (from_gtids, until_gtids) = (&from.gtids, &goal.gtids);
        tracing::info!(
            from = format!("{}:{} {from_gtids:?}", from.file, from.pos),
            until = format!("{}:{} {until_gtids:?}", goal.file, goal.pos),
            "{}",
            match resumes {
                true => "the snapshot goes on where it was killed: the changes since then go first",
                false => "a snapshot was interrupted: what was deleted since then goes first",
            }
        );
        let schemas = std::mem::replace(
            parts.schemas,
            Schemas {
                tables: Tables::new(parts.server.ignore_case),
                unknown: HashMap::new(),
                kept: KeptTables::new(self.options.naming.prefix()),
                quarantine: Quarantine::new(self.options.naming.prefix()),
            },
        );
        let (gtids, by_gtid) = self.gtids_of(&from)?;
        let connection = self.dump(parts.server, &from, &gtids, by_gtid, true).await?;
        let options = &self.options;
        let mut stream = Stream::new(Parts {
            options,
            server: parts.server,
            signals: None,
            metrics: &self.metrics,
            catalog: parts.catalog,
            events: parts.events,
            output: &mut self.output,
            history: parts.history,
            changes: parts.changes,
            tables: schemas.tables,
            unknown: schemas.unknown,
            quarantine: schemas.quarantine,
            kept: schemas.kept,
            tracker: Tracker::new(from, gtids),
            heartbeat: None,
            checksums: parts.server.checksum.eq_ignore_ascii_case("CRC32"),
            silence: silence(options),
        });
        stream.sieve = Some(sieve);
        stream.catch_up(connection, &goal).await?;
        parts.schemas.kept = stream.kept;
        parts.schemas.quarantine = stream.quarantine;
        Ok(resumes)
    }

    fn headers(&self) -> ContextHeaders {
        use std::hash::{BuildHasher, Hasher};
        let random = std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish();
        let now = Clock::now();
        let random = u128::from(now.nanos().cast_unsigned()) << 64 | u128::from(random);
        ContextHeaders::new(
            self.options.extended_headers,
            self.options.naming.prefix(),
            self.task,
            self.options.connector(),
            &uuid_v7(now.millis(), random),
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a task")]
    async fn stream(
        &mut self,
        mut catalog: Catalog,
        server: &Server,
        events: &mut Events,
        history: &SchemaHistory,
        changes: &SchemaChangeRecords,
        schemas: Schemas,
        position: Position,
    ) -> Result<()> {
        let options = &self.options;
        let (gtids, by_gtid) = self.gtids_of(&position)?;
        let connection = self.dump(server, &position, &gtids, by_gtid, false).await?;
        let heartbeat = Heartbeat::new(options.heartbeat, &options.naming, std::time::Instant::now());
        tracing::info!(
            file = position.file,
            pos = position.pos,
            gtids = position.gtids,
            skip = position.event,
            "streaming"
        );
        let mut stream = Stream::new(Parts {
            options,
            server,
            signals: self.signals.take(),
            metrics: &self.metrics,
            catalog: &mut catalog,
            events,
            output: &mut self.output,
            history,
            changes,
            tables: schemas.tables,
            unknown: schemas.unknown,
            quarantine: schemas.quarantine,
            kept: schemas.kept,
            tracker: Tracker::new(position, gtids),
            heartbeat,
            checksums: server.checksum.eq_ignore_ascii_case("CRC32"),
            silence: silence(options),
        });
        stream.run(connection, &self.cancel).await
    }
}

/// Without a position that is behind a whole snapshot, some modes can't begin.
fn refuse_snapshot(mode: SnapshotMode, stored: Option<&Position>) -> Result<()> {
    let text = match (mode, stored) {
        (SnapshotMode::Recovery, None) => {
            "Could not find existing redo log information while attempting schema only recovery snapshot"
        }
        (SnapshotMode::Recovery | SnapshotMode::Never, Some(position)) if position.snapshot => {
            "The connector previously stopped while taking a snapshot, but now the connector is configured to never \
             allow snapshots. Reconfigure the connector to use snapshots initially or when needed."
        }
        _ => return Ok(()),
    };
    Err(Error::config(text).exception("io.debezium.DebeziumException"))
}

/// Whether the log holds rows.
pub(crate) fn require_rows(server: &Server) -> Result<()> {
    if !server.logs {
        return Err(Error::config("the server writes no binary log").hint("start it with log_bin"));
    }
    // MySQL 9.x may not have the variable any more: it is ROW then.
    if !server.format.is_empty() && !server.format.eq_ignore_ascii_case("ROW") {
        return Err(Error::config(format!(
            "The MySQL server is not configured to use a ROW binlog_format, which is required for this connector to work \
             properly. Change the MySQL configuration to use a binlog_format=ROW and restart the connector. (it is {})",
            server.format
        )));
    }
    if !server.image.is_empty() && !server.image.eq_ignore_ascii_case("FULL") {
        tracing::warn!(
            "binlog_row_image is {}: events have what the log has, and a placeholder or null for the rest",
            server.image
        );
    }
    Ok(())
}
