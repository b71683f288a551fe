//! What differs from run to run, renumbered by first appearance: equal stays equal, and order stays order.
//!
//! A value of the recording and the value that stands in its place here make a pair. Of each kind of value a pair must be
//! the only one that either side is in, and the pairs' order on one side must be their order on the other. Nothing is
//! masked: an LSN that appears twice in the recording appears twice here, in the same places, and none but those.

use std::collections::HashMap;

/// Values of one kind are compared with one another alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Where a change stands in the log.
    Position,
    /// Where a commit ends. Whether that is where the next change stands depends on who else writes to the log, so it is
    /// a kind of its own.
    Commit,
    /// A transaction's id.
    Transaction,
    /// When a transaction was committed.
    CommitTime,
    /// A name drawn at random.
    Uuid,
    /// Numbers in a text (a GTID, a binlog's name), by nothing but their spelling.
    Number,
}

/// The pairs met so far.
#[derive(Default)]
pub struct Renumber {
    there: HashMap<(Kind, String), String>,
    here: HashMap<(Kind, String), String>,
    ordered: Vec<(Kind, i128, i128, String)>,
}

impl Renumber {
    /// Meets a pair. `Err` says why the two can't be the same.
    pub fn meet(&mut self, kind: Kind, recorded: &str, here: &str, place: &str) -> Result<(), String> {
        let known = self
            .there
            .entry((kind, recorded.to_owned()))
            .or_insert_with(|| here.to_owned());
        if known != here {
            return Err(format!("{here}, where {recorded} was {known} before"));
        }
        let known = self
            .here
            .entry((kind, here.to_owned()))
            .or_insert_with(|| recorded.to_owned());
        if known != recorded {
            return Err(format!("{here} again, which stood for {known} before"));
        }
        if let (Ok(a), Ok(b)) = (recorded.parse(), here.parse()) {
            self.ordered.push((kind, a, b, place.to_owned()));
        }
        Ok(())
    }

    /// The first pair of each kind that stands in another order: its place, and what is wrong.
    pub fn disorder(mut self) -> Vec<(String, String)> {
        self.ordered.retain(|(kind, ..)| *kind != Kind::Number);
        self.ordered
            .sort_by_key(|(kind, recorded, ..)| (*kind as u8, *recorded));
        let mut found: Vec<(Kind, String, String)> = Vec::new();
        for pair in self.ordered.windows(2) {
            let ((kind, a, x, _), (next, b, y, place)) = (&pair[0], &pair[1]);
            if kind == next && x > y && !found.iter().any(|(k, ..)| k == kind) {
                found.push((
                    *kind,
                    place.clone(),
                    format!("{y} after {x}, where {b} came after {a}"),
                ));
            }
        }
        found.into_iter().map(|(_, place, what)| (place, what)).collect()
    }
}

/// A piece of a text: what must be equal, or what differs from run to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// As it stands.
    Plain(&'a str),
    /// A UUID.
    Uuid(&'a str),
    /// An instant in ISO 8601.
    Instant(&'a str),
    /// Digits.
    Number(&'a str),
}

/// Takes a text apart. With `numbers`, digits are pieces of their own.
pub fn pieces(text: &str, numbers: bool) -> Vec<Piece<'_>> {
    let (bytes, mut all, mut plain, mut at) = (text.as_bytes(), Vec::new(), 0, 0);
    while at < bytes.len() {
        let boundary = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let rest = &bytes[at..];
        let found = if boundary && uuid(rest) {
            Some((36, Piece::Uuid(text.get(at..at + 36).unwrap_or_default())))
        } else if let Some(length) = instant(rest).filter(|_| boundary) {
            Some((
                length,
                Piece::Instant(text.get(at..at + length).unwrap_or_default()),
            ))
        } else if numbers && rest[0].is_ascii_digit() {
            let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            Some((
                length,
                Piece::Number(text.get(at..at + length).unwrap_or_default()),
            ))
        } else {
            None
        };
        match found {
            Some((length, piece)) => {
                all.extend(text.get(plain..at).filter(|t| !t.is_empty()).map(Piece::Plain));
                all.push(piece);
                at += length;
                plain = at;
            }
            None => at += 1,
        }
    }
    all.extend(text.get(plain..).filter(|t| !t.is_empty()).map(Piece::Plain));
    all
}

fn shaped(bytes: &[u8], shape: &str) -> bool {
    bytes.len() >= shape.len()
        && shape.bytes().zip(bytes).all(|(s, b)| match s {
            b'x' => b.is_ascii_hexdigit(),
            b'0' => b.is_ascii_digit(),
            b'T' => matches!(b, b'T' | b' '),
            _ => s == *b,
        })
}

fn uuid(bytes: &[u8]) -> bool {
    shaped(bytes, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
        && !bytes.get(36).is_some_and(|b| b.is_ascii_alphanumeric())
}

/// The length of the instant that the bytes begin with.
fn instant(bytes: &[u8]) -> Option<usize> {
    if !shaped(bytes, "0000-00-00T00:00:00") {
        return None;
    }
    let rest = &bytes[19..];
    let fraction = match rest.first() {
        Some(b'.') => 1 + rest[1..].iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    Some(19 + fraction)
}
