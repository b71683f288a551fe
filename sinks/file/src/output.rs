//! A file or the standard output, written on threads that may block.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use bytes::BytesMut;

/// An open output.
#[derive(Clone)]
pub(crate) enum Output {
    File(Arc<File>),
    Stdout,
}

impl Output {
    /// Opens a file for appending, creating it if missing.
    pub(crate) async fn append_to(path: String) -> io::Result<Self> {
        let file = blocking(move || OpenOptions::new().create(true).append(true).open(path)).await?;
        Ok(Self::File(Arc::new(file)))
    }

    /// Writes all of `lines` and gives the emptied buffer back.
    pub(crate) async fn write(&self, mut lines: BytesMut) -> io::Result<BytesMut> {
        let output = self.clone();
        blocking(move || {
            match output {
                Self::File(file) => (&*file).write_all(&lines)?,
                Self::Stdout => io::stdout().lock().write_all(&lines)?,
            }
            lines.clear();
            Ok(lines)
        })
        .await
    }

    /// Makes what was written survive a crash of the machine.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        let output = self.clone();
        blocking(move || match output {
            Self::File(file) => match file.sync_data() {
                // A pipe or a terminal has nothing to sync.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                    Ok(())
                }
                result => result,
            },
            Self::Stdout => io::stdout().lock().flush(),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
