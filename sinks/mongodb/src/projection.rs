//! Allow lists and block lists of fields, with their wildcards: `*` for one level, `**` for all below, `name*` for a beginning.

use std::collections::HashSet;

use bson::{Bson, Document};
use tapline_api::{Error, Result};

/// Keeps or removes fields.
#[derive(Debug)]
pub(crate) enum Projection {
    /// These alone stay, with what leads to them.
    Allow(HashSet<String>),
    /// These go.
    Block(Vec<String>),
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

impl Projection {
    /// Of an option's type (`allowlist`, `whitelist`, `blocklist`, `blacklist`) and list.
    pub(crate) fn new(kind_option: &str, kind: &str, fields: &str) -> Result<Self> {
        match kind.to_ascii_lowercase().as_str() {
            "allowlist" | "whitelist" => Ok(Self::allow(fields)),
            "blocklist" | "blacklist" => Ok(Self::block(fields)),
            _ => Err(Error::config(format!(
                "Invalid {kind_option} value. It should be set to either BLOCKLIST or ALLOWLIST"
            ))),
        }
    }

    /// Keeps these alone.
    pub(crate) fn allow(fields: &str) -> Self {
        let mut all = HashSet::new();
        for field in list(fields) {
            let mut entry = field;
            all.insert(entry.to_owned());
            // What leads to a field stays with it.
            while let Some((parent, _)) = entry.rsplit_once('.') {
                if !parent.is_empty() {
                    all.insert(parent.to_owned());
                }
                entry = parent;
            }
        }
        Self::Allow(all)
    }

    /// Removes these.
    pub(crate) fn block(fields: &str) -> Self {
        Self::Block(list(fields).map(str::to_owned).collect())
    }

    pub(crate) fn apply(&self, document: &mut Document) {
        match self {
            Self::Allow(fields) => {
                if !fields.contains("**") {
                    allow(fields, "", document);
                }
            }
            Self::Block(fields) => {
                for field in fields {
                    block(field, document);
                }
            }
        }
    }
}

fn retain(document: &mut Document, mut keep: impl FnMut(&str, &mut Bson) -> bool) {
    let all = std::mem::take(document);
    for (name, mut value) in all {
        if keep(&name, &mut value) {
            document.insert(name, value);
        }
    }
}

fn allow(fields: &HashSet<String>, path: &str, document: &mut Document) {
    retain(document, |name, value| {
        let key = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        if !fields.contains(&key) && !matches_wildcard(fields, &key) {
            return false;
        }
        match value {
            Bson::Document(inner) if !fields.contains(&format!("{key}.**")) => allow(fields, &key, inner),
            Bson::Array(items) => {
                for item in items {
                    if let Bson::Document(inner) = item {
                        allow(fields, &key, inner);
                    }
                }
            }
            _ => {}
        }
        true
    });
}

/// Whether a pattern of the list is the key: `a.*.c`, or `a*` without a dot.
fn matches_wildcard(fields: &HashSet<String>, key: &str) -> bool {
    fields.iter().filter(|field| field.contains('*')).any(|field| {
        if !field.contains('.')
            && field != "*"
            && let Some(beginning) = field.strip_suffix('*')
        {
            return key.starts_with(beginning);
        }
        let (mut pattern, mut parts) = (field.split('.'), key.split('.'));
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(pattern), Some(part)) if pattern == "*" || pattern == part => {}
                _ => return false,
            }
        }
    })
}

fn block(field: &str, document: &mut Document) {
    let Some((first, rest)) = field.split_once('.') else {
        match field {
            "*" | "**" => wildcard(field, "", document),
            _ => match field.strip_suffix('*') {
                Some(beginning) => retain(document, |name, _| !name.starts_with(beginning)),
                None => {
                    document.remove(field);
                }
            },
        }
        return;
    };
    if matches!(first, "*" | "**") {
        return wildcard(first, rest, document);
    }
    match document.get_mut(first) {
        Some(Bson::Document(inner)) => block(rest, inner),
        Some(Bson::Array(items)) => {
            for item in items {
                if let Bson::Document(inner) = item {
                    block(rest, inner);
                }
            }
        }
        _ => {}
    }
}

fn wildcard(first: &str, rest: &str, document: &mut Document) {
    if first == "**" {
        return document.clear();
    }
    retain(document, |_, value| match value {
        Bson::Document(inner) => {
            if !rest.is_empty() {
                block(rest, inner);
            }
            true
        }
        _ => false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn sample() -> Document {
        doc! {
            "name": "Anonymous",
            "age": 42,
            "active": true,
            "address": {"city": "Unknown", "country": "NoWhereLand"},
            "food": ["Austrian", "Italian"],
            "data": [{"key": "a", "value": 1, "deep": {"x": 1}}, {"key": "b", "value": 2}],
        }
    }

    #[test]
    fn block_lists_remove_and_allow_lists_keep() {
        for (kind, fields, expected) in [
            (
                "blocklist",
                "age,address.city, food",
                doc! {
                    "name": "Anonymous", "active": true, "address": {"country": "NoWhereLand"},
                    "data": [{"key": "a", "value": 1, "deep": {"x": 1}}, {"key": "b", "value": 2}],
                },
            ),
            (
                "BLACKLIST",
                "data.value,a*,food,data.deep.x",
                doc! {
                    "name": "Anonymous", "data": [{"key": "a", "deep": {}}, {"key": "b"}],
                },
            ),
            (
                "blocklist",
                "*",
                doc! {"address": {"city": "Unknown", "country": "NoWhereLand"}},
            ),
            (
                "blocklist",
                "*.city",
                doc! {"address": {"country": "NoWhereLand"}},
            ),
            ("blocklist", "**", doc! {}),
            (
                "allowlist",
                "name,address.city",
                doc! {"name": "Anonymous", "address": {"city": "Unknown"}},
            ),
            (
                "allowlist",
                "address.**",
                doc! {"address": {"city": "Unknown", "country": "NoWhereLand"}},
            ),
            (
                "allowlist",
                "data.key",
                doc! {"data": [{"key": "a"}, {"key": "b"}]},
            ),
            (
                "whitelist",
                "*.city,ag*",
                doc! {
                    "name": "Anonymous", "age": 42, "active": true, "address": {"city": "Unknown"},
                    "food": ["Austrian", "Italian"], "data": [{}, {}],
                },
            ),
            ("allowlist", "**", sample()),
            ("allowlist", "", doc! {}),
        ] {
            let mut document = sample();
            Projection::new("x", kind, fields).unwrap().apply(&mut document);
            assert_eq!(document, expected, "{kind} {fields}");
        }
        assert!(Projection::new("key.projection.type", "none", "").is_err());
    }
}
