//! What is known about a topic's name, so that a regular expression runs once per topic and not per record.

use std::collections::HashMap;
use std::sync::Arc;

/// How many topics are remembered; then it begins anew.
const LIMIT: usize = 10_000;

/// A bounded map by topic. Consecutive records mostly share the very same name, so its address is compared first.
pub(crate) struct ByTopic<T> {
    last: Option<(Arc<str>, T)>,
    known: HashMap<Arc<str>, T>,
}

impl<T: Clone> ByTopic<T> {
    pub(crate) fn new() -> Self {
        Self {
            last: None,
            known: HashMap::new(),
        }
    }

    /// What `make` made of this topic.
    pub(crate) fn get_or_make(&mut self, topic: &Arc<str>, make: impl FnOnce(&str) -> T) -> &T {
        let same = self
            .last
            .as_ref()
            .is_some_and(|(last, _)| Arc::ptr_eq(last, topic) || last == topic);
        if !same {
            let value = match self.known.get(topic) {
                Some(value) => value.clone(),
                None => {
                    if self.known.len() >= LIMIT {
                        self.known.clear();
                    }
                    let value = make(topic);
                    self.known.insert(topic.clone(), value.clone());
                    value
                }
            };
            return &self.last.insert((topic.clone(), value)).1;
        }
        match &self.last {
            Some((_, value)) => value,
            None => unreachable!("it was there a moment ago"),
        }
    }
}

/// Topic names made from values: the same text is the same shared name.
pub(crate) struct Names(std::collections::HashSet<Arc<str>>);

impl Names {
    pub(crate) fn new() -> Self {
        Self(std::collections::HashSet::new())
    }

    pub(crate) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        if self.0.len() >= LIMIT {
            self.0.clear();
        }
        let name: Arc<str> = Arc::from(text);
        self.0.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_looked_at_once() {
        let mut topics = ByTopic::new();
        let mut made = 0;
        for topic in ["a", "a", "b", "a", "b"] {
            let length = *topics.get_or_make(&Arc::from(topic), |name| {
                made += 1;
                name.len()
            });
            assert_eq!(length, 1);
        }
        assert_eq!(made, 2);
        let mut names = Names::new();
        assert!(Arc::ptr_eq(&names.get("x"), &names.get("x")));
    }
}
