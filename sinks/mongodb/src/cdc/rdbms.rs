//! Debezium's events of relational databases.
//!
//! The row's key is `_id`, a document of the key's fields; the other columns are the document's own. Of an event only what is
//! needed becomes a document: the row after the change or, for a table without a key, the row before it.

use bson::{Bson, Document, cstr, doc};
use tapline_api::record::SinkRecord;
use tapline_api::{Error, Result, Value, envelope};

use crate::document;
use crate::id::{ID, oid};
use crate::message::Message;
use crate::write::Write;

const NO_OPERATION: &str = "Value document is missing or CDC operation is not a string";
const NO_BEFORE: &str = "Value doc 'before' field is empty or has invalid type for update/delete operation.  -> \
                         defensive actions taken!";
const NO_AFTER: &str =
    "Value document must contain non-empty 'after' field of type document for insert/update operation";

/// A row as it is after a change, straight to the bytes that are sent; `None` where that takes more than its key and its columns.
pub(super) fn straight(sink: &SinkRecord, room: usize) -> Result<Option<Write>> {
    let (Value::Struct(event), Value::Struct(key)) = (&sink.record.value, &sink.record.key) else {
        return Ok(None);
    };
    let fresh = match event.get(envelope::OP).and_then(Value::as_str) {
        Some(envelope::op::CREATE | envelope::op::READ) => true,
        Some(envelope::op::UPDATE) => false,
        _ => return Ok(None),
    };
    let Some(Value::Struct(after)) = event.get(envelope::AFTER) else {
        return Ok(None);
    };
    if key.values().is_empty() || after.values().is_empty() {
        return Ok(None);
    }
    let mut document = document::with_room(room)?;
    document.append(cstr!("_id"), document::structure(key)?);
    for (field, value) in after.schema().fields().iter().zip(after.values()) {
        if key.schema().field_index(field.name()).is_some() {
            continue;
        }
        if **field.name() == *ID {
            // It takes the place of the key.
            return Ok(None);
        }
        document::field(&mut document, field, value)?;
    }
    Ok(Some(Write::Put { document, fresh }))
}

pub(super) fn write(message: &mut Message<'_>, seed: u64) -> Result<Option<Write<Document>>> {
    // A tombstone says nothing that the delete before it did not.
    if is_empty(message)? {
        return Ok(None);
    }
    let Some(op) = operation(message)? else {
        return Ok(None);
    };
    let mut key = message.take_key()?.unwrap_or_default();
    let unavailable = |op: &str| Error::data(format!("Unknown operation type {op}"));
    Ok(Some(match op.as_str() {
        envelope::op::CREATE | envelope::op::READ | envelope::op::UPDATE => {
            let update = op == envelope::op::UPDATE;
            let filter = (update && key.is_empty()).then(|| before(message)).transpose()?;
            let after = part(message, envelope::AFTER)?.ok_or_else(|| Error::data(NO_AFTER))?;
            let id = match &filter {
                Some(filter) => filter.get(ID).cloned(),
                None if key.is_empty() => Some(oid(message.sink, seed).into()),
                None => Some(Bson::Document(key.clone())),
            };
            let mut document = Document::new();
            if let Some(id) = id {
                document.insert(ID, id);
            }
            for (name, value) in after {
                if !key.contains_key(&name) {
                    document.insert(name, value);
                }
            }
            match filter {
                Some(filter) => Write::Replace {
                    filter,
                    with: document,
                    upsert: true,
                },
                None => Write::Put {
                    document,
                    fresh: !update,
                },
            }
        }
        envelope::op::DELETE if key.is_empty() => Write::Delete(before(message)?),
        envelope::op::DELETE => Write::Delete(doc! {ID: std::mem::take(&mut key)}),
        other => return Err(unavailable(other)),
    }))
}

fn before(message: &mut Message<'_>) -> Result<Document> {
    part(message, envelope::BEFORE)?.ok_or_else(|| Error::data(NO_BEFORE))
}

fn is_empty(message: &mut Message<'_>) -> Result<bool> {
    Ok(match &message.sink.record.value {
        Value::Null => true,
        Value::Struct(row) => row.values().is_empty(),
        _ => message.value()?.is_none_or(|value| value.is_empty()),
    })
}

/// The operation; `None` for a change of a schema, which has a statement instead.
fn operation(message: &mut Message<'_>) -> Result<Option<String>> {
    if let Value::Struct(row) = &message.sink.record.value {
        return match row.get(envelope::OP) {
            Some(Value::String(op)) => Ok(Some(op.to_string())),
            None if row.schema().field_index("ddl").is_some() => Ok(None),
            _ => Err(Error::data(NO_OPERATION)),
        };
    }
    let Some(value) = message.value()? else {
        return Ok(None);
    };
    match value.get(envelope::OP) {
        Some(Bson::String(op)) => Ok(Some(op.clone())),
        None if value.contains_key("ddl") => Ok(None),
        _ => Err(Error::data(NO_OPERATION)),
    }
}

/// A row of the event that is a document with anything in it.
fn part(message: &mut Message<'_>, name: &str) -> Result<Option<Document>> {
    let part = match &message.sink.record.value {
        Value::Struct(row) => match row.get(name) {
            Some(value @ Value::Struct(_)) => document::of(value)?,
            _ => None,
        },
        _ => match message.value()?.and_then(|value| value.remove(name)) {
            Some(Bson::Document(part)) => Some(part),
            _ => None,
        },
    };
    Ok(part.filter(|part| !part.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Record;
    use tapline_api::record::{Origin, SinkRecord, TimestampType};

    fn written(key: &'static str, value: &'static str) -> Result<Option<Write<Document>>> {
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
        write(&mut Message::new(&sink), 0)
    }

    #[test]
    fn each_operation_makes_its_write() {
        let key = r#"{"id": 1}"#;
        for op in ["c", "r", "u"] {
            let event = format!(r#"{{"op": "{op}", "before": null, "after": {{"id": 1, "note": "a"}}}}"#);
            assert_eq!(
                written(key, event.leak()).unwrap(),
                Some(Write::Put {
                    document: doc! {"_id": {"id": 1}, "note": "a"},
                    fresh: op != "u",
                })
            );
        }
        assert_eq!(
            written(key, r#"{"op": "d", "before": {"id": 1}, "after": null}"#).unwrap(),
            Some(Write::Delete(doc! {"_id": {"id": 1}}))
        );
        assert_eq!(written(key, "").unwrap(), None);
        assert_eq!(written("", r#"{"ddl": "create table t ()"}"#).unwrap(), None);
    }

    #[test]
    fn a_table_without_a_key_is_found_by_the_row_before() {
        assert_eq!(
            written("", r#"{"op": "u", "before": {"a": 1}, "after": {"a": 2}}"#).unwrap(),
            Some(Write::Replace {
                filter: doc! {"a": 1},
                with: doc! {"a": 2},
                upsert: true
            })
        );
        assert_eq!(
            written("", r#"{"op": "d", "before": {"a": 1}}"#).unwrap(),
            Some(Write::Delete(doc! {"a": 1}))
        );
        let Some(Write::Put { document, .. }) = written("", r#"{"op": "c", "after": {"a": 2}}"#).unwrap()
        else {
            panic!("a document with an id of its own");
        };
        assert!(document.get_object_id("_id").is_ok());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for event in [
            r#"{"op": 1}"#,
            r#"{"a": 1}"#,
            r#"{"op": "t"}"#,
            r#"{"op": "c", "after": {}}"#,
            r#"{"op": "d"}"#,
        ] {
            assert!(written("", event).is_err(), "{event}");
        }
    }
}
