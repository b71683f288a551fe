//! The replication slot: made with patience, and checked against the stored offset before anything is streamed.
//!
//! A slot past the offset, a slot that has gone, another cluster, a server whose log ends before the offset: each is a gap
//! that would lose changes without a word. It is named and refused, unless `offset.mismatch.strategy` says otherwise.

use std::time::Duration;

use tapline_api::{Error, Result};
use tapline_databases::postgres::{self, identifier};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Server, Slot};
use crate::config::{Mismatch, Options};
use crate::lsn::Lsn;
use crate::position::{Cluster, Position};
use crate::wire::{Connection, Row};

/// How often to say what a slot's creation waits for.
const PROGRESS: Duration = Duration::from_secs(5);

/// A slot just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Created {
    /// Everything committed before is in the snapshot, everything after is streamed.
    pub(crate) consistent: Lsn,
    /// The exported snapshot, which lives until the connection runs its next command.
    pub(crate) snapshot: Option<String>,
}

/// Which slot to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The connector's, with a snapshot or without.
    Lasting { snapshot: bool },
    /// One for its snapshot alone; it goes with the connection. So a snapshot beside an existing slot knows exactly where
    /// in the log it stands.
    Temporary,
}

/// `IDENTIFY_SYSTEM`: which cluster this is, and where its log ends.
pub(crate) async fn identify(connection: &mut Connection) -> Result<(Cluster, Lsn)> {
    let rows = connection.query("IDENTIFY_SYSTEM").await?;
    let mut columns = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || columns.next().flatten();
    let unreadable = || Error::fatal("the server's answer to IDENTIFY_SYSTEM is unreadable");
    let system_id = next().ok_or_else(unreadable)?;
    let timeline = next().and_then(|text| text.parse().ok()).ok_or_else(unreadable)?;
    let end = next().and_then(|text| text.parse().ok()).ok_or_else(unreadable)?;
    Ok((Cluster { system_id, timeline }, end))
}

/// The command that makes the slot.
fn command(options: &Options, server: &Server, wanted: Wanted) -> String {
    let (name, temporary, snapshot) = match wanted {
        Wanted::Lasting { snapshot } => (options.slot.clone(), "", snapshot),
        // Unique enough: the server refuses a second one of the same name.
        Wanted::Temporary => {
            let mut name = format!("{}_snapshot", options.slot);
            name.truncate(63);
            (name, " TEMPORARY", true)
        }
    };
    let failover =
        options.slot_failover && server.version >= 170_000 && !server.standby && temporary.is_empty();
    let rest = match (failover, snapshot) {
        (true, true) => "(SNAPSHOT 'export', FAILOVER)",
        (true, false) => "(SNAPSHOT 'nothing', FAILOVER)",
        (false, true) => "EXPORT_SNAPSHOT",
        (false, false) => "NOEXPORT_SNAPSHOT",
    };
    format!(
        "CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput {rest}",
        identifier(&name)
    )
}

/// Makes the slot, saying what it waits for: a slot begins when all transactions that were open have ended.
///
/// # Errors
/// As Debezium words them, when it can't be made or takes longer than all of its attempts would.
pub(crate) async fn create(
    connection: &mut Connection,
    catalog: &Catalog,
    options: &Options,
    server: &Server,
    wanted: Wanted,
    cancel: &CancellationToken,
) -> Result<Created> {
    let command = command(options, server, wanted);
    tracing::info!(command, "creating the replication slot");
    // Debezium cancels and asks again; to wait for as long in one go is the same, and forgets no place in the queue.
    let patience = options
        .create_slot_timeout
        .saturating_mul(options.slot_retries.saturating_add(1));
    let key = connection.cancel_key();
    let begun = Instant::now();
    let query = connection.query(&command);
    tokio::pin!(query);
    loop {
        tokio::select! {
            biased;
            rows = &mut query => return created(rows, options),
            () = cancel.cancelled() => {}
            () = sleep(PROGRESS) => {
                if begun.elapsed() < patience {
                    report_wait(catalog, begun).await;
                    continue;
                }
            }
        }
        // Not cancelled, the server would make the slot some time later, for nobody.
        if let Err(error) = key.cancel(&options.settings).await {
            tracing::warn!(%error, "the slot's creation could not be cancelled");
        }
        let _ = timeout(Duration::from_secs(5), &mut query).await;
        return Err(Error::retriable(
            "Creation of replication slot failed; query to create replication slot timed out, please make sure that \
             there are no long running queries on the database.",
        )
        .hint("pg_stat_activity shows them: SELECT * FROM pg_stat_activity WHERE backend_xid IS NOT NULL"));
    }
}

