//! `memory-transaction` and `memory-topic`: the peak does not grow with the data, so each is measured at a twentieth
//! of its size and at its size.

use crate::Bench;
use crate::fill::produce;
use crate::load::{DATABASE, copy_table, drop_slot, load};
use crate::measure::{Meter, TopicEnd};
use crate::rounds::Rounds;
use crate::settings::Settings;
use crate::subject::{self, Subject, TAPLINE};
use serde_json::json;
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
        produce(&worker.bootstrap(), "big", records, RECORD as usize, "none");
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
