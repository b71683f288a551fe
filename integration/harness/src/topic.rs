//! Looking into topics with librdkafka, from outside: of Apache Kafka and of the embedded broker alike.

use crate::eventually;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The key as JSON; `null` for none.
    pub fn key_json(&self) -> serde_json::Value {
        json(self.key.as_deref())
    }

    /// The value as JSON; `null` for a tombstone.
    pub fn value_json(&self) -> serde_json::Value {
        json(self.value.as_deref())
    }
}

fn json(bytes: Option<&[u8]>) -> serde_json::Value {
    bytes.map_or(serde_json::Value::Null, |bytes| {
        serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
    })
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "harness")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "false")
        .set("fetch.wait.max.ms", "50")
        .create()
        .expect("a consumer")
}

/// The names of the cluster's topics, sorted.
pub fn topic_names(bootstrap: &str) -> Vec<String> {
    let metadata = consumer(bootstrap)
        .fetch_metadata(None, PATIENCE)
        .expect("metadata");
    let mut names: Vec<String> = metadata
        .topics()
        .iter()
        .map(|topic| topic.name().to_owned())
        .collect();
    names.sort();
    names
}

/// Makes a topic; panics when it can't.
pub fn create_topic(bootstrap: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    create_topics(bootstrap, &[name], partitions, settings);
}

/// Makes topics in one request; panics when it can't.
pub fn create_topics(bootstrap: &str, names: &[&str], partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("an admin client");
    let topic = |name| {
        settings.iter().fold(
            NewTopic::new(name, partitions, TopicReplication::Fixed(1)),
            |topic, (key, value)| topic.set(key, value),
        )
    };
    let topics: Vec<NewTopic<'_>> = names.iter().map(|name| topic(name)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let results = runtime
        .block_on(admin.create_topics(&topics, &AdminOptions::new().operation_timeout(Some(PATIENCE))))
        .expect("an answer");
    for result in results {
        result.unwrap_or_else(|(topic, code)| panic!("{topic}: {code}"));
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = eventually("metadata", PATIENCE, || {
        let found = consumer.fetch_metadata(Some(topic), PATIENCE);
        found.map_err(|error| error.to_string())
    });
    metadata
        .topics()
        .iter()
        .flat_map(|t| t.partitions().iter().map(|p| p.id()))
        .collect()
}

/// Which broker leads each of the topic's partitions, as a broker of `bootstrap` says; -1 where none does.
pub fn leaders(bootstrap: &str, topic: &str) -> Vec<i32> {
    let consumer = consumer(bootstrap);
    let metadata = eventually("metadata", PATIENCE, || {
        let found = consumer.fetch_metadata(Some(topic), PATIENCE);
        found.map_err(|error| error.to_string())
    });
    let topics = metadata.topics().iter();
    topics
        .flat_map(|t| t.partitions().iter().map(|p| p.leader()))
        .collect()
}

/// How many brokers a broker of `bootstrap` knows.
pub(crate) fn broker_count(bootstrap: &str) -> usize {
    let metadata = consumer(bootstrap).fetch_metadata(None, PATIENCE);
    metadata.map_or(0, |metadata| metadata.brokers().len())
}

/// How many offsets the topic has given out, over all its partitions; 0 when there is no such topic.
pub fn end_offset(bootstrap: &str, topic: &str) -> i64 {
    end_offsets(bootstrap, &[topic]).iter().sum()
}

/// As [`end_offset`], of several topics by one consumer, since making one is most of the time.
pub fn end_offsets(bootstrap: &str, topics: &[&str]) -> Vec<i64> {
    let consumer = consumer(bootstrap);
    let end = |topic: &&str| {
        partitions(&consumer, topic)
            .iter()
            .map(|&p| {
                consumer
                    .fetch_watermarks(topic, p, PATIENCE)
                    .map_or(0, |(_, high)| high)
            })
            .sum()
    };
    topics.iter().map(end).collect()
}

/// Every record the topic holds now, partition by partition.
pub fn read_topic(bootstrap: &str, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    scan_topic(bootstrap, topic, |record| records.push(record));
    records.sort_by_key(|r| (r.partition, r.offset));
    records
}

/// Hands every record that the topic holds now to `each`, in order within a partition. Panics when a record that
/// must be there does not come.
pub fn scan_topic(bootstrap: &str, topic: &str, mut each: impl FnMut(Record)) {
    let consumer = consumer(bootstrap);
    let mut ends = Vec::new();
    let mut assignment = TopicPartitionList::new();
    for p in partitions(&consumer, topic) {
        // A partition may be on its way to another broker.
        let (low, high) = eventually("watermarks", PATIENCE, || {
            let found = consumer.fetch_watermarks(topic, p, PATIENCE);
            found.map_err(|error| error.to_string())
        });
        if high > low {
            assignment
                .add_partition_offset(topic, p, Offset::Offset(low))
                .expect("an offset");
            ends.push((p, high));
        }
    }
    consumer.assign(&assignment).expect("assigned");
    let mut last = Instant::now();
    while !ends.is_empty() {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                last = Instant::now();
                ends.retain(|&(p, high)| p != message.partition() || message.offset() + 1 < high);
                each(record(&message));
            }
            Some(Err(e)) => assert!(last.elapsed() < PATIENCE, "{topic}: {e}"),
            None => {
                // a compacted or transactional partition may end in an offset that holds no record
                let position = consumer.position().expect("a position");
                ends.retain(|&(p, high)| {
                    let at = position.find_partition(topic, p).map(|e| e.offset());
                    !matches!(at, Some(Offset::Offset(at)) if at >= high)
                });
                assert!(
                    last.elapsed() < PATIENCE * 3,
                    "{topic}: no record for {:?}, ends {ends:?}",
                    PATIENCE * 3
                );
            }
        }
    }
}

fn record(message: &impl Message) -> Record {
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                .collect()
        }),
    }
}

/// Writes one record and waits until it is acknowledged.
pub fn produce(bootstrap: &str, topic: &str, key: Option<&[u8]>, value: &[u8]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("a producer");
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(value);
    record.key = key;
    producer
        .send(record)
        .map_err(|(e, _)| e)
        .expect("room in the queue");
    producer.flush(PATIENCE).expect("acknowledged");
}

/// Writes records without keys, each once, and waits until all are acknowledged.
pub fn produce_all(bootstrap: &str, topic: &str, values: impl Iterator<Item = Vec<u8>>) {
    produce_each(bootstrap, topic, values.map(|value| (None, value)));
}

/// The same with keys and values.
pub fn produce_keyed(bootstrap: &str, topic: &str, records: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) {
    produce_each(bootstrap, topic, records.map(|(key, value)| (Some(key), value)));
}

fn produce_each(bootstrap: &str, topic: &str, records: impl Iterator<Item = (Option<Vec<u8>>, Vec<u8>)>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    for (key, value) in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(&value);
        record.key = key.as_deref();
        while let Err((error, back)) = producer.send(record) {
            assert!(
                matches!(
                    error.rdkafka_error_code(),
                    Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
                ),
                "{error}"
            );
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(PATIENCE * 6).expect("acknowledged");
}

/// Reads the topic again until it holds at least `count` records, and gives them.
pub fn wait_for_records(bootstrap: &str, topic: &str, count: usize, deadline: Duration) -> Vec<Record> {
    eventually(topic, deadline, || {
        let end = end_offset(bootstrap, topic);
        if usize::try_from(end).unwrap_or(0) < count {
            Err(format!("{end} of {count} records"))
        } else {
            Ok(())
        }
    });
    read_topic(bootstrap, topic)
}
