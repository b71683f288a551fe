//! A small bounded map for what is derived from a schema: a plan, a rendered prefix, a statement.
//!
//! Keyed by [`Schema::id`](crate::Schema::id), or by a pair of them. Consecutive records nearly always have the
//! same schema, so the slot used last is tried before the hash table. When the cache is full the oldest entry goes;
//! identities are never reused, so an entry can't become wrong, only useless.

use std::collections::HashMap;
use std::hash::Hash;

/// A bounded cache; not shared between threads.
#[derive(Debug)]
pub struct Cache<K, T> {
    limit: usize,
    slots: Vec<(K, T)>,
    index: HashMap<K, usize>,
    last: usize,
    oldest: usize,
}

impl<K: Copy + Eq + Hash, T> Cache<K, T> {
    /// A cache of at most `limit` entries, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            slots: Vec::new(),
            index: HashMap::new(),
            last: 0,
            oldest: 0,
        }
    }

    /// The entry of `key`, if there is one.
    pub fn get(&mut self, key: K) -> Option<&mut T> {
        let slot = self.find(key)?;
        self.slots.get_mut(slot).map(|(_, value)| value)
    }

    /// The entry of `key`, made by `make` if there is none; its error leaves the cache as it was.
    pub fn get_or_make<E>(&mut self, key: K, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        let slot = match self.find(key) {
            Some(slot) => slot,
            None => self.insert(key, make()?),
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "find and insert return a slot that exists"
        )]
        Ok(&mut self.slots[slot].1)
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn find(&mut self, key: K) -> Option<usize> {
        match self.slots.get(self.last) {
            Some((last, _)) if *last == key => Some(self.last),
            _ => {
                self.last = *self.index.get(&key)?;
                Some(self.last)
            }
        }
    }

    fn insert(&mut self, key: K, value: T) -> usize {
        let slot = if self.slots.len() < self.limit {
            self.slots.push((key, value));
            self.slots.len() - 1
        } else {
            let slot = self.oldest;
            self.oldest = (slot + 1) % self.limit;
            if let Some(entry) = self.slots.get_mut(slot) {
                self.index.remove(&entry.0);
                *entry = (key, value);
            }
            slot
        };
        self.index.insert(key, slot);
        self.last = slot;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_forgets_its_oldest_entry() {
        let mut cache = Cache::new(2);
        for key in [1_u64, 2, 3, 1] {
            let made: Result<_, ()> = cache.get_or_make(key, || Ok(key * 10));
            assert_eq!(*made.unwrap(), key * 10);
        }
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(2), None);
        assert_eq!(cache.get(3).copied(), Some(30));
        assert_eq!(cache.get_or_make(3, || Err("not made again")).copied(), Ok(30));
        assert_eq!(cache.get_or_make(4, || Err("no")), Err("no"));
    }
}
