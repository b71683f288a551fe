//! Where a table is cut.

use std::cmp::Ordering;

/// A key's values in the database's own text, in the key's order.
pub type Key = Vec<String>;

/// How values in text are ordered, for columns whose order is the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// Whole numbers.
    Integer,
    /// By the bytes of the text: binary collations, UUIDs, hexadecimal.
    Bytes,
    /// ISO 8601 dates and times of one zone; others than years 1 to 9999 can't be told.
    Time,
}

impl KeyOrder {
    /// Compares two values; `None` when that can't be told.
    pub fn compare(self, a: &str, b: &str) -> Option<Ordering> {
        match self {
            Self::Integer => Some(a.parse::<i128>().ok()?.cmp(&b.parse::<i128>().ok()?)),
            Self::Bytes => Some(a.as_bytes().cmp(b.as_bytes())),
            Self::Time => (is_common_time(a) && is_common_time(b)).then(|| a.cmp(b)),
        }
    }
}

fn is_common_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let year = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    year == 4 && bytes.get(4) == Some(&b'-') && !text.ends_with("BC")
}

/// A table's chunks: chunk `i` has the keys from bound `i - 1` on, up to but not including bound `i`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chunks {
    bounds: Vec<Key>,
}

impl Chunks {
    /// Cut at these keys, which rise.
    pub fn new(mut bounds: Vec<Key>) -> Self {
        bounds.dedup();
        Self { bounds }
    }

    /// Cuts the last chunk at a key behind all bounds.
    pub fn push(&mut self, bound: Key) {
        self.bounds.push(bound);
    }

    /// The bounds.
    pub fn bounds(&self) -> &[Key] {
        &self.bounds
    }

    /// How many chunks there are; one at least.
    pub fn count(&self) -> u32 {
        u32::try_from(self.bounds.len()).unwrap_or(u32::MAX - 1) + 1
    }

    /// The first key of a chunk, and the first one behind it.
    pub fn range(&self, chunk: u32) -> (Option<&Key>, Option<&Key>) {
        let chunk = chunk as usize;
        let lower = chunk.checked_sub(1).and_then(|index| self.bounds.get(index));
        (lower, self.bounds.get(chunk))
    }

    /// The chunk that has `key`; `None` when that can't be told.
    pub fn find(&self, key: &[&str], orders: &[KeyOrder]) -> Option<u32> {
        if self.bounds.is_empty() {
            return Some(0);
        }
        let (mut low, mut high) = (0, self.bounds.len());
        while low < high {
            let middle = low.midpoint(high);
            if compare(key, self.bounds.get(middle)?, orders)? == Ordering::Less {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        u32::try_from(low).ok()
    }
}

fn compare(key: &[&str], bound: &Key, orders: &[KeyOrder]) -> Option<Ordering> {
    if key.len() != bound.len() || key.len() != orders.len() {
        return None;
    }
    for ((a, b), order) in key.iter().zip(bound).zip(orders) {
        match order.compare(a, b)? {
            Ordering::Equal => {}
            unequal => return Some(unequal),
        }
    }
    Some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bound_belongs_to_the_chunk_behind_it() {
        let chunks = Chunks::new(vec![vec!["10".into()], vec!["200".into()], vec!["200".into()]]);
        assert_eq!(chunks.count(), 3);
        let find = |key: &str| chunks.find(&[key], &[KeyOrder::Integer]);
        assert_eq!(
            ["-5", "9", "10", "199", "200", "7000"].map(find),
            [0, 0, 1, 1, 2, 2].map(Some)
        );
        assert_eq!(find("ten"), None);
        assert_eq!(chunks.range(0), (None, Some(&vec!["10".to_owned()])));
        assert_eq!(chunks.range(2), (Some(&vec!["200".to_owned()]), None));
        assert_eq!(Chunks::default().find(&["x"], &[]), Some(0));
    }

    #[test]
    fn times_of_common_years_are_ordered_and_others_are_not() {
        let before = |a, b| KeyOrder::Time.compare(a, b);
        let less = Some(Ordering::Less);
        assert_eq!(before("2024-01-01 10:00:00+00", "2024-01-01 10:00:00.5+00"), less);
        assert_eq!(before("2024-01-01 10:00:00.25", "2024-01-01 10:00:00.5"), less);
        assert_eq!(before("0044-03-15 BC", "2024-01-01"), None);
        assert_eq!(before("infinity", "2024-01-01"), None);
        assert_eq!(before("12024-01-01", "2024-01-01"), None);
    }

    proptest! {
        #[test]
        fn a_composite_key_is_found_where_tuples_order_it(
            mut bounds in prop::collection::btree_set((-50i32..50, "[a-c]{0,3}"), 0..8),
            key in (-50i32..50, "[a-c]{0,3}"),
        ) {
            let text = |key: &(i32, String)| vec![key.0.to_string(), key.1.clone()];
            let chunks = Chunks::new(bounds.iter().map(text).collect());
            let key_text = text(&key);
            let key_text: Vec<&str> = key_text.iter().map(String::as_str).collect();
            let found = chunks.find(&key_text, &[KeyOrder::Integer, KeyOrder::Bytes]);
            bounds.retain(|bound| *bound <= key);
            prop_assert_eq!(found, Some(u32::try_from(bounds.len()).unwrap()));
        }
    }
}
