//! `add.fields` and `add.headers`: metadata of the envelope that goes along with the row.
//!
//! `op`, `ts_ms`, `ts_us`, `ts_ns` are of the envelope itself; `id`, `total_order`, `data_collection_order` of its
//! transaction block; `updateDescription` of itself; any other of its source block, unless `struct.field` says otherwise.
//! What is not there is looked for in the envelope, and left out if it is not there either. `field:name` gives another name.

use std::sync::Arc;

use tapline_api::envelope::{OP, SOURCE, TRANSACTION, TS_MS, TS_NS, TS_US};
use tapline_api::{Error, Result, Schema, SchemaRef, Value};

/// A piece of metadata to add.
#[derive(Debug, PartialEq)]
pub(super) struct Reference {
    /// The block it is in, or the envelope.
    block: Option<String>,
    field: String,
    /// What it is called afterwards.
    pub(super) name: Arc<str>,
}

/// Where a reference leads in envelopes of one schema.
pub(super) struct Found {
    pub(super) name: Arc<str>,
    pub(super) schema: SchemaRef,
    /// The block's place in the envelope; its absence is null.
    block: Option<usize>,
    /// The field's place in the block or, where that lacks it, in the envelope.
    field: Result<usize, usize>,
}

impl Reference {
    /// Reads `field`, `struct.field` or either with `:name`.
    pub(super) fn parse(prefix: &str, text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let path = parts.next().unwrap_or_default();
        let renamed = parts.next();
        if parts.next().is_some() {
            return Err(Error::config(format!("Unexpected field name: {text}"))
                .exception("java.lang.IllegalArgumentException"));
        }
        let mut steps = path.split('.');
        let (first, second) = (steps.next().unwrap_or_default(), steps.next());
        let (block, field) = match second {
            Some(field) => (Some(first.to_owned()), field),
            None => (block_of(first).map(str::to_owned), first),
        };
        let name = match (renamed.filter(|name| !name.is_empty()), second) {
            (Some(name), _) => format!("{prefix}{name}"),
            (None, Some(field)) => format!("{prefix}{first}_{field}"),
            (None, None) => format!("{prefix}{first}"),
        };
        Ok(Self {
            block,
            field: field.to_owned(),
            name: name.into(),
        })
    }

    /// Whether it is the operation, the one thing that a tombstone's headers can tell.
    pub(super) fn is_operation(&self) -> bool {
        self.field == OP
    }

    /// Finds it in envelopes of `schema`; `None` where they have no such thing.
    pub(super) fn find(&self, schema: &Schema) -> Result<Option<Found>> {
        let (block, parent) = match &self.block {
            None => (None, schema),
            Some(name) => match schema.field_index(name).zip(schema.field(name)) {
                Some((index, field)) => (Some(index), &**field.schema()),
                None => return Err(Error::data(format!("{name} is not a valid field name"))),
            },
        };
        let (field, place) = match (parent.field(&self.field), parent.field_index(&self.field)) {
            (Some(field), Some(index)) => (field, Ok(index)),
            _ => match (schema.field(&self.field), schema.field_index(&self.field)) {
                (Some(field), Some(index)) => (field, Err(index)),
                _ => return Ok(None),
            },
        };
        Ok(Some(Found {
            name: self.name.clone(),
            schema: field.schema().to_basics().optional().build(),
            block,
            field: place,
        }))
    }
}

fn block_of(field: &str) -> Option<&str> {
    match field {
        "id" | "total_order" | "data_collection_order" => Some(TRANSACTION),
        OP | TS_MS | TS_US | TS_NS => None,
        "updateDescription" => Some("updateDescription"),
        _ => Some(SOURCE),
    }
}

impl Found {
    /// Whether it is this field of the envelope.
    pub(super) fn is_at(&self, index: usize) -> bool {
        match self.field {
            Ok(field) => self.block.is_none() && field == index,
            Err(field) => field == index,
        }
    }

    /// Its value in an envelope.
    pub(super) fn value(&self, envelope: &[Value]) -> Value {
        let inner = match self.block {
            None => Some(envelope),
            Some(block) => envelope
                .get(block)
                .and_then(Value::as_struct)
                .map(|block| block.values()),
        };
        let value = match (inner, self.field) {
            (None, _) => None,
            (Some(inner), Ok(index)) => inner.get(index),
            (Some(_), Err(index)) => envelope.get(index),
        };
        value.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_path_unless_one_is_given() {
        for (text, block, field, name) in [
            ("op", None, "op", "__op"),
            ("table", Some("source"), "table", "__table"),
            ("source.ts_ms", Some("source"), "ts_ms", "__source_ts_ms"),
            ("id", Some("transaction"), "id", "__id"),
            ("transaction.id:TX", Some("transaction"), "id", "__TX"),
            ("version:VERSION", Some("source"), "version", "__VERSION"),
        ] {
            let expected = Reference {
                block: block.map(str::to_owned),
                field: field.to_owned(),
                name: name.into(),
            };
            assert_eq!(Reference::parse("__", text).unwrap(), expected);
        }
        assert!(Reference::parse("", "a:b:c").is_err());
    }
}
