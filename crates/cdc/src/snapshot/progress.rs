//! How far a table is, as it is stored, and what that means for a change.
//!
//! A table's progress is stored under a source partition of its own, so that a chunk's end writes a few bytes however many
//! tables there are: `{"server":"shop","tapline":"snapshot","table":"public.orders"}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use tapline_api::offset::{Offset, Partition};

use super::chunks::{Chunks, Key, KeyOrder};

/// A change, as far as a chunk's snapshot may have seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An insert, an update, or what else leaves a row behind.
    Row,
    /// A delete.
    Delete,
}

/// What becomes of a change that comes before a snapshot is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes out.
    Emit,
    /// It is, or will be, in a row that is read.
    Drop,
}

/// How far a table is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// The names of the key's columns that `chunks` are cut by; none where it is one chunk.
    pub key: Vec<String>,
    /// Where it is cut.
    pub chunks: Chunks,
    /// Chunks that are done, by the name of what their snapshot saw; each list of ranges is sorted.
    done: BTreeMap<String, Vec<(u32, u32)>>,
}

/// The source partition of a table's progress.
pub fn progress_partition(server: &str, table: &str) -> Partition {
    Partition::new([
        ("server".to_owned(), server.into()),
        ("tapline".to_owned(), "snapshot".into()),
        ("table".to_owned(), table.into()),
    ])
}

impl Progress {
    /// Nothing done yet.
    pub fn new(key: Vec<String>, chunks: Chunks) -> Self {
        Self {
            key,
            chunks,
            done: BTreeMap::new(),
        }
    }

    /// The name of what the chunk's snapshot saw, if it is done.
    pub fn seen(&self, chunk: u32) -> Option<&str> {
        self.done
            .iter()
            .find(|(_, ranges)| ranges.iter().any(|(from, to)| (*from..=*to).contains(&chunk)))
            .map(|(seen, _)| seen.as_str())
    }

    /// Chunks still to be read, in order.
    pub fn left(&self) -> Vec<u32> {
        let mut ranges: Vec<_> = self.done.values().flatten().copied().collect();
        ranges.sort_unstable();
        let mut left = Vec::new();
        let mut next = 0;
        for (from, to) in ranges {
            left.extend(next..from);
            next = next.max(to.saturating_add(1));
        }
        left.extend(next..self.chunks.count());
        left
    }

    /// Whether nothing is done.
    pub fn is_fresh(&self) -> bool {
        self.done.is_empty()
    }

