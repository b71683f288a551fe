//! The `_id` of a document (`document.id.strategy`).
//!
//! Ids that MongoDB's connector draws at random are made from where the record lies here: connector, topic, partition and
//! offset. So a record that comes again finds its own document instead of making a second one.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, Uuid};
use tapline_api::record::SinkRecord;
use tapline_api::{Error, Result};

use crate::message::Message;
use crate::projection::Projection;

/// The name of the field.
pub(crate) const ID: &str = "_id";

/// Which of two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// Where an id comes from.
#[derive(Debug)]
pub(crate) enum Strategy {
    /// An ObjectId.
    Oid,
    /// `topic#partition#offset`.
    Metadata,
    /// The whole key.
    FullKey,
    /// Some fields.
    Partial(Part, Projection),
    /// The field `_id`.
    Provided(Part),
    /// The field `_id`, as a UUID.
    ProvidedUuid(Part),
    /// A UUID, as text or not.
    Uuid { text: bool },
}

impl Strategy {
    /// Whether equal ids of two records mean that they are one record: then a document that is there already is this one.
    pub(crate) fn is_of_place(&self) -> bool {
        matches!(self, Self::Oid | Self::Metadata | Self::Uuid { .. })
    }

    /// Whether it can tell what to delete when there is no value.
    pub(crate) fn is_of_key(&self) -> bool {
        matches!(
            self,
            Self::FullKey
                | Self::Partial(Part::Key, _)
                | Self::Provided(Part::Key)
                | Self::ProvidedUuid(Part::Key)
        )
    }

    /// The id of a message. `seed` tells connectors apart.
    pub(crate) fn make(&self, message: &mut Message<'_>, seed: u64) -> Result<Bson> {
        Ok(match self {
            Self::Oid => Bson::ObjectId(oid(message.sink, seed)),
            Self::Metadata => {
                let SinkRecord { record, origin } = message.sink;
                Bson::String(format!("{}#{}#{}", record.topic, origin.partition, origin.offset))
            }
            Self::FullKey => Bson::Document(message.key()?.cloned().unwrap_or_default()),
            Self::Partial(part, projection) => {
                let mut document = document(message, *part)?.cloned().unwrap_or_default();
                projection.apply(&mut document);
                Bson::Document(document)
            }
            Self::Provided(part) => provided(message, *part)?,
            Self::ProvidedUuid(part) => match provided(message, *part)? {
                Bson::Binary(id) if matches!(id.subtype, BinarySubtype::Uuid | BinarySubtype::UuidOld) => {
                    Bson::Binary(id)
                }
                Bson::String(text) => {
                    let id = Uuid::parse_str(&text).map_err(|_| not_uuid(&text))?;
                    Bson::Binary(Binary::from_uuid(id))
                }
                other => return Err(not_uuid(&other.to_string())),
            },
            Self::Uuid { text } => {
                let id = uuid(message.sink, seed);
                if *text {
                    Bson::String(id.to_string())
                } else {
                    Bson::Binary(Binary::from_uuid(id))
                }
            }
        })
    }
}

fn document<'m>(message: &'m mut Message<'_>, part: Part) -> Result<Option<&'m mut Document>> {
    match part {
        Part::Key => message.key(),
        Part::Value => message.value(),
    }
}

fn provided(message: &mut Message<'_>, part: Part) -> Result<Bson> {
    match document(message, part)?.and_then(|document| document.get(ID)) {
        Some(Bson::Null) => Err(Error::data(
            "Provided id strategy used but the document structure contained an _id of type BsonNull",
        )),
        Some(id) => Ok(id.clone()),
        None => Err(Error::data(
            "Provided id strategy is used but the document structure either contained no _id field or it was null",
        )),
    }
}

fn not_uuid(text: &str) -> Error {
    Error::data(format!(
        "UUID cannot be constructed from provided value: `{text}`"
    ))
}

