//! `io.debezium.transforms.ExtractNewRecordState`: the row alone, without the envelope around it.
//!
//! Inserts and updates become the row after the change. What becomes of deletes, and of the tombstones behind them, is
//! `delete.tombstone.handling.mode`'s to say. Truncates are dropped; anything that is no change event passes unchanged.
//!
//! Source: Debezium 3.6, `AbstractExtractNewRecordState`, `ExtractNewRecordState`, `DefaultDeleteHandlingStrategy`.

mod config;
mod plan;
mod reference;

use tapline_api::cache::Cache;
use tapline_api::config::Config;
use tapline_api::connector::TransformPlugin;
use tapline_api::envelope::op;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{DEBEZIUM_VERSION, Error, Header, Record, Result, Schema, SchemaRef, Struct, Value};

pub use self::config::CONFIG;
use self::config::DeleteTombstoneHandling;
use self::plan::{Dropper, Envelope, Rows};
use self::reference::Reference;
use crate::debezium::is_envelope;
use crate::part::require_struct;
use crate::topics::Names;

/// How many schemas are remembered.
const CACHED: usize = 1000;

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "io.debezium.transforms.ExtractNewRecordState",
    version: DEBEZIUM_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(ExtractNewRecordState::new(config)?)),
};

/// The transformation.
pub struct ExtractNewRecordState {
    mode: DeleteTombstoneHandling,
    route_by: Option<String>,
    headers: Vec<Reference>,
    fields: Vec<Reference>,
    drop_header: Option<String>,
    drop_from_key: bool,
    string: SchemaRef,
    /// By the value's schema; `None` for what is no change event.
    envelopes: Cache<u64, Option<Envelope>>,
    rows: Rows,
    key_dropper: Dropper,
    value_dropper: Dropper,
    topics: Names,
    /// The delete just before, with the headers added to it; see [`Self::tombstone`].
    deleted: Option<(Record, Vec<Header>)>,
}

impl ExtractNewRecordState {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let references = |list, prefix| -> Result<Vec<Reference>> {
            let prefix = parsed.text(prefix).unwrap_or_default();
            parsed
                .list(list)
                .iter()
                .map(|text| Reference::parse(prefix, text))
                .collect()
        };
        let filled = |name| {
            parsed
                .text(name)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let mode = DeleteTombstoneHandling::named(parsed.required("delete.tombstone.handling.mode")?)
            .unwrap_or(DeleteTombstoneHandling::Tombstone);
        let keep_compatible = parsed.boolean("drop.fields.keep.schema.compatible")?;
        Ok(Self {
            mode,
            route_by: filled("route.by.field"),
            headers: references("add.headers", "add.headers.prefix")?,
            fields: references("add.fields", "add.fields.prefix")?,
            drop_header: filled("drop.fields.header.name"),
            drop_from_key: parsed.boolean("drop.fields.from.key")?,
            string: Schema::string().build(),
            envelopes: Cache::new(CACHED),
            rows: Rows::new(
                mode.rewrites(),
                parsed.boolean("replace.null.with.default")?,
                CACHED,
            ),
            key_dropper: Dropper::new(keep_compatible),
            value_dropper: Dropper::new(keep_compatible),
            topics: Names::new(),
            deleted: None,
        })
    }

    /// A record without a value. In Debezium a delete and its tombstone share one list of headers, so what was added to
    /// the delete's stands in the tombstone's too, ahead of the tombstone's own; consumers may have come to count on it.
    /// Records read from a topic share nothing.
    fn tombstone(&mut self, mut record: Record, origin: Option<&Origin>) -> Option<Record> {
        let deleted = self.deleted.take();
        if self.mode != DeleteTombstoneHandling::RewriteWithTombstone {
            return None;
        }
        if let (Some((delete, added)), None) = (deleted, origin)
            && delete.topic == record.topic
            && delete.key == record.key
        {
            for header in added {
                record.headers.push(header);
            }
        }
        for reference in self.headers.iter().filter(|reference| reference.is_operation()) {
            record.headers.push(Header {
                key: reference.name.clone(),
                schema: Some(self.string.clone()),
                value: op::DELETE.into(),
            });
        }
        Some(record)
    }