async fn report_wait(catalog: &Catalog, begun: Instant) {
    let waits_for = catalog.old_transactions().await.unwrap_or_default();
    tracing::info!(
        seconds = begun.elapsed().as_secs(),
        transactions = waits_for.join("; "),
        "the replication slot's creation waits for transactions that were open before it"
    );
}

fn created(rows: Result<Vec<Row>, postgres::Error>, options: &Options) -> Result<Created> {
    let rows = rows.map_err(|error| match error.code().map(|code| code.as_str().to_owned()).as_deref() {
        Some("42710") => Error::retriable(format!(
            "Creation of replication slot failed; when setting up multiple connectors for the same database host, please \
             make sure to use a distinct replication slot name for each. ({error})"
        )),
        Some("53400") => Error::config(format!("Creation of replication slot failed: {error}"))
            .hint("raise max_replication_slots, or drop slots that nobody uses: SELECT * FROM pg_replication_slots"),
        Some("42501") => Error::config(format!("Creation of replication slot failed: {error}"))
            .hint(format!("ALTER ROLE {} REPLICATION", identifier(&options.settings.user))),
        _ => error.into(),
    })?;
    let row = rows.into_iter().next().unwrap_or_default();
    let column = |index: usize| row.get(index).cloned().flatten();
    let consistent = column(1).and_then(|text| text.parse().ok());
    Ok(Created {
        consistent: consistent
            .ok_or_else(|| Error::fatal("the server's answer to CREATE_REPLICATION_SLOT is unreadable"))?,
        snapshot: column(2),
    })
}

/// Makes an existing slot one that standbys keep a copy of, where `slot.failover` asks for it and the server can (17+).
pub(crate) async fn offer_failover(
    connection: &mut Connection,
    options: &Options,
    server: &Server,
    slot: &Slot,
) -> Result<()> {
    if !options.slot_failover || slot.failover || server.version < 170_000 || server.standby {
        return Ok(());
    }
    let command = format!(
        "ALTER_REPLICATION_SLOT {} (FAILOVER true)",
        identifier(&options.slot)
    );
    match connection.query(&command).await {
        Ok(_) => tracing::info!(command, "standbys keep a copy of the slot from now on"),
        // The slot's former walsender has not gone yet: the next start tries again.
        Err(error) => tracing::warn!(%error, command, "the slot could not be made a failover slot"),
    }
    Ok(())
}

/// What the check looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) position: &'a Position,
    pub(crate) slot: Option<&'a Slot>,
    /// The cluster that the position is of, where known.
    pub(crate) known: Option<&'a Cluster>,
    pub(crate) cluster: &'a Cluster,
    /// Where the server's log ends.
    pub(crate) end: Lsn,
}

/// What to do about the stored offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Go on after it.
    Offset,
    /// Go on where the slot stands; the strategy accepts what lies between.
    Slot,
}

