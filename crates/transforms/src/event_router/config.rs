//! The options of `EventRouter`.

use tapline_api::config::{ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Parsed, Validator, Width};
use tapline_api::{Error, Result};

use crate::validate::DEBEZIUM_REGEX;

const fn column(name: &'static str, doc: &'static str, order: i32, title: &'static str) -> ConfigKey {
    ConfigKey::new(name, Kind::String, doc).form("Table", order, Width::Medium, title)
}

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    column(
        "table.field.event.id",
        "The column of the event's id, which becomes the header id.",
        1,
        "Event ID Field",
    )
    .default("id"),
    column(
        "table.field.event.key",
        "The column that becomes the record's key.",
        2,
        "Event Key Field",
    )
    .default("aggregateid"),
    column(
        "table.field.event.type",
        "The column of the event's type. To have it in the record, name it in table.fields.additional.placement.",
        3,
        "Event Type Field",
    )
    .default("type"),
    column(
        "table.field.event.payload",
        "The column that becomes the record's value.",
        4,
        "Event Payload Field",
    )
    .default("payload"),
    column(
        "table.field.event.timestamp",
        "The column that becomes the record's timestamp; the event's ts_ms when it is not set, or null.",
        5,
        "Event Timestamp Field",
    )
    .importance(Importance::Medium),
    ConfigKey::new(
        "table.fields.additional.placement",
        Kind::List,
        "Further columns, as column:header, column:envelope, column:header:name, column:envelope:name or column:partition. \
         With one in the envelope the value is a struct of payload and these columns.",
    )
    .importance(Importance::High)
    .valid(Validator::Custom(check_placement))
    .form(
        "Table",
        6,
        Width::Medium,
        "Settings for each additional column in the outbox table",
    ),
    ConfigKey::new(
        "table.field.additional.missing",
        Kind::String,
        "What a row without one of the further columns means: error, or ignore.",
    )
    .default("error")
    .importance(Importance::Medium)
    .valid(Validator::Custom(|name, value| one_of(name, value, &["error", "ignore"])))
    .form(
        "Table",
        7,
        Width::Medium,
        "Behavior when an additional field is missing in the change data",
    ),
    column(
        "table.field.event.schema.version",
        "The column that becomes the version of the value's schema.",
        8,
        "Event Schema Version Field",
    ),
    ConfigKey::new(
        "table.op.invalid.behavior",
        Kind::String,
        "What an update of the outbox table means: warn or error (logged and dropped), or fatal.",
    )
    .default("warn")
    .importance(Importance::Medium)
    .valid(Validator::Custom(|name, value| {
        one_of(name, value, &["warn", "error", "fatal"])
    }))
    .form(
        "Table",
        9,
        Width::Medium,
        "Behavior when capturing an unexpected outbox event",
    ),
    ConfigKey::new(
        "table.expand.json.payload",
        Kind::Boolean,
        "Whether a payload of JSON text becomes a struct whose schema is inferred from it.",
    )
    .default("false")
    .importance(Importance::Medium)
    .form("Table", 10, Width::Medium, "Expand Payload escaped string as real JSON"),
    ConfigKey::new(
        "table.json.payload.null.behavior",
        Kind::String,
        "What a null in such a payload becomes: ignore (no field), or optional_bytes.",
    )
    .default("ignore")
    .importance(Importance::Medium)
    .valid(Validator::Custom(|name, value| {
        one_of(name, value, &["ignore", "optional_bytes"])
    }))
    .form("Table", 11, Width::Medium, "Behavior when json payload including null value"),
    ConfigKey::new(
        "route.by.field",
        Kind::String,
        "The column that tells the topic, by way of the two options below.",
    )
    .default("aggregatetype")
    .importance(Importance::High)
    .form("Router", 1, Width::Medium, "Field to route events by"),
    ConfigKey::new(
        "route.topic.regex",
        Kind::String,
        "A Java regular expression that the column's whole value must match to be replaced.",
    )
    .default("(?<routedByValue>.*)")
    .valid(DEBEZIUM_REGEX)
    .form("Router", 2, Width::Medium, "The name of the routed topic"),
    ConfigKey::new(
        "route.topic.replacement",
        Kind::String,
        "The topic; ${routedByValue} stands for the column's value.",
    )
    .default("outbox.event.${routedByValue}")
    .importance(Importance::High)
    .form("Router", 3, Width::Medium, "The name of the routed topic"),
    ConfigKey::new(
        "route.tombstone.on.empty.payload",
        Kind::Boolean,
        "Whether an empty payload becomes a tombstone.",
    )
    .default("false")
    .importance(Importance::High)
    .form("Router", 4, Width::Medium, "Empty payloads cause a tombstone message"),
    ConfigKey::new(
        "tracing.span.context.field",
        Kind::String,
        "Known for compatibility: spans of OpenTelemetry are not written.",
    )
    .default("tracingspancontext")
    .form(
        "Tracing",
        1,
        Width::Medium,
        "Serialized tracing span context field",
    ),
    ConfigKey::new(
        "tracing.operation.name",
        Kind::String,
        "Known for compatibility: spans of OpenTelemetry are not written.",
    )
    .default("debezium-read")
    .form("Tracing", 2, Width::Medium, "Tracing operation name"),
    ConfigKey::new(
        "tracing.with.context.field.only",
        Kind::Boolean,
        "Known for compatibility: spans of OpenTelemetry are not written.",
    )
    .default("false")
    .form(
        "Tracing",
        3,
        Width::Medium,
        "Trace only events with context field present",
    ),
]);

