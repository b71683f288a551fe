//! `io.debezium.transforms.outbox.EventRouter`: rows inserted into an outbox table become messages of their own.
//!
//! The row's columns say which topic, key, headers and value; deletes and tombstones of the table are dropped, updates too,
//! with a word in the log. What is no change event passes unchanged.
//!
//! A value with further columns is a struct named after the topic's column; as in Debezium, payloads of one schema share
//! one, so it has the name that the first of them had.
//!
//! Source: Debezium 3.6, `EventRouterDelegate`.

mod config;
mod plan;

use std::sync::Arc;

use tapline_api::adjust::Adjustment;
use tapline_api::cache::Cache;
use tapline_api::config::Config;
use tapline_api::connector::TransformPlugin;
use tapline_api::envelope::op;
use tapline_api::pattern::Pattern;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{DEBEZIUM_VERSION, Error, Header, Record, Result, Schema, SchemaRef, Struct, Value};

pub use self::config::CONFIG;
use self::config::{Columns, Unexpected, is, unexpected};
use self::plan::{Envelope, text};
use crate::debezium::is_envelope;
use crate::json_struct::Expansion;
use crate::part::{CACHED, require_struct};
use crate::topics::ByTopic;

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "io.debezium.transforms.outbox.EventRouter",
    version: DEBEZIUM_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(EventRouter::new(config)?)),
};

/// How many schemas of values are remembered; then it begins anew.
const LIMIT: usize = 10_000;

/// The transformation.
pub struct EventRouter {
    columns: Columns,
    unexpected: Unexpected,
    tombstones: bool,
    expansion: Option<Expansion>,
    regex: Pattern,
    replacement: String,
    routes: ByTopic<Option<Arc<str>>>,
    /// By the value's schema; `None` for what is no change event.
    envelopes: Cache<u64, Option<Envelope>>,
    values: Values,
    id: Arc<str>,
    string: SchemaRef,
}

/// Schemas of values with further columns, by payload's schema and version.
#[derive(Default)]
struct Values {
    known: Vec<(SchemaRef, Option<i32>, SchemaRef)>,
    last: Option<usize>,
}

impl Values {
    fn get_or_make(
        &mut self,
        payload: &SchemaRef,
        version: Option<i32>,
        make: impl FnOnce() -> SchemaRef,
    ) -> SchemaRef {
        let last = self.last.and_then(|last| self.known.get(last));
        if let Some((known, of, schema)) = last
            && known.id() == payload.id()
            && *of == version
        {
            return schema.clone();
        }
        let found = self
            .known
            .iter()
            .position(|(known, of, _)| *of == version && known == payload);
        if let Some((_, _, schema)) = found.and_then(|found| self.known.get(found)) {
            self.last = found;
            return schema.clone();
        }
        if self.known.len() >= LIMIT {
            self.known.clear();
        }
        let schema = make();
        self.last = Some(self.known.len());
        self.known.push((payload.clone(), version, schema.clone()));
        schema
    }
}

impl EventRouter {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        // Not among its options, but Debezium reads it.
        let adjustment = config
            .get("field.name.adjustment.mode")
            .and_then(Adjustment::named);
        let keeps_nulls = is(&parsed, "table.json.payload.null.behavior", "optional_bytes");
        Ok(Self {
            columns: Columns::new(&parsed)?,
            unexpected: unexpected(&parsed),
            tombstones: parsed.boolean("route.tombstone.on.empty.payload")?,
            expansion: parsed
                .boolean("table.expand.json.payload")?
                .then(|| Expansion::new(keeps_nulls, adjustment.unwrap_or_default())),
            regex: Pattern::new("route.topic.regex", parsed.required("route.topic.regex")?)?,
            replacement: parsed.required("route.topic.replacement")?.to_owned(),
            routes: ByTopic::new(),
            envelopes: Cache::new(CACHED),
            values: Values::default(),
            id: "id".into(),
            string: Schema::string().build(),
        })
    }

    /// An update was not expected.
    fn refuse(&self) -> Result<Option<Record>> {
        match self.unexpected {
            Unexpected::Warn => tracing::warn!("Unexpected update message received and ignored"),
            Unexpected::Error => tracing::error!("Unexpected update message received and ignored"),
            Unexpected::Fatal => {
                return Err(Error::data("Unexpected update message received, fail.")
                    .exception("java.lang.IllegalStateException"));
            }
        }
        Ok(None)
    }
}

impl Transformation for EventRouter {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        if record.value.is_null() {
            return Ok(None);
        }
        let Some(schema) = record.value_schema.clone() else {
            return Ok(Some(record));
        };
        let columns = &self.columns;
        let envelope = self.envelopes.get_or_make(schema.id(), || {
            is_envelope(&schema)
                .then(|| Envelope::new(&schema, columns))
                .transpose()
        })?;
        let Some(envelope) = envelope else {
            return Ok(Some(record));
        };
        let event = require_struct(std::mem::take(&mut record.value), "Detect Debezium Operation")?;
        match event.at(envelope.op).and_then(Value::as_str) {
            Some(op::DELETE) => return Ok(None),
            Some(op::UPDATE) => return self.refuse(),
            _ => {}
        }
        let processed = event.at(envelope.ts_ms).and_then(Value::as_i64);
        let mut parts = event.into_parts().1;
        let row = parts
            .get_mut(envelope.after)
            .map(std::mem::take)
            .unwrap_or_default();
        let row = require_struct(row, "Read Outbox Event")?;
        let plan = envelope.row(row.schema(), columns)?;

        record.timestamp = plan.timestamp(&row)?.or(processed);
        record.headers.push(Header {
            key: self.id.clone(),
            schema: Some(plan.schema_of(plan.id)),
            value: plan.value(&row, plan.id),
        });
        let mut payload_schema = plan.schema_of(plan.payload);
        let mut payload = plan.value(&row, plan.payload);
        if let (Some(expansion), Value::String(text)) = (&mut self.expansion, &payload) {
            match expansion.expand(Some(&columns.payload), text) {
                Ok((schema, value)) => (payload_schema, payload) = (schema, value),
                Err(error) => tracing::warn!(error, "JSON expansion failed"),
            }
        }
        let routed = plan.value(&row, plan.route_by);
        let routed = text(&routed, &columns.route_by)?;
        for (key, index) in &plan.headers {
            record.headers.push(Header {
                key: key.clone(),
                schema: Some(plan.schema_of(*index)),
                value: plan.value(&row, *index),
            });
        }
        record.partition = plan.partition(&row)?;
        let empty = match &payload {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        };
        (record.value_schema, record.value) = if empty && self.tombstones {
            (None, Value::Null)
        } else if columns.has_envelope() {
            let version = plan.version(&row)?;
            let schema = self.values.get_or_make(&payload_schema, version, || {
                plan.value_schema(&payload_schema, version, routed)
            });
            let further = plan.envelope.iter().map(|(_, index)| plan.value(&row, *index));
            let values = std::iter::once(payload).chain(further).collect();
            (Some(schema.clone()), Value::Struct(Struct::new(schema, values)))
        } else {
            (Some(payload_schema), payload)
        };
        (record.key_schema, record.key) = match plan.key {
            Some(index) => (Some(plan.schema_of(index)), plan.value(&row, index)),
            None => (Some(self.string.clone()), Value::Null),
        };
        let routed: Arc<str> = routed.into();
        let route = self.routes.get_or_make(&routed, |routed| {
            self.regex.replace(routed, &self.replacement).map(Arc::from)
        });
        record.topic = route.clone().unwrap_or(routed);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests;
