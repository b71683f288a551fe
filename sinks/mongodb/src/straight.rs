//! The straight way: a record's bytes as they are sent, without a document in between that could be changed.
//!
//! It is taken where nothing is to be changed, which is what most connectors are set to: an `_id` is added and the document
//! inserted or replaced, or a row of a change event is put. What it makes is what the long way makes; whatever is the least
//! unusual about a record goes the long way.

use bson::{RawBson, RawDocumentBuf, cstr};
use tapline_api::{Error, Result, Value};

use crate::document;
use crate::id::{ID, Part, Strategy as IdStrategy};
use crate::message::Message;
use crate::processors::Processor;
use crate::settings::Topic;
use crate::write::{Strategy, Write};

/// What is to be done to the records of a topic, where that is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Straight {
    /// An id is added (`overwrite`: in place of one that is there), and the document inserted or put.
    Document { overwrite: bool, insert: bool },
    /// A change event's row is put.
    Event,
}

impl Straight {
    /// Of a topic's settings.
    pub(crate) fn of(topic: &Topic) -> Option<Self> {
        if topic.handler.is_some() {
            return (!topic.without_nulls).then_some(Self::Event);
        }
        let [Processor::DocumentIdAdder { overwrite }] = topic.chain.as_slice() else {
            return None;
        };
        let insert = match topic.write {
            Strategy::InsertOneDefault => true,
            Strategy::ReplaceOneDefault => false,
            _ => return None,
        };
        Some(Self::Document {
            overwrite: *overwrite,
            insert,
        })
    }
}

impl Topic {
    /// A record's write with `room` for so many bytes; `None` where it has to go the long way.
    pub(crate) fn straight(
        &self,
        message: &mut Message<'_>,
        seed: u64,
        room: usize,
    ) -> Result<Option<Write>> {
        match (self.straight, self.handler) {
            (Some(Straight::Event), Some(handler)) => handler.straight(message.sink, room),
            (Some(Straight::Document { overwrite, insert }), None) => {
                let document = with_id(&self.id, message, seed, overwrite, room)?;
                Ok(document.map(|document| {
                    if insert {
                        Write::Insert(document)
                    } else {
                        Write::Put {
                            document,
                            fresh: true,
                        }
                    }
                }))
            }
            _ => Ok(None),
        }
    }
}

/// The value with its `_id`.
fn with_id(
    id: &IdStrategy,
    message: &mut Message<'_>,
    seed: u64,
    overwrite: bool,
    room: usize,
) -> Result<Option<RawDocumentBuf>> {
    let stays =
        |value: &Value| !overwrite || matches!(id, IdStrategy::Provided(Part::Value)) && !value.is_null();
    let mut has_id = false;
    let mut document = document::with_room(room)?;
    match &message.sink.record.value {
        Value::Struct(row) => {
            for (field, value) in row.schema().fields().iter().zip(row.values()) {
                if **field.name() == *ID {
                    has_id = true;
                    if !stays(value) {
                        if !add(id, message, seed, &mut document)? {
                            return Ok(None);
                        }
                        continue;
                    }
                }
                document::field(&mut document, field, value)?;
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                if entry.0.as_str() == Some(ID) {
                    has_id = true;
                    if !stays(&entry.1) {
                        if !add(id, message, seed, &mut document)? {
                            return Ok(None);
                        }
                        continue;
                    }
                }
                document::entry(&mut document, entry, None)?;
            }
        }
        _ => return Ok(None),
    }
    if !has_id && !add(id, message, seed, &mut document)? {
        return Ok(None);
    }
    Ok(Some(document))
}

