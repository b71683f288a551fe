//! The task: renders a batch into one buffer, writes it at once, syncs at flush.

use std::io;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use tapline_api::record::SinkRecord;
use tapline_api::sink::{SinkContext, SinkTask};
use tapline_api::{Error, Result};

use crate::csv::Appended;
use crate::line::Line;
use crate::output::Output;
use crate::{CONFIG, FILE, FORMAT, ROTATE_BYTES, ROTATE_INTERVAL};

/// What is rendered before it is written, in bytes; a longer line goes out alone.
const BUFFER: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Task(Option<Running>);

struct Running {
    name: String,
    output: Output,
    line: Line,
    buffer: BytesMut,
    /// Whether something was written since the last sync.
    unsynced: bool,
    /// The path, unless it is the standard output.
    path: Option<String>,
    rotation: Rotation,
}

/// When a file is closed, and how far the present one is.
struct Rotation {
    /// Bytes; 0 for never.
    at: u64,
    every: Duration,
    written: u64,
    begun: SystemTime,
}

impl Rotation {
    fn is_due(&self) -> bool {
        let old = !self.every.is_zero() && self.begun.elapsed().is_ok_and(|age| age >= self.every);
        self.written > 0 && (old || (self.at > 0 && self.written >= self.at))
    }

    fn is_on(&self) -> bool {
        self.at > 0 || !self.every.is_zero()
    }
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, context: SinkContext) -> Result<()> {
        let config = CONFIG.parse(&context.config)?;
        let (name, output) = match config.text(FILE).filter(|file| !file.is_empty()) {
            None => ("stdout".to_owned(), Output::Stdout),
            Some(file) => {
                let output = Output::append_to(file.to_owned()).await.map_err(|error| {
                    Error::fatal(format!(
                        "Couldn't find or create file '{file}' for FileStreamSinkTask"
                    ))
                    .cause(error)
                })?;
                (file.to_owned(), output)
            }
        };
        let path = config
            .text(FILE)
            .filter(|file| !file.is_empty())
            .map(str::to_owned);
        let mut line = Line::new(config.required(FORMAT)?)?;
        let mut rotation = Rotation {
            at: u64::try_from(config.count(ROTATE_BYTES)?).unwrap_or(0),
            every: config.millis(ROTATE_INTERVAL)?,
            written: 0,
            begun: SystemTime::now(),
        };
        if let Some(path) = &path {
            let facts = Output::look(path.clone()).await;
            let (size, begun, first) =
                facts.map_err(|error| Error::fatal(format!("could not read {name}")).cause(error))?;
            (rotation.written, rotation.begun) = (size, begun);
            line.begin(&first);
        }
        self.0 = Some(Running {
            name,
            output,
            line,
            buffer: BytesMut::new(),
            unsynced: false,
            path,
            rotation,
        });
        Ok(())
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()> {
        let running = self.running()?;
        running.buffer.clear();
        running.rotate_if_due().await?;
        for (index, record) in batch.iter().enumerate() {
            let at_record = |error: Error| error.at_record(index);
            match running
                .line
                .append(record, &mut running.buffer)
                .map_err(at_record)?
            {
                Appended::Line => running.buffer.put_u8(b'\n'),
                Appended::Nothing => continue,
                Appended::NeedsAnotherHeader if running.rotation.is_on() => {
                    running.write().await?;
                    running.rotate().await?;
                    running
                        .line
                        .append(record, &mut running.buffer)
                        .map_err(at_record)?;
                    running.buffer.put_u8(b'\n');
                }
                Appended::NeedsAnotherHeader => {
                    let error = Error::data("the record has a field that the header of the file has not");
                    return Err(error
                        .hint("set rotate.bytes or rotate.interval.ms: then such a record begins a new file")
                        .at_record(index));
                }
            }
            if running.buffer.len() >= BUFFER || running.is_full() {
                running.write().await?;
                running.rotate_if_due().await?;
            }
        }
        running.write().await
    }

    async fn flush(&mut self) -> Result<()> {
        let running = self.running()?;
        if running.unsynced {
            running
                .output
                .sync()
                .await
                .map_err(|error| Error::fatal(format!("could not sync {}", running.name)).cause(error))?;
            running.unsynced = false;
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.0 = None;
    }
}

impl Task {
    fn running(&mut self) -> Result<&mut Running> {
        self.0
            .as_mut()
            .ok_or_else(|| Error::fatal("used before it was started"))
    }
}

impl Running {
    /// Whether what is rendered fills the file.
    fn is_full(&self) -> bool {
        let pending = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        self.rotation.at > 0 && self.rotation.written.saturating_add(pending) >= self.rotation.at
    }

    async fn rotate_if_due(&mut self) -> Result<()> {
        if self.rotation.is_due() {
            self.rotate().await?;
        }
        Ok(())
    }

    /// Closes the file under a number, and begins another.
    async fn rotate(&mut self) -> Result<()> {
        let Some(path) = self.path.clone() else {
            return Ok(());
        };
        let failed = |error: io::Error| Error::fatal(format!("could not rotate {path}")).cause(error);
        self.output.sync().await.map_err(failed)?;
        self.output = Output::rotate(path.clone()).await.map_err(failed)?;
        self.unsynced = false;
        self.rotation.written = 0;
        self.rotation.begun = SystemTime::now();
        self.line.begin("");
        Ok(())
    }

    /// Writes what is rendered. A failure is fatal, for a part of it may stand in the file.
    async fn write(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        self.rotation.written += u64::try_from(self.buffer.len()).unwrap_or(0);
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = self
            .output
            .write(buffer)
            .await
            .map_err(|error| Error::fatal(format!("could not write to {}", self.name)).cause(error))?;
        Ok(())
    }
}