    /// A chunk is read to its end by a snapshot of this name.
    pub fn finish(&mut self, chunk: u32, seen: &str) {
        let ranges = self.done.entry(seen.to_owned()).or_default();
        ranges.push((chunk, chunk));
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges.drain(..) {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        *ranges = merged;
    }

    /// What becomes of a change of `key`, which is none where the change does not tell all of it. `saw` says whether a
    /// snapshot of that name saw the change's transaction.
    pub fn verdict(
        &self,
        change: Change,
        key: Option<&[&str]>,
        orders: &[KeyOrder],
        saw: impl Fn(&str) -> bool,
    ) -> Verdict {
        let still_to_come = match change {
            Change::Row => Verdict::Drop,
            Change::Delete => Verdict::Emit,
        };
        if self.is_fresh() {
            return still_to_come;
        }
        let chunk = if self.chunks.count() == 1 {
            Some(0)
        } else {
            key.and_then(|key| self.chunks.find(key, orders))
        };
        match chunk.map(|chunk| self.seen(chunk)) {
            Some(Some(seen)) if saw(seen) => Verdict::Drop,
            Some(None) => still_to_come,
            Some(Some(_)) | None => Verdict::Emit,
        }
    }

    /// As it is stored. `number` counts what is stored during a run, so that it can be waited for.
    pub fn to_offset(&self, number: u64) -> Offset {
        let ranges = |ranges: &Vec<(u32, u32)>| -> Json {
            let texts: Vec<String> = ranges
                .iter()
                .map(|(from, to)| {
                    if from == to {
                        from.to_string()
                    } else {
                        format!("{from}-{to}")
                    }
                })
                .collect();
            texts.join(",").into()
        };
        let done: Map<String, Json> = self
            .done
            .iter()
            .map(|(seen, list)| (seen.clone(), ranges(list)))
            .collect();
        Offset::new([
            ("key".to_owned(), self.key.clone().into()),
            (
                "bounds".to_owned(),
                Json::Array(
                    self.chunks
                        .bounds()
                        .iter()
                        .map(|key| key.clone().into())
                        .collect(),
                ),
            ),
            ("done".to_owned(), Json::Object(done)),
            ("number".to_owned(), number.into()),
        ])
    }

    /// Reads it back; `None` when it is not ours.
    pub fn from_offset(offset: &Offset) -> Option<Self> {
        let texts = |json: &Json| -> Option<Key> {
            json.as_array()?
                .iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        let bounds = offset.get("bounds")?.as_array()?;
        let mut done = BTreeMap::new();
        for (seen, ranges) in offset.get("done")?.as_object()? {
            let ranges: Option<Vec<(u32, u32)>> = ranges
                .as_str()?
                .split(',')
                .map(|range| {
                    let (from, to) = range.split_once('-').unwrap_or((range, range));
                    Some((from.parse().ok()?, to.parse().ok()?))
                })
                .collect();
            done.insert(seen.clone(), ranges?);
        }
        Some(Self {
            key: texts(offset.get("key")?)?,
            chunks: Chunks::new(bounds.iter().map(texts).collect::<Option<_>>()?),
            done,
        })
    }

    /// The number that [`to_offset`](Self::to_offset) was given.
    pub fn number(offset: &Offset) -> Option<u64> {
        offset.get("number")?.as_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(bounds: &[&str]) -> Progress {
        let bounds = bounds.iter().map(|bound| vec![(*bound).to_owned()]).collect();
        Progress::new(vec!["id".to_owned()], Chunks::new(bounds))
    }

    #[test]
    fn changes_of_what_is_done_go_out_and_of_the_rest_deletes_alone() {
        let mut progress = cut(&["10", "20"]);
        progress.finish(1, "A");
        let verdict =
            |change, key: &str, saw| progress.verdict(change, Some(&[key]), &[KeyOrder::Integer], |_| saw);
        assert_eq!(verdict(Change::Row, "15", false), Verdict::Emit);
        assert_eq!(verdict(Change::Delete, "15", true), Verdict::Drop);
        assert_eq!(verdict(Change::Row, "25", false), Verdict::Drop);
        assert_eq!(verdict(Change::Delete, "25", false), Verdict::Emit);
        // A key that can't be placed.
        assert_eq!(verdict(Change::Row, "x", true), Verdict::Emit);
        assert_eq!(progress.verdict(Change::Row, None, &[], |_| true), Verdict::Emit);
        // A table that was not begun is read whole.
        assert_eq!(
            cut(&["10"]).verdict(Change::Row, None, &[], |_| false),
            Verdict::Drop
        );
    }

    #[test]
    fn a_stored_progress_is_short_and_reads_back() {
        let mut progress = cut(&["10", "20", "30"]);
        for (chunk, seen) in [(2, "B"), (0, "A"), (1, "A")] {
            progress.finish(chunk, seen);
        }
        let offset = progress.to_offset(7);
        assert_eq!(
            serde_json::to_string(&*offset.0).unwrap(),
            r#"{"key":["id"],"bounds":[["10"],["20"],["30"]],"done":{"A":"0-1","B":"2"},"number":7}"#
        );
        assert_eq!(Progress::from_offset(&offset), Some(progress.clone()));
        assert_eq!(Progress::number(&offset), Some(7));
        assert_eq!(progress.left(), [3]);
    }

    proptest! {
        #[test]
        fn what_is_left_and_what_is_done_are_all(order in Just((0u32..12).collect::<Vec<_>>()).prop_shuffle(), n in 0usize..13) {
            let bounds: Vec<String> = (1..12).map(|i| i.to_string()).collect();
            let mut progress = cut(&bounds.iter().map(String::as_str).collect::<Vec<_>>());
            for (index, chunk) in order.iter().take(n).enumerate() {
                progress.finish(*chunk, if index % 2 == 0 { "A" } else { "B" });
            }
            let stored = Progress::from_offset(&progress.to_offset(0)).unwrap();
            let mut left: Vec<u32> = order.iter().skip(n).copied().collect();
            left.sort_unstable();
            prop_assert_eq!(stored.left(), left);
            for (index, chunk) in order.iter().enumerate() {
                let seen = (index < n).then_some(if index % 2 == 0 { "A" } else { "B" });
                prop_assert_eq!(stored.seen(*chunk), seen);
            }
        }
    }
}
