//! `postgres-stream` and `embedded-stream`: draining a slot into a topic, against `pg_recvlogical` draining it into
//! nothing.

use crate::Bench;
use crate::load::{DATABASE, Load, copy_slot, drop_slot, load};
use crate::measure::{Meter, Run, TopicEnd};
use crate::rounds::Rounds;
use crate::settings::Settings;
use crate::subject::{self, Case, Subject, TAPLINE};
use std::process::Command;
use tapline_harness::{Worker, create_topic};

pub fn postgres(bench: &Bench) {
    let load = load(bench);
    let mut rounds = Rounds::new(bench, "postgres-stream");
    for run in 0..bench.runs {
        limit(bench, &load, &mut rounds);
        for case in subject::cases(bench) {
            let slot = slot("stream", case, run);
            let topic = format!("{slot}.public.bench_t");
            create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
            let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
            let mut worker = Subject::start(bench, case.subject);
            copy_slot(bench, &slot);
            let meter = Meter::of(bench, worker.pid());
            worker.put(&slot, &config(bench, &slot, case));
            let run = meter.watch(&slot, load.events, || end.get());
            worker.finish(&slot);
            drop_slot(bench, &slot);
            rounds.add(case.subject, case.variant, case.settings.of_source(), run);
        }
    }
    rounds.report();
}

pub fn embedded(bench: &Bench) {
    let load = load(bench);
    let mut rounds = Rounds::new(bench, "embedded-stream");
    for run in 0..bench.runs {
        limit(bench, &load, &mut rounds);
        for variant in ["json", "json-schemas"] {
            if bench.has("tapline") {
                let case = Case {
                    subject: "tapline",
                    variant,
                    settings: Settings::Tuned,
                };
                let run = embedded_run(bench, &load, case, run);
                rounds.add(case.subject, case.variant, case.settings.of_source(), run);
            }
        }
    }
    rounds.report();
}

fn embedded_run(bench: &Bench, load: &Load, case: Case, run: usize) -> Run {
    let slot = slot("embedded", case, run);
    let topic = format!("{slot}.public.bench_t");
    let mut worker = Worker::start(TAPLINE, &[], &[]);
    create_topic(&worker.bootstrap(), &topic, 1, &[]);
    let end = TopicEnd::new(&worker.bootstrap(), &topic);
    copy_slot(bench, &slot);
    let meter = Meter::of(bench, worker.process().pid());
    worker.put_connector(&slot, &config(bench, &slot, case));
    let run = meter.watch(&slot, load.events, || end.get());
    worker.kill();
    std::fs::remove_dir_all(worker.dir()).expect("its folder");
    drop_slot(bench, &slot);
    run
}

fn config(bench: &Bench, slot: &str, case: Case) -> serde_json::Value {
    let mut config = subject::source(bench, DATABASE, "bench_t", slot, case.variant);
    case.settings.tune_source(&mut config);
    config
}

/// A slot's name, and the topic prefix and the connector of the run with it.
pub fn slot(bench: &str, case: Case, run: usize) -> String {
    let variant = case.variant.replace('-', "_");
    format!("{bench}_{}_{variant}_{:?}_{run}", case.subject, case.settings).to_lowercase()
}

/// What the server's own tool does with the same log.
fn limit(bench: &Bench, load: &Load, rounds: &mut Rounds) {
    if !bench.has("limit") {
        return;
    }
    copy_slot(bench, "limit_recv");
    let mut command = Command::new(bench.postgres().program("pg_recvlogical"));
    command
        .args(["-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE])
        .args(["-S", "limit_recv", "--start", "-f", "-", "-F", "0"])
        .args(["-o", "proto_version=1", "-o", "publication_names=bench_t_pub"])
        .arg(format!("--port={}", bench.postgres().port()))
        .arg(format!("--endpos={}", load.end));
    let run = Meter::tool(bench, &mut command, load.events);
    drop_slot(bench, "limit_recv");
    rounds.add("limit", "pg_recvlogical", "pgoutput to /dev/null", run);
}
