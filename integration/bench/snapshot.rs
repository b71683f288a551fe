//! `postgres-snapshot`: a table into a topic, against `COPY … TO STDOUT > /dev/null`.

use crate::Bench;
use crate::load::{DATABASE, drop_slot, load};
use crate::measure::{Meter, TopicEnd};
use crate::rounds::Rounds;
use crate::settings::Settings;
use crate::stream::slot;
use crate::subject::{self, Subject};
use serde_json::json;
use std::process::Command;
use tapline_harness::create_topic;

pub fn postgres(bench: &Bench) {
    let load = load(bench);
    let mut rounds = Rounds::new(bench, "postgres-snapshot");
    for run in 0..bench.runs {
        if bench.has("limit") {
            let mut command = Command::new(bench.postgres().program("psql"));
            command
                .args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE])
                .args(["-c", "copy bench_t to stdout"])
                .arg(format!("--port={}", bench.postgres().port()));
            let run = Meter::tool(bench, &mut command, load.rows);
            rounds.add("limit", "copy", "COPY bench_t TO STDOUT > /dev/null", run);
        }
        for case in subject::cases(bench) {
            for threads in ["1", "2"] {
                if case.settings == Settings::Default && threads != "1" {
                    continue;
                }
                let prefix = format!("{}_{threads}", slot("snapshot", case, run));
                let topic = format!("{prefix}.public.bench_t");
                create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
                let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
                let mut config = subject::source(bench, DATABASE, "bench_t", &prefix, case.variant);
                config["snapshot.mode"] = json!("initial_only");
                config["snapshot.max.threads"] = json!(threads);
                case.settings.tune_source(&mut config);
                let mut worker = Subject::start(bench, case.subject);
                let meter = Meter::of(bench, worker.pid());
                worker.put(&prefix, &config);
                let run = meter.watch(&prefix, load.rows, || end.get());
                worker.finish(&prefix);
                drop_slot(bench, &prefix);
                let variant = match (case.variant, threads) {
                    (variant, "1") => variant,
                    ("json", _) => "json, 2 threads",
                    _ => "json-schemas, 2 threads",
                };
                rounds.add(case.subject, variant, case.settings.of_source(), run);
            }
        }
    }
    rounds.report();
}