/// The ObjectId of a record: its time, and what tells its place from every other.
pub(crate) fn oid(sink: &SinkRecord, seed: u64) -> ObjectId {
    let seconds = sink.record.timestamp.unwrap_or(0).div_euclid(1000);
    let seconds = u32::try_from(seconds).unwrap_or(0);
    let [a, b, c, d, e, rest @ ..] = place(sink, seed).to_be_bytes();
    ObjectId::from_parts(seconds, [a, b, c, d, e], rest)
}

/// A UUID of version 4 by its form.
fn uuid(sink: &SinkRecord, seed: u64) -> Uuid {
    let high = place(sink, seed);
    let low = place(sink, !seed);
    let mut bits = u128::from(high) << 64 | u128::from(low);
    bits = bits & !(0xF << 76) | 4 << 76;
    bits = bits & !(3 << 62) | 2 << 62;
    Uuid::from_bytes(bits.to_be_bytes())
}

/// 64 bits: of one partition no two offsets have the same.
fn place(sink: &SinkRecord, seed: u64) -> u64 {
    let origin = &sink.origin;
    let partition = hash(seed, origin.topic.as_bytes());
    let partition = hash(partition, &origin.partition.to_be_bytes());
    mixed(partition.wrapping_add(u64::from_ne_bytes(origin.offset.to_ne_bytes())))
}

/// FNV-1a, going on from `state`.
pub(crate) fn hash(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The last step of splitmix64, which is one to one.
fn mixed(mut n: u64) -> u64 {
    n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use std::collections::HashSet;
    use tapline_api::record::{Origin, TimestampType};
    use tapline_api::{Record, Value};

    fn record(partition: i32, offset: i64) -> SinkRecord {
        SinkRecord {
            record: Record {
                timestamp: Some(1_700_000_000_000),
                key: Value::from(r#"{"_id": "k", "a": 1, "b": 2}"#),
                value: Value::from(r#"{"_id": "01234567-89ab-cdef-0123-456789abcdef", "c": 3}"#),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition,
                offset,
                timestamp_type: TimestampType::CreateTime,
            },
        }
    }

    #[test]
    fn each_strategy_makes_its_id() {
        let id = |strategy: Strategy| strategy.make(&mut Message::new(&record(3, 7)), 1);
        assert_eq!(id(Strategy::Metadata).unwrap(), Bson::from("t#3#7"));
        assert_eq!(
            id(Strategy::FullKey).unwrap(),
            Bson::from(doc! {"_id": "k", "a": 1, "b": 2})
        );
        let partial = Strategy::Partial(Part::Key, Projection::allow("a"));
        assert_eq!(id(partial).unwrap(), Bson::from(doc! {"a": 1}));
        assert_eq!(id(Strategy::Provided(Part::Key)).unwrap(), Bson::from("k"));
        let Bson::Binary(uuid) = id(Strategy::ProvidedUuid(Part::Value)).unwrap() else {
            panic!("a binary");
        };
        assert_eq!(uuid.bytes[..4], [0x01, 0x23, 0x45, 0x67]);
        assert!(id(Strategy::ProvidedUuid(Part::Key)).is_err());
        let Bson::String(uuid) = id(Strategy::Uuid { text: true }).unwrap() else {
            panic!("a string");
        };
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!("89ab".contains(&uuid[19..20]));
    }

    #[test]
    fn a_record_has_one_id_for_ever_and_no_other_has_it() {
        let mut seen = HashSet::new();
        for partition in 0..20 {
            for offset in 0..1000 {
                assert!(seen.insert(oid(&record(partition, offset), 1)));
            }
        }
        assert_eq!(oid(&record(0, 1), 1), oid(&record(0, 1), 1));
        assert_ne!(oid(&record(0, 1), 1), oid(&record(0, 1), 2));
        assert_eq!(
            oid(&record(0, 1), 1).timestamp().timestamp_millis(),
            1_700_000_000_000
        );
    }
}
