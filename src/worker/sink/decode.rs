//! From bytes to records: converters, then transformations, with what fails let go or reported.

use std::sync::Arc;

use bytes::Bytes;
use tapline_api::record::{Header, Headers, Origin, SinkRecord, TopicPartition};
use tapline_api::{Error, Kind, Record, Result};
use tapline_transforms::TransformationChain;
use tokio_util::sync::CancellationToken;

use super::dead_letter::DeadLetters;
use super::events::Batch;
use crate::kafka::consumer::RawRecord;
use crate::worker::convert::{Converters, transformations};
use crate::worker::task::TaskContext;
use crate::worker::tolerance::{Failure, Stage, Tolerance};

pub(super) struct Decoder {
    converters: Converters,
    chain: TransformationChain,
    tolerance: Arc<Tolerance>,
    dead_letters: Option<Arc<DeadLetters>>,
    cancel: CancellationToken,
    same: SameHeaders,
}

/// A record's headers as they lay in a topic, and as they were read: mostly the next record's are the same.
#[derive(Default)]
struct SameHeaders {
    topic: Option<Arc<str>>,
    raw: Vec<(Arc<str>, Option<Bytes>)>,
    read: Headers,
}

impl SameHeaders {
    fn of(&self, raw: &RawRecord) -> Option<Headers> {
        let topic = self.topic.as_ref()?;
        let same = self.raw == raw.headers && (Arc::ptr_eq(topic, &raw.topic) || *topic == raw.topic);
        same.then(|| self.read.clone())
    }

    /// Copies, so that these few bytes don't keep alive all that were read with them.
    fn remember(&mut self, raw: &RawRecord, read: &Headers) {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let headers = raw.headers.iter();
        self.raw.clear();
        self.raw
            .extend(headers.map(|(key, value)| (key.clone(), value.as_ref().map(copy))));
        self.topic = Some(raw.topic.clone());
        self.read = read.clone();
    }
}

