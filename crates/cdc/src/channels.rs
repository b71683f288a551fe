//! Where signals come from beside the database's own log: a file and a topic.
//!
//! The one part of this crate that does I/O. A channel that fails is logged and tried again: signals must not bring a
//! connector down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tapline_api::config::Config;
use tapline_api::topic_log::{LogTail, TopicLogs};
use tapline_api::{Error, Result};
use tokio::sync::mpsc;

use crate::signal::Signal;

/// How long to wait after a channel has failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Which channels are enabled, and where they are.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    /// `source`: a table of the database.
    pub source: bool,
    file: Option<(PathBuf, Duration)>,
    kafka: Option<Kafka>,
}

#[derive(Clone, Debug)]
struct Kafka {
    topic: String,
    clients: Config,
    /// `topic.prefix`: only records with this key are for us.
    connector: String,
}

/// A signal from outside the log; `offset` is its place in the signal topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The signal.
    pub signal: Signal,
    /// To be stored once the signal is dealt with.
    pub offset: Option<i64>,
}

impl Channels {
    /// From `signal.enabled.channels` and what belongs to each channel.
    ///
    /// # Errors
    /// A config error for a channel that is not there.
    pub fn new(config: &Config, prefix: &str, poll: Duration) -> Result<Self> {
        let mut channels = Self::default();
        let text = |name: &str| config.get(name).map(str::trim).filter(|text| !text.is_empty());
        let enabled = text("signal.enabled.channels").unwrap_or("source");
        for channel in enabled.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match channel {
                "source" => channels.source = true,
                "file" => {
                    let path = text("signal.file").unwrap_or("file-signals.txt");
                    channels.file = Some((path.into(), poll.max(Duration::from_millis(10))));
                }
                "kafka" => {
                    let mut clients = config.prefixed("signal.consumer.");
                    if let Some(servers) = text("signal.kafka.bootstrap.servers") {
                        clients.set("bootstrap.servers", servers);
                    }
                    let topic =
                        text("signal.kafka.topic").map_or_else(|| format!("{prefix}-signal"), str::to_owned);
                    channels.kafka = Some(Kafka {
                        topic,
                        clients,
                        connector: prefix.to_owned(),
                    });
                }
                other => {
                    return Err(Error::config(format!(
                        "The 'signal.enabled.channels' value is invalid: channel '{other}' is not there; source, kafka \
                         and file are"
                    )));
                }
            }
        }
        Ok(channels)
    }

    /// Whether signals may come from outside the database.
    pub fn has_outside(&self) -> bool {
        self.file.is_some() || self.kafka.is_some()
    }

    /// Hands over signals as they come, until nobody receives. `from` is the topic's offset to go on at.
    pub async fn listen(self, logs: Arc<dyn TopicLogs>, from: i64, to: mpsc::Sender<Outside>) {
        let file = async {
            match &self.file {
                Some((path, poll)) => follow_file(path, *poll, &to).await,
                None => std::future::pending().await,
            }
        };
        let topic = async {
            match &self.kafka {
                Some(kafka) => follow_topic(kafka, &*logs, from, &to).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = file => {}
            () = topic => {}
            () = to.closed() => {}
        }
    }
}

async fn follow_file(path: &PathBuf, poll: Duration, to: &mpsc::Sender<Outside>) {
    loop {
        match take_lines(path).await {
            Ok(text) => {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    let Some(signal) = Signal::from_json(line) else {
                        tracing::warn!(file = %path.display(), "a line is no signal, and is left out");
                        continue;
                    };
                    if to.send(Outside { signal, offset: None }).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, file = %path.display(), "the signal file can't be read"),
        }
        tokio::time::sleep(poll).await;
    }
}

/// Reads the file and empties it.
async fn take_lines(path: &PathBuf) -> std::io::Result<String> {
    match tokio::fs::read_to_string(path).await {
        Ok(text) if text.is_empty() => Ok(text),
        Ok(text) => {
            tokio::fs::write(path, b"").await?;
            Ok(text)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

async fn follow_topic(kafka: &Kafka, logs: &dyn TopicLogs, mut from: i64, to: &mpsc::Sender<Outside>) {
    loop {
        let mut tail = match open(kafka, logs, from).await {
            Ok(tail) => tail,
            Err(error) => {
                tracing::warn!(%error, topic = kafka.topic, "the signal topic can't be read");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        loop {
            let records = match tail.next().await {
                Ok(records) => records,
                Err(error) => {
                    tracing::warn!(%error, topic = kafka.topic, "the signal topic can't be read");
                    tokio::time::sleep(AGAIN).await;
                    break;
                }
            };
            for record in records.into_iter().filter(|record| record.partition == 0) {
                from = record.offset + 1;
                if record.key.as_deref() != Some(kafka.connector.as_bytes()) {
                    continue;
                }
                let signal = record
                    .value
                    .as_deref()
                    .and_then(|value| std::str::from_utf8(value).ok())
                    .and_then(Signal::from_json);
                let Some(signal) = signal else {
                    tracing::warn!(
                        topic = kafka.topic,
                        offset = record.offset,
                        "a record is no signal"
                    );
                    continue;
                };
                let offset = Some(record.offset);
                if to.send(Outside { signal, offset }).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn open(kafka: &Kafka, logs: &dyn TopicLogs, from: i64) -> Result<Box<dyn LogTail>> {
    let log = logs.open(&kafka.topic, &kafka.clients, None).await?;
    log.tail(&[(0, from)]).await
}
