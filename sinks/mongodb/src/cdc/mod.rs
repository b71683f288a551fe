//! Change events into writes (`change.data.capture.handler`): what happened to a row or a document there, happens here.

mod change_stream;
mod debezium;
mod rdbms;

use bson::{Bson, Document};
use tapline_api::Result;
use tapline_api::record::SinkRecord;

use crate::id::ID;
use crate::message::Message;
use crate::nulls;
use crate::write::Write;

/// Whose events they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    /// Debezium's Postgres, MySQL and other relational connectors.
    Rdbms,
    /// Debezium's MongoDB connector with oplog patches, before 2.0.
    Oplog,
    /// The same, with change streams.
    DebeziumChangeStream,
    /// MongoDB's own source connector.
    ChangeStream,
}

impl Handler {
    /// Of the class's full name.
    pub(crate) fn of(class: &str) -> Option<Self> {
        Some(match class.strip_prefix("com.mongodb.kafka.connect.sink.cdc.")? {
            "debezium.rdbms.RdbmsHandler"
            | "debezium.rdbms.postgres.PostgresHandler"
            | "debezium.rdbms.mysql.MysqlHandler" => Self::Rdbms,
            "debezium.mongodb.MongoDbHandler" => Self::Oplog,
            "debezium.mongodb.ChangeStreamHandler" => Self::DebeziumChangeStream,
            "mongodb.ChangeStreamHandler" => Self::ChangeStream,
            _ => return None,
        })
    }

    /// The write of an event that needs no document to be changed.
    pub(crate) fn straight(self, sink: &SinkRecord, room: usize) -> Result<Option<Write>> {
        match self {
            Self::Rdbms => rdbms::straight(sink, room),
            Self::Oplog | Self::DebeziumChangeStream | Self::ChangeStream => Ok(None),
        }
    }

    /// The write of an event; `None` where there is nothing to do.
    pub(crate) fn write(
        self,
        message: &mut Message<'_>,
        seed: u64,
        without_nulls: bool,
    ) -> Result<Option<Write<Document>>> {
        let write = match self {
            Self::Rdbms => rdbms::write(message, seed)?,
            Self::Oplog => debezium::write(message, debezium::Format::Oplog)?,
            Self::DebeziumChangeStream => debezium::write(message, debezium::Format::ChangeStream)?,
            Self::ChangeStream => change_stream::write(message)?,
        };
        Ok(if without_nulls {
            write.and_then(remove_nulls)
        } else {
            write
        })
    }
}

/// `change.data.capture.handler.remove.null.values`.
fn remove_nulls(mut write: Write<Document>) -> Option<Write<Document>> {
    let empty = match &mut write {
        Write::Replace { with, .. } => {
            nulls::remove(with);
            with.is_empty()
        }
        Write::Put { document, .. } => {
            // What it is found by stays whole.
            let id = document.remove(ID);
            nulls::remove(document);
            let rest = std::mem::take(document);
            document.extend(id.map(|id| (ID.to_owned(), id)));
            document.extend(rest);
            document.is_empty()
        }
        Write::Update { change, .. } => {
            if let Some(Bson::Document(set)) = change.get_mut("$set") {
                nulls::remove(set);
                if set.is_empty() {
                    change.remove("$set");
                }
            }
            change.is_empty()
        }
        Write::Insert(_) | Write::Delete(_) => false,
    };
    (!empty).then_some(write)
}

/// A member that is a document.
fn document<'d>(of: &'d Document, name: &str) -> Option<&'d Document> {
    match of.get(name) {
        Some(Bson::Document(inner)) => Some(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn nulls_go_and_what_is_left_empty_is_not_written() {
        let filter = doc! {"_id": 1};
        let replace = |with: Document| Write::Replace {
            filter: filter.clone(),
            with,
            upsert: true,
        };
        assert_eq!(
            remove_nulls(replace(doc! {"a": null, "b": 1, "c": {"d": null}})),
            Some(replace(doc! {"b": 1, "c": {}}))
        );
        assert_eq!(remove_nulls(replace(doc! {"a": null})), None);
        let put = |document: Document| Write::Put {
            document,
            fresh: true,
        };
        assert_eq!(
            remove_nulls(put(doc! {"_id": {"k": null}, "a": null, "b": {"c": null}})),
            Some(put(doc! {"_id": {"k": null}, "b": {}}))
        );
        let update = |change: Document| Write::Update {
            filter: filter.clone(),
            change,
            upsert: false,
        };
        assert_eq!(remove_nulls(update(doc! {"$set": {"a": null}})), None);
        assert_eq!(
            remove_nulls(update(doc! {"$set": {"a": null}, "$unset": {"b": ""}})),
            Some(update(doc! {"$unset": {"b": ""}}))
        );
    }
}
