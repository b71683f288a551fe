//! Where the bytes come from: a file at a position, or the process' standard input.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// An open input.
pub(crate) enum Input {
    /// A file; it is followed even when another one takes its name.
    File(Arc<File>),
    /// The standard input, which all tasks of the process share.
    Stdin(&'static Mutex<mpsc::Receiver<Bytes>>),
}

impl Input {
    /// Opens a file; `None` if there is none yet.
    pub(crate) async fn open(path: PathBuf) -> io::Result<Option<Self>> {
        match blocking(move || File::open(path)).await {
            Ok(file) => Ok(Some(Self::File(Arc::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The standard input.
    ///
    /// A thread of its own reads it, because a read can't be interrupted and would hold up the end of the runtime.
    pub(crate) fn stdin() -> Self {
        static STDIN: OnceLock<Mutex<mpsc::Receiver<Bytes>>> = OnceLock::new();
        Self::Stdin(STDIN.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(4);
            // It ends with the process, or with its input.
            let _ = std::thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || {
                    let mut buffer = vec![0; CHUNK];
                    while let Ok(read @ 1..) = io::stdin().read(&mut buffer) {
                        let chunk = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
                        if sender.blocking_send(chunk).is_err() {
                            break;
                        }
                    }
                });
            Mutex::new(receiver)
        }))
    }

    /// Reads on at `position`; empty when there is nothing (yet). Dropped while it waits, it has taken nothing.
    pub(crate) async fn read(&self, position: u64) -> io::Result<Bytes> {
        match self {
            Self::File(file) => {
                let file = file.clone();
                blocking(move || {
                    let mut buffer = vec![0; CHUNK];
                    let read = file.read_at(&mut buffer, position)?;
                    buffer.truncate(read);
                    Ok(buffer.into())
                })
                .await
            }
            Self::Stdin(receiver) => match receiver.lock().await.recv().await {
                Some(chunk) => Ok(chunk),
                // The input has ended: nothing will ever come.
                None => std::future::pending().await,
            },
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
