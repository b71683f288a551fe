//! Events of MongoDB's own source connector: a change stream's documents.
//!
//! <https://www.mongodb.com/docs/manual/reference/change-events/>

use bson::{Bson, Document, doc};
use tapline_api::{Error, Result};

use super::document;
use crate::message::Message;
use crate::write::Write;

const UPDATE: &str = "updateDescription";

pub(super) fn write(message: &mut Message<'_>) -> Result<Option<Write<Document>>> {
    let event = message.take_value()?.unwrap_or_default();
    let operation = match event.get("operationType") {
        Some(Bson::String(operation)) => operation.to_ascii_lowercase(),
        Some(_) => {
            return Err(Error::data(
                "Error: Unexpected CDC operation type, should be a string",
            ));
        }
        None => {
            return Err(Error::data(format!(
                "Error: `operationType` field is doc is missing. {event}"
            )));
        }
    };
    let key = || member(&event, "documentKey").cloned();
    Ok(Some(match operation.as_str() {
        "insert" | "replace" => Write::Replace {
            filter: key()?,
            with: member(&event, "fullDocument")?.clone(),
            upsert: true,
        },
        "update" if event.contains_key("fullDocument") => Write::Replace {
            filter: key()?,
            with: member(&event, "fullDocument")?.clone(),
            upsert: false,
        },
        "update" => Write::Update {
            filter: key()?,
            change: change(member(&event, UPDATE)?)?,
            upsert: false,
        },
        "delete" => Write::Delete(key()?),
        // What happens to collections and databases is not followed.
        _ => return Ok(None),
    }))
}

fn member<'d>(event: &'d Document, name: &str) -> Result<&'d Document> {
    document(event, name).ok_or_else(|| {
        if event.contains_key(name) {
            Error::data(format!(
                "Unexpected {name} field type, expecting a document: {event}"
            ))
        } else {
            Error::data(format!("Missing {name} field: {event}"))
        }
    })
}

/// `$set` and `$unset` of an update's description.
fn change(description: &Document) -> Result<Document> {
    const KNOWN: [&str; 4] = [
        "updatedFields",
        "removedFields",
        "truncatedArrays",
        "disambiguatedPaths",
    ];
    let unknown: Vec<&str> = description
        .keys()
        .map(String::as_str)
        .filter(|name| !KNOWN.contains(name))
        .collect();
    if !unknown.is_empty() {
        return Err(Error::data(format!(
            "Warning unexpected field(s) in {UPDATE} {unknown:?}. {description}. Cannot process due to risk of data loss."
        )));
    }
    let set = member(description, "updatedFields")?;
    let Some(Bson::Array(removed)) = description.get("removedFields") else {
        return Err(Error::data(format!(
            "Missing {UPDATE}.removedFields field: {description}"
        )));
    };
    let mut unset = Document::new();
    for field in removed {
        let Bson::String(field) = field else {
            return Err(Error::data(format!(
                "Unexpected value type in removedFields, expected a string but found `{field}`: {description}"
            )));
        };
        unset.insert(field, "");
    }
    let mut change = doc! {"$set": set.clone()};
    if !unset.is_empty() {
        change.insert("$unset", unset);
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::record::{Origin, SinkRecord, TimestampType};
    use tapline_api::{Record, Value};

    fn written(value: &'static str) -> Result<Option<Write<Document>>> {
        let sink = SinkRecord {
            record: Record {
                value: Value::from(value),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition: 0,
                offset: 0,
                timestamp_type: TimestampType::None,
            },
        };
        write(&mut Message::new(&sink))
    }

    #[test]
    fn each_operation_makes_its_write() {
        let filter = doc! {"_id": 1};
        let replace = |upsert| {
            Some(Write::Replace {
                filter: filter.clone(),
                with: doc! {"_id": 1, "a": 2},
                upsert,
            })
        };
        let full = r#""documentKey": {"_id": 1}, "fullDocument": {"_id": 1, "a": 2}}"#;
        for (operation, upsert) in [("insert", true), ("replace", true), ("update", false)] {
            let event = format!(r#"{{"operationType": "{operation}", {full}"#);
            assert_eq!(written(event.leak()).unwrap(), replace(upsert));
        }
        assert_eq!(
            written(
                r#"{"operationType": "update", "documentKey": {"_id": 1},
                    "updateDescription": {"updatedFields": {"a": 1}, "removedFields": ["b"]}}"#
            )
            .unwrap(),
            Some(Write::Update {
                filter: filter.clone(),
                change: doc! {"$set": {"a": 1}, "$unset": {"b": ""}},
                upsert: false,
            })
        );
        assert_eq!(
            written(r#"{"operationType": "delete", "documentKey": {"_id": 1}}"#).unwrap(),
            Some(Write::Delete(filter))
        );
        assert_eq!(written(r#"{"operationType": "drop"}"#).unwrap(), None);
        for event in [
            "{}",
            r#"{"operationType": 1}"#,
            r#"{"operationType": "delete"}"#,
            r#"{"operationType": "update", "documentKey": {}, "updateDescription": {"x": 1}}"#,
        ] {
            assert!(written(event).is_err(), "{event}");
        }
    }
}
