//! `io.debezium.transforms.ExtractNewRecordState`: the row alone, without the envelope around it.
//!
//! Inserts and updates become the row after the change. What becomes of deletes, and of the tombstones behind them, is
//! `delete.tombstone.handling.mode`'s to say. Truncates are dropped; anything that is no change event passes unchanged.
//!
//! Source: Debezium 3.6, `AbstractExtractNewRecordState`, `ExtractNewRecordState`, `DefaultDeleteHandlingStrategy`.

mod plan;
mod reference;

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator, Width};
use tapline_api::connector::TransformPlugin;
use tapline_api::envelope::op;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{DEBEZIUM_VERSION, Error, Header, Record, Result, Schema, SchemaRef, Struct, Value};

use self::plan::{Dropper, Envelope, Rows};
use self::reference::Reference;
use crate::debezium::{is_envelope, titled};
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

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    titled(
        ConfigKey::new(
            "delete.tombstone.handling.mode",
            Kind::String,
            "What becomes of deletes and tombstones: drop (both go), tombstone (the delete becomes one and the one behind it \
             goes), rewrite (the old row with __deleted=true; tombstones go), rewrite-with-tombstone (the same, but tombstones \
             stay), delete-to-tombstone (the delete becomes one without a schema and the one behind it goes).",
        )
        .default("tombstone")
        .importance(Importance::Medium)
        .valid(Validator::Custom(check_mode)),
        Width::Medium,
        "Handle delete and tombstone records",
    ),
    titled(
        ConfigKey::new(
            "route.by.field",
            Kind::String,
            "The column whose value becomes the topic.",
        )
        .default(""),
        Width::Long,
        "Route by field name",
    ),
    titled(
        ConfigKey::new(
            "add.fields.prefix",
            Kind::String,
            "What the names of added fields begin with.",
        )
        .default("__"),
        Width::Short,
        "Field prefix to be added to each field.",
    ),
    titled(
        ConfigKey::new(
            "add.fields",
            Kind::List,
            "Metadata to add to the row: op, table, source.ts_ms, transaction.id, …; field:name gives it another name.",
        )
        .default(""),
        Width::Long,
        "Adds the specified field(s) to the message if they exist.",
    ),
    titled(
        ConfigKey::new(
            "add.headers.prefix",
            Kind::String,
            "What the keys of added headers begin with.",
        )
        .default("__"),
        Width::Short,
        "Header prefix to be added to each header.",
    ),
    titled(
        ConfigKey::new(
            "add.headers",
            Kind::List,
            "Metadata to add as headers, written as for add.fields.",
        )
        .default(""),
        Width::Long,
        "Adds the specified fields to the header if they exist.",
    ),
    titled(
        ConfigKey::new(
            "drop.fields.header.name",
            Kind::String,
            "The header that lists fields to drop from the row.",
        ),
        Width::Short,
        "Specifies a header that contains a list of field names to be removed",
    ),
    titled(
        ConfigKey::new(
            "drop.fields.from.key",
            Kind::Boolean,
            "Whether those fields are dropped from the key too.",
        )
        .default("false"),
        Width::Short,
        "Specifies whether the fields to be dropped should also be omitted from the key",
    ),
    titled(
        ConfigKey::new(
            "drop.fields.keep.schema.compatible",
            Kind::Boolean,
            "Whether only optional fields are dropped.",
        )
        .default("true"),
        Width::Short,
        "Specifies if fields are dropped, will the event's schemas be compatible",
    ),
    titled(
        ConfigKey::new(
            "replace.null.with.default",
            Kind::Boolean,
            "Whether null in a column that has a default becomes that default when a row is rewritten.",
        )
        .default("true"),
        Width::Short,
        "replace null field value with default",
    ),
]);

fn check_mode(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Text(text) if DeleteTombstoneHandling::named(text).is_none() => Some(format!(
            "Invalid value {text} for configuration {name}: Value must be one of drop, tombstone, rewrite, \
             rewrite-with-tombstone, delete-to-tombstone"
        )),
        _ => None,
    }
}

/// `delete.tombstone.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeleteTombstoneHandling {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

impl DeleteTombstoneHandling {
    fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "drop" => Self::Drop,
            "tombstone" => Self::Tombstone,
            "rewrite" => Self::Rewrite,
            "rewrite-with-tombstone" => Self::RewriteWithTombstone,
            "delete-to-tombstone" => Self::DeleteToTombstone,
            _ => return None,
        })
    }

    fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }
}

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
mod tests {
    use super::*;
    use std::sync::Arc;

