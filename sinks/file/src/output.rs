//! A file or the standard output, written on threads that may block.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::BytesMut;

/// The longest header that is read.
const MAX_HEADER: u64 = 1 << 20;

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

    /// The size of a file, when it was begun (as far as the file system knows) and its first line.
    pub(crate) async fn look(path: String) -> io::Result<(u64, SystemTime, String)> {
        blocking(move || {
            let facts = std::fs::metadata(&path)?;
            // A pipe or a terminal must not be read.
            if !facts.is_file() {
                return Ok((0, SystemTime::now(), String::new()));
            }
            let file = File::open(&path)?;
            let begun = facts
                .created()
                .or_else(|_| facts.modified())
                .unwrap_or_else(|_| SystemTime::now());
            let mut line = String::new();
            BufReader::new(file.take(MAX_HEADER)).read_line(&mut line)?;
            Ok((facts.len(), begun, line))
        })
        .await
    }

    /// Gives the file at `path` the next free number, `PATH.000001` and so on, and begins a new one.
    pub(crate) async fn rotate(path: String) -> io::Result<Self> {
        let old = path.clone();
        blocking(move || {
            let name = Path::new(&old);
            let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
            let prefix = format!("{}.", name.file_name().unwrap_or_default().to_string_lossy());
            let mut last = 0;
            for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
                let entry = entry?.file_name();
                let number = entry
                    .to_str()
                    .and_then(|entry| entry.strip_prefix(&prefix)?.parse::<u64>().ok());
                last = last.max(number.unwrap_or(0));
            }
            std::fs::rename(&old, format!("{old}.{:06}", last + 1))
        })
        .await?;
        Self::append_to(path).await
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
