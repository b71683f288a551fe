//! What is done to a document before it is written (`post.processor.chain`).

use bson::Bson;
use tapline_api::Result;
use tapline_api::record::TimestampType;

use crate::id::{ID, Strategy};
use crate::message::Message;
use crate::nulls;
use crate::projection::Projection;
use crate::rename::Renamer;

/// One link of the chain.
#[derive(Debug)]
pub(crate) enum Processor {
    DocumentIdAdder { overwrite: bool },
    ProjectKey(Projection),
    ProjectValue(Projection),
    KafkaMetaAdder,
    NullFieldValueRemover,
    Rename(Renamer),
}

impl Processor {
    pub(crate) fn apply(&self, message: &mut Message<'_>, id: &Strategy, seed: u64) -> Result<()> {
        match self {
            Self::DocumentIdAdder { overwrite } => {
                let has_id = match message.value()? {
                    None => return Ok(()),
                    Some(value) => value.contains_key(ID),
                };
                if has_id && !overwrite {
                    return Ok(());
                }
                let id = id.make(message, seed)?;
                if let Some(value) = message.value()? {
                    value.insert(ID, id);
                }
            }
            Self::ProjectKey(projection) => {
                if let Some(key) = message.key()? {
                    projection.apply(key);
                }
            }
            Self::ProjectValue(projection) => {
                if let Some(value) = message.value()? {
                    projection.apply(value);
                }
            }
            Self::KafkaMetaAdder => {
                let sink = message.sink;
                let origin = &sink.origin;
                let Some(value) = message.value()? else {
                    return Ok(());
                };
                let place = format!("{}-{}-{}", sink.record.topic, origin.partition, origin.offset);
                value.insert("topic-partition-offset", place);
                if let Some(timestamp) = sink.record.timestamp {
                    let name = match origin.timestamp_type {
                        TimestampType::None => "NO_TIMESTAMP_TYPE",
                        TimestampType::CreateTime => "CREATE_TIME",
                        TimestampType::LogAppendTime => "LOG_APPEND_TIME",
                    };
                    value.insert(name, Bson::Int64(timestamp));
                }
            }
            Self::NullFieldValueRemover => {
                if let Some(value) = message.value()? {
                    nulls::remove(value);
                }
            }
            Self::Rename(renamer) => renamer.apply(message)?,
        }
        Ok(())
    }
}
