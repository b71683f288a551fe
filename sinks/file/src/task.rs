//! The task: renders a batch into one buffer, writes it at once, syncs at flush.

use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use tapline_api::record::SinkRecord;
use tapline_api::sink::{SinkContext, SinkTask};
use tapline_api::{Error, Result};

use crate::line::Line;
use crate::output::Output;
use crate::{CONFIG, FILE, FORMAT};

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
        self.0 = Some(Running {
            name,
            output,
            line: Line::new(config.required(FORMAT)?)?,
            buffer: BytesMut::new(),
            unsynced: false,
        });
        Ok(())
    }

    async fn put(&mut self, batch: &[SinkRecord]) -> Result<()> {
        let running = self.running()?;
        running.buffer.clear();
        for (index, record) in batch.iter().enumerate() {
            running
                .line
                .append(record, &mut running.buffer)
                .map_err(|error| error.at_record(index))?;
            running.buffer.put_u8(b'\n');
            if running.buffer.len() >= BUFFER {
                running.write().await?;
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
    /// Writes what is rendered. A failure is fatal, for a part of it may stand in the file.
    async fn write(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = self
            .output
            .write(buffer)
            .await
            .map_err(|error| Error::fatal(format!("could not write to {}", self.name)).cause(error))?;
        Ok(())
    }
}