    fn transform(options: &[(&str, &str)]) -> ExtractNewRecordState {
        ExtractNewRecordState::new(&options.iter().copied().collect()).unwrap()
    }

    fn row_schema() -> SchemaRef {
        Schema::structure()
            .name("t.Value")
            .field("id", Schema::int32().build())
            .field(
                "kind",
                Schema::string().optional().default("plain".into()).build(),
            )
            .field("note", Schema::string().optional().build())
            .optional()
            .build()
    }

    fn row(id: i32, kind: Value) -> Vec<Value> {
        vec![Value::Int32(id), kind, "n".into()]
    }

    fn event(before: Option<Vec<Value>>, after: Option<Vec<Value>>, op: &'static str) -> Record {
        let row = row_schema();
        let source = Schema::structure()
            .field("table", Schema::string().build())
            .build();
        let schema = Schema::structure()
            .name("t.Envelope")
            .field("before", row.clone())
            .field("after", row.clone())
            .field("source", source.clone())
            .field("op", Schema::string().build())
            .build();
        let place = |values: Option<Vec<Value>>| {
            values.map_or(Value::Null, |values| {
                Value::Struct(Struct::new(row.clone(), values))
            })
        };
        let key = Schema::structure()
            .field("id", Schema::int32().build())
            .field("note", Schema::string().optional().build())
            .build();
        let mut record = Record::new("t");
        record.key_schema = Some(key.clone());
        record.key = Value::Struct(Struct::new(key, vec![Value::Int32(1), "n".into()]));
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(
            schema,
            vec![
                place(before),
                place(after),
                Value::Struct(Struct::new(source, vec!["orders".into()])),
                op.into(),
            ],
        ));
        record
    }

    fn delete() -> Record {
        event(Some(row(1, Value::Null)), None, op::DELETE)
    }

    fn names(record: &Record) -> Vec<String> {
        let schema = record.value_schema.as_ref().unwrap();
        schema
            .fields()
            .iter()
            .map(|field| field.name().to_string())
            .collect()
    }

    fn values(record: &Record) -> &[Value] {
        record.value.as_struct().unwrap().values()
    }

    #[test]
    fn each_mode_does_with_deletes_and_tombstones_what_its_name_says() {
        let tombstone = || Record::new("t");
        for (mode, after_delete, after_tombstone) in [
            ("drop", None, false),
            ("tombstone", Some((true, false)), false),
            ("Delete-To-Tombstone", Some((false, false)), false),
            ("rewrite", Some((true, true)), false),
            ("rewrite-with-tombstone", Some((true, true)), true),
        ] {
            let mut transform = transform(&[("delete.tombstone.handling.mode", mode)]);
            let applied = transform.apply(delete(), None).unwrap();
            let shape = applied.map(|r| (r.value_schema.is_some(), !r.value.is_null()));
            assert_eq!(shape, after_delete, "{mode}");
            let applied = transform.apply(tombstone(), None).unwrap();
            assert_eq!(applied.is_some(), after_tombstone, "{mode}");
        }
        let options = Config::from_iter([("delete.tombstone.handling.mode", "keep")]);
        assert!(ExtractNewRecordState::new(&options).is_err());
    }

    #[test]
    fn null_becomes_the_default_only_where_a_row_is_rewritten() {
        let insert = || event(None, Some(row(1, Value::Null)), op::CREATE);
        let kind = |options: &[(&str, &str)]| {
            values(&transform(options).apply(insert(), None).unwrap().unwrap())[1].clone()
        };
        let rewrite = ("delete.tombstone.handling.mode", "rewrite");
        assert_eq!(kind(&[]), Value::Null);
        assert_eq!(kind(&[rewrite]), "plain".into());
        assert_eq!(
            kind(&[rewrite, ("replace.null.with.default", "false")]),
            Value::Null
        );
    }

    #[test]
    fn a_column_names_the_topic() {
        let mut transform = transform(&[("route.by.field", "kind")]);
        for (kind, topic) in [("x".into(), "x"), (" ".into(), "t"), (Value::Null, "t")] {
            let insert = event(None, Some(row(1, kind)), op::CREATE);
            assert_eq!(&*transform.apply(insert, None).unwrap().unwrap().topic, topic);
        }
        let removed = event(Some(row(1, "y".into())), None, op::DELETE);
        assert_eq!(&*transform.apply(removed, None).unwrap().unwrap().topic, "y");
        let mut missing = super::tests::transform(&[("route.by.field", "nope")]);
        let insert = event(None, Some(row(1, Value::Null)), op::CREATE);
        assert_eq!(
            missing.apply(insert, None).unwrap_err().message(),
            "nope is not a valid field name"
        );
    }

    #[test]
    fn fields_named_in_a_header_are_dropped() {
        let listed = |mut record: Record| {
            record.headers.push(Header {
                key: Arc::from("drop"),
                schema: None,
                value: Value::Array(vec!["id".into(), "note".into()]),
            });
            record
        };
        let insert = || listed(event(None, Some(row(1, Value::Null)), op::UPDATE));
        let header = ("drop.fields.header.name", "drop");
        let mut compatible = transform(&[header, ("add.fields", "op:note2")]);
        let applied = compatible.apply(insert(), None).unwrap().unwrap();
        assert_eq!(names(&applied), ["id", "kind", "__note2"]);
        assert_eq!(values(&applied), [Value::Int32(1), "plain".into(), "u".into()]);
        let mut all = transform(&[
            header,
            ("drop.fields.keep.schema.compatible", "false"),
            ("drop.fields.from.key", "true"),
        ]);
        let applied = all.apply(insert(), None).unwrap().unwrap();
        assert_eq!(names(&applied), ["kind"]);
        assert!(applied.key_schema.unwrap().fields().is_empty());
        let without = event(None, Some(row(1, Value::Null)), op::UPDATE);
        assert_eq!(
            names(&all.apply(without, None).unwrap().unwrap()),
            ["id", "kind", "note"]
        );
    }

    #[test]
    fn metadata_that_is_not_there_is_left_out() {
        let mut transform = transform(&[("add.fields", "table,nope,op:OP"), ("add.fields.prefix", "m_")]);
        let applied = transform
            .apply(event(None, Some(row(1, Value::Null)), op::READ), None)
            .unwrap()
            .unwrap();
        assert_eq!(names(&applied), ["id", "kind", "note", "m_table", "m_OP"]);
        assert_eq!(values(&applied)[3..], ["orders".into(), "r".into()]);
        assert!(!applied.value_schema.unwrap().is_optional());
    }

    #[test]
    fn what_is_no_row_change_passes_or_goes() {
        let mut transform = transform(&[]);
        assert_eq!(
            transform.apply(event(None, None, op::TRUNCATE), None).unwrap(),
            None
        );
        let mut heartbeat = Record::new("h");
        heartbeat.value = Value::Int64(1);
        assert_eq!(
            transform.apply(heartbeat.clone(), None).unwrap(),
            Some(heartbeat.clone())
        );
        heartbeat.value_schema = Some(Schema::int64().name("Heartbeat").build());
        assert_eq!(transform.apply(heartbeat.clone(), None).unwrap(), Some(heartbeat));
    }

    #[test]
    fn rows_of_equal_schemas_come_out_with_one_identity() {
        let mut transform = transform(&[("delete.tombstone.handling.mode", "rewrite")]);
        let insert = event(None, Some(row(1, Value::Null)), op::CREATE);
        // As a converter makes them: the two rows' schemas are equal, but not the same.
        let schema = insert.value_schema.clone().unwrap();
        let schema = schema.to_builder().replace_field("before", row_schema()).build();
        let with = |mut record: Record, field: &str| {
            let own = schema.field(field).unwrap().schema().clone();
            let (_, values) = match record.value {
                Value::Struct(envelope) => envelope.into_parts(),
                _ => unreachable!("an envelope"),
            };
            let values = values
                .into_iter()
                .map(|value| match value {
                    Value::Struct(inner) if inner.schema().name() == own.name() => {
                        Value::Struct(Struct::new(own.clone(), inner.into_parts().1.into_vec()))
                    }
                    value => value,
                })
                .collect();
            record.value_schema = Some(schema.clone());
            record.value = Value::Struct(Struct::new(schema.clone(), values));
            record
        };
        let one = transform.apply(with(insert, "after"), None).unwrap().unwrap();
        let two = transform.apply(with(delete(), "before"), None).unwrap().unwrap();
        assert_eq!(one.value_schema.unwrap().id(), two.value_schema.unwrap().id());
    }
}
