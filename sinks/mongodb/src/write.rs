//! One write of a bulk, and the strategies that make it of a document (`writemodel.strategy`).

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use tapline_api::{Error, Result};

use crate::id::{ID, Strategy as IdStrategy};
use crate::message::Message;

/// What is done to one document: in the making with documents that can be changed, then with the bytes that are sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write<D = RawDocumentBuf> {
    /// A new document.
    Insert(D),
    /// The document of its `_id`, whatever was there before. `fresh`: probably nothing was.
    Put { document: D, fresh: bool },
    /// The document that the filter finds becomes this one.
    Replace { filter: D, with: D, upsert: bool },
    /// The document that the filter finds is changed by operators (`$set` …).
    Update { filter: D, change: D, upsert: bool },
    /// The document that the filter finds goes.
    Delete(D),
}

impl Write<Document> {
    /// As it is sent.
    pub(crate) fn encoded(&self) -> Result<Write> {
        let raw = |document: &Document| {
            RawDocumentBuf::try_from(document)
                .map_err(|error| Error::data("the document can't be written as BSON").cause(error))
        };
        Ok(match self {
            Self::Insert(document) => Write::Insert(raw(document)?),
            Self::Put { document, fresh } => Write::Put {
                document: raw(document)?,
                fresh: *fresh,
            },
            Self::Replace { filter, with, upsert } => Write::Replace {
                filter: raw(filter)?,
                with: raw(with)?,
                upsert: *upsert,
            },
            Self::Update {
                filter,
                change,
                upsert,
            } => Write::Update {
                filter: raw(filter)?,
                change: raw(change)?,
                upsert: *upsert,
            },
            Self::Delete(filter) => Write::Delete(raw(filter)?),
        })
    }
}

impl Write {
    /// Bytes to set aside for a document like its own.
    pub(crate) fn room(&self) -> usize {
        let (Self::Insert(document)
        | Self::Put { document, .. }
        | Self::Replace { with: document, .. }
        | Self::Update { change: document, .. }
        | Self::Delete(document)) = self;
        document.as_bytes().len() + 32
    }
}

/// `writemodel.strategy` and `delete.writemodel.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    InsertOneDefault,
    ReplaceOneDefault,
    ReplaceOneBusinessKey,
    UpdateOneDefault,
    UpdateOneTimestamps,
    UpdateOneBusinessKeyTimestamp,
    /// By the key: its `_id`, or the key as `_id`.
    DeleteOneDefault,
    /// By the strategy of ids, which is one of the key's.
    DeleteById,
    DeleteOneBusinessKey,
    DeleteOneTombstoneBusinessKey,
}

const NO_VALUE: &str = "Could not build the WriteModel,the value document was missing unexpectedly";
const NO_ID: &str = "Could not build the WriteModel,the `_id` field was missing unexpectedly";
const NO_KEY: &str = "Could not build the WriteModel,the key document was missing unexpectedly";

impl Strategy {
    /// Of the class's simple name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "DefaultWriteModelStrategy" | "ReplaceOneDefaultStrategy" => Self::ReplaceOneDefault,
            "InsertOneDefaultStrategy" => Self::InsertOneDefault,
            "ReplaceOneBusinessKeyStrategy" => Self::ReplaceOneBusinessKey,
            "UpdateOneDefaultStrategy" => Self::UpdateOneDefault,
            "UpdateOneTimestampsStrategy" => Self::UpdateOneTimestamps,
            "UpdateOneBusinessKeyTimestampStrategy" => Self::UpdateOneBusinessKeyTimestamp,
            "DeleteOneDefaultStrategy" => Self::DeleteOneDefault,
            "DeleteOneBusinessKeyStrategy" => Self::DeleteOneBusinessKey,
            "DeleteOneTombstoneBusinessKeyStrategy" => Self::DeleteOneTombstoneBusinessKey,
            _ => return None,
        })
    }

    /// The write of a record. `id` is the strategy of ids, `now` the clock for what has timestamps.
    pub(crate) fn make(
        self,
        message: &mut Message<'_>,
        id: &IdStrategy,
        seed: u64,
        now: DateTime,
    ) -> Result<Write<Document>> {
        let mut value = || message.take_value()?.ok_or_else(|| Error::data(NO_VALUE));
        Ok(match self {
            Self::InsertOneDefault => Write::Insert(value()?),
            Self::ReplaceOneDefault => {
                let document = value()?;
                if !document.contains_key(ID) {
                    return Err(Error::data(NO_ID));
                }
                Write::Put {
                    document,
                    fresh: true,
                }
            }
            Self::ReplaceOneBusinessKey => {
                let (filter, with) = by_business_key(value()?, id, ",")?;
                Write::Replace {
                    filter,
                    with,
                    upsert: true,
                }
            }
            Self::UpdateOneDefault => {
                let mut set = value()?;
                let filter = by_id(&set)?;
                set.remove(ID);
                Write::Update {
                    filter,
                    change: doc! {"$set": set},
                    upsert: true,
                }
            }
            Self::UpdateOneTimestamps => {
                let set = value()?;
                stamped(by_id(&set)?, set, now)
            }
            Self::UpdateOneBusinessKeyTimestamp => {
                let (filter, set) = by_business_key(value()?, id, ",")?;
                stamped(filter, set, now)
            }
            Self::DeleteOneDefault => {
                let key = message.take_key()?.ok_or_else(|| Error::data(NO_KEY))?;
                Write::Delete(if key.contains_key(ID) {
                    key
                } else {
                    doc! {ID: key}
                })
            }
            Self::DeleteById => {
                // Without a key there is nothing to find the document by.
                if message.key()?.is_none() {
                    return Err(Error::data(NO_KEY));
                }
                Write::Delete(doc! {ID: id.make(message, seed)?})
            }
            Self::DeleteOneBusinessKey => Write::Delete(by_business_key(value()?, id, ", ")?.0),
            Self::DeleteOneTombstoneBusinessKey => {
                let key = message.key()?;
                if key.is_none() {
                    return Err(Error::data(NO_KEY));
                }
                match id.make(message, seed)? {
                    Bson::Document(key) => Write::Delete(business_key(key, id)),
                    _ => return Err(Error::data(no_business_key(", "))),
                }
            }
        })
    }
}

