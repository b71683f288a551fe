//! The task: reads on, cuts lines, remembers where.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde_json::Value as Json;
use tapline_api::offset::{CommittedOffsets, Offset, OffsetMark, Partition, SourceBatch};
use tapline_api::source::{SourceContext, SourceTask};
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Value};

use crate::input::Input;
use crate::lines::{Lines, MAX_LINE};
use crate::{BATCH_SIZE, CONFIG, FILE, TOPIC};

pub(crate) const FILENAME: &str = "filename";
pub(crate) const POSITION: &str = "position";

/// Looks for more after this long, then twice as long, up to the second that Kafka's task waits.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Bytes that one batch holds at most, whatever `batch.size` says.
const BATCH_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(crate) struct Task(Option<Running>);

struct Running {
    file: Option<PathBuf>,
    partition: Partition,
    topic: Arc<str>,
    schema: SchemaRef,
    batch_size: usize,
    input: Option<Input>,
    lines: Lines,
    /// Behind the last line returned; what waits in `lines` comes after it.
    position: u64,
    wait: Duration,
}

#[async_trait]
impl SourceTask for Task {
    async fn start(&mut self, context: SourceContext) -> Result<()> {
        let config = CONFIG.parse(&context.config)?;
        let file = config.text(FILE).filter(|file| !file.is_empty());
        let name = file.map_or(Json::Null, |file| Json::String(file.to_owned()));
        let partition = Partition::new([(FILENAME.to_owned(), name)]);
        let position = match file {
            Some(_) => stored_position(&context, &partition).await?,
            None => 0,
        };
        self.0 = Some(Running {
            input: file.is_none().then(Input::stdin),
            file: file.map(PathBuf::from),
            partition,
            topic: config.required(TOPIC)?.into(),
            schema: Schema::string().build(),
            batch_size: config.count(BATCH_SIZE)?.max(1),
            lines: Lines::default(),
            position,
            wait: FIRST_WAIT,
        });
        Ok(())
    }

    async fn poll(&mut self) -> Result<SourceBatch> {
        match &mut self.0 {
            Some(running) => running.poll().await,
            None => Err(Error::fatal("polled before it was started")),
        }
    }

    async fn commit(&mut self, _offsets: &CommittedOffsets) -> Result<()> {
        Ok(())
    }

    async fn stop(&mut self) {
        self.0 = None;
    }
}

async fn stored_position(context: &SourceContext, partition: &Partition) -> Result<u64> {
    let stored = context.offsets.offset(partition).await?;
    match stored.as_ref().and_then(|offset| offset.get(POSITION)) {
        None | Some(Json::Null) => Ok(0),
        Some(position) => position
            .as_u64()
            .ok_or_else(|| Error::fatal("Offset position is the incorrect type")),
    }
}

