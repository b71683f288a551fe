//! A binlog beyond 4 GiB: one transaction, which no server splits, while the worker is killed in the middle of it, before
//! and behind the place where 32 bits end.
//!
//! Held at the end: every row is in the topic; the positions rise with the rows, beyond 4 GiB, up to the end of the file; and
//! the worker has needed no more memory than for small ones.

use crate::faults::audit::envelope;
use crate::faults::sinks::peak_mb;
use std::fmt;
use std::time::{Duration, Instant};
use tapline_harness::mysql::Kind;
use tapline_harness::{Mysql, Worker, end_offset, eventually, pipeline, read_topic};

const PATIENCE: Duration = Duration::from_secs(300);
const TOPIC: &str = "large.large.t";
/// Parts of the transaction.
const PARTS: u64 = 45;
/// Rows of the captured table in a part.
const ROWS: u64 = 20;
/// Rows beside them, of 8 MiB each.
const BLOBS: u64 = 13;
/// Worth stopping at: 4 GiB are behind after part 39.
const KILLS: [u64; 3] = [3, 25, 42];
/// What the worker may have: rows of 8 MiB pass through it.
const MOST_MB: f64 = 120.0;

/// What happened.
pub struct Outcome {
    kind: Kind,
    gtids: bool,
    size: u64,
    records: usize,
    peak: f64,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:?}, {}: a log of {:.2} GiB, {} kills, {} rows in {} records, {:.0} MB at most, {:.0} s",
            self.kind,
            if self.gtids {
                "by GTIDs"
            } else {
                "by file and position"
            },
            self.size as f64 / f64::from(1 << 30),
            KILLS.len(),
            PARTS * ROWS,
            self.records,
            self.peak,
            self.took.as_secs_f64()
        )
    }
}

/// Runs it on a server of its own; panics when a promise is broken.
pub fn run(kind: Kind, gtids: bool) -> Outcome {
    let begin = Instant::now();
    let settings: &[&str] = match (kind, gtids) {
        (Kind::MySql, false) => &["gtid_mode=OFF", "enforce_gtid_consistency=OFF"],
        _ => &[],
    };
    let server = Mysql::start(kind, settings);
    if kind == Kind::MariaDb {
        server.execute("install soname 'ha_blackhole'");
    }
    // What goes into a black hole lies in the log alone.
    server.execute(
        "create database large; use large; create table t (id int primary key, v varchar(20)) engine = innodb;
         create table bulk (b longblob) engine = blackhole; insert into t values (0, 'before')",
    );
    let mut worker = Worker::start(
        env!("CARGO_BIN_EXE_tapline"),
        &[
            ("offset.flush.interval.ms", "50"),
            ("value.converter.schemas.enable", "false"),
        ],
        &[],
    );
    let bootstrap = worker.bootstrap();
    let config = pipeline::mysql_source(&server, &bootstrap, "large", "large.t");
    worker.put_connector("large", &config);
    let wait = |rows: u64| {
        eventually(
            &format!("{rows} rows are there"),
            PATIENCE,
            || match end_offset(&bootstrap, TOPIC).cast_unsigned() {
                found if found >= rows => Ok(()),
                found => Err(format!("{found} rows")),
            },
        );
    };
    wait(1);

    let file = server
        .rows("show binary logs")
        .pop()
        .expect("a log")
        .swap_remove(0)
        .expect("a name");
    let ids = |count: u64| {
        let ids: Vec<String> = (1..=count).map(|id| format!("select {id} i")).collect();
        ids.join(" union all ")
    };
    let part = |part: u64| {
        format!(
            "insert into t select {} + i, 'part {part}' from ({}) s;
             insert into bulk select repeat('x', 8388608) from ({}) s;",
            part * ROWS,
            ids(ROWS),
            ids(BLOBS)
        )
    };
    let parts: Vec<String> = (0..PARTS).map(part).collect();
    server.execute(&format!(
        "use large; start transaction; {} commit",
        parts.concat()
    ));
    let sizes = server.rows("show binary logs");
    let of_file = sizes.iter().find(|row| row[0].as_ref() == Some(&file));
    let size: u64 = of_file.expect("it is there")[1]
        .as_deref()
        .expect("a size")
        .parse()
        .expect("a number");
    assert!(size > 1 << 32, "{size} bytes");

    let mut peak = 0.0f64;
    for kill in KILLS {
        wait(1 + kill * ROWS);
        peak = peak.max(peak_mb(worker.process().pid()));
        worker.kill();
        worker.restart();
    }
    server.execute(&format!(
        "insert into large.t values ({}, 'behind')",
        PARTS * ROWS + 1
    ));
    let newest = || -> Vec<(i64, String, u64)> {
        let records = read_topic(&bootstrap, TOPIC);
        let row = |record: &tapline_harness::Record| {
            let json = record.value_json();
            let event = envelope(&json);
            let source = &event["source"];
            (
                event["after"]["id"].as_i64().expect("an id"),
                source["file"].as_str().unwrap_or_default().to_owned(),
                source["pos"].as_u64().expect("a position"),
            )
        };
        records.iter().map(row).collect()
    };
    let last = (PARTS * ROWS + 1).cast_signed();
    eventually("the row behind it is there", PATIENCE, || match newest().last() {
        Some((id, ..)) if *id == last => Ok(()),
        other => Err(format!("{other:?}")),
    });
    peak = peak.max(peak_mb(worker.process().pid()));
    worker.wait_running("large");
    let records = newest();
    let mut rows = records.clone();
    // Snapshot's row aside: what came again has the place that it had.
    rows.retain(|(id, ..)| (1..last).contains(id));
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len() as u64, PARTS * ROWS, "each row, at one place");
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        assert!(row.1 == file && row.2 <= next.2, "{row:?} before {next:?}");
    }
    let end = rows.last().expect("rows").2;
    let blobs = BLOBS * 8_388_608;
    assert!(end > 1 << 32, "the last rows lie at {end}");
    assert!(
        (blobs..blobs + 100_000).contains(&(size - end)),
        "the last rows lie at {end} of {size}"
    );
    assert!(peak < MOST_MB, "{peak:.0} MB");
    // The disk is wanted by the next one.
    assert!(worker.terminate().success());
    server.execute(match kind {
        Kind::MySql => "reset binary logs and gtids",
        Kind::MariaDb => "reset master",
    });
    server.stop();
    Outcome {
        kind,
        gtids,
        size,
        records: records.len(),
        peak,
        took: begin.elapsed(),
    }
}
