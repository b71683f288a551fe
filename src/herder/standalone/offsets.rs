//! Reading, changing and forgetting positions (KIP-875).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tapline_api::Kind;
use tapline_api::connector::AnyConnector;
use tapline_api::offset::{CommittedOffsets, Offset, Partition};
use tapline_api::record::TopicPartition;
use tapline_api::sink::SinkConnector;
use tapline_api::source::SourceConnector;

use super::Standalone;
use crate::herder::{ConnectorOffset, Error, Result, TargetState};
use crate::plugins;
use crate::worker::backoff::Backoff;
use crate::worker::sink;

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

/// Whether positions are changed or forgotten; it is what the answer says.
#[derive(Clone, Copy)]
enum Verb {
    Altered,
    Reset,
}

impl Verb {
    /// The answer, when the connector keeps no positions elsewhere or has changed those too, or else when it may.
    fn message(self, all: bool) -> String {
        let (done, todo) = match self {
            Self::Altered => ("altered", "altered"),
            Self::Reset => ("reset", "reset"),
        };
        if all {
            format!("The offsets for this connector have been {done} successfully")
        } else {
            format!(
                "The Connect framework-managed offsets for this connector have been {done} successfully. However, if \
                 this connector manages offsets externally, they will need to be manually {todo} in the system that \
                 the connector uses."
            )
        }
    }
}

impl Standalone {
    pub(in crate::herder) async fn offsets(&self, name: &str) -> Result<Vec<ConnectorOffset>> {
        match self.plugin(name)? {
            AnyConnector::Source(_) => {
                let known = self.worker.offsets.all(name).into_iter();
                Ok(known
                    .map(|(partition, offset)| ConnectorOffset {
                        partition: (*partition.0).clone(),
                        offset: Some((*offset.0).clone()),
                    })
                    .collect())
            }
            AnyConnector::Sink(_) => {
                let group = self.group(name)?;
                let known = self.admin(name).group_offsets(&group).await?.into_iter();
                Ok(known.map(|(key, offset)| sink_offset(&key, offset)).collect())
            }
        }
    }

    pub(in crate::herder) async fn alter_offsets(
        &self,
        name: &str,
        offsets: Vec<ConnectorOffset>,
    ) -> Result<String> {
        if offsets.is_empty() {
            return Err(Error::BadRequest(
                "Partitions / offsets need to be provided for an alter offsets request".into(),
            ));
        }
        self.stopped(name)?;
        // Tasks that are still ending have it.
        let slot = self.slot(name);
        let _slot = slot.lock().await;
        self.stopped(name)?;
        let all = match self.plugin(name)? {
            AnyConnector::Source(source) => {
                let offsets = offsets.into_iter().map(|entry| {
                    (
                        Partition(Arc::new(entry.partition)),
                        entry.offset.map(|offset| Offset(Arc::new(offset))),
                    )
                });
                self.alter_source(name, source, offsets.collect()).await?
            }
            AnyConnector::Sink(sink) => {
                let offsets = offsets.iter().map(parse).collect::<Result<Vec<_>>>()?;
                self.alter_sink(name, sink, &offsets).await?
            }
        };
        Ok(Verb::Altered.message(all))
    }

    pub(in crate::herder) async fn reset_offsets(&self, name: &str) -> Result<String> {
        self.stopped(name)?;
        let slot = self.slot(name);
        let _slot = slot.lock().await;
        self.stopped(name)?;
        let all = match self.plugin(name)? {
            AnyConnector::Source(source) => {
                let known = self.worker.offsets.all(name).into_iter();
                let offsets = known.map(|(partition, _)| (partition, None)).collect();
                self.alter_source(name, source, offsets).await?
            }
            AnyConnector::Sink(sink) => {
                let group = self.group(name)?;
                let admin = self.admin(name);
                let known = admin.group_offsets(&group).await?.into_iter();
                let offsets: Vec<_> = known.map(|(key, _)| (key, None)).collect();
                let config = self.resolve(&self.connector(name)?.config)?;
                let all = sink.alter_offsets(&config, &offsets).await?;
                patiently(|| admin.delete_group(&group))
                    .await
                    .map_err(|error| busy(name, &error))?;
                all
            }
        };
        Ok(Verb::Reset.message(all))
    }

    async fn alter_source(
        &self,
        name: &str,
        source: &dyn SourceConnector,
        offsets: Vec<(Partition, Option<Offset>)>,
    ) -> Result<bool> {
        let config = self.resolve(&self.connector(name)?.config)?;
        let all = source.alter_offsets(&config, &offsets)?;
        if !offsets.is_empty() {
            self.worker
                .offsets
                .store(name, &CommittedOffsets(offsets))
                .await?;
        }
        Ok(all)
    }