/// Appends the id, unless that takes a document.
fn add(id: &IdStrategy, message: &mut Message<'_>, seed: u64, out: &mut RawDocumentBuf) -> Result<bool> {
    if id.is_of_place() {
        let id = RawBson::try_from(id.make(message, seed)?)
            .map_err(|error| Error::data("the id can't be written as BSON").cause(error))?;
        out.append(cstr!("_id"), id);
        return Ok(true);
    }
    let IdStrategy::FullKey = id else {
        return Ok(false);
    };
    let key = match &message.sink.record.key {
        Value::Null => RawDocumentBuf::new(),
        key => match document::raw(key)? {
            Some(key) => key,
            None => return Ok(false),
        },
    };
    out.append(cstr!("_id"), key);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::DateTime;
    use tapline_api::config::Config;
    use tapline_api::record::{Origin, SinkRecord, TimestampType};
    use tapline_api::{Record, Schema, Struct};

    fn row(with_id: bool, id: Value) -> Value {
        let inner = Schema::structure().field("x", Schema::float64().build()).build();
        let mut row = Schema::structure().field("a", Schema::int32().build());
        let mut values = vec![Value::Int32(1)];
        if with_id {
            row = row.field("_id", Schema::string().optional().build());
            values.push(id);
        }
        let row = row.field("in", inner.clone()).build();
        values.push(Value::Struct(Struct::new(inner, vec![Value::Float64(0.5)])));
        Value::Struct(Struct::new(row, values))
    }

    fn event(op: &'static str, after: Value) -> Value {
        let Value::Struct(row) = &after else {
            panic!("a row");
        };
        let envelope = Schema::structure()
            .field("after", row.schema().clone())
            .field("op", Schema::string().build())
            .build();
        Value::Struct(Struct::new(envelope, vec![after, op.into()]))
    }

    fn sink(key: Value, value: Value) -> SinkRecord {
        SinkRecord {
            record: Record {
                key,
                value,
                timestamp: Some(5),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition: 1,
                offset: 2,
                timestamp_type: TimestampType::None,
            },
        }
    }

    /// The write of the long way and, where there is one, of the straight one.
    fn both(config: &[(&str, &str)], sink: &SinkRecord) -> (Result<Option<Write>>, Result<Option<Write>>) {
        let config: Config = [("database", "d")].iter().chain(config).copied().collect();
        let mut topic = Topic::new(&config, "t").unwrap();
        let mut made = || {
            let made = topic.made(&mut Message::new(sink), 7, DateTime::from_millis(0), 64);
            let straight = topic.straight.take().is_some();
            (made.map(|made| made.map(|(_, write)| write)), straight)
        };
        let ((straight, was), (long, _)) = (made(), made());
        assert!(was, "{config:?} is not straight");
        (straight, long)
    }

    #[test]
    fn it_makes_what_the_long_way_makes() {
        const IDS: &str = "com.mongodb.kafka.connect.sink.processor.id.strategy.";
        let key = || {
            let key = Schema::structure().field("a", Schema::int32().build()).build();
            Value::Struct(Struct::new(key, vec![Value::Int32(1)]))
        };
        let map = || Value::Map(vec![("b".into(), Value::Int64(2)), ("_id".into(), "m".into())]);
        let values = [
            row(false, Value::Null),
            row(true, "own".into()),
            row(true, Value::Null),
            map(),
            Value::Map(vec![(Value::Int32(1), Value::Null)]),
            Value::Null,
            Value::from(r#"{"_id": 5, "j": [1]}"#),
            Value::Int32(3),
        ];
        let insert = (
            "writemodel.strategy",
            "com.mongodb.kafka.connect.sink.writemodel.strategy.InsertOneDefaultStrategy",
        );
        for name in [
            "BsonOid",
            "KafkaMetaData",
            "Uuid",
            "FullKey",
            "ProvidedInValue",
            "ProvidedInKey",
        ] {
            let id = format!("{IDS}{name}Strategy");
            for overwrite in ["true", "false"] {
                let ids = [
                    ("document.id.strategy", id.as_str()),
                    ("document.id.strategy.overwrite.existing", overwrite),
                ];
                for settings in [ids.to_vec(), [&ids[..], &[insert]].concat()] {
                    for value in &values {
                        for key in [key(), map(), Value::Null, Value::from(r#"{"_id": "k"}"#)] {
                            let (straight, long) = both(&settings, &sink(key, value.clone()));
                            match (straight, long) {
                                (Ok(straight), Ok(long)) => assert_eq!(straight, long),
                                (Err(straight), Err(long)) => assert_eq!(straight.trace(), long.trace()),
                                other => panic!("{settings:?} {value:?} {other:?}"),
                            }
                        }
                    }
                }
            }
        }
        let handler = (
            "change.data.capture.handler",
            "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler",
        );
        for op in ["c", "r", "u", "d", "x"] {
            for key in [key(), Value::Null] {
                let (straight, long) = both(&[handler], &sink(key, event(op, row(true, "own".into()))));
                assert_eq!(straight.ok(), long.ok(), "{op}");
            }
        }
    }
}
