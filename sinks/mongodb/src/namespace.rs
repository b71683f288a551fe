//! The database and collection that a record goes to (`namespace.mapper`).

use std::fmt;

use bson::{Bson, Document};
use tapline_api::{Error, Result};

use crate::id::Part;
use crate::message::Message;

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Namespace {
    pub(crate) database: String,
    pub(crate) collection: String,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.collection)
    }
}

/// A field of the key or the value whose text is a name.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) part: Part,
    pub(crate) path: String,
}

/// Maps records to collections.
#[derive(Debug)]
pub(crate) struct Mapper {
    pub(crate) default: Namespace,
    pub(crate) database: Option<Path>,
    pub(crate) collection: Option<Path>,
    /// Whether a field that is missing, or no text, is an error.
    pub(crate) strict: bool,
}

impl Mapper {
    /// Whether all records go to one collection.
    pub(crate) fn is_fixed(&self) -> bool {
        self.database.is_none() && self.collection.is_none()
    }

    pub(crate) fn map(&self, message: &mut Message<'_>) -> Result<Namespace> {
        let mut namespace = self.default.clone();
        if let Some(name) = self.look_up(message, self.database.as_ref())? {
            namespace.database = name;
        }
        if let Some(name) = self.look_up(message, self.collection.as_ref())? {
            namespace.collection = name;
        }
        Ok(namespace)
    }

    fn look_up(&self, message: &mut Message<'_>, path: Option<&Path>) -> Result<Option<String>> {
        let Some(Path { part, path }) = path else {
            return Ok(None);
        };
        let (document, what) = match part {
            Part::Key => (message.key()?, "key"),
            Part::Value => (message.value()?, "value"),
        };
        let missing = |text: String| {
            if self.strict {
                Err(Error::data(text))
            } else {
                Ok(None)
            }
        };
        let Some(document) = document else {
            return missing(format!("Invalid {what} document: it is null"));
        };
        match field(document, path) {
            Some(Bson::String(name)) => Ok(Some(name.clone())),
            None => missing(format!("Missing document path '{path}': {document}")),
            Some(other) => missing(format!(
                "Invalid type for {:?} field path '{path}', expected a String: {document}",
                other.element_type()
            )),
        }
    }
}

/// A field by its dotted path.
fn field<'d>(document: &'d Document, path: &str) -> Option<&'d Bson> {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (document.get(first)?, rest) {
        (value, None) => Some(value),
        (Bson::Document(inner), Some(rest)) => field(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::record::{Origin, SinkRecord, TimestampType};
    use tapline_api::{Record, Value};

    #[test]
    fn names_come_from_fields_and_else_are_the_configured_ones() {
        let sink = SinkRecord {
            record: Record {
                key: Value::from(r#"{"tenant": "t1"}"#),
                value: Value::from(r#"{"in": {"kind": "orders"}, "n": 1}"#),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition: 0,
                offset: 0,
                timestamp_type: TimestampType::None,
            },
        };
        let map = |collection: &str, strict| {
            let path = |part, path: &str| {
                Some(Path {
                    part,
                    path: path.to_owned(),
                })
            };
            let mapper = Mapper {
                default: Namespace {
                    database: "d".to_owned(),
                    collection: "c".to_owned(),
                },
                database: path(Part::Key, "tenant"),
                collection: path(Part::Value, collection),
                strict,
            };
            mapper
                .map(&mut Message::new(&sink))
                .map(|namespace| namespace.to_string())
        };
        assert_eq!(map("in.kind", true).unwrap(), "t1.orders");
        assert_eq!(map("in.none", false).unwrap(), "t1.c");
        assert_eq!(map("n", false).unwrap(), "t1.c");
        assert!(map("in.none", true).is_err());
        assert!(map("n", true).is_err());
    }
}
