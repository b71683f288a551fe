//! What every change source shares: envelope, topic naming, filters, column mappers, transaction metadata, headers,
//! heartbeat.
//!
//! A source decodes its database's log; what a change looks like in a topic is decided here, once, so that Postgres and
//! MySQL can't drift apart. Nothing here does I/O or reads a clock, but for `channels`: times and ids come in as arguments.

pub mod channels;
pub mod check;
pub mod clock;
pub mod envelope;
pub mod filter;
pub mod headers;
pub mod heartbeat;
pub mod incremental;
pub mod intern;
pub mod java;
pub mod mapper;
pub mod metrics;
pub mod naming;
pub mod notification;
pub mod options;
pub mod signal;
pub mod signals;
pub mod snapshot;
pub mod transaction;
