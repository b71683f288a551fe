//! Heartbeats: a record to a topic of its own every `heartbeat.interval.ms`.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant as Deadline};

use tapline_api::{Record, Schema, SchemaRef, Struct, Value};

use crate::clock::Instant;
use crate::naming::TopicNaming;

static KEY: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("io.debezium.connector.common.ServerNameKey")
        .version(1)
        .field("serverName", Schema::string().build())
        .build()
});

static VALUE: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("io.debezium.connector.common.Heartbeat")
        .version(1)
        .field("ts_ms", Schema::int64().build())
        .build()
});

/// Says when the next heartbeat is due, and what it looks like.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    interval: Duration,
    topic: Arc<str>,
    server: Value,
    due: Deadline,
}

impl Heartbeat {
    /// Every `interval`, first after one; `None` when it is zero.
    pub fn new(interval: Duration, naming: &TopicNaming, now: Deadline) -> Option<Self> {
        (!interval.is_zero()).then(|| Self {
            interval,
            topic: naming.heartbeat().into(),
            server: naming.prefix().to_owned().into(),
            due: now + interval,
        })
    }

    /// When the next one is due.
    pub fn due(&self) -> Deadline {
        self.due
    }

    /// The record, if one is due at `now`, which sets the time of the next.
    pub fn beat(&mut self, now: Deadline, at: Instant) -> Option<Record> {
        if now < self.due {
            return None;
        }
        self.due = now + self.interval;
        Some(self.record(at))
    }

    /// A record outside the rhythm, as after a snapshot.
    pub fn record(&self, at: Instant) -> Record {
        Record {
            partition: Some(0),
            key_schema: Some(KEY.clone()),
            key: Value::Struct(Struct::new(KEY.clone(), vec![self.server.clone()])),
            value_schema: Some(VALUE.clone()),
            value: Value::Struct(Struct::new(VALUE.clone(), vec![Value::Int64(at.millis())])),
            ..Record::new(self.topic.clone())
        }
    }
}
