//! What to do about a record that fails (`RetryWithToleranceOperator`): try again, let it go, or fail the task.
//!
//! `errors.tolerance=all` lets a record go whose data is at fault; `errors.log.enable` tells of it. A retriable
//! failure is tried again for `errors.retry.timeout`; with none set it goes to the task, which starts again.

use std::time::{Duration, Instant};

use tapline_api::config::Config;
use tapline_api::metrics::{Metric, Metrics};
use tapline_api::{Error, Kind, Result};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::status::TaskId;

/// Where a record failed (`Stage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In a transformation.
    Transformation,
    /// In the key's converter.
    KeyConverter,
    /// In the value's converter.
    ValueConverter,
    /// In the headers' converter.
    HeaderConverter,
    /// In the producer.
    KafkaProduce,
    /// In the sink.
    TaskPut,
}

impl Stage {
    /// As logs and the dead letter queue's headers name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
            Self::TaskPut => "TASK_PUT",
        }
    }
}

/// A record's failure: where, in which class, and what.
#[derive(Debug)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// The class that failed.
    pub class: String,
    /// What.
    pub error: Error,
}

/// A connector's `errors.*`, and figures about them.
#[derive(Clone)]
pub struct Tolerance {
    id: TaskId,
    tolerant: bool,
    log: bool,
    log_messages: bool,
    /// How long a retriable failure is tried again; `None` for ever.
    retry_timeout: Option<Duration>,
    retry_delay_max: Duration,
    failures: Metric,
    errors: Metric,
    skipped: Metric,
    retries: Metric,
    logged: Metric,
}

impl Tolerance {
    /// From a connector's configuration.
    pub fn new(id: &TaskId, connector: &Config, metrics: &Metrics) -> Self {
        let flag = |name| {
            connector
                .get(name)
                .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        let number = |name, default: i64| {
            let text: Option<&str> = connector.get(name);
            text.and_then(|text| text.trim().parse().ok()).unwrap_or(default)
        };
        let counter = |name, help| metrics.counter(name, help, &[]);
        Self {
            id: id.clone(),
            tolerant: connector
                .get("errors.tolerance")
                .is_some_and(|value| value.trim() == "all"),
            log: flag("errors.log.enable"),
            log_messages: flag("errors.log.include.messages"),
            retry_timeout: u64::try_from(number("errors.retry.timeout", 0))
                .ok()
                .map(Duration::from_millis),
            retry_delay_max: Duration::from_millis(
                u64::try_from(number("errors.retry.delay.max.ms", 60_000)).unwrap_or(60_000),
            ),
            failures: counter(
                "kafka_connect_task_error_total_record_failures",
                "Operations that failed.",
            ),
            errors: counter(
                "kafka_connect_task_error_total_record_errors",
                "Records that failed.",
            ),
            skipped: counter(
                "kafka_connect_task_error_total_records_skipped",
                "Records let go.",
            ),
            retries: counter(
                "kafka_connect_task_error_total_retries",
                "Operations tried again.",
            ),
            logged: counter("kafka_connect_task_error_total_errors_logged", "Failures logged."),
        }
    }

    /// Whether a record whose data is at fault may be let go.
    pub fn is_tolerant(&self) -> bool {
        self.tolerant
    }

    /// Whether a failed record is looked at again: to try it, or to tell of it.
    pub fn looks_back(&self) -> bool {
        self.retry_timeout != Some(Duration::ZERO) || (self.log && self.log_messages)
    }

    /// How long retriable failures are tried again; `None` for ever.
    pub fn retry_timeout(&self) -> Option<Duration> {
        self.retry_timeout
    }

    /// The longest wait between two tries.
    pub fn retry_delay_max(&self) -> Duration {
        self.retry_delay_max
    }

    /// An operation is tried again.
    pub fn retried(&self) {
        self.retries.add(1);
    }

    /// Runs an operation on a record, trying again as configured. Blocks between tries.
    pub fn run<T>(&self, cancel: &CancellationToken, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let mut backoff = Backoff::new(self.retry_delay_max);
        loop {
            let error = match operation() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let again = error.kind() == Kind::Retriable
                && !cancel.is_cancelled()
                && self
                    .retry_timeout
                    .is_none_or(|timeout| started.elapsed() < timeout);
            if !again {
                // Whoever decides about it counts it.
                return Err(error);
            }
            self.failures.add(1);
            self.retried();
            pause(backoff.wait(), cancel);
        }
    }

    /// Decides about a failed record: `Ok` lets it go, an error fails the task or, if retriable, starts it again.
    /// `record` says where the record lay or came from.
    pub fn decide(&self, failure: Failure, record: impl FnOnce() -> String) -> Result<Failure> {
        self.failures.add(1);
        self.errors.add(1);
        let retriable = failure.error.kind() == Kind::Retriable && self.retry_timeout == Some(Duration::ZERO);
        if self.log || self.tolerant {
            self.tell(&failure, record);
        }
        if retriable {
            return Err(failure.error);
        }
        // Java tolerates whatever a transformation or a converter throws; a configuration or a fatal error of ours
        // is about more than this record.
        let tolerable = matches!(failure.error.kind(), Kind::Data | Kind::Retriable);
        if self.tolerant && tolerable {
            self.skipped.add(1);
            return Ok(failure);
        }
        Err(Error::fatal("Tolerance exceeded in error handler").cause(failure.error))
    }

    fn tell(&self, failure: &Failure, record: impl FnOnce() -> String) {
        if !self.log {
            return tracing::debug!("a record of task {} is let go: {}", self.id, failure.error);
        }
        self.logged.add(1);
        let of = if self.log_messages {
            format!(", where {}", record())
        } else {
            String::new()
        };
        tracing::error!(
            "Error encountered in task {}. Executing stage '{}' with class '{}'{of}. {}",
            self.id,
            failure.stage.name(),
            failure.class,
            failure.error.trace().trim_end()
        );
    }
}

/// Waits on this thread, in steps short enough to hear of a cancellation.
pub fn pause(wait: Duration, cancel: &CancellationToken) {
    let until = Instant::now() + wait;
    while !cancel.is_cancelled() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left.min(Duration::from_millis(50)));
    }
}