/// Whether streaming may go on after the stored offset.
///
/// # Errors
/// A fatal error that names the gap and the cure.
pub(crate) fn check(options: &Options, situation: Situation<'_>) -> Result<Start> {
    let Situation {
        position,
        slot,
        known,
        cluster,
        end,
    } = situation;
    let offset = position.start();
    let strategy = options.mismatch;
    let cure = "to accept the loss set offset.mismatch.strategy=trust_slot; to read the tables again, reset the \
                connector's offsets (DELETE /connectors/NAME/offsets) and start it";
    let accept = |gap: String| match strategy {
        Mismatch::NoValidation | Mismatch::TrustSlot => {
            tracing::warn!(gap, "going on at the slot, as offset.mismatch.strategy says");
            Ok(Start::Slot)
        }
        _ => Err(Error::fatal(gap)
            .exception("io.debezium.DebeziumException")
            .hint(cure)),
    };
    if let Some(known) = known.filter(|known| known.system_id != cluster.system_id) {
        return accept(format!(
            "the stored offset is of another database cluster: system id {} then, {} now",
            known.system_id, cluster.system_id
        ));
    }
    if end < offset {
        return accept(format!(
            "the server is behind the stored offset: its log ends at {end} on timeline {}, the offset is {offset}{}; \
             changes between were lost, as by the promotion of a standby that lagged",
            cluster.timeline,
            known
                .map(|known| format!(" on timeline {}", known.timeline))
                .unwrap_or_default()
        ));
    }
    let Some(slot) = slot else {
        return accept(format!(
            "replication slot '{}' does not exist, but an offset at {offset} is stored; changes between it and now are \
             not available any more",
            options.slot
        ));
    };
    match slot.confirmed {
        Some(confirmed) if confirmed > offset && options.position_check => {
            let gap = format!(
                "replication slot '{}' has moved past the stored offset: the slot stands at {confirmed}, the offset at \
                 {offset}; changes between can't be read any more",
                options.slot
            );
            if strategy == Mismatch::TrustGreaterLsn {
                tracing::warn!(gap, "going on at the slot, as offset.mismatch.strategy says");
                return Ok(Start::Slot);
            }
            accept(gap)
        }
        _ => Ok(Start::Offset),
    }
}

