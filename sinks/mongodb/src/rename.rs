//! Renaming of fields, by a mapping or by regular expressions.
//!
//! Paths begin with `key` or `value`: `value.address.city`.

use std::collections::HashMap;

use bson::{Bson, Document};
use serde_json::Value as Json;
use tapline_api::pattern::Pattern;
use tapline_api::{Error, Result};

use crate::message::Message;

/// Gives fields other names.
#[derive(Debug)]
pub(crate) enum Renamer {
    /// By path.
    Mapping(HashMap<String, String>),
    /// Where a whole path matches the first pattern, what matches the second in the name is replaced by the text.
    Patterns(Vec<(Pattern, Pattern, String)>),
}

fn objects(option: &str, text: &str) -> Result<Vec<serde_json::Map<String, Json>>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| {
        Error::config(format!(
            "Invalid value {text} for configuration {option}: it is not a list of JSON objects"
        ))
        .cause(error)
    })
}

fn member<'a>(option: &str, object: &'a serde_json::Map<String, Json>, name: &str) -> Result<&'a str> {
    object.get(name).and_then(Json::as_str).ok_or_else(|| {
        Error::config(format!(
            "Invalid value for configuration {option}: {name} is missing, or no string"
        ))
    })
}

impl Renamer {
    /// Of `[{"oldName":"key.fieldA","newName":"field1"}, …]`.
    pub(crate) fn mapping(option: &str, text: &str) -> Result<Self> {
        let pairs = objects(option, text)?;
        let pairs = pairs.iter().map(|object| {
            let old = member(option, object, "oldName")?;
            Ok((old.to_owned(), member(option, object, "newName")?.to_owned()))
        });
        Ok(Self::Mapping(pairs.collect::<Result<_>>()?))
    }

    /// Of `[{"regexp":"^key[.]my.*$","pattern":"my","replace":""}, …]`.
    pub(crate) fn patterns(option: &str, text: &str) -> Result<Self> {
        let all = objects(option, text)?;
        let all = all.iter().map(|object| {
            let path = Pattern::new(option, member(option, object, "regexp")?)?;
            let part = Pattern::new(option, member(option, object, "pattern")?)?;
            Ok((path, part, member(option, object, "replace")?.to_owned()))
        });
        Ok(Self::Patterns(all.collect::<Result<_>>()?))
    }

    fn is_active(&self) -> bool {
        match self {
            Self::Mapping(names) => !names.is_empty(),
            Self::Patterns(patterns) => !patterns.is_empty(),
        }
    }

    pub(crate) fn apply(&self, message: &mut Message<'_>) -> Result<()> {
        if !self.is_active() {
            return Ok(());
        }
        if let Some(key) = message.key()? {
            self.rename("key", key);
        }
        if let Some(value) = message.value()? {
            self.rename("value", value);
        }
        Ok(())
    }

    fn renamed(&self, path: &str, name: &str) -> Option<String> {
        let full = format!("{path}.{name}");
        match self {
            Self::Mapping(names) => names.get(&full).cloned(),
            Self::Patterns(patterns) => {
                let mut new = None;
                for (whole, part, replacement) in patterns {
                    if whole.matches(&full) {
                        let current = new.as_deref().unwrap_or(name);
                        new = Some(part.replace_all(current, replacement));
                    }
                }
                new
            }
        }
    }

    /// A name that is there already is not taken: then the field is dropped, as in MongoDB's connector. What is renamed goes
    /// to the end.
    fn rename(&self, path: &str, document: &mut Document) {
        let old = std::mem::take(document);
        let names: Vec<String> = old.keys().cloned().collect();
        let mut moved = Document::new();
        for (name, mut value) in old {
            let new = self.renamed(path, &name).filter(|new| *new != name);
            if let Bson::Document(inner) = &mut value {
                self.rename(&format!("{path}.{}", new.as_deref().unwrap_or(&name)), inner);
            }
            match new {
                None => {
                    document.insert(name, value);
                }
                Some(new) if !names.contains(&new) && !moved.contains_key(&new) => {
                    moved.insert(new, value);
                }
                Some(_) => {}
            }
        }
        document.extend(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn names_are_changed_by_path() {
        let mapping = r#"[{"oldName":"value.a","newName":"x"},{"oldName":"value.in.b","newName":"y"},{"oldName":"value.c","newName":"d"}]"#;
        let mut document = doc! {"a": 1, "in": {"b": 2, "a": 3}, "c": 4, "d": 5};
        Renamer::mapping("field.renamer.mapping", mapping)
            .unwrap()
            .rename("value", &mut document);
        assert_eq!(document, doc! {"in": {"a": 3, "y": 2}, "d": 5, "x": 1});

        let patterns = r#"[{"regexp":"^value[.]my.*$","pattern":"^my","replace":""},{"regexp":".*_.*","pattern":"_","replace":"-"}]"#;
        let mut document = doc! {"my_a_b": 1, "c": {"d_e": 2}};
        Renamer::patterns("field.renamer.regexp", patterns)
            .unwrap()
            .rename("value", &mut document);
        assert_eq!(document, doc! {"c": {"d-e": 2}, "-a-b": 1});
        assert!(Renamer::mapping("x", "{}").is_err());
        assert!(Renamer::mapping("x", r#"[{"oldName":"a"}]"#).is_err());
    }
}
