//! `make bench`: how fast, how lean, how soon, against what the databases themselves can do.
//!
//! Every measure appends one JSON line to `target/bench.jsonl` and a table closes the run. Subjects: `limit` is what
//! the server gives to its own tool (`pg_recvlogical`, `COPY`, one `INSERT … SELECT`), `tapline` the built binary,
//! `debezium` (with `PEERS=1`) the real one on Kafka Connect, with the same codec, linger and batch settings.
//! A figure is the median of three runs, each of a fresh worker; every run of `postgres-stream` drains a copy of
//! one logical slot, so all of them read the same log.
//!
//! `ONLY=name[,name]` picks, `ROWS=` scales (2,000,000), `RUNS=` repeats (3).
#![allow(unreachable_pub, reason = "a program has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test code stops at the first surprise; its settings are the environment's; figures are rounded"
)]

mod load;
mod measure;
mod report;
mod subject;

mod latency;
mod memory;
mod sink;
mod snapshot;
mod start;
mod stream;

use report::Report;
use std::cell::OnceCell;
use tapline_harness::{Kafka, Postgres};

type Benchmark = fn(&Bench);

/// The name of each benchmark and what runs it.
const BENCHES: &[(&str, Benchmark)] = &[
    ("start", start::start),
    ("idle", start::idle),
    ("latency-postgres", latency::postgres),
    ("postgres-stream", stream::postgres),
    ("embedded-stream", stream::embedded),
    ("postgres-snapshot", snapshot::postgres),
    ("sink-postgres-upsert", sink::postgres_upsert),
    ("memory-transaction", memory::transaction),
    ("memory-topic", memory::topic),
];

/// What a run of the benchmarks shares.
struct Bench {
    rows: u64,
    runs: usize,
    peers: bool,
    report: Report,
    postgres: OnceCell<Postgres>,
    kafka: OnceCell<Kafka>,
    peer: OnceCell<subject::Peer>,
}

impl Bench {
    fn postgres(&self) -> &Postgres {
        // durable, as a user's is; `wal_sender_timeout` off for readers that never answer
        self.postgres
            .get_or_init(|| Postgres::start(&["wal_sender_timeout=0", "max_wal_size=16GB"]))
    }

    fn kafka(&self) -> &Kafka {
        self.kafka.get_or_init(|| Kafka::start(&[]))
    }

    fn peer(&self) -> &subject::Peer {
        self.peer.get_or_init(|| subject::Peer::start(self.kafka()))
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.replace('_', "").parse().expect("a number"))
}

fn main() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|name| !name.is_empty()).collect();
    let known = |name: &str| BENCHES.iter().any(|(known, _)| *known == name);
    assert!(
        only.iter().all(|name| known(name)),
        "ONLY: one of {:?}",
        BENCHES.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );
    let bench = Bench {
        rows: setting("ROWS", 2_000_000),
        runs: setting("RUNS", 3) as usize,
        peers: setting("PEERS", 0) > 0,
        report: Report::open(),
        postgres: OnceCell::new(),
        kafka: OnceCell::new(),
        peer: OnceCell::new(),
    };
    for (name, run) in BENCHES {
        if only.is_empty() || only.contains(name) {
            eprintln!("== {name}");
            run(&bench);
        }
    }
    bench.report.print();
}
