//! What a failure means and what may help.

use tapline_api::Error;
use tapline_databases::postgres as database;

use crate::dialect::{Failure, Remedy};
use crate::names::TableId;

/// The server's error, or ours.
#[derive(Debug)]
pub(super) enum Fault {
    Database(database::Error),
    Own(Error),
}

impl From<database::Error> for Fault {
    fn from(error: database::Error) -> Self {
        Self::Database(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
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
            Self::Database(error) => error.into(),
            Self::Own(error) => error,
        }
    }

    /// Whether the rows are at fault, or may be.
    pub(super) fn is_of_rows(&self) -> bool {
        matches!(self, Self::Database(error) if remedy(error) == Remedy::OneByOne)
    }

    /// With the remedy, in Debezium's words.
    pub(super) fn into_failure(self, step: Option<usize>, table: Option<&TableId>) -> Failure {
        let error = match self {
            Self::Own(error) => return Failure::own(error, step),
            Self::Database(error) => error,
        };
        let remedy = remedy(&error);
        let hint = error.code().and_then(|code| hint(code.as_str()));
        Failure::of(remedy, step, table, hint, error.into())
    }
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn remedy(error: &database::Error) -> Remedy {
    let Some(code) = error.code() else {
        return if error.is_retriable() {
            Remedy::Reconnect
        } else {
            Remedy::None
        };
    };
    match code.as_str() {
        // serialization_failure, deadlock_detected, lock_not_available, query_canceled
        "40001" | "40P01" | "55P03" | "57014" => Remedy::Retry,
        // undefined_table, undefined_column, datatype_mismatch, duplicate_column, cached plan, statement is gone
        "42P01" | "42703" | "42804" | "42701" | "0A000" | "26000" => Remedy::Reread,
        // cardinality_violation: keys that we tell apart and the database does not; program_limit_exceeded: a row
        // that is too big for an index; raise_exception: a trigger's; with_check_option_violation
        "21000" | "54000" | "P0001" | "44000" => Remedy::OneByOne,
        // Data exceptions, integrity constraint violations.
        code if code.starts_with("22") || code.starts_with("23") => Remedy::OneByOne,
        _ if code.is_retriable() => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

fn hint(code: &str) -> Option<&'static str> {
    match code {
        "42P10" => Some(
            "insert.mode=upsert needs a unique index on exactly the columns of the key; add one, or set \
             primary.key.fields",
        ),
        "42846" => Some("change the column's type, or convert the field by a transformation"),
        "42501" => {
            Some("grant SELECT, INSERT, UPDATE, DELETE and TRUNCATE on the table to the connector's user")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Kind;
    use tapline_databases::postgres::{ServerError, SqlState};

    fn failure(code: &str) -> (Remedy, Kind) {
        let error = ServerError {
            severity: "ERROR".into(),
            code: SqlState::new(code),
            message: "no".into(),
            detail: None,
            hint: None,
        };
        let failure = Fault::Database(error.into()).into_failure(Some(0), None);
        (failure.remedy, failure.error.kind())
    }

    #[test]
    fn each_sqlstate_has_its_remedy() {
        for (code, remedy, kind) in [
            ("08006", Remedy::Reconnect, Kind::Retriable),
            ("57P01", Remedy::Reconnect, Kind::Retriable),
            ("40P01", Remedy::Retry, Kind::Retriable),
            ("55P03", Remedy::Retry, Kind::Retriable),
            ("42703", Remedy::Reread, Kind::Fatal),
            ("22003", Remedy::OneByOne, Kind::Data),
            ("23505", Remedy::OneByOne, Kind::Data),
            ("42501", Remedy::None, Kind::Config),
            ("42P10", Remedy::None, Kind::Fatal),
        ] {
            assert_eq!(failure(code), (remedy, kind), "{code}");
        }
    }

    #[test]
    fn a_lost_connection_is_made_anew() {
        let lost = database::Error::io("x", std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(
            Fault::from(lost).into_failure(None, None).remedy,
            Remedy::Reconnect
        );
    }
}
