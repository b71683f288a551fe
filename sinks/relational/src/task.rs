//! The task: a put is planned, the target prepared, and the batch written in one transaction.
//!
//! When `put` returns, the batch is committed, so a flush has nothing to do. What can pass by itself is tried again,
//! `flush.max.retries` times; then the worker hears of it and puts the batch again later, with the task RUNNING.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use tapline_api::record::SinkRecord;
use tapline_api::sink::{SinkContext, SinkTask};
use tapline_api::{Error, Kind, Result};
use tokio_util::sync::CancellationToken;

use crate::config::Evolution;
use crate::dialect::{self, Dialect, Failure, Remedy};
use crate::evolve;
use crate::options::Options;
use crate::planner::Planner;

#[derive(Default)]
pub(crate) struct Task(Option<Running>);

struct Running {
    planner: Planner,
    dialect: Box<dyn Dialect>,
    evolution: Evolution,
    /// Layouts whose table and columns are known to be there.
    ready: HashSet<u32>,
    retries: usize,
    delay: Duration,
    cancel: CancellationToken,
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, context: SinkContext) -> Result<()> {
        let options = Options::read(&context.config)?;
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
        self.0 = Some(Running {
            dialect,
            evolution: options.evolution,
            ready: HashSet::new(),
            retries: options.retries,
            delay: options.retry_delay,
            cancel: context.cancel,
            planner: Planner::new(options),
        });
        Ok(())
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()> {
        match &mut self.0 {
            Some(running) => running.put(batch).await,
            None => Err(Error::fatal("used before it was started")),
        }
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn stop(&mut self) {
        self.0 = None;
    }
}

impl Running {
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
        if self.dialect.connect().await? {
            self.ready.clear();
        }
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
        let resolved = self.planner.resolve(batch)?;
        let mut plan = self.planner.plan(batch, &resolved, strict)?;
        evolve::prepare(&mut *self.dialect, self.evolution, &mut self.ready, &mut plan).await?;
        let result = self.dialect.write(&plan).await;
        Ok(result.map_err(|mut failure| {
            // Record by record, the step that failed is the record.
            let step = failure
                .step
                .filter(|_| strict)
                .and_then(|step| plan.steps.get(step));
            if let Some(step) = step
                && failure.error.record().is_none()
            {
                failure.error = failure.error.at_record(step.record as usize);
            }
            failure
        }))
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
