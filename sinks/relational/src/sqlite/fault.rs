//! What a failure means and what may help.

use rusqlite::{Error as Theirs, ErrorCode};
use tapline_api::{Error, Kind};

use crate::dialect::{Failure, Remedy};
use crate::names::TableId;

/// SQLite's error, or ours.
#[derive(Debug)]
pub(super) enum Fault {
    Database(Theirs),
    Own(Error),
}

impl From<Theirs> for Fault {
    fn from(error: Theirs) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl Fault {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Own(error) => error,
            Self::Database(error) => {
                let kind = match remedy(&error) {
                    Remedy::Retry | Remedy::Reconnect => Kind::Retriable,
                    _ if is_config(&error) => Kind::Config,
                    _ => Kind::Fatal,
                };
                Error::fatal(error.to_string()).with_kind(kind)
            }
        }
    }

    /// With the remedy, in Debezium's words.
    pub(super) fn into_failure(self, step: Option<usize>, table: Option<&TableId>) -> Failure {
        match self {
            Self::Own(error) => Failure::own(error, step),
            Self::Database(error) => {
                let remedy = remedy(&error);
                let upsert = error.to_string().contains("ON CONFLICT clause does not match");
                let hint = upsert.then_some(
                    "insert.mode=upsert needs a unique index on exactly the columns of the key; add one, or set \
                     primary.key.fields",
                );
                Failure::of(remedy, step, table, hint, Self::Database(error).into_error())
            }
        }
    }
}

/// By the result code: <https://www.sqlite.org/rescode.html>
fn remedy(error: &Theirs) -> Remedy {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted) => {
            Remedy::Retry
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::DiskFull | ErrorCode::FileLockingProtocolFailed) => {
            Remedy::Reconnect
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            Remedy::OneByOne
        }
        Some(ErrorCode::SchemaChanged) => Remedy::Reread,
        _ if text.contains("no such table")
            || text.contains("no column named")
            || text.contains("no such column") =>
        {
            Remedy::Reread
        }
        _ => Remedy::None,
    }
}

fn is_config(error: &Theirs) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::NotADatabase
                | ErrorCode::AuthorizationForStatementDenied
        )
    )
}
