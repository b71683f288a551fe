//! Kills during a snapshot, whatever the database is: the worker ends by SIGKILL again and again while tables are read that
//! a load changes.
//!
//! ```text
//!  load ──▶ source.t   (inserts, updates, deletes) ──▶ worker ──▶ topic      killer: the worker, whenever the
//!  load ──▶ source.log (inserts alone) ──────────────▶ worker ──▶ topic              snapshot is somewhat further
//! ```
//!
//! Held at the end: of `t` nothing is missing and no key goes back in time; the topic says of every key what the table
//! says; `log`'s topic has every row, and repeats no more than one chunk per session and kill.

use super::PATIENCE;
use super::audit::envelope;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tapline_harness::{Random, Worker, end_offset, eventually, read_topic};

/// The topics' prefix.
pub const NAME: &str = "chunks";
/// Sessions that read.
pub const THREADS: u64 = 2;
/// Bytes of a chunk.
pub const CHUNK: u64 = 128 * 1024;

/// What happened.
pub struct Outcome {
    /// What is read, and the seed.
    pub what: String,
    pub kills: u64,
    /// Rows of each table before the snapshot.
    pub rows: u64,
    pub changes: u64,
    pub logged: u64,
    pub repeats: u64,
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{}: {} kills during the snapshot of twice {} rows, {} changes; {} rows of log, {} repeats, {:.0} s",
            self.what,
            self.kills,
            self.rows,
            self.changes,
            self.logged,
            self.repeats,
            self.took.as_secs_f64()
        )
    }
}

/// Kills the worker so many times while it reads these topics' tables, and waits for the snapshot's end.
pub fn kill(worker: &mut Worker, topics: &[String; 2], kills: u64, rows: u64, random: &mut Random) {
    let bootstrap = worker.bootstrap();
    let records = || -> i64 { topics.iter().map(|topic| end_offset(&bootstrap, topic)).sum() };
    for kill in 0..kills {
        // Each a random part of what is left further than the one before.
        let left = (2 * rows).saturating_sub(records().cast_unsigned());
        let step = random.between(1, (left / (kills + 1 - kill)).max(2));
        let until = records() + step.cast_signed();
        eventually("the snapshot is further", PATIENCE, || match records() >= until {
            true => Ok(()),
            false => Err("it is not".to_owned()),
        });
        worker.kill();
        worker.restart();
    }
    eventually("the snapshot is over", PATIENCE, || {
        match worker.process().log().contains("snapshot is complete") {
            true => Ok(()),
            false => Err("it is not".to_owned()),
        }
    });
    assert!(
        worker.process().log().contains("goes on where it was killed"),
        "no kill fell into the snapshot"
    );
}

/// Waits until the marker of this name is in its topic.
pub fn comes_through(bootstrap: &str, topic: &str, marker: &str) {
    eventually("a marker comes through", PATIENCE, || {
        let markers = read_topic(bootstrap, topic);
        let found = markers
            .iter()
            .any(|record| envelope(&record.key_json())["name"] == marker);
        match found {
            true => Ok(()),
            false => Err(format!("{} markers", markers.len())),
        }
    });
}

/// A thread that only inserts.
pub struct Inserts {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Inserts {
    /// Calls `insert` again and again, with pauses in between.
    pub fn start(pause: Duration, mut insert: impl FnMut() + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                insert();
                thread::sleep(pause);
            }
        });
        Self { done, thread }
    }

    pub fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().expect("it inserts to the end");
    }
}