impl Decoder {
    pub(super) fn new(
        context: &TaskContext,
        tolerance: Arc<Tolerance>,
        dead_letters: Option<Arc<DeadLetters>>,
        ignored: &'static [&'static str],
    ) -> Result<Self> {
        let mut converters = Converters::new(&context.connector, &context.worker.config.raw)?;
        let chain = transformations(&context.connector)?;
        if chain.is_empty() {
            converters.value.ignore(ignored);
        }
        Ok(Self {
            converters,
            chain,
            tolerance,
            dead_letters,
            cancel: context.cancel.clone(),
            same: SameHeaders::default(),
        })
    }

    /// All records that can be read; the others are let go, or the first of them is the error.
    pub(super) fn batch(&mut self, raw: Vec<RawRecord>) -> Result<Batch> {
        let mut batch = Batch {
            records: Vec::with_capacity(raw.len()),
            ..Batch::default()
        };
        let mut last: Option<(TopicPartition, i64)> = None;
        for record in raw {
            // Records of a partition mostly come in runs.
            match &mut last {
                Some((key, next)) if key.partition == record.partition && key.topic == record.topic => {
                    *next = record.offset + 1;
                }
                _ => {
                    if let Some((key, next)) = last.take() {
                        batch.next.insert(key, next);
                    }
                    let key = TopicPartition {
                        topic: record.topic.clone(),
                        partition: record.partition,
                    };
                    last = Some((key, record.offset + 1));
                }
            }
            let decoded = match self.record(&record) {
                Err(failure) if failure.error.kind() == Kind::Retriable => self.again(&record, failure),
                decoded => decoded,
            };
            match decoded {
                Ok(Some(decoded)) => {
                    batch.records.push(decoded);
                    if self.dead_letters.is_some() {
                        batch.raw.push(record);
                    }
                }
                Ok(None) => {}
                Err(failure) => {
                    let failure = self.tolerance.decide(failure, || describe(&record))?;
                    if let Some(dead_letters) = &self.dead_letters {
                        dead_letters.send(&record, &failure)?;
                    }
                }
            }
        }
        if let Some((key, next)) = last {
            batch.next.insert(key, next);
        }
        Ok(batch)
    }

    /// The slow way, for a failure that may pass.
    fn again(&mut self, raw: &RawRecord, first: Failure) -> Result<Option<SinkRecord>, Failure> {
        let (tolerance, cancel) = (self.tolerance.clone(), self.cancel.clone());
        let mut place = (first.stage, first.class);
        let mut first = Some(first.error);
        tolerance
            .run(&cancel, || match first.take() {
                Some(error) => Err(error),
                None => self.record(raw).map_err(|failure| {
                    place = (failure.stage, failure.class);
                    failure.error
                }),
            })
            .map_err(|error| Failure {
                stage: place.0,
                class: place.1.clone(),
                error,
            })
    }

    fn headers(&mut self, raw: &RawRecord) -> Result<Headers, Failure> {
        if raw.headers.is_empty() {
            return Ok(Headers::default());
        }
        if let Some(headers) = self.same.of(raw) {
            return Ok(headers);
        }
        let converters = &mut self.converters;
        let mut headers = Vec::with_capacity(raw.headers.len());
        for (key, value) in &raw.headers {
            // A value that is a slice of the bytes must not keep alive all that were read with them.
            let value = value.as_ref().map(|value| Bytes::copy_from_slice(value));
            let read = converters.header.decode(&raw.topic, key, value);
            let (schema, value) = read.map_err(|error| {
                let class = converters.header_class;
                failed(raw, Stage::HeaderConverter, "headers", class, error)
            })?;
            headers.push(Header {
                key: key.clone(),
                schema,
                value,
            });
        }
        let headers = Headers::new(headers);
        self.same.remember(raw, &headers);
        Ok(headers)
    }

    fn record(&mut self, raw: &RawRecord) -> Result<Option<SinkRecord>, Failure> {
        let headers = self.headers(raw)?;
        let converters = &mut self.converters;
        let topic = &raw.topic;
        let (key_schema, key) = converters
            .key
            .decode(topic, &headers, raw.key.clone())
            .map_err(|error| failed(raw, Stage::KeyConverter, "key", converters.key_class, error))?;
        let (value_schema, value) = converters
            .value
            .decode(topic, &headers, raw.value.clone())
            .map_err(|error| failed(raw, Stage::ValueConverter, "value", converters.value_class, error))?;
        let origin = Origin {
            topic: topic.clone(),
            partition: raw.partition,
            offset: raw.offset,
            timestamp_type: raw.timestamp_type,
        };
        let record = Record {
            topic: topic.clone(),
            partition: Some(raw.partition),
            key_schema,
            key,
            value_schema,
            value,
            timestamp: raw.timestamp,
            headers,
        };
        if self.chain.is_empty() {
            return Ok(Some(SinkRecord { record, origin }));
        }
        let transformed = self
            .chain
            .apply(record, Some(&origin))
            .map_err(|failed| Failure {
                stage: Stage::Transformation,
                class: failed.class.to_owned(),
                error: located(raw, "Error transforming record of", failed.error),
            })?;
        Ok(transformed.map(|record| SinkRecord { record, origin }))
    }
}

fn failed(raw: &RawRecord, stage: Stage, what: &str, class: &str, error: Error) -> Failure {
    Failure {
        stage,
        class: class.to_owned(),
        error: located(raw, &format!("Error converting message {what} in"), error),
    }
}

/// Java logs where the record lay; here the trace says it too.
fn located(raw: &RawRecord, what: &str, error: Error) -> Error {
    let kind = error.kind();
    let message = format!(
        "{what} topic '{}' partition {} at offset {} and timestamp {}",
        raw.topic,
        raw.partition,
        raw.offset,
        raw.timestamp.unwrap_or(-1)
    );
    Error::data(message).cause(error).with_kind(kind)
}

/// Where a record lay, as logs say it.
pub(super) fn describe(raw: &RawRecord) -> String {
    format!(
        "consumed record is {{topic='{}', partition={}, offset={}, timestamp={}}}",
        raw.topic,
        raw.partition,
        raw.offset,
        raw.timestamp.unwrap_or(-1)
    )
}
