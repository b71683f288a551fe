//! A record with its key and value as documents, each made when it is first asked for.
//!
//! So a key that is no document (a plain string, say) is an error only where something needs it.

use bson::Document;
use tapline_api::Result;
use tapline_api::record::SinkRecord;

use crate::document;

/// A record on its way to a write.
pub(crate) struct Message<'a> {
    pub(crate) sink: &'a SinkRecord,
    key: Option<Option<Document>>,
    value: Option<Option<Document>>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(sink: &'a SinkRecord) -> Self {
        Self {
            sink,
            key: None,
            value: None,
        }
    }

    /// The key; `None` for null.
    pub(crate) fn key(&mut self) -> Result<Option<&mut Document>> {
        if self.key.is_none() {
            self.key = Some(document::of(&self.sink.record.key)?);
        }
        Ok(self.key.as_mut().and_then(Option::as_mut))
    }

    /// The value; `None` for null.
    pub(crate) fn value(&mut self) -> Result<Option<&mut Document>> {
        if self.value.is_none() {
            self.value = Some(document::of(&self.sink.record.value)?);
        }
        Ok(self.value.as_mut().and_then(Option::as_mut))
    }

    /// The key, to keep; `None` for null.
    pub(crate) fn take_key(&mut self) -> Result<Option<Document>> {
        self.key()?;
        Ok(self.key.take().flatten())
    }

    /// The value, to keep; `None` for null.
    pub(crate) fn take_value(&mut self) -> Result<Option<Document>> {
        self.value()?;
        Ok(self.value.take().flatten())
    }
}
