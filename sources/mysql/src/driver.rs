//! A task's run from beginning to end: look at the server, take a snapshot if one is due, recover the schemas, stream.
//!
//! It runs beside the worker's calls, in a task of its own. What it finds goes out as batches; what ends it goes out as
//! the last item.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

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
use tapline_databases::mysql::literal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::binlog::Malformed;
use crate::binlog::gtid::{GtidSet, MariaGtids};
use crate::catalog::{Catalog, RECEIVE_BUFFER, Server};
use crate::config::{Options, SnapshotMode};
use crate::ddl::Flavor;
use crate::event::Events;
use crate::history::{KeptTables, Recovery, SchemaChangeRecords, SchemaHistory};
use crate::output::Output;
use crate::position::{Gtids, Position, Tracker, partition, source};
use crate::quarantine::Quarantine;
use crate::schema::{TableId, Tables};
use crate::signals::Signals;
use crate::snapshot::sieve::Sieve;
use crate::snapshot::{Sessions, Snapshot, position_of};
use crate::stream::{Parts, Stream};
use crate::wire::Connection;

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

    /// What is executed at a position, and whether the log is asked for by that.
    fn gtids_of(&self, position: &Position) -> Result<(Gtids, bool)> {
        let bad = |error: Malformed| Error::config(format!("the stored offset's 'gtids': {error}"));
        let text = position.gtids.as_ref().filter(|_| !self.options.ignore_gtids);
        let gtids = Gtids::parse(self.options.flavor, text.map_or("", String::as_str)).map_err(bad)?;
        Ok((gtids, text.is_some()))
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

    /// The tables at the stored position: from the history, or else from what lies beside the offsets.
    async fn recover(
        &self,
        history: &SchemaHistory,
        server: &Server,
        position: &Position,
        schemas: &mut Schemas,
    ) -> Result<()> {
        let options = &self.options;
        let (of, at) = (source(options.naming.prefix()), position.to_offset(Vec::new()));
        let dialect = options.dialect();
        let ignored = |statement: &str| options.ddl_filter.ignores(statement);
        let recovery = Recovery::new(
            &of,
            &at.0,
            &dialect,
            server.ignore_case,
            options.prefer_ddl,
            &ignored,
        );
        let begun = std::time::Instant::now();
        let metrics = self.metrics.schema_history();
        metrics.recovering(Clock::now());
        let recovered = history.recover(recovery).await?;
        for _ in 0..recovered.applied {
            metrics.recovered(Clock::now());
        }
        let kept = schemas.kept.restore(&*self.offsets, server.ignore_case).await?;
        tracing::info!(
            topic = history.topic(),
            read = recovered.read,
            applied = recovered.applied,
            tables = recovered.tables.len(),
            ms = begun.elapsed().as_millis(),
            "schemas are recovered"
        );
        if !recovered.tables.is_empty() || recovered.applied > 0 {
            schemas.tables = recovered.tables;
            schemas.unknown = recovered.unknown;
            return Ok(());
        }
        match kept {
            Some(tables) => {
                tracing::warn!(
                    topic = history.topic(),
                    "the schema history is empty; the schemas beside the offsets are taken"
                );
                schemas.tables = tables;
                Ok(())
            }
            None => Err(Error::fatal(
                "The db history topic or its content is fully or partially missing. Please check database schema \
                 history topic configuration and re-execute the snapshot.",
            )
            .exception("io.debezium.DebeziumException")),
        }
    }

    /// Whether the server's log still goes on from the stored position.
    async fn check(&self, catalog: &mut Catalog, server: &Server, position: &Position) -> Result<()> {
        let bad = |error: Malformed| Error::config(format!("the stored offset's 'gtids': {error}"));
        if let Some(gtids) = position.gtids.as_ref().filter(|_| !self.options.ignore_gtids) {
            if self.options.flavor == Flavor::MariaDb {
                let seen = MariaGtids::parse(gtids).map_err(bad)?;
                let executed = MariaGtids::parse(&server.executed).map_err(bad)?;
                let oldest = catalog.oldest_gtids().await?.unwrap_or_default();
                let begun = MariaGtids::parse(&oldest).map_err(bad)?;
                return gap(&begun.beyond(&seen), &seen.beyond(&executed));
            }
            let seen = GtidSet::parse(gtids).map_err(bad)?;
            let executed = GtidSet::parse(&server.executed).map_err(bad)?;
            let purged = GtidSet::parse(&server.purged).map_err(bad)?;
            let missing = self.wanted(&purged).minus(&seen);
            let ahead = self.wanted(&seen).minus(&executed);
            return gap(&missing.to_string(), &ahead.to_string());
        }
        let logs = catalog.logs().await?;
        match logs.iter().find(|(file, _)| *file == position.file) {
            Some((_, size)) if position.pos <= *size => Ok(()),
            Some((file, size)) => Err(Error::fatal(format!(
                "the stored position {} of {file} is behind its end, {size}",
                position.pos
            ))
            .exception("io.debezium.DebeziumException")),
            None => Err(Error::fatal(format!(
                "the server has purged {}, of which everything from position {} on was not read; its oldest log is {}",
                position.file,
                position.pos,
                logs.first().map_or("none", |(file, _)| file)
            ))
            .exception("io.debezium.DebeziumException")
            .hint("snapshot.mode=when_needed takes a snapshot again")),
        }
    }

    /// The part of a set that `gtid.source.includes` and `.excludes` leave.
    fn wanted(&self, set: &GtidSet) -> GtidSet {
        let (included, excluded) = (&self.options.sources_included, &self.options.sources_excluded);
        set.retain(|uuid| {
            (included.is_empty() || included.matches(uuid))
                && (excluded.is_empty() || !excluded.matches(uuid))
        })
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

    /// Opens the stream's connection and asks for the log; `ends` for what there is now alone.
    async fn dump(
        &self,
        server: &Server,
        position: &Position,
        gtids: &Gtids,
        by_gtid: bool,
        ends: bool,
    ) -> Result<Connection> {
        let options = &self.options;
        let mut settings = options.settings.clone();
        settings.receive_buffer = Some(RECEIVE_BUFFER);
        let mut connection = Connection::open(&settings, options.query_timeout).await?;
        let checksum = match server.checksum.eq_ignore_ascii_case("CRC32") {
            true => "CRC32",
            false => "NONE",
        };
        // Both servers send with checksums only to those who know of them, under a name for each.
        let mut session = vec![
            format!("SET @master_binlog_checksum='{checksum}', @source_binlog_checksum='{checksum}'"),
            format!(
                "SET @slave_uuid={0}, @replica_uuid={0}",
                literal(&replica_uuid(options.server_id))
            ),
        ];
        let watched = options.keep_alive.unwrap_or(Duration::from_secs(60));
        let nanos = watched.as_nanos().clamp(1_000_000, 4_294_967_000_000_000);
        session.push(format!(
            "SET @master_heartbeat_period={nanos}, @source_heartbeat_period={nanos}"
        ));
        if options.flavor == Flavor::MariaDb {
            session.push("SET @mariadb_slave_capability=4".to_owned());
            if by_gtid && let Gtids::MariaDb(at) = gtids {
                session.push(format!("SET @slave_connect_state={}", literal(&at.to_string())));
                session.push("SET @slave_gtid_strict_mode=0, @slave_gtid_ignore_duplicates=0".to_owned());
            }
        }
        for statement in &session {
            connection.execute(statement).await?;
        }
        connection.register(options.server_id).await?;
        match (gtids, by_gtid) {
            (Gtids::MySql(set), true) => {
                let executed = GtidSet::parse(&server.executed).unwrap_or_default();
                let purged = GtidSet::parse(&server.purged).unwrap_or_default();
                // What other sources executed, and the connector is not to see, counts as seen.
                let unwanted = executed.minus(&self.wanted(&executed));
                let set = set.plus(&unwanted).plus(&purged.minus(&self.wanted(&purged)));
                connection
                    .dump_gtid(options.server_id, "", 4, Some(&set.encode()), ends)
                    .await?;
            }
            (Gtids::MariaDb(_), true) => {
                let flags = options.include_query;
                connection.dump(options.server_id, "", 4, flags, ends).await?;
            }
            _ => {
                let pos = position.pos.max(4);
                if pos > u64::from(u32::MAX) && options.flavor == Flavor::MySql {
                    connection
                        .dump_gtid(options.server_id, &position.file, pos, None, ends)
                        .await?;
                } else {
                    let annotate = options.flavor == Flavor::MariaDb && options.include_query;
                    connection
                        .dump(options.server_id, &position.file, pos, annotate, ends)
                        .await?;
                }
            }
        }
        // The stream watches for silence itself, over reads that are interrupted.
        connection.set_patience(Duration::from_secs(86_400));
        Ok(connection)
    }
}

/// How long the server may be silent: three heartbeats that did not come.
fn silence(options: &Options) -> Duration {
    match options.keep_alive {
        Some(interval) => (interval * 3).max(Duration::from_secs(30)),
        None => Duration::from_secs(86_400),
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

/// Where the server's log begins.
async fn beginning(catalog: &mut Catalog, server: &Server) -> Result<Position> {
    let logs = catalog.logs().await?;
    let (file, _) = logs
        .into_iter()
        .next()
        .ok_or_else(|| Error::config("the server writes no binary log").hint("start it with log_bin"))?;
    Ok(Position {
        file,
        pos: 4,
        gtids: Some(server.purged.clone()).filter(|gtids| !gtids.is_empty()),
        ..Position::default()
    })
}

/// Refuses a gap: what the server has purged and was not read, and what was read and the server does not have.
fn gap(missing: &str, ahead: &str) -> Result<()> {
    if !missing.is_empty() {
        return Err(Error::fatal(format!(
            "the server has purged transactions that were not read yet: {missing}"
        ))
        .exception("io.debezium.DebeziumException")
        .hint("snapshot.mode=when_needed takes a snapshot again"));
    }
    if !ahead.is_empty() {
        return Err(Error::fatal(format!(
            "the server does not have transactions that were read: {ahead}; it was restored, or lags behind the one that \
             was read before"
        ))
        .exception("io.debezium.DebeziumException"));
    }
    Ok(())
}

/// A replica's UUID, which a MySQL server wants to tell replicas apart; the same for the same id.
fn replica_uuid(server_id: u32) -> String {
    format!("7a9d1e00-0000-4000-8000-0000{server_id:08x}")
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
