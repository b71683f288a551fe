//! What can go wrong, by who can mend it.
//!
//! An [`Error`] carries a [`Kind`], on which the worker alone decides, and the name of the Java exception that
//! Kafka Connect or Debezium would have thrown, because people's alerts and runbooks match on the first line of
//! a task's trace. Messages are written as Postgres writes them: lower-case, one sentence; a hint says the cure.

use std::fmt;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who can mend it, which decides what the worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The user's configuration; names the option. The connector or task fails.
    Config,
    /// This record's: `errors.tolerance` and the dead letter queue apply.
    Data,
    /// A lost connection, a restarting server, a lock timeout, a moved leader: tried again inside the task, which
    /// stays RUNNING.
    Retriable,
    /// Anything else: the task becomes FAILED with a trace.
    Fatal,
}

/// A failure with its kind, its Java name, a hint and its causes.
///
/// Never put a secret into a message: it goes to logs, REST answers and the status topic.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    exception: &'static str,
    message: String,
    hint: Option<String>,
    record: Option<usize>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: Kind, exception: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            exception,
            message: message.into(),
            hint: None,
            record: None,
            cause: None,
        }))
    }

    /// The user's configuration is wrong; `message` names the option.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(
            Kind::Config,
            "org.apache.kafka.common.config.ConfigException",
            message,
        )
    }

    /// One record can't be converted, transformed or written.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(
            Kind::Data,
            "org.apache.kafka.connect.errors.DataException",
            message,
        )
    }

    /// It may go well when tried again.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::new(
            Kind::Retriable,
            "org.apache.kafka.connect.errors.RetriableException",
            message,
        )
    }

    /// Trying again does not help.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(
            Kind::Fatal,
            "org.apache.kafka.connect.errors.ConnectException",
            message,
        )
    }

    /// Names the Java exception that stands first in the trace.
    #[must_use]
    pub fn exception(mut self, class: &'static str) -> Self {
        self.0.exception = class;
        self
    }

    /// What to do about it, in a sentence of its own.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What it came from.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Which record of the batch (by index) it is about, so that the worker can name topic, partition and offset.
    #[must_use]
    pub fn at_record(mut self, index: usize) -> Self {
        self.0.record = Some(index);
        self
    }

    /// Changes the kind, keeping all else.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Who can mend it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The Java exception's class name.
    pub fn exception_class(&self) -> &'static str {
        self.0.exception
    }

    /// The sentence, without hint and causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The index of the record in its batch, where known.
    pub fn record(&self) -> Option<usize> {
        self.0.record
    }

    /// The trace as REST and the status topic show it: `class: message`, the hint, then each cause.
    pub fn trace(&self) -> String {
        let mut out = format!("{}: {}", self.0.exception, self.0.message);
        if let Some(hint) = &self.0.hint {
            out.push_str("\n\tHint: ");
            out.push_str(hint);
        }
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            out.push_str("\nCaused by: ");
            match cause.downcast_ref::<Self>() {
                Some(error) => {
                    out.push_str(error.0.exception);
                    out.push_str(": ");
                    out.push_str(&error.0.message);
                    if let Some(hint) = &error.0.hint {
                        out.push_str("\n\tHint: ");
                        out.push_str(hint);
                    }
                }
                None => out.push_str(&cause.to_string()),
            }
            next = cause.source();
        }
        out.push('\n');
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(hint) = &self.0.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .cause
            .as_deref()
            .map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_names_the_exception_then_the_hint_then_each_cause() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::fatal("could not start")
            .hint("start the server")
            .cause(Error::retriable("no route").cause(io));
        assert_eq!(
            error.trace(),
            "org.apache.kafka.connect.errors.ConnectException: could not start\n\tHint: start the server\n\
             Caused by: org.apache.kafka.connect.errors.RetriableException: no route\n\
             Caused by: connection refused\n"
        );
    }
}
