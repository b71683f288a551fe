//! The snapshots of a run: by a slot's view, alone, or asked for by a signal.

use tapline_api::Result;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::signal::Execute;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Driver, Prepared, cancellable, pause};
use crate::lsn::Lsn;
use crate::position::{Position, SnapshotState};
use crate::slot::{self, Wanted};
use crate::snapshot::sieve::Sieve;
use crate::snapshot::{self, Kind, Snapshot};
use crate::stream::Stream;
use crate::wire::Connection;

impl Driver {
    /// A snapshot by the slot's own view of the database, where it has made one; changes since an interrupted one go first.
    pub(super) async fn snapshot(
        &mut self,
        prepared: &mut Prepared,
        connection: &mut Connection,
        wanted: Wanted,
        resumes: bool,
        cancel: &CancellationToken,
    ) -> Result<Position> {
        pause(self.options.snapshot_delay, cancel).await;
        let created = slot::create(
            connection,
            &prepared.catalog,
            &self.options,
            &prepared.server,
            wanted,
            cancel,
        )
        .await?;
        let interrupted = self
            .position
            .is_some_and(|position| position.snapshot == Some(SnapshotState::Running));
        let reading = async {
            let mut sessions = snapshot::open(&self.options, created.snapshot.as_deref()).await?;
            if interrupted && wanted == Wanted::Temporary {
                self.catch_up(
                    prepared,
                    &mut sessions.planner,
                    resumes,
                    created.consistent,
                    cancel,
                )
                .await?;
            }
            self.read_tables(prepared, sessions, resumes, created.consistent)
                .await
        };
        cancellable(cancel, reading).await
    }

    /// Streams what has happened since a snapshot was interrupted, before it goes on in another one that sees the database
    /// at `until`: nothing of what was read then is missing a change, and no row goes back in time.
    async fn catch_up(
        &mut self,
        prepared: &mut Prepared,
        planner: &mut Connection,
        resumes: bool,
        until: Lsn,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let sieve = Sieve::load(&prepared.catalog, planner, &*self.offsets, &self.options, resumes);
        let sieve = sieve.await?;
        let position = self.position.filter(|_| resumes).unwrap_or_default();
        let connection = self.replication().await?;
        let from = position.start();
        let connection = self.start_replication(prepared, connection, from, cancel).await?;
        let Some(connection) = connection else {
            return Ok(());
        };
        if resumes {
            tracing::info!(%from, %until, "the snapshot goes on where it was killed: the changes since then go first");
        } else {
            tracing::info!(%until, "a snapshot was interrupted: what was deleted since then goes first");
        }
        let stream = Stream::new(
            &self.options,
            &mut prepared.catalog,
            &mut prepared.events,
            &mut self.output,
            self.confirmed.clone(),
            None,
            position,
            until,
            prepared.server.sender_timeout,
        );
        stream.until(until, sieve).run(connection, cancel).await
    }

    /// `initial_only`: a snapshot without a slot, since nothing will be streamed.
    pub(super) async fn snapshot_alone(
        &mut self,
        prepared: &mut Prepared,
        cancel: &CancellationToken,
    ) -> Result<()> {
        pause(self.options.snapshot_delay, cancel).await;
        let reading = async {
            let lsn = prepared.catalog.current_lsn().await?;
            let sessions = snapshot::open(&self.options, None).await?;
            let resumes = self.position.is_some() && self.is_own().await?;
            self.read_tables(prepared, sessions, resumes, lsn).await
        };
        cancellable(cancel, reading).await?;
        tracing::info!("nothing is streamed, as snapshot.mode says");
        Ok(())
    }

    async fn read_tables(
        &mut self,
        prepared: &mut Prepared,
        sessions: snapshot::Sessions,
        resumes: bool,
        lsn: Lsn,
    ) -> Result<Position> {
        let Prepared {
            catalog,
            server,
            events,
        } = prepared;
        let metrics = self.metrics.snapshot();
        let begun = Instant::now();
        let position = Snapshot::run(
            &self.options,
            server.version,
            catalog,
            events,
            &mut self.output,
            &*self.offsets,
            Kind::Initial { resumes },
            sessions,
            lsn,
            self.stored.clone(),
            &metrics,
        )
        .await
        .inspect_err(|_| metrics.ended(false, begun.elapsed().as_secs()))?;
        // Debezium beats once after a snapshot, whatever the interval.
        if let Some(heartbeat) = Heartbeat::new(
            self.options.heartbeat,
            &self.options.naming,
            std::time::Instant::now(),
        ) {
            events.records.push(heartbeat.record(Clock::now()));
        }
        Ok(position)
    }

    /// A snapshot that a signal has asked for, while nothing is streamed.
    pub(super) async fn snapshot_blocking(
        &mut self,
        prepared: &mut Prepared,
        execute: &Execute,
        at: Position,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let metrics = self.metrics.snapshot();
        let reading = async {
            let sessions = snapshot::open(&self.options, None).await?;
            Snapshot::run(
                &self.options,
                prepared.server.version,
                &mut prepared.catalog,
                &prepared.events,
                &mut self.output,
                &*self.offsets,
                Kind::Blocking(execute, at),
                sessions,
                at.start(),
                self.stored.clone(),
                &metrics,
            )
            .await
        };
        cancellable(cancel, reading).await?;
        Ok(())
    }
}
