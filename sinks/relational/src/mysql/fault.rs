//! What a failure means and what may help.

use tapline_api::Error;
use tapline_databases::mysql as database;

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

impl From<mysql_async::Error> for Fault {
    fn from(error: mysql_async::Error) -> Self {
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

    /// With the remedy, in Debezium's words.
    pub(super) fn into_failure(self, step: Option<usize>, table: Option<&TableId>) -> Failure {
        let error = match self {
            Self::Own(error) => return Failure::own(error, step),
            Self::Database(error) => error,
        };
        let remedy = remedy(&error);
        let hint = error.code().and_then(hint);
        Failure::of(remedy, step, table, hint, error.into())
    }
}

/// By the server's error number: <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html>
fn remedy(error: &database::Error) -> Remedy {
    let database::Error::Server(server) = error else {
        return if error.is_retriable() {
            Remedy::Reconnect
        } else {
            Remedy::None
        };
    };
    match server.code {
        // lock wait timeout, deadlock, interrupted, max_execution_time
        1205 | 1213 | 1317 | 3024 | 3572 => Remedy::Retry,
        // unknown table, unknown column, table definition changed, unknown table in a statement
        1146 | 1054 | 1051 | 1412 => Remedy::Reread,
        // A trigger's SIGNAL, no default, packet too large, truncated or wrong values, invalid JSON or geometry, no
        // partition for the value, a check constraint (MySQL, MariaDB).
        1644
        | 1364
        | 1153
        | 1265
        | 1366
        | 1367
        | 1411
        | 1416
        | 1526
        | 1690
        | 3140..=3160
        | 3819
        | 3903
        | 4025
        | 4079 => Remedy::OneByOne,
        _ if server.state.starts_with("22") || server.state.starts_with("23") => Remedy::OneByOne,
        _ if server.is_retriable() => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

fn hint(code: u16) -> Option<&'static str> {
    match code {
        1142 | 1143 => {
            Some("grant SELECT, INSERT, UPDATE, DELETE and DROP on the table to the connector's user")
        }
        1153 => Some("raise the server's max_allowed_packet"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Kind;

    fn failure(code: u16, state: &str) -> (Remedy, Kind) {
        let error = database::Error::Server(database::ServerError {
            code,
            state: state.to_owned(),
            message: "no".to_owned(),
        });
        let failure = Fault::from(error).into_failure(Some(0), None);
        (failure.remedy, failure.error.kind())
    }

    #[test]
    fn each_error_number_has_its_remedy() {
        for (code, state, remedy, kind) in [
            (1213, "40001", Remedy::Retry, Kind::Retriable),
            (1205, "HY000", Remedy::Retry, Kind::Retriable),
            (1053, "08S01", Remedy::Reconnect, Kind::Retriable),
            (1146, "42S02", Remedy::Reread, Kind::Fatal),
            (1406, "22001", Remedy::OneByOne, Kind::Data),
            (1062, "23000", Remedy::OneByOne, Kind::Data),
            (1366, "HY000", Remedy::OneByOne, Kind::Data),
            (1142, "42000", Remedy::None, Kind::Config),
        ] {
            assert_eq!(failure(code, state), (remedy, kind), "{code}");
        }
    }
}
