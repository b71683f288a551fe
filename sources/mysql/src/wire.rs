//! MySQL's client protocol, as far as a change source needs it: log-in, text queries, the binlog dump.
//!
//! Our own, because a row and an event shall borrow from what one read brought, and because a client library's binlog
//! stream decompresses without a limit and drops what it can't decode. Log-in plugins are mysql_common's.

mod auth;
mod connection;
mod frames;

pub(crate) use connection::{Connection, TextFields, server_error};
pub(crate) use frames::Block;
