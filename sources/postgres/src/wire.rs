//! The wire protocol, as far as a change source needs it: log in, simple queries, `COPY … TO STDOUT`, and replication.
//!
//! Ours and not tokio-postgres', which knows neither `replication=database` nor CopyBoth, and which hands over rows one
//! channel message at a time. Here one read brings as many messages as have gathered, as one [`bytes::Bytes`].

mod connection;
mod frames;

pub(crate) use connection::{Connection, Role, Row, copy_error};
pub(crate) use frames::{Block, Frame, Frames};