fn by_id(document: &Document) -> Result<Document> {
    let id = document.get(ID).ok_or_else(|| Error::data(NO_ID))?;
    Ok(doc! {ID: id.clone()})
}

fn stamped(filter: Document, mut set: Document, now: DateTime) -> Write<Document> {
    set.insert("_modifiedTS", now);
    Write::Update {
        filter,
        change: doc! {"$set": set, "$setOnInsert": {"_insertedTS": now}},
        upsert: true,
    }
}

fn no_business_key(comma: &str) -> String {
    let end = if comma == "," {
        "\n\n If you are including an existing `_id` value in the business key then ensure \
         `document.id.strategy.overwrite.existing=true`."
    } else {
        ""
    };
    format!(
        "Could not build the WriteModel{comma}the value document does not contain an _id field of type BsonDocument which \
         holds the business key fields.{end}"
    )
}

/// The filter of the fields in `_id`, and the document without it.
fn by_business_key(mut document: Document, id: &IdStrategy, comma: &str) -> Result<(Document, Document)> {
    match document.remove(ID) {
        Some(Bson::Document(key)) => Ok((business_key(key, id), document)),
        _ => Err(Error::data(no_business_key(comma))),
    }
}

/// Fields within fields become paths, where the id is a part of the document.
fn business_key(key: Document, id: &IdStrategy) -> Document {
    if !matches!(id, IdStrategy::Partial(..)) {
        return key;
    }
    let mut flat = Document::new();
    flatten("", key, &mut flat);
    flat
}

fn flatten(prefix: &str, document: Document, flat: &mut Document) {
    for (name, value) in document {
        let path = format!("{prefix}{name}");
        match value {
            Bson::Document(inner) => flatten(&format!("{path}."), inner, flat),
            value => {
                flat.insert(path, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Part;
    use crate::projection::Projection;
    use tapline_api::record::{Origin, SinkRecord, TimestampType};
    use tapline_api::{Record, Value};

    fn made(
        strategy: Strategy,
        id: &IdStrategy,
        key: &'static str,
        value: &'static str,
    ) -> Result<Write<Document>> {
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
        strategy.make(&mut Message::new(&sink), id, 0, DateTime::from_millis(5))
    }

    #[test]
    fn each_strategy_makes_its_write() {
        let full = IdStrategy::FullKey;
        let value = r#"{"_id": 1, "a": 2}"#;
        let (filter, with) = (doc! {"_id": 1}, doc! {"_id": 1, "a": 2});
        assert_eq!(
            made(Strategy::InsertOneDefault, &full, "", value).unwrap(),
            Write::Insert(with.clone())
        );
        assert_eq!(
            made(Strategy::ReplaceOneDefault, &full, "", value).unwrap(),
            Write::Put {
                document: with,
                fresh: true
            }
        );
        assert_eq!(
            made(Strategy::UpdateOneDefault, &full, "", value).unwrap(),
            Write::Update {
                filter: filter.clone(),
                change: doc! {"$set": {"a": 2}},
                upsert: true
            }
        );
        let now = DateTime::from_millis(5);
        assert_eq!(
            made(Strategy::UpdateOneTimestamps, &full, "", value).unwrap(),
            Write::Update {
                filter,
                change: doc! {"$set": {"_id": 1, "a": 2, "_modifiedTS": now}, "$setOnInsert": {"_insertedTS": now}},
                upsert: true,
            }
        );
        let key = r#"{"k": {"l": 1}}"#;
        assert_eq!(
            made(Strategy::DeleteById, &full, key, "").unwrap(),
            Write::Delete(doc! {"_id": {"k": {"l": 1}}})
        );
        assert_eq!(
            made(Strategy::DeleteOneDefault, &full, r#"{"_id": 3}"#, "").unwrap(),
            Write::Delete(doc! {"_id": 3})
        );
        let partial = IdStrategy::Partial(Part::Key, Projection::allow("k.l"));
        assert_eq!(
            made(Strategy::DeleteOneTombstoneBusinessKey, &partial, key, "").unwrap(),
            Write::Delete(doc! {"k.l": 1})
        );
        let business = r#"{"_id": {"k": {"l": 1}}, "a": 2}"#;
        assert_eq!(
            made(Strategy::ReplaceOneBusinessKey, &partial, "", business).unwrap(),
            Write::Replace {
                filter: doc! {"k.l": 1},
                with: doc! {"a": 2},
                upsert: true
            }
        );
        assert_eq!(
            made(Strategy::DeleteOneBusinessKey, &full, "", business).unwrap(),
            Write::Delete(doc! {"k": {"l": 1}})
        );
        for (strategy, key, value) in [
            (Strategy::ReplaceOneDefault, "", r#"{"a": 1}"#),
            (Strategy::ReplaceOneDefault, "", ""),
            (Strategy::ReplaceOneBusinessKey, "", r#"{"_id": 1}"#),
            (Strategy::DeleteOneDefault, "", ""),
        ] {
            assert!(made(strategy, &full, key, value).is_err());
        }
    }
}
