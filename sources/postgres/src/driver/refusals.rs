//! What a run says when it can't begin, or not go on.

use tapline_api::{self as api, Error, Result};
use tapline_databases::postgres;

use crate::catalog::Server;
use crate::config::Options;
use crate::lsn::Lsn;

/// Logical decoding needs its `wal_level`.
pub(crate) fn require_logical(server: &Server) -> Result<()> {
    if server.wal_level == "logical" {
        return Ok(());
    }
    Err(Error::config(format!(
        "Postgres server wal_level property must be 'logical' but is: '{}'",
        server.wal_level
    ))
    .hint("run ALTER SYSTEM SET wal_level = logical, and restart the server"))
}

pub(super) fn no_walsender(error: postgres::Error, user: &str) -> Error {
    let (text, denied) = (error.to_string(), error.is("42501"));
    let converted = Error::from(error);
    if text.contains("max_wal_senders") {
        return converted.hint("raise max_wal_senders");
    }
    if denied {
        return converted.hint(format!(
            "database.user needs the right to replicate: ALTER ROLE {} REPLICATION",
            postgres::identifier(user)
        ));
    }
    converted
}

pub(super) fn failed_to_start(options: &Options, from: Lsn, error: postgres::Error) -> Error {
    let hint = match error.code().map(|code| code.as_str().to_owned()).as_deref() {
        Some("42704") => Some(format!(
            "slot '{}' or publication '{}' is missing",
            options.slot, options.publication
        )),
        Some("55000") => Some(format!(
            "slot '{}' can't be used any more: drop it, reset the connector's offsets and start it",
            options.slot
        )),
        _ => None,
    };
    let converted = Error::from(error);
    let kind = converted.kind();
    let text = format!(
        "Failed to start replication stream at {from}: {}",
        converted.message()
    );
    let failed = Error::fatal(text)
        .exception("io.debezium.DebeziumException")
        .with_kind(kind);
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// An event that can't be made stops Debezium's producer, whatever `errors.tolerance` says.
pub(super) fn as_producers(error: Error) -> Error {
    if error.kind() != api::Kind::Data {
        return error;
    }
    Error::fatal("An exception occurred in the change event producer. This connector will be stopped.")
        .cause(error)
}
