//! What a stored position needs to be gone on from: the server's log, and the schemas that held there.

use tapline_api::{Error, Result};
use tapline_cdc::clock::Instant as Clock;

use super::{Driver, Schemas};
use crate::binlog::Malformed;
use crate::binlog::gtid::{GtidSet, MariaGtids};
use crate::catalog::{Catalog, Server};
use crate::ddl::Flavor;
use crate::history::{Recovery, SchemaHistory};
use crate::position::{Position, source};

impl Driver {
    /// The tables at the stored position: from the history, or else from what lies beside the offsets.
    pub(super) async fn recover(
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
    pub(super) async fn check(
        &self,
        catalog: &mut Catalog,
        server: &Server,
        position: &Position,
    ) -> Result<()> {
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
    pub(super) fn wanted(&self, set: &GtidSet) -> GtidSet {
        let (included, excluded) = (&self.options.sources_included, &self.options.sources_excluded);
        set.retain(|uuid| {
            (included.is_empty() || included.matches(uuid))
                && (excluded.is_empty() || !excluded.matches(uuid))
        })
    }
}

/// Where the server's log begins.
pub(super) async fn beginning(catalog: &mut Catalog, server: &Server) -> Result<Position> {
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