fn one_of(name: &str, value: &ConfigValue, allowed: &[&str]) -> Option<String> {
    let text = value.display()?;
    let known = allowed
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text.trim()));
    (!known).then(|| {
        format!(
            "The '{name}' value is invalid: Value must be one of {}",
            allowed.join(", ")
        )
    })
}

fn check_placement(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::List(items) = value else {
        return None;
    };
    let wrong = items.iter().any(|item| Additional::parse(item).is_none());
    wrong.then(|| {
        format!(
            "The '{name}' value is invalid: A comma-separated list of valid String pairs or trios is expected but got: [{}]",
            items.join(", ")
        )
    })
}

/// Where a further column goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    Header,
    Envelope,
    Partition,
}

/// A further column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Additional {
    pub(super) column: String,
    pub(super) placement: Placement,
    pub(super) alias: String,
}

impl Additional {
    fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let (column, placement, alias) = match *parts.as_slice() {
            [column, placement] => (column, placement, column),
            [column, placement, alias] => (column, placement, alias),
            _ => return None,
        };
        let placement = match placement.to_ascii_lowercase().as_str() {
            "header" => Placement::Header,
            "envelope" => Placement::Envelope,
            "partition" => Placement::Partition,
            _ => return None,
        };
        Some(Self {
            column: column.to_owned(),
            placement,
            alias: alias.to_owned(),
        })
    }
}

/// What an update of the outbox table means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unexpected {
    Warn,
    Error,
    Fatal,
}

/// The options that tell where a row's columns go.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) id: String,
    pub(super) key: Option<String>,
    pub(super) payload: String,
    pub(super) timestamp: Option<String>,
    pub(super) version: Option<String>,
    pub(super) route_by: String,
    pub(super) additional: Vec<Additional>,
    /// A missing further column is an error.
    pub(super) strict: bool,
}

impl Columns {
    pub(super) fn new(parsed: &Parsed) -> Result<Self> {
        let filled = |name| {
            parsed
                .text(name)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let additional = parsed
            .list("table.fields.additional.placement")
            .iter()
            .map(|text| {
                Additional::parse(text)
                    .ok_or_else(|| Error::config(format!("'{text}' is no placement of a column")))
            });
        Ok(Self {
            id: parsed.required("table.field.event.id")?.to_owned(),
            key: filled("table.field.event.key"),
            payload: parsed.required("table.field.event.payload")?.to_owned(),
            timestamp: filled("table.field.event.timestamp"),
            version: filled("table.field.event.schema.version"),
            route_by: parsed.required("route.by.field")?.to_owned(),
            additional: additional.collect::<Result<_>>()?,
            strict: !is(parsed, "table.field.additional.missing", "ignore"),
        })
    }

    /// Whether the value is a struct around the payload.
    pub(super) fn has_envelope(&self) -> bool {
        self.additional
            .iter()
            .any(|additional| additional.placement == Placement::Envelope)
    }
}

/// Whether an enumerated option has this value.
pub(super) fn is(parsed: &Parsed, name: &str, value: &str) -> bool {
    parsed
        .text(name)
        .is_some_and(|text| text.trim().eq_ignore_ascii_case(value))
}

pub(super) fn unexpected(parsed: &Parsed) -> Unexpected {
    if is(parsed, "table.op.invalid.behavior", "fatal") {
        Unexpected::Fatal
    } else if is(parsed, "table.op.invalid.behavior", "error") {
        Unexpected::Error
    } else {
        Unexpected::Warn
    }
}