    async fn alter_sink(
        &self,
        name: &str,
        sink: &dyn SinkConnector,
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<bool> {
        let config = self.resolve(&self.connector(name)?.config)?;
        let all = sink.alter_offsets(&config, offsets).await?;
        let group = self.group(name)?;
        let admin = self.admin(name);
        let set: Vec<_> = offsets
            .iter()
            .filter_map(|(key, offset)| Some((key.clone(), (*offset)?)))
            .collect();
        if offsets.iter().any(|(_, offset)| offset.is_none()) {
            // librdkafka's wrapper can't delete single offsets: the group is made anew with those that stay.
            let mut kept = admin.group_offsets(&group).await?;
            kept.retain(|(key, _)| !offsets.iter().any(|(altered, _)| altered == key));
            kept.extend(set);
            patiently(|| admin.delete_group(&group))
                .await
                .map_err(|error| busy(name, &error))?;
            admin.set_group_offsets(&group, &kept).await?;
        } else {
            patiently(|| admin.set_group_offsets(&group, &set))
                .await
                .map_err(|error| busy(name, &error))?;
        }
        Ok(all)
    }

    fn plugin(&self, name: &str) -> Result<AnyConnector> {
        let config = self.connector(name)?.config;
        let class = config.get("connector.class").unwrap_or_default();
        plugins::connector(class)
            .map(|plugin| plugin.connector)
            .ok_or_else(|| Error::BadRequest(format!("there is no connector {class}")))
    }

    fn group(&self, name: &str) -> Result<String> {
        Ok(sink::group(name, &self.connector(name)?.config))
    }

    fn stopped(&self, name: &str) -> Result<()> {
        let connector = self.connector(name)?;
        if connector.target == TargetState::Stopped && connector.tasks.is_empty() {
            return Ok(());
        }
        Err(Error::BadRequest(format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
             specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
        )))
    }
}

/// Tries for some seconds: the group's coordinator may not have heard yet that the last member left.
async fn patiently<F>(mut attempt: impl FnMut() -> F) -> tapline_api::Result<()>
where
    F: Future<Output = tapline_api::Result<()>>,
{
    let mut backoff = Backoff::new(Duration::from_secs(1));
    loop {
        match attempt().await {
            Err(error) if error.kind() == Kind::Retriable && backoff.attempts() < 10 => {
                tokio::time::sleep(backoff.wait()).await;
            }
            done => return done,
        }
    }
}

fn busy(name: &str, error: &tapline_api::Error) -> Error {
    Error::Internal(format!(
        "Failed to alter consumer group offsets for connector {name} either because its tasks haven't stopped \
         completely yet or the resources it uses are not available: {error}"
    ))
}

fn sink_offset(key: &TopicPartition, offset: i64) -> ConnectorOffset {
    let entries = |entries: &[(&str, Json)]| {
        entries
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect::<Map<_, _>>()
    };
    ConnectorOffset {
        partition: entries(&[(PARTITION, json!(key.partition)), (TOPIC, json!(&*key.topic))]),
        offset: Some(entries(&[(OFFSET, json!(offset))])),
    }
}

/// A sink's position of a request (`SinkUtils.parseSinkConnectorOffsets`).
fn parse(entry: &ConnectorOffset) -> Result<(TopicPartition, Option<i64>)> {
    let bad = |message: String| Error::BadRequest(message);
    let (Some(topic), Some(partition)) = (entry.partition.get(TOPIC), entry.partition.get(PARTITION)) else {
        return Err(bad(format!(
            "The partition for a sink connector offset must contain the keys '{TOPIC}' and '{PARTITION}'"
        )));
    };
    let topic = match topic {
        Json::String(topic) => topic.clone(),
        Json::Null => {
            return Err(bad(
                "Kafka topic names must be valid strings and may not be null".into()
            ));
        }
        other => other.to_string(),
    };
    let partition = number(partition).and_then(|n| i32::try_from(n).ok()).ok_or_else(|| {
        bad(format!("Failed to parse the Kafka partition: {partition} is no partition, Kafka partitions must be integers"))
    })?;
    let offset = match &entry.offset {
        None => None,
        Some(offset) => {
            let Some(offset) = offset.get(OFFSET) else {
                return Err(bad(format!(
                    "The offset for a sink connector should either be null or contain the key '{OFFSET}'"
                )));
            };
            Some(number(offset).filter(|n| *n >= 0).ok_or_else(|| {
                bad(format!(
                    "Failed to parse the Kafka offset: {offset} is no offset, Kafka offsets must be integers"
                ))
            })?)
        }
    };
    let key = TopicPartition {
        topic: topic.into(),
        partition,
    };
    Ok((key, offset))
}

/// A number, or one written as text.
fn number(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: Json, offset: Json) -> ConnectorOffset {
        ConnectorOffset {
            partition: partition.as_object().cloned().unwrap_or_default(),
            offset: offset.as_object().cloned(),
        }
    }

    #[test]
    fn a_sinks_positions_are_read_as_kafka_connect_reads_them() {
        let (key, offset) = parse(&entry(
            json!({"kafka_topic": "t", "kafka_partition": "3"}),
            json!({"kafka_offset": 7}),
        ))
        .unwrap();
        assert_eq!((&*key.topic, key.partition, offset), ("t", 3, Some(7)));
        let (_, offset) = parse(&entry(
            json!({"kafka_topic": "t", "kafka_partition": 3}),
            Json::Null,
        ))
        .unwrap();
        assert_eq!(offset, None);
        assert_eq!(
            parse(&entry(json!({"topic": "t"}), json!({"kafka_offset": 1})))
                .unwrap_err()
                .to_string(),
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"
        );
        assert!(
            parse(&entry(
                json!({"kafka_topic": "t", "kafka_partition": 0}),
                json!({"kafka_offset": -1})
            ))
            .is_err()
        );
        assert!(
            parse(&entry(
                json!({"kafka_topic": "t", "kafka_partition": 0}),
                json!({"offset": 1})
            ))
            .is_err()
        );
    }
}
