//! From topics to tables, and which fields are written.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use tapline_api::{Error, Result, Value};

/// A table: its schema, if the format names one, and its name, both as they stand in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableId {
    pub(crate) schema: Option<Arc<str>>,
    pub(crate) name: Arc<str>,
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// `collection.name.format` with its strategy.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    parts: Vec<Part>,
    passthrough: bool,
    quote: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Topic,
    /// A field of the source block.
    Source(String),
}

impl Naming {
    /// Reads the format. `quote` keeps the case of names.
    pub(crate) fn new(format: &str, passthrough: bool, quote: bool) -> Result<Self> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = format;
        while let Some(at) = rest.find("${") {
            let (before, behind) = rest.split_at(at);
            text.push_str(before);
            rest = behind;
            let Some((name, after)) = behind.strip_prefix("${").and_then(|name| name.split_once('}')) else {
                break;
            };
            let part = match name.strip_prefix("source.") {
                Some(field) if !passthrough => Some(Part::Source(field.to_owned())),
                _ if name == "topic" => Some(Part::Topic),
                _ => None,
            };
            match part {
                Some(part) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(part);
                }
                // Unknown names stay as they are written, as in Debezium.
                None => text.push_str(behind.strip_suffix(after).unwrap_or(behind)),
            }
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if parts.is_empty() {
            return Err(Error::config(
                "Invalid value  for configuration collection.name.format: it must not be empty",
            ));
        }
        Ok(Self {
            parts,
            passthrough,
            quote,
        })
    }

    /// The fields of the source block that it needs.
    pub(crate) fn source_fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Source(field) => Some(field.as_str()),
            _ => None,
        })
    }

    /// The table of a topic. `source` gives the values of [`source_fields`](Self::source_fields), in their order.
    pub(crate) fn table<'a>(&self, topic: &str, source: impl Iterator<Item = &'a Value>) -> Result<TableId> {
        let mut source = source;
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Topic if self.passthrough => name.push_str(topic),
                Part::Topic => name.extend(topic.chars().map(|c| if c == '.' { '_' } else { c })),
                Part::Source(field) => match source.next().and_then(Value::as_str) {
                    Some(text) => name.push_str(text),
                    None => {
                        return Err(Error::data(format!(
                            "Failed to resolve collection name: the source block has no text in its field '{field}'"
                        )));
                    }
                },
            }
        }
        self.parse(&name)
    }

    /// Splits at dots outside quotes: `table`, `schema.table` or `catalog.schema.table`.
    fn parse(&self, name: &str) -> Result<TableId> {
        let mut parts = vec![String::new()];
        let mut quote = None;
        for c in name.chars() {
            match (quote, c) {
                (None, '"' | '`') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                (None, '.') => parts.push(String::new()),
                (_, c) => {
                    if let Some(part) = parts.last_mut() {
                        part.push(c);
                    }
                }
            }
        }
        let bad = || Error::data(format!("Failed to parse table name into TableId: {name}"));
        if parts.len() > 3 || parts.iter().any(String::is_empty) {
            return Err(bad());
        }
        let table = parts.pop().ok_or_else(bad)?;
        Ok(TableId {
            schema: parts.pop().map(|schema| self.fold(&schema).into()),
            name: self.fold(&table).into(),
        })
    }

    /// A column's name for a field's.
    pub(crate) fn column(&self, field: &str) -> Arc<str> {
        self.fold(field).into()
    }

    /// A name that is not quoted is lower case in the catalog. We quote all the same, so that names which would need
    /// it (`my-topic`, `order`) work too.
    fn fold<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.quote {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(name.to_lowercase())
        }
    }
}

/// `field.include.list` or `field.exclude.list`.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldFilter {
    include: bool,
    /// Topic (any, if `None`) and field.
    entries: Vec<(Option<String>, String)>,
}

impl FieldFilter {
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        if !include.is_empty() && !exclude.is_empty() {
            return Err(Error::config(
                "Cannot define both field.exclude.list and field.include.list. Please specify only one.",
            ));
        }
        let entries = include
            .iter()
            .chain(exclude)
            .map(|entry| match entry.split_once(':') {
                Some((topic, field)) => (Some(topic.trim().to_owned()), field.trim().to_owned()),
                None => (None, entry.trim().to_owned()),
            });
        Ok(Self {
            include: !include.is_empty(),
            entries: entries.collect(),
        })
    }

    /// Whether a field is written.
    pub(crate) fn passes(&self, topic: &str, field: &str) -> bool {
        let listed = self
            .entries
            .iter()
            .any(|(of, name)| name == field && of.as_deref().is_none_or(|of| of == topic));
        listed == self.include
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(format: &str, passthrough: bool, quote: bool, topic: &str, source: &[Value]) -> String {
        match Naming::new(format, passthrough, quote).and_then(|naming| naming.table(topic, source.iter())) {
            Ok(table) => table.to_string(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn a_topic_becomes_a_table() {
        assert_eq!(
            name("${topic}", false, false, "shop.public.Orders", &[]),
            "shop_public_orders"
        );
        assert_eq!(name("${topic}", false, true, "shop.Orders", &[]), "shop_Orders");
        assert_eq!(name("${topic}", true, false, "inv.Orders", &[]), "inv.orders");
        assert_eq!(
            name("mirror.t_${topic}", false, false, "a.b", &[]),
            "mirror.t_a_b"
        );
        assert_eq!(name("\"x.y\".${topic}", false, true, "a", &[]), "x.y.a");
        assert_eq!(name("${other}${topic}", false, false, "a", &[]), "${other}a");
        assert_eq!(
            name("a.b.c.d", false, false, "t", &[]),
            "Failed to parse table name into TableId: a.b.c.d"
        );
    }

    #[test]
    fn fields_of_the_source_block_fill_the_format() {
        let source = ["User".into(), "tab".into()];
        assert_eq!(
            name("${source.schema}_${source.table}", false, false, "t", &source),
            "user_tab"
        );
        assert!(name("${source.schema}", false, false, "t", &[Value::Null]).contains("'schema'"));
    }

    #[test]
    fn fields_are_filtered_by_name_or_topic_and_name() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let include = FieldFilter::new(&list("a,t:b"), &[]).unwrap();
        assert!(include.passes("x", "a") && include.passes("t", "b") && !include.passes("x", "b"));
        let exclude = FieldFilter::new(&[], &list("a,t:b")).unwrap();
        assert!(!exclude.passes("x", "a") && !exclude.passes("t", "b") && exclude.passes("x", "b"));
        assert!(FieldFilter::default().passes("x", "a"));
    }
}
