//! Debezium's events of MongoDB: documents and ids are extended JSON in strings.

use bson::{Bson, Document, doc};
use tapline_api::{Error, Result};

use crate::document;
use crate::id::ID;
use crate::message::Message;
use crate::write::Write;

/// What an update holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `patch`: operators or a whole document, from the oplog.
    Oplog,
    /// `after`: the whole document.
    ChangeStream,
}

pub(super) fn write(message: &mut Message<'_>, format: Format) -> Result<Option<Write<Document>>> {
    let key = message.take_key()?.unwrap_or_default();
    if key.is_empty() {
        return Err(Error::data("Key document must not be missing for CDC mode"));
    }
    let value = message.take_value()?.unwrap_or_default();
    if key.contains_key("id") && value.is_empty() {
        return Ok(None);
    }
    let op = match value.get("op") {
        Some(Bson::String(op)) => op.as_str(),
        None if value.contains_key("ddl") => return Ok(None),
        _ => {
            return Err(Error::data(
                "Value document is missing or CDC operation is not a string",
            ));
        }
    };
    Ok(Some(match (op, format) {
        ("c" | "r", _) => {
            let with = member(&value, "after", "Insert")?;
            replace(doc! {ID: with.get(ID).cloned().unwrap_or(Bson::Null)}, with)
        }
        ("u", Format::ChangeStream) => {
            let with = member(&value, "after", "Update")?;
            replace(by_key(&key, "Update")?, with)
        }
        ("u", Format::Oplog) => {
            let mut change = member(&value, "patch", "Update")?;
            // The oplog's own version of the format.
            change.remove("$v");
            match change.get(ID) {
                Some(id) => replace(doc! {ID: id.clone()}, change),
                None => Write::Update {
                    filter: by_key(&key, "Update")?,
                    change,
                    upsert: false,
                },
            }
        }
        ("d", _) => Write::Delete(by_key(&key, "Delete")?),
        (other, _) => return Err(Error::data(format!("Unknown operation type {other}"))),
    }))
}

fn replace(filter: Document, with: Document) -> Write<Document> {
    Write::Replace {
        filter,
        with,
        upsert: true,
    }
}

fn member(value: &Document, name: &str, what: &str) -> Result<Document> {
    match value.get(name) {
        Some(Bson::String(json)) => document::parse(json),
        _ => Err(Error::data(format!("{what} document missing `{name}` field."))),
    }
}

/// The key's `id` is the JSON of an `_id`.
fn by_key(key: &Document, what: &str) -> Result<Document> {
    let Some(Bson::String(id)) = key.get("id") else {
        return Err(Error::data(format!("{what} document missing `id` field.")));
    };
    let id = serde_json::from_str(id)
        .map_err(|error| Error::data(format!("the id {id} is no JSON")).cause(error))?;
    Ok(doc! {ID: document::bson(id)?})
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::record::{Origin, SinkRecord, TimestampType};
    use tapline_api::{Record, Value};

    fn written(key: &'static str, value: &'static str, format: Format) -> Result<Option<Write<Document>>> {
        let text = |text: &'static str| if text.is_empty() { Value::Null } else { text.into() };
        let sink = SinkRecord {
            record: Record {
                key: text(key),
                value: text(value),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition: 0,
                offset: 0,
                timestamp_type: TimestampType::None,
            },
        };
        write(&mut Message::new(&sink), format)
    }

    #[test]
    fn each_operation_makes_its_write() {
        let key = r#"{"id": "7"}"#;
        let oplog = |value| written(key, value, Format::Oplog).unwrap();
        let stream = |value| written(key, value, Format::ChangeStream).unwrap();
        assert_eq!(
            stream(r#"{"op": "c", "after": "{\"_id\": 7, \"a\": {\"$numberLong\": \"5\"}}"}"#),
            Some(replace(doc! {"_id": 7}, doc! {"_id": 7, "a": 5_i64}))
        );
        assert_eq!(
            stream(r#"{"op": "u", "after": "{\"_id\": 7, \"a\": 1}"}"#),
            Some(replace(doc! {"_id": 7}, doc! {"_id": 7, "a": 1}))
        );
        assert_eq!(
            oplog(r#"{"op": "u", "patch": "{\"$v\": 1, \"$set\": {\"a\": 1}}"}"#),
            Some(Write::Update {
                filter: doc! {"_id": 7},
                change: doc! {"$set": {"a": 1}},
                upsert: false,
            })
        );
        assert_eq!(
            oplog(r#"{"op": "u", "patch": "{\"_id\": 7, \"b\": 1}"}"#),
            Some(replace(doc! {"_id": 7}, doc! {"_id": 7, "b": 1}))
        );
        assert_eq!(oplog(r#"{"op": "d"}"#), Some(Write::Delete(doc! {"_id": 7})));
        assert_eq!(oplog(""), None);
        for (key, value) in [
            ("", r#"{"op": "d"}"#),
            (key, r#"{"op": "c"}"#),
            (key, r#"{"op": "x"}"#),
        ] {
            assert!(written(key, value, Format::Oplog).is_err());
        }
    }
}
