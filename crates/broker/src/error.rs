//! What can keep the broker from opening or going on. Errors of a single request are Kafka's error codes, never these.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the broker as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the data folder.
    #[error(
        "data folder {0} is in use by another process: stop it, or give this one a folder of its own with --data-dir"
    )]
    Locked(PathBuf),
    /// The listener can't be bound.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// A file or folder can't be read or written.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    File(PathBuf, #[source] io::Error),
    /// The small state (topics, group positions, producer ids) can't be read or written.
    #[error("state in the data folder: {0}")]
    State(String),
}

impl Error {
    /// `map_err(Error::file(path))`
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::File(path.as_ref().to_owned(), error)
    }
}
