//! Where a source's records go: our own producer where it can do what is configured, librdkafka's where not.

use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;
use tapline_api::{Record, Result};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::pipeline::failure;
use crate::kafka::producer::{self, Batch};
use crate::kafka::wire;
use crate::worker::convert::{Converters, HeaderEncoder};
use crate::worker::tolerance::{Failure, Stage};

/// One of the two producers, with the headers as it wants them.
pub(super) enum Outlet {
    Own(Box<wire::Producer>, HeaderEncoder<wire::Headers>),
    Librdkafka(producer::Producer, HeaderEncoder<OwnedHeaders>),
}

/// A converted key and value.
#[derive(Clone, Copy)]
pub(super) struct Converted<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    /// When its batch was converted, in milliseconds since the epoch.
    pub(super) at: i64,
}

impl Outlet {
    pub(super) fn new(config: &ClientConfig) -> Result<Self> {
        Ok(match wire::Producer::new(config, &Handle::current()) {
            Some(producer) => Self::Own(Box::new(producer), HeaderEncoder::default()),
            None => Self::Librdkafka(producer::Producer::new(config)?, HeaderEncoder::default()),
        })
    }

    /// Hands a record over. Waits while there is no room, unless cancelled (`Ok(false)`).
    pub(super) fn send(
        &mut self,
        batch: &Batch,
        record: &Record,
        converted: Converted<'_>,
        converters: &mut Converters,
        cancel: &CancellationToken,
    ) -> Result<bool, Failure> {
        let Converted { key, value, at } = converted;
        let (partition, timestamp) = (record.partition, record.timestamp);
        let header = &mut *converters.header;
        let sent = match self {
            Self::Own(producer, headers) => {
                let headers = headers
                    .encode(header, &record.topic, &record.headers)
                    .map_err(|error| failure(Stage::HeaderConverter, converters.header_class, error))?;
                let outgoing = wire::Outgoing {
                    topic: &record.topic,
                    partition,
                    key,
                    value,
                    timestamp: timestamp.unwrap_or(at),
                    headers,
                };
                producer.send(batch, outgoing, cancel)
            }
            Self::Librdkafka(producer, headers) => {
                let headers = headers
                    .encode(header, &record.topic, &record.headers)
                    .map_err(|error| failure(Stage::HeaderConverter, converters.header_class, error))?;
                let outgoing = producer::Outgoing {
                    topic: &record.topic,
                    partition,
                    key,
                    value,
                    timestamp,
                    headers,
                };
                producer.send(batch, outgoing, cancel)
            }
        };
        sent.map_err(|error| {
            failure(
                Stage::KafkaProduce,
                "org.apache.kafka.clients.producer.KafkaProducer",
                error,
            )
        })
    }

    /// When what waits for `linger.ms` must be flushed; librdkafka sees to that itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Own(producer, _) => producer.due(),
            Self::Librdkafka(..) => None,
        }
    }

    /// Sends what waits for `linger.ms`. Waits while there is no room, unless cancelled (`Ok(false)`).
    pub(super) fn flush(&mut self, cancel: &CancellationToken) -> Result<bool> {
        match self {
            Self::Own(producer, _) => producer.flush(cancel),
            Self::Librdkafka(..) => Ok(true),
        }
    }

    /// Records that are not yet settled.
    pub(super) fn in_flight(&self) -> usize {
        match self {
            Self::Own(producer, _) => producer.in_flight(),
            Self::Librdkafka(producer, _) => producer.in_flight(),
        }
    }
}
