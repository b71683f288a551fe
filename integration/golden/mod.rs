//! Golden events: what a real Debezium wrote for the same SQL, compared field by field with what the built binary writes.
//!
//! ```text
//!  out/TARGET/FIXTURE/VARIANT ──▶ recording ──▶ replay ──▶ compare ──▶ deviations ──▶ a line, and the count
//!                                     lanes: a server and a worker each
//! ```
//!
//! What differs from run to run is renumbered ([`renumber`]), never masked. What differs on purpose stands in
//! `deviations.json`; any other difference fails the run. A variant is deferred when it needs a transformation, a
//! converter or a post processor that the worker says it does not have.

mod align;
mod compare;
mod deviations;
mod json;
pub mod record;
mod recording;
mod renumber;
mod replay;
mod report;
mod target;
mod window;

use recording::Recording;
use replay::Replay;
pub use report::Sum;
use report::{Line, Verdict};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What to run.
pub struct Options {
    /// The built binary.
    pub binary: String,
    /// `pg15`, `pg18`, `mysql`, `mariadb`.
    pub target: String,
    /// A folder of the layout of [`recording`]; without it the recordings that come with the project.
    pub folder: Option<PathBuf>,
    /// `fixture` or `fixture/variant`, separated by commas; all when empty.
    pub only: String,
    /// How many servers and workers at a time.
    pub lanes: usize,
}

/// Runs them all, prints a line for each and the sum. `None` when there is nothing to run.
pub fn run(options: &Options) -> Option<Sum> {
    let Some((kind, start)) = target::find(&options.target) else {
        println!("unknown TARGET={}: pg15, pg18, mysql or mariadb", options.target);
        return None;
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/golden");
    let folder = options.folder.clone().unwrap_or(own);
    let mut recordings = recording::read(&folder, &options.target, kind);
    let only: Vec<&str> = options.only.split(',').filter(|name| !name.is_empty()).collect();
    recordings.retain(|r| only.is_empty() || only.iter().any(|o| *o == r.fixture || *o == r.name()));
    if recordings.is_empty() {
        println!("no recordings of {} in {}", options.target, folder.display());
        return None;
    }
    let deviations = deviations::read();
    // the fixtures that sleep come first, so that no lane is left with them at the end
    recordings.sort_by_key(|r| {
        (
            !r.stream.contains("pg_sleep") && !r.stream.contains("sleep("),
            r.name(),
        )
    });
    recordings.reverse();
    let (queue, lines) = (Mutex::new(recordings), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for lane in 0..options.lanes.max(1) {
            let (queue, lines, deviations) = (&queue, &lines, &deviations);
            scope.spawn(move || {
                if queue.lock().unwrap().len() <= lane {
                    return;
                }
                let mut server = start(&options.target);
                loop {
                    let Some(recording) = queue.lock().unwrap().pop() else {
                        return;
                    };
                    let begun = Instant::now();
                    let replay = replay::replay(&options.binary, None, server.as_mut(), &recording);
                    let line = judge(&options.target, recording, replay, deviations, begun.elapsed());
                    line.print(&options.target);
                    lines.lock().unwrap().push(line);
                }
            });
        }
    });
    Some(report::sum(
        &options.target,
        &lines.into_inner().unwrap(),
        &deviations,
    ))
}

fn judge(
    target: &str,
    recording: Recording,
    replay: Replay,
    deviations: &[deviations::Deviation],
    took: Duration,
) -> Line {
    let verdict = match replay {
        Replay::Deferred(missing) => Verdict::Deferred(missing),
        Replay::Done(outcome, window) => {
            let windows = [recording.window, window];
            let heartbeats = replay::heartbeats(&recording);
            let found = compare::compare(&recording.outcome, &outcome, &heartbeats, windows);
            Verdict::Compared(report::explain(target, &recording, found, deviations))
        }
    };
    Line {
        recording,
        verdict,
        took,
    }
}
