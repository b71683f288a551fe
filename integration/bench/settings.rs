//! What the subjects are told: the same of codec, linger and batches for all of them, as the rows state.

use serde_json::{Value, json};

/// Two sets of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings {
    /// Big compressed batches.
    Tuned,
    /// Kafka Connect's, Debezium's and the Java clients' own.
    Default,
}

impl Settings {
    /// As the rows of a source state it.
    pub fn of_source(self) -> &'static str {
        match self {
            Settings::Tuned => {
                "tuned: lz4, linger 20 ms, batch 512 KiB, buffer 128 MiB; max.batch.size 20480, max.queue.size 81920, poll.interval.ms 50"
            }
            Settings::Default => {
                "default: no compression, else each one's own (Java: linger 5 ms, batch 16 KiB); max.batch.size 2048, max.queue.size 8192, poll.interval.ms 500"
            }
        }
    }

    /// Adds a source connector's.
    pub fn tune_source(self, config: &mut Value) {
        if self == Settings::Tuned {
            add(
                config,
                json!({
                    "max.batch.size": "20480",
                    "max.queue.size": "81920",
                    "poll.interval.ms": "50",
                    "producer.override.linger.ms": "20",
                    "producer.override.batch.size": "524288",
                    "producer.override.compression.type": "lz4",
                    "producer.override.buffer.memory": "134217728",
                }),
            );
        }
    }

    /// As the rows of a sink state it.
    pub fn of_sink(self) -> &'static str {
        match self {
            Settings::Tuned => {
                "tuned: batch.size 5000, max.poll.records 5000, fetch.min.bytes 100000, fetch.max.wait.ms 50, max.partition.fetch.bytes 10 MiB, use.reduction.buffer, batches rewritten by the driver"
            }
            Settings::Default => "default: batch.size 500, max.poll.records 500, fetch.min.bytes 1",
        }
    }

    /// Adds a JDBC sink connector's.
    pub fn tune_sink(self, config: &mut Value) {
        if self == Settings::Tuned {
            let url = config["connection.url"].as_str().unwrap();
            let rewriting = if url.starts_with("jdbc:mysql") {
                "rewriteBatchedStatements=true"
            } else {
                "reWriteBatchedInserts=true"
            };
            let separator = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{separator}{rewriting}");
            add(
                config,
                json!({
                    "connection.url": url,
                    "batch.size": "5000",
                    "use.reduction.buffer": "true",
                    "consumer.override.max.poll.records": "5000",
                    "consumer.override.fetch.min.bytes": "100000",
                    "consumer.override.fetch.max.wait.ms": "50",
                    "consumer.override.max.partition.fetch.bytes": "10485760",
                }),
            );
        }
    }
}

/// Merges `more` into `config`.
pub fn add(config: &mut Value, more: Value) {
    let Value::Object(more) = more else { unreachable!() };
    config.as_object_mut().expect("an object").extend(more);
}
