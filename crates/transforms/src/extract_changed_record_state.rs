//! `io.debezium.transforms.ExtractChangedRecordState`: which columns an update changed, and which it did not, as headers.
//!
//! Both lists are empty where there are not both rows to compare. In Debezium a delete and its tombstone share one list of
//! headers, so what is added to the delete's stands in the tombstone's too; consumers may have come to count on it. Records
//! read from a topic share nothing.

use std::sync::Arc;

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Kind, Width};
use tapline_api::connector::TransformPlugin;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{DEBEZIUM_VERSION, Header, Record, Result, Schema, SchemaRef, Value};

use crate::debezium::{is_envelope, titled};
use crate::part::CACHED;

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "io.debezium.transforms.ExtractChangedRecordState",
    version: DEBEZIUM_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(ExtractChangedRecordState::new(config)?)),
};

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    titled(
        ConfigKey::new(
            "header.changed.name",
            Kind::String,
            "The header that lists the changed columns; none when it is not set.",
        ),
        Width::Long,
        "Header change name.",
    ),
    titled(
        ConfigKey::new(
            "header.unchanged.name",
            Kind::String,
            "The header that lists the unchanged columns; none when it is not set.",
        ),
        Width::Long,
        "Header unchanged name.",
    ),
]);

/// The transformation.
pub struct ExtractChangedRecordState {
    changed: Option<Name>,
    unchanged: Option<Name>,
    /// By the value's schema: where the rows before and after stand; `None` for what is no change event.
    envelopes: Cache<u64, Option<(usize, usize)>>,
    /// The delete just before: its topic, its key, and the headers added to it.
    deleted: Option<(Arc<str>, Value, Vec<Header>)>,
}

/// A header's key, and the schema of its value.
struct Name {
    key: Arc<str>,
    schema: SchemaRef,
}

impl Name {
    fn of(key: &str) -> Self {
        let list = Schema::array(Schema::string().optional().build());
        Self {
            key: key.into(),
            schema: list.optional().name(key).build(),
        }
    }
}

impl ExtractChangedRecordState {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let name = |option| {
            parsed
                .text(option)
                .filter(|name| !name.trim().is_empty())
                .map(Name::of)
        };
        Ok(Self {
            changed: name("header.changed.name"),
            unchanged: name("header.unchanged.name"),
            envelopes: Cache::new(CACHED),
            deleted: None,
        })
    }

    fn headers(&self, changed: Vec<Value>, unchanged: Vec<Value>) -> Vec<Header> {
        let both = [(&self.changed, changed), (&self.unchanged, unchanged)];
        let header = |(name, columns): (&Option<Name>, Vec<Value>)| {
            name.as_ref().map(|name| Header {
                key: name.key.clone(),
                schema: Some(name.schema.clone()),
                value: Value::Array(columns),
            })
        };
        both.into_iter().filter_map(header).collect()
    }
}

/// The names of the columns that differ, and of those that don't.
fn compare(before: &Value, after: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    if let (Some(before), Some(after)) = (before.as_struct(), after.as_struct()) {
        for (index, field) in after.schema().fields().iter().enumerate() {
            let name = Value::from(field.name().to_string());
            if before.values().get(index) == after.values().get(index) {
                unchanged.push(name);
            } else {
                changed.push(name);
            }
        }
    }
    (changed, unchanged)
}

impl Transformation for ExtractChangedRecordState {
    fn apply(&mut self, mut record: Record, origin: Option<&Origin>) -> Result<Option<Record>> {
        let deleted = self.deleted.take();
        if record.value.is_null() {
            if let (Some((topic, key, added)), None) = (deleted, origin)
                && topic == record.topic
                && key == record.key
            {
                for header in added {
                    record.headers.push(header);
                }
            }
            return Ok(Some(record));
        }
        let Some(schema) = &record.value_schema else {
            return Ok(Some(record));
        };
        let rows = self.envelopes.get_or_make(schema.id(), || {
            let place = || Some((schema.field_index("before")?, schema.field_index("after")?));
            Ok::<_, tapline_api::Error>(is_envelope(schema).then(place).flatten())
        })?;
        let (Some((before, after)), Some(envelope)) = (*rows, record.value.as_struct()) else {
            return Ok(Some(record));
        };
        let row = |index: usize| envelope.values().get(index).unwrap_or(&Value::Null);
        let (before, after) = (row(before), row(after));
        let deletes = after.is_null() && !before.is_null();
        let (changed, unchanged) = compare(before, after);
        let added = self.headers(changed, unchanged);
        for header in &added {
            record.headers.push(header.clone());
        }
        if deletes && origin.is_none() && !added.is_empty() {
            self.deleted = Some((record.topic.clone(), record.key.clone(), added));
        }
        Ok(Some(record))
    }
}
