//! The task: a put is planned, the target prepared, and the batch written in one transaction.
//!
//! When `put` returns, the batch is committed, so a flush has nothing to do. What can pass by itself is tried again,
//! `flush.max.retries` times; then the worker hears of it and puts the batch again later, with the task RUNNING.
//!
//! With exactly-once the batch's offsets are in that transaction too ([`crate::offsets`]).

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use tapline_api::record::{SinkRecord, TopicPartition};
use tapline_api::sink::{Assigned, SinkContext, SinkOffsets, SinkTask};
use tapline_api::{Error, Kind, Result};
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::config::{ExactlyOnce, InsertMode};
use crate::dialect::{self, Dialect, Failure, Remedy};
use crate::evolve;
use crate::offsets::{Offsets, Scan};
use crate::options::{Evolving, Options, Vocabulary};
use crate::planner::Planner;

pub(crate) struct Task {
    vocabulary: Vocabulary,
    running: Option<Running>,
}

impl Task {
    pub(crate) fn new(vocabulary: Vocabulary) -> Self {
        Self {
            vocabulary,
            running: None,
        }
    }
}

struct Running {
    planner: Planner,
    dialect: Box<dyn Dialect>,
    evolving: Evolving,
    /// Layouts whose table and columns are known to be there.
    ready: HashSet<u32>,
    retries: usize,
    delay: Duration,
    cancel: CancellationToken,
    /// Offsets in the target, while the task is exactly-once.
    offsets: Option<Offsets>,
    exactly_once: ExactlyOnce,
    /// A record that comes again changes nothing.
    keyed: bool,
    /// Whether the table of offsets is there.
    prepared: bool,
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, context: SinkContext) -> Result<()> {
        let options = Options::read(self.vocabulary, &context.config)?;
        let mut dialect = dialect::open(&options)?;
        // A server that is not there yet is waited for by the first put.
        match dialect.connect().await {
            Err(error) if error.kind() == Kind::Retriable => {
                tracing::warn!(%error, "the target does not answer yet");
            }
            result => {
                result?;
            }
        }
        let wanted = match options.exactly_once {
            ExactlyOnce::Auto => options.insert_mode == InsertMode::Insert,
            ExactlyOnce::Enabled => true,
            ExactlyOnce::Disabled => false,
        };
        let offsets = || {
            let (connector, cluster) = (context.connector.clone(), context.cluster_id.clone());
            Offsets::new(options.offsets_table.clone(), connector, cluster)
        };
        self.running = Some(Running {
            offsets: wanted.then(offsets),
            exactly_once: options.exactly_once,
            keyed: options.insert_mode != InsertMode::Insert,
            prepared: false,
            dialect,
            evolving: options.evolving,
            ready: HashSet::new(),
            retries: options.retries,
            delay: options.retry_delay,
            cancel: context.cancel,
            planner: Planner::new(options),
        });
        Ok(())
    }

    async fn open(&mut self, partitions: &[Assigned]) -> Result<SinkOffsets> {
        match &mut self.running {
            Some(running) => running.open(partitions).await,
            None => Err(Error::fatal("used before it was started")),
        }
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if let Some(offsets) = self.running.as_mut().and_then(|running| running.offsets.as_mut()) {
            offsets.close(partitions);
        }
        Ok(())
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()> {
        match &mut self.running {
            Some(running) => running.put(batch).await,
            None => Err(Error::fatal("used before it was started")),
        }
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn stop(&mut self) {
        self.running = None;
    }
}

impl Running {
    /// Takes partitions over.
    async fn open(&mut self, partitions: &[Assigned]) -> Result<SinkOffsets> {
        if self.offsets.is_none() {
            return Ok(SinkOffsets::new());
        }
        self.connect().await?;
        let Some(offsets) = &mut self.offsets else {
            return Ok(SinkOffsets::new());
        };
        if !self.prepared {
            self.prepared = offsets.prepare(&mut *self.dialect).await?;
        }
        if self.prepared {
            return offsets.open(&mut *self.dialect, partitions).await;
        }
        if self.exactly_once == ExactlyOnce::Enabled {
            return Err(Error::config(
                "exactly.once is enabled, but the table of offsets is not there and can't be made",
            )
            .hint("grant CREATE on the schema to the connector's user, or make the table named by exactly.once.table"));
        }
        tracing::warn!("without a table of offsets in the target the sink is at-least-once");
        self.offsets = None;
        Ok(SinkOffsets::new())
    }

    /// Connects, unless it is connected; on a new connection nothing is known of the target any more.
    async fn connect(&mut self) -> Result<()> {
        if !self.dialect.connect().await? {
            return Ok(());
        }
        self.ready.clear();
        match &mut self.offsets {
            Some(offsets) => {
                let read = offsets.read_again(&mut *self.dialect).await;
                if read.is_err() {
                    // Else the next try would take the connection for one that has been read.
                    self.dialect.disconnect();
                }
                read
            }
            None => Ok(()),
        }
    }

    /// Writes a batch, with retries.
    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()> {
        let mut tries = 0;
        loop {
            let error = match self.put_once(batch).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() != Kind::Retriable => return Err(located(error, batch)),
                Err(error) => error,
            };
            if tries >= self.retries {
                return Err(Error::retriable(format!(
                    "Exceeded max retries {} times, failed to flush records",
                    self.retries
                ))
                .cause(error));
            }
            tries += 1;
            tracing::warn!(
                %error,
                "Retry to flush records. Retry {tries}/{} with delay {} ms",
                self.retries,
                self.delay.as_millis()
            );
            tokio::select! {
                () = tokio::time::sleep(self.delay) => {}
                () = self.cancel.cancelled() => return Err(error),
            }
        }
    }

    async fn put_once(&mut self, batch: &[SinkRecord]) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.connect().await?;
        let failure = match self.write(batch, false).await? {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match failure.remedy {
            Remedy::None | Remedy::Retry => Err(failure.error),
            Remedy::Reconnect => {
                self.dialect.disconnect();
                Err(failure.error)
            }
            Remedy::Reread => {
                tracing::info!(error = %failure.error, "the target's tables have changed; reading them again");
                self.dialect.forget();
                self.ready.clear();
                self.write(batch, false).await?.map_err(|failure| failure.error)
            }
            Remedy::OneByOne => {
                tracing::info!(error = %failure.error, "writing the batch record by record");
                match self.write(batch, true).await? {
                    Ok(()) => Ok(()),
                    Err(Failure {
                        remedy: Remedy::Reconnect,
                        error,
                        ..
                    }) => {
                        self.dialect.disconnect();
                        Err(error)
                    }
                    Err(failure) => Err(failure.error),
                }
            }
        }
    }

    /// Plans and writes. The outer error is of planning and preparing, the inner of writing.
    async fn write(&mut self, batch: &[SinkRecord], strict: bool) -> Result<Result<(), Failure>> {
        let mut start = 0;
        while let Some(rest) = batch.get(start..).filter(|rest| !rest.is_empty()) {
            let written = self.write_to_change(rest, strict).await;
            let (count, result) = written.map_err(|error| behind(error, start))?;
            if let Err(mut failure) = result {
                failure.error = behind(failure.error, start);
                return Ok(Err(failure));
            }
            start += count;
        }
        Ok(Ok(()))
    }

    /// Writes a batch up to the first record that may change a table which records before it are written to: they could
    /// lack what the table then demands. Returns how many records that are.
    async fn write_to_change(
        &mut self,
        batch: &[SinkRecord],
        strict: bool,
    ) -> Result<(usize, Result<(), Failure>)> {
        // What is inserted and put again, because of what is behind it, would be there twice.
        let may_part = self.keyed || self.offsets.is_some();
        let mut count = batch.len();
        loop {
            let part = batch.get(..count).unwrap_or(batch);
            let scan = match &mut self.offsets {
                Some(offsets) => offsets.scan(part)?,
                None => Scan::default(),
            };
            let resolved = self.planner.resolve(part, &scan.known)?;
            let mut plan = self.planner.plan(part, &resolved, strict)?;
            let change = evolve::change(&plan, &self.ready).filter(|change| (1..count).contains(change));
            if let (Some(change), true) = (change, may_part) {
                count = change;
                continue;
            }
            evolve::prepare(&mut *self.dialect, self.evolving, &mut self.ready, &mut plan).await?;
            if plan.steps.is_empty() {
                return Ok((count, Ok(())));
            }
            if let Some(offsets) = &self.offsets {
                plan.advance = offsets.advance(&*self.dialect, &scan);
            }
            let result = self.dialect.write(&plan).await;
            if let (Ok(()), Some(offsets)) = (&result, &mut self.offsets) {
                offsets.advanced(scan);
            }
            let result = result.map_err(|failure| of_record(failure, &plan, strict));
            return Ok((count, result));
        }
    }
}

