//! Which record stands for which: the longest common subsequence of two topics, so that one record too much does not make
//! all that follow it differ.

use super::json::Json;
use super::recording::Event;

/// Pairs of positions, in order; a record without a counterpart stands alone.
pub fn align(recorded: &[Event], here: &[Event]) -> Vec<(Option<usize>, Option<usize>)> {
    let (a, b) = (forms(recorded), forms(here));
    // lengths[i][j]: of the longest common subsequence of a[i..] and b[j..]
    let mut lengths = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i][j] = if a[i] == b[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut pairs, mut i, mut j) = (Vec::new(), 0, 0);
    // of a stretch without equals, records are paired as they come
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let close = |left: &mut Vec<usize>, right: &mut Vec<usize>, pairs: &mut Vec<_>| {
        for n in 0..left.len().max(right.len()) {
            pairs.push((left.get(n).copied(), right.get(n).copied()));
        }
        left.clear();
        right.clear();
    };
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            close(&mut left, &mut right, &mut pairs);
            pairs.push((Some(i), Some(j)));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            left.push(i);
            i += 1;
        } else {
            right.push(j);
            j += 1;
        }
    }
    close(&mut left, &mut right, &mut pairs);
    pairs
}

/// A record without its schema and without what differs from run to run.
fn forms(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| format!("{} {}", form(&event.key), form(&event.value)))
        .collect()
}

fn form(json: &Json) -> String {
    match json {
        Json::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "schema" | "source" | "transaction"))
            .filter(|(name, _)| !name.starts_with("ts_") && name != "id" && name != "timestamp")
            .chain(
                fields
                    .iter()
                    .filter(|(name, _)| name == "id")
                    .filter(|(_, value)| value.integer().is_some()),
            )
            .map(|(name, value)| format!("{name}:{},", form(value)))
            .collect(),
        Json::List(elements) => elements.iter().map(form).collect(),
        other => other.to_string(),
    }
}
