//! `postgres-stream` and `embedded-stream`: draining a slot into a topic, against `pg_recvlogical` draining it into
//! nothing.

use crate::Bench;
use crate::load::{Load, copy_slot, drop_slot, load};
use crate::measure::{Run, TopicEnd, median, watch};
use crate::report::Name;
use crate::subject::{self, SETTINGS, Subject, TAPLINE};
use std::fs::File;
use std::process::Command;
use std::time::Instant;
use tapline_harness::{Worker, create_topic};

const VARIANTS: [&str; 2] = ["json", "json-schemas"];

pub fn postgres(bench: &Bench) {
    let load = load(bench);
    let limit = limit(bench, &load, "postgres-stream");
    for variant in VARIANTS {
        for subject in subject::names(bench) {
            let runs = (0..bench.runs).map(|run| {
                let prefix = format!("stream_{subject}_{}_{run}", variant.replace('-', "_"));
                let topic = format!("{prefix}.public.bench_t");
                create_topic(&bench.kafka().bootstrap(), &topic, 1, &[]);
                let end = TopicEnd::new(&bench.kafka().bootstrap(), &topic);
                let mut worker = Subject::start(bench, subject);
                copy_slot(&bench.postgres().sql("bench"), &prefix);
                worker.put(
                    &prefix,
                    &subject::source(bench, &prefix, &prefix, "no_data", variant),
                );
                let run = watch(&topic, load.events, worker.pid(), || end.get());
                worker.finish(&prefix);
                drop_slot(&bench.postgres().sql("bench"), &prefix);
                run
            });
            let name = Name {
                bench: "postgres-stream",
                subject,
                variant,
            };
            bench.report.run(name, median(runs.collect()), limit, SETTINGS);
        }
    }
}

pub fn embedded(bench: &Bench) {
    let load = load(bench);
    let limit = limit(bench, &load, "embedded-stream");
    for variant in VARIANTS {
        let runs = (0..bench.runs).map(|run| {
            let prefix = format!("embedded_{}_{run}", variant.replace('-', "_"));
            let mut worker = Worker::start(TAPLINE, &[], &[]);
            let end = TopicEnd::new(&worker.bootstrap(), &format!("{prefix}.public.bench_t"));
            copy_slot(&bench.postgres().sql("bench"), &prefix);
            worker.put_connector(
                &prefix,
                &subject::source(bench, &prefix, &prefix, "no_data", variant),
            );
            let run = watch(&prefix, load.events, worker.process().pid(), || end.get());
            worker.kill();
            std::fs::remove_dir_all(worker.dir()).expect("its folder");
            drop_slot(&bench.postgres().sql("bench"), &prefix);
            run
        });
        let name = Name {
            bench: "embedded-stream",
            subject: "tapline",
            variant,
        };
        bench.report.run(name, median(runs.collect()), limit, SETTINGS);
    }
}

/// What the server's own tool does with the same log.
fn limit(bench: &Bench, load: &Load, name: &str) -> f64 {
    let sql = bench.postgres().sql("bench");
    let runs = (0..bench.runs).map(|_| {
        copy_slot(&sql, "limit_recv");
        let start = Instant::now();
        let cpu = children_cpu();
        let status = Command::new(bench.postgres().program("pg_recvlogical"))
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-d",
                "bench",
                "-S",
                "limit_recv",
                "--start",
                "-f",
                "-",
                "-F",
                "0",
            ])
            .args(["-o", "proto_version=1", "-o", "publication_names=bench_pub"])
            .arg(format!("--port={}", bench.postgres().port()))
            .arg(format!("--endpos={}", load.end))
            .stdout(File::create("/dev/null").unwrap())
            .status()
            .expect("pg_recvlogical runs");
        assert!(status.success(), "pg_recvlogical failed");
        let secs = start.elapsed().as_secs_f64();
        Run {
            events: load.events,
            secs,
            per_s: load.events as f64 / secs,
            cpu_s: children_cpu() - cpu,
            peak_mb: 0.0,
        }
    });
    let run = median(runs.collect());
    drop_slot(&sql, "limit_recv");
    let name = Name {
        bench: name,
        subject: "limit",
        variant: "pg_recvlogical",
    };
    bench.report.run(name, run, run.per_s, "pgoutput to /dev/null");
    run.per_s
}

/// CPU seconds of the children that have ended.
pub fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) * 0.01
}
