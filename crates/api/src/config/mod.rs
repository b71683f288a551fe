//! Configuration: what a user wrote, and the static tables that say what it means.
//!
//! A [`Config`] is text by name, as it came by REST or from a file. A [`ConfigDef`] is a static list of
//! [`ConfigKey`]s, declared once by each plugin; parsing, REST's `validate`, the console's forms, `tapline plugins`
//! and the reference pages all come from it. Messages are those of Kafka's `ConfigDef`.

mod def;
mod parsed;
mod validator;

use std::fmt;

use indexmap::IndexMap;

pub use def::{ConfigDef, ConfigInfo, ConfigKey, Default, Importance, Kind, Width};
pub use parsed::{ConfigValue, Parsed, Secret};
pub use validator::Validator;

/// A configuration as the user wrote it, in the order in which it was written. A value may be null.
///
/// It may hold secrets, so its `Debug` prints names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config(IndexMap<String, Option<String>>);

impl Config {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that is there and not null.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }

    /// Whether the name is there, be it with null.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets a value; a new name goes to the end.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), Some(value.into()));
    }

    /// Sets a value that may be null.
    pub fn set_nullable(&mut self, name: impl Into<String>, value: Option<String>) {
        self.0.insert(name.into(), value);
    }

    /// Removes a name, keeping the order of the others.
    pub fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// The options under `prefix`, with it cut off: `transforms.unwrap.` gives the options of that transformation.
    #[must_use]
    pub fn prefixed(&self, prefix: &str) -> Self {
        self.iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(prefix)?.to_owned(), value.map(str::to_owned)))
            })
            .collect()
    }

    /// A comma-separated list as Kafka reads it: trimmed, without empty entries.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.get(name).map(split_list).unwrap_or_default()
    }

    /// How many options.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Splits a comma-separated list: trimmed, without empty entries.
pub(crate) fn split_list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

impl FromIterator<(String, Option<String>)> for Config {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl FromIterator<(String, String)> for Config {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(name, value)| (name, Some(value)))
                .collect(),
        )
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Config {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(entries: I) -> Self {
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
