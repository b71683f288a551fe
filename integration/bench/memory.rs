//! `memory-transaction` and `memory-topic`: the peak does not grow with the data.

use crate::Bench;
use crate::load::{drop_slot, load};
use crate::measure::{TopicEnd, watch};
use crate::report::Name;
use crate::subject::{self, SETTINGS, Subject, TAPLINE};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::json;
use std::time::Duration;
use tapline_harness::{Worker, create_topic};

/// As many rows as `ROWS` says, updated in one transaction.
pub fn transaction(bench: &Bench) {
    let load = load(bench);
    let sql = bench.postgres().sql("bench");
    let prefix = "transaction";
    drop_slot(&sql, prefix);
    sql.execute("drop table if exists big; create table big (like bench_t including all)");
    sql.execute("drop publication if exists big_pub; create publication big_pub for table big");
    sql.execute(&format!(
        "select pg_create_logical_replication_slot('{prefix}', 'pgoutput')"
    ));
    sql.execute("insert into big select * from bench_t");
    let topic = format!("{prefix}.public.big");
    create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
    let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
    let mut config = subject::source(bench, prefix, prefix, "no_data", "json");
    config["table.include.list"] = json!("public.big");
    config["publication.name"] = json!("big_pub");
    let mut worker = Subject::start(bench, "tapline");
    worker.put(prefix, &config);
    let run = watch(&topic, load.rows, worker.pid(), || end.get());
    worker.finish(prefix);
    drop_slot(&sql, prefix);
    sql.execute("drop table big");
    bench.report.run(
        Name {
            bench: "memory-transaction",
            subject: "tapline",
            variant: "json",
        },
        run,
        run.per_s,
        SETTINGS,
    );
}

/// Five gigabytes (`GIGABYTES=`) from a topic of the embedded broker through a file sink.
pub fn topic(bench: &Bench) {
    const RECORD: usize = 1000;
    let records = crate::setting("GIGABYTES", 5) * 1_000_000_000 / RECORD as u64;
    let mut worker = Worker::start(TAPLINE, &[], &[]);
    create_topic(&worker.bootstrap(), "big", 1, &[]);
    produce(&worker.bootstrap(), "big", records, RECORD);
    let file = worker.dir().join("out.txt");
    let pid = worker.process().pid();
    crate::measure::reset_peak(pid);
    worker.put_connector(
        "big-sink",
        &json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "topics": "big",
            "file": file.display().to_string(),
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "consumer.override.auto.offset.reset": "earliest",
        }),
    );
    let written = || std::fs::metadata(&file).map_or(0, |file| file.len() / (RECORD as u64 + 1));
    let run = watch("the file", records, pid, written);
    worker.kill();
    std::fs::remove_dir_all(worker.dir()).expect("its folder");
    let name = Name {
        bench: "memory-topic",
        subject: "tapline",
        variant: "string",
    };
    bench.report.run(
        name,
        run,
        run.per_s,
        "1,000-byte records, embedded broker to a file",
    );
}

fn produce(bootstrap: &str, topic: &str, records: u64, size: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "20")
        .set("batch.size", "524288")
        .set("queue.buffering.max.messages", "50000")
        .create()
        .expect("a producer");
    let value = "x".repeat(size);
    for _ in 0..records {
        let mut record = BaseRecord::<(), str>::to(topic).payload(&value);
        while let Err((_, refused)) = producer.send(record) {
            record = refused;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(60)).expect("flushed");
}
