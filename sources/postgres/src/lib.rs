//! The Postgres change source: snapshot and logical replication.
#![allow(
    dead_code,
    unused_imports,
    reason = "the connector over these parts is being put together"
)]
mod copy;
mod lsn;
mod pgoutput;
mod value;
mod wire;