/// Whether the slot can be streamed from at all.
pub(crate) fn usable(options: &Options, slot: &Slot) -> Result<()> {
    let name = &options.slot;
    if slot.plugin.as_deref() != Some("pgoutput") {
        return Err(Error::config(format!(
            "replication slot '{name}' is {}, but pgoutput is streamed",
            slot.plugin.as_ref().map_or_else(
                || "a physical one".to_owned(),
                |plugin| format!("of plugin {plugin}")
            )
        ))
        .hint(format!(
            "set slot.name to another name, or drop it: SELECT pg_drop_replication_slot({})",
            postgres::literal(name)
        )));
    }
    if slot
        .database
        .as_deref()
        .is_some_and(|database| database != options.settings.dbname)
    {
        return Err(Error::config(format!(
            "replication slot '{name}' is of database '{}', not '{}'",
            slot.database.as_deref().unwrap_or_default(),
            options.settings.dbname
        ))
        .hint("set slot.name to another name"));
    }
    if slot.wal_status.as_deref() == Some("lost") {
        return Err(Error::fatal(format!(
            "replication slot '{name}' is invalidated: the server has removed log that it needs (wal_status is lost)"
        ))
        .exception("io.debezium.DebeziumException")
        .hint(format!(
            "raise max_slot_wal_keep_size; drop the slot (SELECT pg_drop_replication_slot({})), reset the connector's \
             offsets and start it, which reads the tables again",
            postgres::literal(name)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_options;

    fn slot(confirmed: u64) -> Slot {
        Slot {
            plugin: Some("pgoutput".into()),
            database: Some("lab".into()),
            active_pid: None,
            confirmed: Some(Lsn(confirmed)),
            wal_status: Some("reserved".into()),
            failover: false,
        }
    }

    fn cluster(id: &str) -> Cluster {
        Cluster {
            system_id: id.into(),
            timeline: 1,
        }
    }

    fn run(strategy: &str, slot: Option<&Slot>, known: &Cluster, end: u64) -> Result<Start> {
        let position = Position {
            last_commit: Some(Lsn(100)),
            ..Position::default()
        };
        let extra = [("offset.mismatch.strategy", strategy)];
        let options = test_options(if strategy.is_empty() { &[] } else { &extra });
        let now = cluster("a");
        check(
            &options,
            Situation {
                position: &position,
                slot,
                known: Some(known),
                cluster: &now,
                end: Lsn(end),
            },
        )
    }

    #[test]
    fn a_slot_at_or_before_the_offset_is_no_gap() {
        for confirmed in [50, 100] {
            assert_eq!(
                run("", Some(&slot(confirmed)), &cluster("a"), 100).unwrap(),
                Start::Offset
            );
        }
    }

    #[test]
    fn every_gap_is_refused_with_its_positions_and_a_cure() {
        let gaps = [
            (
                run("", Some(&slot(101)), &cluster("a"), 200),
                "moved past the stored offset",
            ),
            (run("", None, &cluster("a"), 200), "does not exist"),
            (
                run("", Some(&slot(50)), &cluster("a"), 99),
                "behind the stored offset",
            ),
            (
                run("", Some(&slot(50)), &cluster("b"), 200),
                "another database cluster",
            ),
            (run("trust_offset", Some(&slot(101)), &cluster("a"), 200), "0/64"),
        ];
        for (verdict, text) in gaps {
            let error = verdict.unwrap_err();
            assert_eq!(error.kind(), tapline_api::Kind::Fatal);
            assert!(error.message().contains(text), "{error}");
            assert!(error.to_string().contains("offset.mismatch.strategy"), "{error}");
        }
    }

    #[test]
    fn a_strategy_may_accept_a_gap() {
        for strategy in ["no_validation", "trust_slot"] {
            assert_eq!(run(strategy, None, &cluster("a"), 200).unwrap(), Start::Slot);
            assert_eq!(
                run(strategy, Some(&slot(101)), &cluster("b"), 99).unwrap(),
                Start::Slot
            );
        }
        assert_eq!(
            run("trust_greater_lsn", Some(&slot(101)), &cluster("a"), 200).unwrap(),
            Start::Slot
        );
        assert!(run("trust_greater_lsn", None, &cluster("a"), 200).is_err());
    }

    #[test]
    fn a_slot_of_another_plugin_or_database_is_refused() {
        let options = test_options(&[]);
        assert!(usable(&options, &slot(1)).is_ok());
        assert!(
            usable(
                &options,
                &Slot {
                    plugin: Some("wal2json".into()),
                    ..slot(1)
                }
            )
            .is_err()
        );
        assert!(
            usable(
                &options,
                &Slot {
                    database: Some("other".into()),
                    ..slot(1)
                }
            )
            .is_err()
        );
        assert!(
            usable(
                &options,
                &Slot {
                    wal_status: Some("lost".into()),
                    ..slot(1)
                }
            )
            .is_err()
        );
    }

    #[test]
    fn the_command_quotes_its_name_and_knows_old_servers() {
        let options = test_options(&[("slot.name", "my_slot"), ("slot.failover", "true")]);
        let mut server = Server {
            version: 150_000,
            wal_level: "logical".into(),
            standby: false,
            may_log_in_and_replicate: true,
            sender_timeout: Duration::ZERO,
        };
        let wanted = Wanted::Lasting { snapshot: true };
        assert_eq!(
            command(&options, &server, wanted),
            r#"CREATE_REPLICATION_SLOT "my_slot" LOGICAL pgoutput EXPORT_SNAPSHOT"#
        );
        server.version = 170_000;
        assert!(command(&options, &server, wanted).ends_with("(SNAPSHOT 'export', FAILOVER)"));
        assert_eq!(
            command(&options, &server, Wanted::Temporary),
            r#"CREATE_REPLICATION_SLOT "my_slot_snapshot" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT"#
        );
    }
}
