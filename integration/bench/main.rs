//! `make bench`: how fast, how lean, how soon, against what the databases themselves can do.
//!
//! Every measure appends one JSON line to `target/bench.jsonl` and a table closes the run. Subjects: `limit` is what
//! the server gives to its own tool (`pg_recvlogical`, `mysqlbinlog`, `COPY`, one `INSERT … SELECT`), `tapline` the built binary,
//! `debezium` (with `PEERS=1`) the real one on Kafka Connect, with the same codec, linger and batch settings.
//! A figure is the median of three runs, each of a fresh worker; every run of `postgres-stream` drains a copy of
//! one logical slot, so all of them read the same log.
//!
//! `ONLY=name[,name]` picks, `ROWS=` scales (2,000,000), `RUNS=` repeats (3), `SUBJECTS=name[,name]` picks subjects.
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

mod fill;
mod load;
mod measure;
mod peer;
mod proc;
mod report;
mod rounds;
mod settings;
mod subject;

mod idle;
mod latency;
mod memory;
mod mysql;
mod sink;
mod snapshot;
mod start;
mod stream;
mod tables;

use peer::Peer;
use report::Report;
use std::cell::OnceCell;
use tapline_harness::mysql::Kind;
use tapline_harness::{Ferretdb, Kafka, Mysql, Postgres};

type Benchmark = fn(&Bench);

/// The name of each benchmark and what runs it.
const BENCHES: &[(&str, Benchmark)] = &[
    ("start", start::start),
    ("idle", idle::idle),
    ("latency-postgres", latency::postgres),
    ("postgres-stream", stream::postgres),
    ("embedded-stream", stream::embedded),
    ("postgres-snapshot", snapshot::postgres),
    ("mysql-stream", mysql::stream),
    ("mysql-snapshot", mysql::snapshot),
    ("sink-postgres-upsert", sink::postgres_upsert),
    ("sink-mysql-upsert", sink::mysql_upsert),
    ("sink-mongodb-upsert", sink::mongodb_upsert),
    ("memory-transaction", memory::transaction),
    ("memory-topic", memory::topic),
    ("memory-tables", tables::tables),
];

/// What a run of the benchmarks shares.
struct Bench {
    rows: u64,
    runs: usize,
    /// Debezium is measured too, and all with default settings too.
    peers: bool,
    subjects: Vec<String>,
    report: Report,
    postgres: OnceCell<Postgres>,
    mysql: OnceCell<Mysql>,
    ferretdb: OnceCell<Ferretdb>,
    kafka: OnceCell<Kafka>,
    peer: OnceCell<Peer>,
}

impl Bench {
    fn postgres(&self) -> &Postgres {
        // durable, as a user's is; `wal_sender_timeout` off for readers that never answer
        self.postgres.get_or_init(|| {
            Postgres::start(&[
                "wal_sender_timeout=0",
                "max_wal_size=16GB",
                "max_locks_per_transaction=1024",
            ])
        })
    }

    fn mysql(&self) -> &Mysql {
        self.mysql.get_or_init(|| Mysql::start(Kind::MySql, &[]))
    }

    fn ferretdb(&self) -> &Ferretdb {
        self.ferretdb.get_or_init(Ferretdb::start)
    }

    fn kafka(&self) -> &Kafka {
        self.kafka.get_or_init(|| {
            let kafka = Kafka::start(&[]);
            fill::warm_up(&kafka);
            kafka
        })
    }

    fn peer(&self) -> &Peer {
        self.peer.get_or_init(|| Peer::start(self.kafka()))
    }

    /// Whether a subject is measured in this run.
    fn has(&self, subject: &str) -> bool {
        self.subjects.iter().any(|name| name == subject)
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.replace('_', "").parse().expect("a number"))
}

/// The names in a setting, separated by commas, each of which must be among `known`; `default` when there are none.
fn names(setting: &str, known: &[&str], default: &[&str]) -> Vec<String> {
    let text = std::env::var(setting).unwrap_or_default();
    let given: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
    assert!(
        given.iter().all(|name| known.contains(name)),
        "{setting}: any of {known:?}"
    );
    let names = if given.is_empty() { default } else { &given };
    names.iter().map(|&name| name.to_owned()).collect()
}

fn main() {
    let peers = setting("PEERS", 0) > 0;
    let all: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
    let subjects = ["limit", "tapline", "debezium"];
    let only = names("ONLY", &all, &all);
    let bench = Bench {
        rows: setting("ROWS", 2_000_000).div_ceil(1000) * 1000,
        runs: setting("RUNS", 3) as usize,
        peers,
        subjects: names(
            "SUBJECTS",
            &subjects,
            if peers { &subjects } else { &subjects[..2] },
        ),
        report: Report::open(),
        postgres: OnceCell::new(),
        mysql: OnceCell::new(),
        ferretdb: OnceCell::new(),
        kafka: OnceCell::new(),
        peer: OnceCell::new(),
    };
    for (name, run) in BENCHES {
        if only.iter().any(|only| only == name) {
            eprintln!("== {name}");
            run(&bench);
        }
    }
    bench.report.print();
}