#[cfg(test)]
mod tests {
    use tapline_api::metrics::Registry;

    use super::*;

    fn tolerance(options: &[(&str, &str)]) -> Tolerance {
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        Tolerance::new(
            &id,
            &options.iter().copied().collect(),
            &Registry::default().scope(&[]),
        )
    }

    fn failure(error: Error) -> Failure {
        Failure {
            stage: Stage::ValueConverter,
            class: "x.Converter".into(),
            error,
        }
    }

    #[test]
    fn without_tolerance_the_first_line_of_the_trace_is_that_of_kafka_connect() {
        let error = tolerance(&[])
            .decide(failure(Error::data("bad")), String::new)
            .unwrap_err();
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\
             Caused by: org.apache.kafka.connect.errors.DataException: bad\n"
        );
        assert_eq!(error.kind(), Kind::Fatal);
    }

    #[test]
    fn with_tolerance_a_bad_record_goes_and_a_bad_configuration_does_not() {
        let all = tolerance(&[("errors.tolerance", "all")]);
        assert!(all.decide(failure(Error::data("bad")), String::new).is_ok());
        assert!(all.decide(failure(Error::config("bad")), String::new).is_err());
        let error = all
            .decide(failure(Error::retriable("later")), String::new)
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Retriable);
    }

    #[test]
    fn a_retriable_failure_is_tried_again_for_as_long_as_configured() {
        let cancel = CancellationToken::new();
        let forever = tolerance(&[("errors.retry.timeout", "-1"), ("errors.retry.delay.max.ms", "2")]);
        let mut left = 5;
        let done = forever.run(&cancel, || {
            left -= 1;
            if left == 0 {
                Ok(())
            } else {
                Err(Error::retriable("later"))
            }
        });
        assert!(done.is_ok());
        let mut tries = 0;
        let failed: Result<()> = tolerance(&[]).run(&cancel, || {
            tries += 1;
            Err(Error::retriable("later"))
        });
        assert!(failed.is_err() && tries == 1);
    }
}
