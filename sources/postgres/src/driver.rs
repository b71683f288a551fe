//! A task's run from beginning to end: look at the server, take a snapshot if one is due, stream.
//!
//! It runs beside the worker's calls, in a task of its own, so that the server is answered while nobody polls. What it
//! finds goes out as batches; what ends it goes out as the last item.

mod refusals;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use tapline_api::source::OffsetReader;
use tapline_api::{Error, Result};
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::headers::{ContextHeaders, uuid_v7};
use tapline_cdc::heartbeat::Heartbeat;
use tapline_cdc::metrics::SourceMetrics;
use tapline_cdc::signal::Execute;
use tapline_cdc::snapshot::is_own;
use tapline_cdc::transaction::Transactions;
use tapline_databases::postgres::{self, Settings, literal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use self::refusals::require_logical;
use self::refusals::{as_producers, failed_to_start, no_walsender};
use crate::catalog::{Catalog, Server};
use crate::config::{Options, SnapshotMode};
use crate::event::Events;
use crate::lsn::Lsn;
use crate::output::Output;
use crate::position::{Cluster, Position, SnapshotState, cluster_partition, partition};
use crate::publication;
use crate::signals::Signals;
use crate::slot::{self, Situation, Start, Wanted};
use crate::stream::Stream;
use crate::wire::{Connection, Role};

/// What a run starts from.
pub(crate) struct Driver {
    pub(crate) options: Options,
    pub(crate) task: u32,
    /// The stored offset.
    pub(crate) position: Option<Position>,
    /// The transaction that the stored offset is within, when transactions' metadata are wanted.
    pub(crate) transactions: Option<Transactions>,
    pub(crate) metrics: SourceMetrics,
    pub(crate) signals: Option<Signals>,
    /// The cluster that it is of.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) output: Output,
    /// What is stored of a snapshot that was killed.
    pub(crate) offsets: Arc<dyn OffsetReader>,
    /// The number of what a snapshot has stored, as it is committed.
    pub(crate) stored: watch::Receiver<u64>,
    pub(crate) confirmed: watch::Receiver<Lsn>,
    pub(crate) cancel: CancellationToken,
}

/// The kernel's buffer for the replication connection: what gathers between two reads must fit.
const RECEIVE_BUFFER: usize = 4 << 20;

impl Driver {
    /// Runs until cancelled, until all is done (`initial_only`), or until an error, which it sends.
    pub(crate) async fn run(mut self) {
        let output = self.output.clone();
        if let Err(error) = self.drive().await
            && !self.cancel.is_cancelled()
        {
            output.fail(as_producers(error)).await;
        }
    }

    async fn drive(&mut self) -> Result<()> {
        let cancel = self.cancel.clone();
        let prepared = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            prepared = self.prepare() => prepared?,
        };
        let Some(mut prepared) = prepared else {
            return Ok(());
        };
        // The slot's creation cancels itself at the server.
        let streams_from = self.begin(&mut prepared, &cancel).await?;
        let Some((mut connection, mut position, end)) = streams_from else {
            return Ok(());
        };
        loop {
            let asked = self
                .stream(&mut prepared, connection, position, end, &cancel)
                .await?;
            let Some((execute, at)) = asked else {
                return Ok(());
            };
            position = at;
            self.snapshot_blocking(&mut prepared, &execute, at, &cancel)
                .await?;
            while let Some(execute) = self.signals.as_mut().and_then(Signals::take_blocking) {
                self.snapshot_blocking(&mut prepared, &execute, at, &cancel)
                    .await?;
            }
            let next = self.replication().await?;
            let next = self
                .start_replication(&prepared, next, position.start(), &cancel)
                .await?;
            let Some(next) = next else {
                return Ok(());
            };
            connection = next;
        }
    }

    /// Streams until cancelled, or until a blocking snapshot is asked for.
    async fn stream(
        &mut self,
        prepared: &mut Prepared,
        connection: Connection,
        position: Position,
        end: Lsn,
        cancel: &CancellationToken,
    ) -> Result<Option<(Execute, Position)>> {
        let heartbeat = Heartbeat::new(
            self.options.heartbeat,
            &self.options.naming,
            std::time::Instant::now(),
        );
        let mut stream = Stream::new(
            &self.options,
            &mut prepared.catalog,
            &mut prepared.events,
            &mut self.output,
            self.confirmed.clone(),
            heartbeat,
            position,
            end,
            prepared.server.sender_timeout,
        );
        stream.measure(&self.metrics);
        stream.signals = self.signals.take();
        stream.run(connection, cancel).await?;
        let asked = stream.blocking();
        self.signals = stream.signals.take();
        Ok(asked)
    }

    /// Connects, and looks whether the server and this user will do.
    async fn prepare(&mut self) -> Result<Option<Prepared>> {
        let catalog = Catalog::connect(&self.options, true).await?;
        let server = catalog.server().await?;
        if self.options.snapshot_mode.streams() {
            require_logical(&server)?;
        }
        let now = Clock::now();
        let random = u128::from(now.nanos().cast_unsigned()) << 64 | u128::from(random_bits());
        let run_id = uuid_v7(now.millis(), random);
        let headers = ContextHeaders::new(
            self.options.extended_headers,
            self.options.naming.prefix(),
            self.task,
            "postgresql",
            &run_id,
        );
        let mut events = Events::new(&self.options, headers);
        events.transactions = self.transactions.take().map(Box::new);
        Ok(Some(Prepared {
            catalog,
            server,
            events,
        }))
    }

    fn wants_snapshot(&self) -> bool {
        let unfinished = match &self.position {
            None => true,
            Some(position) => position.snapshot == Some(SnapshotState::Running),
        };
        match self.options.snapshot_mode {
            SnapshotMode::Always => true,
            SnapshotMode::NoData => false,
            SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded => unfinished,
            SnapshotMode::ConfigurationBased { data, .. } => data,
        }
    }

    /// Up to the point where streaming begins: its connection, its position, and the end of the server's log.
    async fn begin(
        &mut self,
        prepared: &mut Prepared,
        cancel: &CancellationToken,
    ) -> Result<Option<(Connection, Position, Lsn)>> {
        let wants_snapshot = self.wants_snapshot();
        if !self.options.snapshot_mode.streams() {
            if wants_snapshot {
                self.snapshot_alone(prepared, cancel).await?;
            }
            return Ok(None);
        }
        let mut connection = self.replication().await?;
        let (cluster, end) = slot::identify(&mut connection).await?;
        publication::prepare(&prepared.catalog, &self.options, prepared.server.standby).await?;
        self.set_identities(prepared).await?;
        let found = prepared.catalog.slot(&self.options.slot).await?;
        if let Some(found) = &found {
            slot::usable(&self.options, found)?;
            slot::offer_failover(&mut connection, &self.options, &prepared.server, found).await?;
        }
        self.output.send_also(
            cluster_partition(self.options.naming.prefix()),
            cluster.to_offset(),
        );
        let wants_snapshot = wants_snapshot || self.heals_gap(&cluster, end, found.as_ref());
        let position = if wants_snapshot {
            let wanted = match found {
                None => Wanted::Lasting { snapshot: true },
                Some(_) => Wanted::Temporary,
            };
            let resumes = self.resumes(&cluster, end, found.as_ref()) && self.is_own().await?;
            let position = self
                .snapshot(prepared, &mut connection, wanted, resumes, cancel)
                .await?;
            connection.close(false).await;
            connection = self.replication().await?;
            pause(self.options.streaming_delay, cancel).await;
            position
        } else {
            self.metrics.snapshot().skipped();
            self.resume(prepared, &mut connection, &cluster, end, found.as_ref(), cancel)
                .await?
        };
        if cancel.is_cancelled() {
            return Ok(None);
        }
        self.start_replication(prepared, connection, position.start(), cancel)
            .await
            .map(|connection| connection.map(|connection| (connection, position, end)))
    }

    /// Whether the changes since the stored offset have gone, and the mode is to read the tables again then.
    fn heals_gap(&self, cluster: &Cluster, end: Lsn, found: Option<&crate::catalog::Slot>) -> bool {
        let Some(position) = &self.position else {
            return false;
        };
        if !self.options.snapshot_mode.heals() || position.snapshot.is_some() {
            return false;
        }
        let situation = Situation {
            position,
            slot: found,
            known: self.cluster.as_ref(),
            cluster,
            end,
        };
        match slot::check(&self.options, situation) {
            Ok(start) => start == Start::Slot,
            Err(error) => {
                tracing::warn!(%error, "the tables are read again, as snapshot.mode says");
                true
            }
        }
    }

    /// `replica.identity.autoset.values`
    async fn set_identities(&self, prepared: &Prepared) -> Result<()> {
        let identities = &self.options.identities;
        if identities.is_empty() || prepared.server.standby || self.options.read_only {
            return Ok(());
        }
        let tables = publication::captured_tables(&prepared.catalog, &self.options).await?;
        identities.apply(&prepared.catalog, &tables).await
    }

    /// Without a snapshot: from the stored offset, or from where the slot stands.
    async fn resume(
        &self,
        prepared: &mut Prepared,
        connection: &mut Connection,
        cluster: &Cluster,
        end: Lsn,
        found: Option<&crate::catalog::Slot>,
        cancel: &CancellationToken,
    ) -> Result<Position> {
        let options = &self.options;
        let stored = self.position.filter(|position| position.snapshot.is_none());
        if let Some(position) = stored {
            let known = self.cluster.as_ref();
            let situation = Situation {
                position: &position,
                slot: found,
                known,
                cluster,
                end,
            };
            if slot::check(options, situation)? == Start::Offset {
                tracing::info!(lsn = %position.start(), "going on after the stored offset");
                return Ok(position);
            }
        }
        if found.is_none() {
            let wanted = Wanted::Lasting { snapshot: false };
            let server = &prepared.server;
            slot::create(connection, &prepared.catalog, options, server, wanted, cancel).await?;
        }
        tracing::info!(slot = options.slot, "streaming from where the slot stands");
        Ok(Position::default())
    }

    /// Whether it was a snapshot of ours that was killed.
    async fn is_own(&self) -> Result<bool> {
        let prefix = self.options.naming.prefix();
        is_own(&*self.offsets, prefix, &partition(prefix)).await
    }

    /// Whether a snapshot that was killed can go on: its slot must have all changes since.
    fn resumes(&self, cluster: &Cluster, end: Lsn, found: Option<&crate::catalog::Slot>) -> bool {
        let killed = |position: &&Position| position.snapshot == Some(SnapshotState::Running);
        let Some(position) = self.position.as_ref().filter(killed) else {
            return false;
        };
        let situation = Situation {
            position,
            slot: found,
            known: self.cluster.as_ref(),
            cluster,
            end,
        };
        match slot::check(&self.options, situation) {
            Ok(Start::Offset) => true,
            Ok(Start::Slot) => false,
            Err(error) => {
                tracing::warn!(%error, "a snapshot was interrupted, and can't go on where it was: it begins anew");
                false
            }
        }
    }

    async fn replication(&self) -> Result<Connection> {
        let mut settings: Settings = self.options.settings.clone();
        settings.application_name = "tapline streaming".to_owned();
        settings.receive_buffer = Some(RECEIVE_BUFFER);
        Connection::open(&settings, Role::Replication)
            .await
            .map_err(|error| no_walsender(error, &self.options.settings.user))
    }

    /// Starts streaming; waits while the slot's former walsender has not gone yet.
    async fn start_replication(
        &self,
        prepared: &Prepared,
        mut connection: Connection,
        from: Lsn,
        cancel: &CancellationToken,
    ) -> Result<Option<Connection>> {
        let options = &self.options;
        let mut command = format!(
            "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {}",
            postgres::identifier(&options.slot),
            literal(&postgres::identifier(&options.publication)),
        );
        if options.messages.is_some() && prepared.server.version >= 140_000 {
            command.push_str(", messages 'true'");
        }
        // What it sets itself stands, as in Debezium.
        let own = ["proto_version", "publication_names", "messages"];
        let given = options.stream_parameters.iter();
        for (name, value) in given.filter(|(name, _)| !own.contains(&name.as_str())) {
            command.push_str(&format!(", {} {}", postgres::identifier(name), literal(value)));
        }
        command.push(')');
        tracing::info!(command, "streaming begins");
        let patience = options.slot_retry_delay.saturating_mul(options.slot_retries);
        let begun = Instant::now();
        let mut delay = Duration::from_millis(50);
        loop {
            let error = match connection.start_replication(&command).await {
                Ok(()) => return Ok(Some(connection)),
                Err(error) => error,
            };
            if !error.is("55006") {
                return Err(failed_to_start(options, from, error));
            }
            if begun.elapsed() >= patience {
                let active = prepared
                    .catalog
                    .slot(&options.slot)
                    .await
                    .ok()
                    .flatten()
                    .and_then(|s| s.active_pid);
                return Err(Error::retriable(format!(
                    "Failed to start replication stream at {from}; when setting up multiple connectors for the same \
                     database host, please make sure to use a distinct replication slot name for each. ({error}; active \
                     pid {active:?})"
                )));
            }
            pause(delay, cancel).await;
            if cancel.is_cancelled() {
                return Ok(None);
            }
            delay = (delay * 2).min(Duration::from_secs(1));
        }
    }
}

/// What a run needs once it has looked at the server.
#[derive(Debug)]
struct Prepared {
    catalog: Catalog,
    server: Server,
    events: Events,
}

async fn pause(time: Duration, cancel: &CancellationToken) {
    if !time.is_zero() {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = sleep(time) => {}
        }
    }
}

async fn cancellable<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::retriable("the task is being stopped")),
        done = work => done,
    }
}

/// Enough to tell two runs of one millisecond apart: the standard library seeds its hashers at random.
fn random_bits() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Drops the slot after a stop, as `slot.drop.on.stop` says.
pub(crate) async fn drop_slot(options: &Options) {
    let dropping = async {
        let catalog = Catalog::connect(options, false).await?;
        let sql = format!("SELECT pg_drop_replication_slot({})", literal(&options.slot));
        // The walsender may need a moment to go.
        let mut tries = 0;
        loop {
            match catalog.execute(&sql).await {
                Err(error) if error.is("55006") && tries < 20 => tries += 1,
                done => return done.map_err(Error::from),
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    if let Err(error) = dropping.await {
        tracing::warn!(%error, slot = options.slot, "the replication slot could not be dropped");
    }
}
