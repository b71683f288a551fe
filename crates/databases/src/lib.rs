//! Connecting to databases: settings, URLs, TLS modes, quoting, what an error means.
//!
//! A source, a sink and `doctor` reach a server through this crate alone, so that `sslmode`, time-outs and the question
//! "is it worth trying again?" have one answer each.

pub mod mysql;
mod net;
mod percent;
pub mod postgres;
mod tls;
