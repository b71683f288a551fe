//! Finding a row of a batch by its key, without an allocation per row.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use tapline_api::Value;

/// A hash table from keys to positions. The keys themselves stay where they are: the caller compares.
pub(crate) struct KeyIndex {
    /// Positions, `EMPTY` where there is none; a power of two long.
    slots: Vec<u32>,
    /// The hash of each position.
    hashes: Vec<u64>,
}

const EMPTY: u32 = u32::MAX;

impl KeyIndex {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![EMPTY; 16],
            hashes: Vec::new(),
        }
    }

    /// The position of a key, or `Err` with a new one for it: that of the next entry.
    pub(crate) fn find_or_add(&mut self, hash: u64, same: impl Fn(u32) -> bool) -> Result<u32, u32> {
        if (self.hashes.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = slot_of(hash) & mask;
        loop {
            let Some(slot) = self.slots.get_mut(at) else {
                // A mask never leads outside.
                return Err(EMPTY);
            };
            if *slot == EMPTY {
                let position = u32::try_from(self.hashes.len()).unwrap_or(EMPTY);
                *slot = position;
                self.hashes.push(hash);
                return Err(position);
            }
            let position = *slot;
            if self.hashes.get(position as usize) == Some(&hash) && same(position) {
                return Ok(position);
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(size, EMPTY);
        for (position, hash) in (0..).zip(&self.hashes) {
            let mut at = slot_of(*hash) & (size - 1);
            while let Some(slot) = self.slots.get_mut(at) {
                if *slot == EMPTY {
                    *slot = position;
                    break;
                }
                at = (at + 1) & (size - 1);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any bits of a hash do")]
fn slot_of(hash: u64) -> usize {
    hash as usize
}

/// Hashes keys, seeded anew for each task, so that nobody can choose keys that collide.
#[derive(Clone, Default)]
pub(crate) struct KeyHasher(RandomState);

impl KeyHasher {
    pub(crate) fn hash<'a>(&self, key: impl Iterator<Item = &'a Value>) -> u64 {
        let mut hasher = self.0.build_hasher();
        for value in key {
            feed(value, &mut hasher);
        }
        hasher.finish()
    }
}

/// Values that are equal feed the same; unequal ones may collide.
fn feed(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => 0u8.hash(hasher),
        Value::Int8(n) => n.hash(hasher),
        Value::Int16(n) => n.hash(hasher),
        Value::Int32(n) => n.hash(hasher),
        Value::Int64(n) => n.hash(hasher),
        // Zero and minus zero are equal.
        Value::Float32(n) => (n + 0.0).to_bits().hash(hasher),
        Value::Float64(n) => (n + 0.0).to_bits().hash(hasher),
        Value::Boolean(b) => b.hash(hasher),
        Value::String(text) => text.as_bytes().hash(hasher),
        Value::Bytes(bytes) => bytes.hash(hasher),
        Value::Array(items) => items.iter().for_each(|item| feed(item, hasher)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            feed(key, hasher);
            feed(value, hasher);
        }),
        Value::Struct(row) => row.values().iter().for_each(|value| feed(value, hasher)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn positions_are_those_of_a_map(keys in prop::collection::vec(0i64..50, 0..200), modulus in 1u64..60) {
            let (mut index, mut known, mut entries) = (KeyIndex::new(), HashMap::new(), Vec::new());
            for key in keys {
                // Hashes that collide often.
                let hash = key.cast_unsigned() % modulus;
                let found = index.find_or_add(hash, |position| entries[position as usize] == key);
                match known.get(&key) {
                    Some(position) => prop_assert_eq!(found, Ok(*position)),
                    None => {
                        let position = u32::try_from(entries.len()).unwrap();
                        prop_assert_eq!(found, Err(position));
                        known.insert(key, position);
                        entries.push(key);
                    }
                }
            }
        }
    }

    #[test]
    fn equal_keys_have_equal_hashes() {
        let hasher = KeyHasher::default();
        let hash = |value: Value| hasher.hash([&value].into_iter());
        assert_eq!(hash(Value::Float64(0.0)), hash(Value::Float64(-0.0)));
        assert_ne!(hash(Value::Int32(1)), hash(Value::Int32(2)));
    }
}
