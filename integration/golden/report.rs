//! What a run prints: a line per recording, its first differences, and the sum.

use super::compare::{Comparison, Difference};
use super::deviations::Deviation;
use super::recording::Recording;
use std::time::Duration;

/// A recording and what came of it.
pub struct Line {
    /// What was replayed.
    pub recording: Recording,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of a replay.
pub enum Verdict {
    /// It needs this, which does not exist yet.
    Deferred(String),
    /// It was compared.
    Compared(Explained),
}

/// A comparison, and what of it is on purpose.
pub struct Explained {
    /// Records of the recording.
    pub records: usize,
    /// Records without any difference.
    pub equal: usize,
    /// What nothing explains.
    pub unexplained: Vec<Difference>,
    /// For each entry of the list, how many differences it explains here; `None` where it is not concerned.
    pub by: Vec<Option<usize>>,
}

/// Sets aside what the list explains.
pub fn explain(target: &str, recording: &Recording, found: Comparison, list: &[Deviation]) -> Explained {
    let mut by: Vec<Option<usize>> = list
        .iter()
        .map(|d| d.concerns(target, recording).then_some(0))
        .collect();
    let equal = found.equal(&found.differences.iter().collect::<Vec<_>>());
    let records = found.records;
    let unexplained = found
        .differences
        .into_iter()
        .filter(|difference| {
            let explaining = list
                .iter()
                .zip(&mut by)
                .find_map(|(entry, count)| count.as_mut().filter(|_| entry.explains(difference)));
            explaining.map(|count| *count += 1).is_none()
        })
        .collect();
    Explained {
        records,
        equal,
        unexplained,
        by,
    }
}

/// How many fields of a recording are shown.
const SHOWN: usize = 12;

impl Line {
    /// Prints it.
    pub fn print(&self, target: &str) {
        let (name, took) = (self.recording.name(), self.took.as_secs_f32());
        match &self.verdict {
            Verdict::Deferred(missing) => println!("{target} {name:32} deferred: {missing}"),
            Verdict::Compared(result) => {
                let explained: usize = result.by.iter().flatten().sum();
                let explained = if explained > 0 {
                    format!(", {explained} deviations")
                } else {
                    String::new()
                };
                let wrong = if result.unexplained.is_empty() {
                    String::new()
                } else {
                    format!(", {} unexplained differences:", result.unexplained.len())
                };
                let mut text = format!(
                    "{target} {name:32} {:3} of {:3} equal{explained}{wrong} ({took:.1} s)",
                    result.equal, result.records
                );
                for line in differences(&result.unexplained) {
                    text += &format!("\n      {line}");
                }
                println!("{text}");
            }
        }
    }
}

/// Alike differences of a topic are told once.
fn differences(all: &[Difference]) -> Vec<String> {
    let topic = |d: &Difference| d.place.split('#').next().unwrap_or_default().to_owned();
    let mut groups: Vec<(String, &Difference, usize)> = Vec::new();
    for difference in all {
        let key = format!("{} {}", topic(difference), difference.field);
        match groups.iter_mut().find(|(other, ..)| *other == key) {
            Some((.., count)) => *count += 1,
            None => groups.push((key, difference, 1)),
        }
    }
    let shown = if full() { groups.len() } else { SHOWN };
    let mut lines: Vec<String> = groups
        .iter()
        .take(shown)
        .map(|(_, first, count)| {
            let times = if *count > 1 {
                format!(" ×{count}")
            } else {
                String::new()
            };
            format!(
                "{} {}{times}: recorded {}, here {}",
                first.place,
                first.field,
                short(&first.recorded),
                short(&first.here)
            )
        })
        .collect();
    if groups.len() > shown {
        lines.push(format!("… and {} fields more", groups.len() - shown));
    }
    lines
}

/// Whether everything is to be told.
fn full() -> bool {
    std::env::var_os("FULL").is_some()
}

fn short(text: &str) -> String {
    if full() || text.chars().count() <= 300 {
        return text.to_owned();
    }
    let cut: String = text.chars().take(300).collect();
    format!("{cut}…")
}

/// What came of a run.
#[derive(Debug, Clone, Copy)]
pub struct Sum {
    /// Every difference is explained, and every entry of the list explains one where it could.
    pub good: bool,
    /// Recordings that were compared.
    pub compared: usize,
    /// Their records.
    pub records: usize,
    /// Records without any difference.
    pub equal: usize,
}

/// Prints the list of deviations with its counts, and the last line.
pub fn sum(target: &str, lines: &[Line], list: &[Deviation]) -> Sum {
    let compared: Vec<&Explained> = lines
        .iter()
        .filter_map(|line| match &line.verdict {
            Verdict::Compared(result) => Some(result),
            Verdict::Deferred(_) => None,
        })
        .collect();
    let mut stale = 0;
    for (i, entry) in list.iter().enumerate() {
        let counts: Vec<usize> = compared.iter().filter_map(|result| result.by[i]).collect();
        let count: usize = counts.iter().sum();
        if count > 0 {
            println!(
                "{target} deviation: {count} × {}/{} {} {}: {}",
                entry.fixture, entry.variant, entry.place, entry.field, entry.reason
            );
        } else if !counts.is_empty() && entry.fixture != "*" {
            println!(
                "{target} STALE: deviations.json explains nothing: {}/{} {} {}",
                entry.fixture, entry.variant, entry.place, entry.field
            );
            stale += 1;
        }
    }
    let all = |count: fn(&Explained) -> usize| compared.iter().map(|result| count(result)).sum::<usize>();
    let whole = compared
        .iter()
        .filter(|result| result.equal == result.records && result.unexplained.is_empty())
        .count();
    let deferred = lines.len() - compared.len();
    let explained = all(|r| r.by.iter().flatten().sum());
    if explained > 0 {
        println!("{explained} differences are listed deviations");
    }
    let sum = Sum {
        good: stale == 0 && compared.iter().all(|result| result.unexplained.is_empty()),
        compared: compared.len(),
        records: all(|r| r.records),
        equal: all(|r| r.equal),
    };
    println!(
        "equal {} of {} records in {whole} of {} fixtures, {deferred} deferred",
        sum.equal, sum.records, sum.compared
    );
    sum
}
