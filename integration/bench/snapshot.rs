//! `postgres-snapshot`: a table into a topic, against `COPY … TO STDOUT > /dev/null`.

use crate::Bench;
use crate::load::{drop_slot, load};
use crate::measure::{Run, TopicEnd, median, watch};
use crate::report::Name;
use crate::stream::children_cpu;
use crate::subject::{self, SETTINGS, Subject};
use std::fs::File;
use std::process::Command;
use std::time::Instant;
use tapline_harness::create_topic;

pub fn postgres(bench: &Bench) {
    let load = load(bench);
    let runs = (0..bench.runs).map(|_| {
        let (start, cpu) = (Instant::now(), children_cpu());
        let status = Command::new(bench.postgres().program("psql"))
            .args([
                "-X",
                "-q",
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-d",
                "bench",
                "-c",
                "copy bench_t to stdout",
            ])
            .arg(format!("--port={}", bench.postgres().port()))
            .stdout(File::create("/dev/null").unwrap())
            .status()
            .expect("psql runs");
        assert!(status.success(), "psql failed");
        let secs = start.elapsed().as_secs_f64();
        Run {
            events: load.rows,
            secs,
            per_s: load.rows as f64 / secs,
            cpu_s: children_cpu() - cpu,
            peak_mb: 0.0,
        }
    });
    let limit = median(runs.collect());
    let name = Name {
        bench: "postgres-snapshot",
        subject: "limit",
        variant: "copy",
    };
    bench
        .report
        .run(name, limit, limit.per_s, "COPY bench_t TO STDOUT > /dev/null");
    for variant in ["json", "json-schemas"] {
        for subject in subject::names(bench) {
            let runs = (0..bench.runs).map(|run| {
                let prefix = format!("snapshot_{subject}_{}_{run}", variant.replace('-', "_"));
                let topic = format!("{prefix}.public.bench_t");
                create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
                let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
                let mut worker = Subject::start(bench, subject);
                worker.put(
                    &prefix,
                    &subject::source(bench, &prefix, &prefix, "initial_only", variant),
                );
                let run = watch(&topic, load.rows, worker.pid(), || end.get());
                worker.finish(&prefix);
                drop_slot(&bench.postgres().sql("bench"), &prefix);
                run
            });
            let name = Name {
                bench: "postgres-snapshot",
                subject,
                variant,
            };
            bench
                .report
                .run(name, median(runs.collect()), limit.per_s, SETTINGS);
        }
    }
}
