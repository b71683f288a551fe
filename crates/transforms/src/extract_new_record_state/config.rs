//! The options of `ExtractNewRecordState`.

use tapline_api::config::{ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator, Width};

use crate::debezium::titled;

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
pub(super) enum DeleteTombstoneHandling {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

impl DeleteTombstoneHandling {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "drop" => Self::Drop,
            "tombstone" => Self::Tombstone,
            "rewrite" => Self::Rewrite,
            "rewrite-with-tombstone" => Self::RewriteWithTombstone,
            "delete-to-tombstone" => Self::DeleteToTombstone,
            _ => return None,
        })
    }

    pub(super) fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }
}