/// Says which record a failure is about, where its step tells.
fn of_record(mut failure: Failure, plan: &Batch<'_>, strict: bool) -> Failure {
    // Record by record, the step that failed is the record. What no row of the step could have, such as a right, is told
    // of the first of them.
    let of_all = matches!(failure.remedy, Remedy::None | Remedy::Reread);
    let step = failure
        .step
        .filter(|_| strict || of_all)
        .and_then(|step| plan.steps.get(step));
    if let Some(step) = step
        && failure.error.record().is_none()
    {
        failure.error = failure.error.at_record(step.record as usize);
    }
    failure
}

/// An error's record, counted from `start` on.
fn behind(error: Error, start: usize) -> Error {
    match error.record() {
        Some(record) => error.at_record(start + record),
        None => error,
    }
}

/// Names the record that an error is about.
fn located(error: Error, batch: &[SinkRecord]) -> Error {
    let Some((index, origin)) = error
        .record()
        .and_then(|index| Some((index, &batch.get(index)?.origin)))
    else {
        return error;
    };
    Error::data(format!(
        "{} (topic '{}', partition {}, offset {})",
        error.message(),
        origin.topic,
        origin.partition,
        origin.offset
    ))
    .exception(error.exception_class())
    .with_kind(error.kind())
    .at_record(index)
    .cause(error)
}
