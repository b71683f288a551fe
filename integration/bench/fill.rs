//! Plain records into a topic, by a bare producer.

use crate::measure::bar;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::time::Duration;
use tapline_harness::{Kafka, create_topic};

/// Lets a fresh broker compile what the first measured run would otherwise pay for.
pub fn warm_up(kafka: &Kafka) {
    create_topic(
        &kafka.bootstrap(),
        "warm-up",
        1,
        &[("retention.bytes", "100000000")],
    );
    produce(&kafka.bootstrap(), "warm-up", 1_000_000, 1000, "lz4");
}

/// Fills a topic with `records` of `size` bytes.
pub fn produce(bootstrap: &str, topic: &str, records: u64, size: usize, codec: &str) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "20")
        .set("compression.type", codec)
        .set("batch.size", "524288")
        .set("queue.buffering.max.messages", "50000")
        .create()
        .expect("a producer");
    let value = "x".repeat(size);
    let bar = bar(records, "filling the topic");
    for n in 0..records {
        let mut record = BaseRecord::<(), str>::to(topic).payload(&value);
        while let Err((_, refused)) = producer.send(record) {
            record = refused;
            bar.set_position(n);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(60)).expect("flushed");
    bar.finish_and_clear();
}
