//! The runs of one benchmark, and the row of each subject: the median of its runs.
//!
//! A round runs every subject once, the limit first, so that a machine that grows busier slows all of them alike.

use crate::Bench;
use crate::measure::Run;
use crate::report::{Name, round};
use serde_json::json;

pub struct Rounds<'a> {
    bench: &'a Bench,
    name: &'static str,
    /// Subject, variant, settings, runs.
    rows: Vec<(&'static str, &'static str, &'static str, Vec<Run>)>,
}

impl<'a> Rounds<'a> {
    pub fn new(bench: &'a Bench, name: &'static str) -> Rounds<'a> {
        Rounds {
            bench,
            name,
            rows: Vec::new(),
        }
    }

    pub fn add(&mut self, subject: &'static str, variant: &'static str, settings: &'static str, run: Run) {
        eprintln!(
            "   {subject} {variant}: {:.0}/s, {:.2} µs CPU an event, others {:.2} cores ({settings})",
            run.per_s,
            run.cpu_s * 1e6 / run.events.max(1) as f64,
            run.other_cores
        );
        let key = (subject, variant, settings);
        match self.rows.iter_mut().find(|row| (row.0, row.1, row.2) == key) {
            Some(row) => row.3.push(run),
            None => self.rows.push((subject, variant, settings, vec![run])),
        }
    }

    /// Writes a row for each subject, variant and settings.
    pub fn report(self) {
        let limit = self.rows.iter().find(|row| row.0 == "limit");
        let limit = limit.map(|row| median(&row.3).per_s);
        for (subject, variant, settings, runs) in &self.rows {
            let run = median(runs);
            let per_event = |secs: f64| round(secs * 1e6 / run.events.max(1) as f64, 2);
            let rates: Vec<u64> = runs.iter().map(|run| run.per_s.round() as u64).collect();
            let figures = json!({
                "events": run.events,
                "secs": round(run.secs, 2),
                "per_s": run.per_s.round() as u64,
                "cpu_us_per_event": per_event(run.cpu_s),
                "peak_rss_mb": run.peak_mb.map(|mb| round(mb, 1)),
                "ratio_to_limit": limit.map(|limit| round(run.per_s / limit, 2)),
                "kafka_us_per_event": per_event(run.kafka_s),
                "database_us_per_event": per_event(run.database_s),
                "other_cores": round(run.other_cores, 2),
                "all_per_s": rates,
                "settings": settings,
            });
            let name = Name {
                bench: self.name,
                subject,
                variant,
            };
            self.bench.report.row(name, &figures);
        }
    }
}

/// The middle one by rate.
fn median(runs: &[Run]) -> Run {
    let mut runs = runs.to_vec();
    runs.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
    runs[runs.len() / 2]
}
