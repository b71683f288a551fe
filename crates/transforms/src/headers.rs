//! `org.apache.kafka.connect.transforms.{DropHeaders,InsertHeader}`.

use std::sync::Arc;

use bytestring::ByteString;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::connector::TransformPlugin;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Header, KAFKA_VERSION, Record, Result, Value};
use tapline_formats::values;

use crate::validate::NON_EMPTY_LIST;

/// The plugin that removes headers.
pub const DROP: TransformPlugin = TransformPlugin {
    class: "org.apache.kafka.connect.transforms.DropHeaders",
    version: KAFKA_VERSION,
    config: &DROP_CONFIG,
    new: |config| Ok(Box::new(DropHeaders::new(config)?)),
};

/// The plugin that adds one.
pub const INSERT: TransformPlugin = TransformPlugin {
    class: "org.apache.kafka.connect.transforms.InsertHeader",
    version: KAFKA_VERSION,
    config: &INSERT_CONFIG,
    new: |config| Ok(Box::new(InsertHeader::new(config)?)),
};

/// The options of [`DropHeaders`].
pub static DROP_CONFIG: ConfigDef =
    ConfigDef::new(&[
        ConfigKey::new("headers", Kind::List, "Keys of the headers to remove.")
            .required()
            .valid(NON_EMPTY_LIST)
            .importance(Importance::High),
    ]);

/// The options of [`InsertHeader`].
pub static INSERT_CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("header", Kind::String, "The header's key.")
        .required()
        .importance(Importance::High),
    ConfigKey::new(
        "value.literal",
        Kind::String,
        "The header's value; its type is guessed as when a header is read.",
    )
    .required()
    .importance(Importance::High),
]);

/// Removes headers by their keys.
pub struct DropHeaders {
    headers: Vec<String>,
}

impl DropHeaders {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            headers: DROP_CONFIG.parse(config)?.list("headers").to_vec(),
        })
    }
}

impl Transformation for DropHeaders {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let drop = |header: &Header| self.headers.iter().any(|name| **name == *header.key);
        // Shared headers are left shared if there is nothing to remove.
        if record.headers.iter().any(drop) {
            record.headers.retain(|header| !drop(header));
        }
        Ok(Some(record))
    }
}

/// Adds a header to every record.
pub struct InsertHeader {
    header: Header,
}

impl InsertHeader {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = INSERT_CONFIG.parse(config)?;
        let text = ByteString::from(parsed.required("value.literal")?);
        let (schema, value) = match values::parse(&values::Schemas::new(), &text) {
            Some((schema, value)) => (Some(schema), value),
            None => (None, Value::Null),
        };
        Ok(Self {
            header: Header {
                key: Arc::from(parsed.required("header")?),
                schema,
                value,
            },
        })
    }
}

impl Transformation for InsertHeader {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        record.headers.push(self.header.clone());
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_and_go_by_their_keys() {
        let insert = |key, value| {
            InsertHeader::new(&Config::from_iter([("header", key), ("value.literal", value)])).unwrap()
        };
        let mut record = Record::new("t");
        for (key, value) in [("a", "1"), ("b", "x"), ("a", "2")] {
            record = insert(key, value).apply(record, None).unwrap().unwrap();
        }
        assert_eq!(record.headers.last("a").unwrap().value, Value::Int8(2));
        let mut drop = DropHeaders::new(&Config::from_iter([("headers", "a, c")])).unwrap();
        let record = drop.apply(record, None).unwrap().unwrap();
        let keys: Vec<_> = record
            .headers
            .iter()
            .map(|header| header.key.to_string())
            .collect();
        assert_eq!(keys, ["b"]);
        let empty = DropHeaders::new(&Config::from_iter([("headers", "")])).map(std::mem::drop);
        assert_eq!(
            empty.unwrap_err().message(),
            "Invalid value [] for configuration headers: Empty list"
        );
    }
}