    fn drop_key_fields(&mut self, record: &mut Record, names: &Value) {
        if !self.drop_from_key {
            return;
        }
        if let Value::Struct(_) = &record.key
            && let Value::Struct(key) = std::mem::take(&mut record.key)
        {
            let (schema, values) = key.into_parts();
            let mut values = values.into_vec();
            let schema = self.key_dropper.drop(schema, &mut values, names);
            record.key_schema = Some(schema.clone());
            record.key = Value::Struct(Struct::new(schema, values));
        }
    }
}

/// The list of fields to drop that came with the record, if any.
fn dropped_names(header: Option<&str>, record: &Record) -> Option<Value> {
    let name = header?;
    let header = record.headers.iter().find(|header| &*header.key == name)?;
    match &header.value {
        Value::Array(names) if !names.is_empty() => Some(header.value.clone()),
        _ => None,
    }
}

impl Transformation for ExtractNewRecordState {
    fn apply(&mut self, mut record: Record, origin: Option<&Origin>) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(self.tombstone(record, origin));
        }
        self.deleted = None;
        let Some(envelope_schema) = record.value_schema.clone() else {
            return Ok(Some(record));
        };
        let (headers, fields, route_by) = (&self.headers, &self.fields, self.route_by.as_deref());
        let plan = self.envelopes.get_or_make(envelope_schema.id(), || {
            if is_envelope(&envelope_schema) {
                Envelope::new(&envelope_schema, headers, fields, route_by).map(Some)
            } else {
                Ok::<_, Error>(None)
            }
        })?;
        let Some(plan) = plan else {
            return Ok(Some(record));
        };
        let envelope = require_struct(std::mem::take(&mut record.value), "field extraction")?;
        let mut values = envelope.into_parts().1;
        let added: Vec<Header> = plan
            .headers
            .iter()
            .map(|found| Header {
                key: found.name.clone(),
                schema: Some(found.schema.clone()),
                value: found.value(&values),
            })
            .collect();
        // A field may be the row itself, which is about to be taken out.
        let whole = plan.refers_to_rows().then(|| values.clone());
        let mut take = |index: usize| values.get_mut(index).map(std::mem::take).unwrap_or_default();
        let (before, after) = (take(plan.before.index), take(plan.after.index));
        let deleted = after.is_null();
        if deleted && before.is_null() {
            // A truncate.
            return Ok(None);
        }
        if deleted && self.mode == DeleteTombstoneHandling::Drop {
            return Ok(None);
        }
        for header in &added {
            record.headers.push(header.clone());
        }
        if deleted
            && origin.is_none()
            && !added.is_empty()
            && self.mode == DeleteTombstoneHandling::RewriteWithTombstone
        {
            let mut delete = Record::new(record.topic.clone());
            delete.key = record.key.clone();
            self.deleted = Some((delete, added));
        }
        let row_plan = if deleted {
            &mut plan.before
        } else {
            &mut plan.after
        };
        let row = require_struct(if deleted { before } else { after }, "field extraction")?;
        let (mut schema, mut row) = row_plan.open(row);
        if let Some(name) = route_by
            && let Some(topic) = row_plan.topic(&row, name)?
        {
            record.topic = self.topics.get(topic);
        }
        if deleted && !self.mode.rewrites() {
            record.value_schema = match self.mode {
                DeleteTombstoneHandling::Tombstone => Some(plan.after.schema.clone()),
                _ => None,
            };
            if let Some(names) = dropped_names(self.drop_header.as_deref(), &record) {
                self.drop_key_fields(&mut record, &names);
            }
            return Ok(Some(record));
        }
        schema = self.rows.mark(schema, &mut row, deleted)?;
        let names = dropped_names(self.drop_header.as_deref(), &record);
        if let (Some(names), true) = (&names, deleted) {
            schema = self.value_dropper.drop(schema, &mut row, names);
        }
        schema = self.rows.extend(
            &schema,
            &mut row,
            &plan.fields,
            (&envelope_schema, whole.as_ref().unwrap_or(&values)),
        )?;
        if let (Some(names), false) = (&names, deleted) {
            schema = self.value_dropper.drop(schema, &mut row, names);
        }
        if let Some(names) = &names {
            self.drop_key_fields(&mut record, names);
        }
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(schema, row));
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests;
