//! The one list of what differs on purpose, `deviations.json`: each with its reason, and each in COMPAT.md too.
//!
//! An entry that explains nothing where it could is itself an error, so that the list stays true.

use super::compare::Difference;
use super::recording::Recording;
use serde_json::Value;

/// An entry. In every place but the reason `*` stands for any text.
#[derive(Debug)]
pub struct Deviation {
    /// `pg15`
    pub target: String,
    /// The fixture.
    pub fixture: String,
    /// The variant.
    pub variant: String,
    /// The topic and the record's number, or `offsets …`, as a difference names its place.
    pub place: String,
    /// The path of a difference.
    pub field: String,
    /// Why.
    pub reason: String,
}

/// Reads the list that the runner comes with.
pub fn read() -> Vec<Deviation> {
    let list: Vec<Value> = serde_json::from_str(include_str!("deviations.json")).expect("a list");
    let read = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or("*").to_owned();
        Deviation {
            target: text("target"),
            fixture: text("fixture"),
            variant: text("variant"),
            place: text("place"),
            field: entry["field"].as_str().expect("a field").to_owned(),
            reason: entry["reason"].as_str().expect("a reason").to_owned(),
        }
    };
    list.iter().map(read).collect()
}

impl Deviation {
    /// Whether it is about this recording at all.
    pub fn concerns(&self, target: &str, recording: &Recording) -> bool {
        matches(&self.target, target)
            && matches(&self.fixture, &recording.fixture)
            && matches(&self.variant, &recording.variant)
    }

    /// Whether it explains a difference in a recording that it is about.
    pub fn explains(&self, difference: &Difference) -> bool {
        matches(&self.place, &difference.place) && matches(&self.field, &difference.field)
    }
}

/// Whether the text is of the pattern, in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
