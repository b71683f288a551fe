//! `memory-transaction` and `memory-topic`: the peak does not grow with the data, so each is measured at a twentieth
//! of its size and at its size.

use crate::Bench;
use crate::load::{DATABASE, copy_table, drop_slot, load};
use crate::measure::{Meter, TopicEnd, bar};
use crate::rounds::Rounds;
use crate::settings::Settings;
use crate::subject::{self, Subject, TAPLINE};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::json;
use std::time::Duration;
use tapline_harness::{Worker, create_topic};

const PARTS: [u64; 2] = [20, 1];

/// As many rows as `ROWS` says, inserted in one transaction.
pub fn transaction(bench: &Bench) {
    let load = load(bench);
    let sql = bench.postgres().sql(DATABASE);
    for part in PARTS {
        let mut rounds = Rounds::new(bench, "memory-transaction");
        for subject in subject::workers(bench) {
            let prefix = format!("transaction_{subject}_{part}");
            copy_table(&sql, "big", "", 0);
            sql.execute("drop publication if exists big_pub; create publication big_pub for table big");
            sql.execute(&format!(
                "select pg_create_logical_replication_slot('{prefix}', 'pgoutput')"
            ));
            let rows = load.rows / part;
            sql.execute(&format!(
                "insert into big select * from bench_t where id <= {rows}"
            ));
            let topic = format!("{prefix}.public.big");
            create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
            let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
            let mut config = subject::source(bench, DATABASE, "big", &prefix, "json");
            Settings::Tuned.tune_source(&mut config);
            let mut worker = Subject::start(bench, subject);
            let meter = Meter::of(bench, worker.pid());
            worker.put(&prefix, &config);
            let run = meter.watch(&prefix, rows, || end.get());
            worker.finish(&prefix);
            drop_slot(bench, &prefix);
            rounds.add(subject, "json", Settings::Tuned.of_source(), run);
        }
        rounds.report();
    }
}

/// Five gigabytes (`GIGABYTES=`) into a topic of the embedded broker, and from there through a file sink. The peak is
/// of both.
pub fn topic(bench: &Bench) {
    const RECORD: u64 = 1000;
    if !bench.has("tapline") {
        return;
    }
    for part in PARTS {
        let records = crate::setting("GIGABYTES", 5) * 1_000_000_000 / RECORD / part;
        let mut worker = Worker::start(TAPLINE, &[], &[]);
        create_topic(&worker.bootstrap(), "big", 1, &[]);
        produce(&worker.bootstrap(), "big", records, RECORD as usize);
        let file = worker.dir().join("out.txt");
        let meter = Meter::of(bench, worker.process().pid());
        worker.put_connector(
            "big-sink",
            &json!({
                "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
                "topics": "big",
                "file": file.display().to_string(),
                "key.converter": "org.apache.kafka.connect.storage.StringConverter",
                "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            }),
        );
        let written = || std::fs::metadata(&file).map_or(0, |file| file.len() / (RECORD + 1));
        let run = meter.watch("topic to file", records, written);
        worker.kill();
        std::fs::remove_dir_all(worker.dir()).expect("its folder");
        let mut rounds = Rounds::new(bench, "memory-topic");
        let settings = "1,000-byte records through the embedded broker to a file; defaults";
        rounds.add("tapline", "string", settings, run);
        rounds.report();
    }
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