impl Running {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            let batch = self.cut();
            if !batch.records.is_empty() {
                self.wait = FIRST_WAIT;
                return Ok(batch);
            }
            if self.lines.len() > MAX_LINE {
                return Err(Error::fatal(format!(
                    "the line at position {} of {} is longer than {MAX_LINE} bytes",
                    self.position,
                    self.shown()
                )));
            }
            if !self.read().await? {
                tokio::time::sleep(self.wait).await;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
            }
        }
    }

    /// Reads once; whether anything came. Nothing is changed before the last await.
    async fn read(&mut self) -> Result<bool> {
        let failed = |what: &str, error| Error::fatal(format!("Error while trying to {what}")).cause(error);
        let input = match (&self.input, &self.file) {
            (Some(input), _) => input,
            (None, Some(path)) => {
                let opened = Input::open(path.clone())
                    .await
                    .map_err(|error| failed(&format!("open file {}", self.shown()), error))?;
                // It may be created later.
                let Some(input) = opened else { return Ok(false) };
                self.input.insert(input)
            }
            (None, None) => return Ok(false),
        };
        let chunk = input
            .read(self.position + self.lines.len() as u64)
            .await
            .map_err(|error| failed(&format!("read {}", self.shown()), error))?;
        self.lines.push(&chunk);
        Ok(!chunk.is_empty())
    }

    /// A batch of the lines that are there.
    fn cut(&mut self) -> SourceBatch {
        let mut batch = SourceBatch::default();
        let timestamp = now();
        while batch.records.len() < self.batch_size && batch.bytes < BATCH_BYTES {
            let Some((line, taken)) = self.lines.next() else {
                break;
            };
            self.position += taken as u64;
            let record = Record {
                value_schema: Some(self.schema.clone()),
                value: Value::String(line),
                timestamp: Some(timestamp),
                ..Record::new(self.topic.clone())
            };
            batch.bytes += record.size();
            batch.records.push(record);
        }
        if !batch.records.is_empty() {
            let position = match self.file {
                Some(_) => self.position.into(),
                None => Json::Null,
            };
            batch.marks.push(OffsetMark {
                after: batch.records.len(),
                partition: self.partition.clone(),
                offset: Some(Offset::new([(POSITION.to_owned(), position)])),
            });
        }
        batch
    }

    fn shown(&self) -> String {
        self.file
            .as_ref()
            .map_or_else(|| "stdin".to_owned(), |path| path.display().to_string())
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use tapline_api::config::Config;
    use tapline_api::metrics::Registry;
    use tapline_api::source::OffsetReader;
    use tapline_api::topic_log::{NewTopic, TopicLog, TopicLogs};
    use tokio_util::sync::CancellationToken;

    /// Offsets as one map; there are no logs to open.
    struct Stored(Option<u64>);

    #[async_trait]
    impl OffsetReader for Stored {
        async fn offset(&self, _: &Partition) -> Result<Option<Offset>> {
            Ok(self
                .0
                .map(|position| Offset::new([(POSITION.to_owned(), position.into())])))
        }
    }

    #[async_trait]
    impl TopicLogs for Stored {
        async fn open(&self, topic: &str, _: &Config, _: Option<NewTopic>) -> Result<Arc<dyn TopicLog>> {
            Err(Error::fatal(format!("no log {topic}")))
        }
    }

    async fn started(file: &std::path::Path, position: Option<u64>) -> Task {
        let mut task = Task::default();
        task.start(SourceContext {
            connector: "c".into(),
            task: 0,
            config: Config::from_iter([
                ("file", file.to_str().unwrap()),
                ("topic", "t"),
                ("batch.size", "2"),
            ]),
            offsets: Arc::new(Stored(position)),
            logs: Arc::new(Stored(None)),
            metrics: Registry::default().scope(&[]),
            cancel: CancellationToken::new(),
        })
        .await
        .unwrap();
        task
    }

    fn lines(batch: &SourceBatch) -> (Vec<&str>, u64) {
        let offset = batch.marks.last().unwrap().offset.as_ref().unwrap();
        (
            batch.records.iter().map(|r| r.value.as_str().unwrap()).collect(),
            offset.get(POSITION).unwrap().as_u64().unwrap(),
        )
    }

    #[tokio::test]
    async fn a_file_is_followed_as_it_appears_and_grows_and_a_restart_goes_on_where_it_was() {
        let folder = std::env::temp_dir().join(format!("tapline-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("in.txt");
        let _ = std::fs::remove_file(&path);
        let mut task = started(&path, None).await;
        // Dropped while it waits for the file, a poll loses nothing.
        let waited = tokio::time::timeout(Duration::from_millis(20), task.poll()).await;
        assert!(waited.is_err());
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all("one\nzwölf\nthree\nfo".as_bytes()).unwrap();
        assert_eq!(lines(&task.poll().await.unwrap()), (vec!["one", "zwölf"], 11));
        assert_eq!(lines(&task.poll().await.unwrap()), (vec!["three"], 17));
        let mut restarted = started(&path, Some(11)).await;
        file.write_all(b"ur\n").unwrap();
        assert_eq!(lines(&task.poll().await.unwrap()), (vec!["four"], 22));
        assert_eq!(
            lines(&restarted.poll().await.unwrap()),
            (vec!["three", "four"], 22)
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
