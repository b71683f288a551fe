//! The options that every connector has (`ConnectorConfig`, `SourceConnectorConfig`, `SinkConnectorConfig`).

use tapline_api::config::{ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator, Width};
use tapline_api::pattern::Pattern;

/// Every connector's.
pub(super) static COMMON: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("name", Kind::String, "The connector's name, unique among all connectors.")
        .required()
        .valid(Validator::Custom(connector_name))
        .importance(Importance::High)
        .form("Common", 1, Width::Medium, "Connector name"),
    ConfigKey::new(
        "connector.class",
        Kind::String,
        "The connector's Java class name; its simple name will do, with or without `Connector`.",
    )
    .required()
    .importance(Importance::High)
    .form("Common", 2, Width::Long, "Connector class"),
    ConfigKey::new(
        "connector.plugin.version",
        Kind::String,
        "The connector's version. There is one of each connector, so it need not be given.",
    )
    .importance(Importance::Medium)
    .form("Common", 3, Width::Medium, "Connector version"),
    ConfigKey::new("tasks.max", Kind::Int, "How many tasks the connector may have.")
        .default("1")
        .valid(Validator::AtLeast(1))
        .importance(Importance::High)
        .form("Common", 4, Width::Short, "Tasks max"),
    ConfigKey::new(
        "tasks.max.enforce",
        Kind::Boolean,
        "Whether a connector that asks for more tasks than `tasks.max` fails. Deprecated.",
    )
    .default("true")
    .form("Common", 5, Width::Short, "Enforce tasks max"),
    ConfigKey::new(
        "key.converter",
        Kind::Class,
        "Turns keys into bytes and back; the worker's, unless given here.",
    )
    .form("Common", 6, Width::Short, "Key converter class"),
    ConfigKey::new("key.converter.plugin.version", Kind::String, "The key converter's version.").form(
        "Common",
        7,
        Width::Short,
        "Key converter version",
    ),
    ConfigKey::new(
        "value.converter",
        Kind::Class,
        "Turns values into bytes and back; the worker's, unless given here.",
    )
    .form("Common", 8, Width::Short, "Value converter class"),
    ConfigKey::new(
        "value.converter.plugin.version",
        Kind::String,
        "The value converter's version.",
    )
    .form("Common", 9, Width::Short, "Value converter version"),
    ConfigKey::new(
        "header.converter",
        Kind::Class,
        "Turns headers into bytes and back; the worker's, unless given here.",
    )
    .form("Common", 10, Width::Short, "Header converter class"),
    ConfigKey::new(
        "header.converter.plugin.version",
        Kind::String,
        "The header converter's version.",
    )
    .form("Common", 11, Width::Short, "Header converter version"),
    ConfigKey::new(
        "transforms",
        Kind::List,
        "Names of the transformations that records pass, in order; each has its options under `transforms.NAME.`.",
    )
    .default("")
    .valid(Validator::Custom(aliases))
    .form("Transforms", 12, Width::Long, "Transforms"),
    ConfigKey::new(
        "predicates",
        Kind::List,
        "Names of the predicates that transformations refer to; each has its options under `predicates.NAME.`.",
    )
    .default("")
    .valid(Validator::Custom(aliases))
    .form("Predicates", 13, Width::Long, "Predicates"),
    ConfigKey::new(
        "config.action.reload",
        Kind::String,
        "What to do when a config provider's value changes: `restart` the connector or `none`.",
    )
    .default("restart")
    .valid(Validator::OneOf(&["none", "restart"]))
    .form("Common", 14, Width::Medium, "Reload Action"),
    ConfigKey::new(
        "errors.retry.timeout",
        Kind::Long,
        "How long a failed operation is tried again, in milliseconds; 0 for never, -1 for ever.",
    )
    .default("0")
    .importance(Importance::Medium)
    .form("Error Handling", 1, Width::Medium, "Retry Timeout for Errors"),
    ConfigKey::new(
        "errors.retry.delay.max.ms",
        Kind::Long,
        "The longest pause between two tries, in milliseconds.",
    )
    .default("60000")
    .importance(Importance::Medium)
    .form("Error Handling", 2, Width::Medium, "Maximum Delay Between Retries for Errors"),
    ConfigKey::new(
        "errors.tolerance",
        Kind::String,
        "With `none` a record that can't be handled fails the task; with `all` it is skipped, or goes to the dead letter queue.",
    )
    .default("none")
    .valid(Validator::OneOf(&["none", "all"]))
    .importance(Importance::Medium)
    .form("Error Handling", 3, Width::Short, "Error Tolerance"),
    ConfigKey::new(
        "errors.log.enable",
        Kind::Boolean,
        "Whether records that were skipped are logged; those that fail the task always are.",
    )
    .default("false")
    .importance(Importance::Medium)
    .form("Error Handling", 4, Width::Short, "Log Errors"),
    ConfigKey::new(
        "errors.log.include.messages",
        Kind::Boolean,
        "Whether that log names the record's topic, partition, offset and timestamp.",
    )
    .default("false")
    .importance(Importance::Medium)
    .form("Error Handling", 5, Width::Short, "Log Error Details"),
]);

/// Every source's.
pub(super) static SOURCE: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "topic.creation.groups",
        Kind::List,
        "Names of groups of topics; how each group's topics are created stands under `topic.creation.NAME.`.",
    )
    .default("")
    .valid(Validator::Custom(aliases))
    .form("Topic Creation", 1, Width::Long, "Topic Creation Groups"),
    ConfigKey::new(
        "exactly.once.support",
        Kind::String,
        "`required` refuses the connector unless worker and source can be exactly-once; `requested` does not.",
    )
    .default("requested")
    .valid(Validator::OneOfIgnoringCase(&["requested", "required"]))
    .importance(Importance::Medium)
    .form("Exactly Once Support", 2, Width::Short, "Exactly once support"),
    ConfigKey::new(
        "transaction.boundary",
        Kind::String,
        "When an exactly-once source ends a transaction: at every `poll`, every `interval`, or where the `connector` says.",
    )
    .default("poll")
    .valid(Validator::OneOfIgnoringCase(&["poll", "interval", "connector"]))
    .importance(Importance::Medium)
    .form("Exactly Once Support", 3, Width::Short, "Transaction Boundary"),
    ConfigKey::new(
        "transaction.boundary.interval.ms",
        Kind::Long,
        "The interval for `transaction.boundary=interval`; the worker's `offset.flush.interval.ms`, unless given here.",
    )
    .valid(Validator::Custom(positive_if_given))
    .form("Exactly Once Support", 4, Width::Short, "Transaction boundary interval"),
    ConfigKey::new(
        "offsets.storage.topic",
        Kind::String,
        "An offsets topic of this connector's own; the worker's, unless given here.",
    )
    .valid(Validator::NonEmpty)
    .form("offsets.topic", 1, Width::Long, "Offsets topic"),
]);

/// Every sink's.
pub(super) static SINK: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("topics", Kind::List, "The topics to read. Either this or `topics.regex`.")
        .default("")
        .importance(Importance::High)
        .form("Common", 4, Width::Long, "Topics"),
    ConfigKey::new(
        "topics.regex",
        Kind::String,
        "A Java regular expression that names of topics to read match in full. Either this or `topics`.",
    )
    .default("")
    .valid(Validator::Custom(regex))
    .importance(Importance::High)
    .form("Common", 4, Width::Long, "Topics regex"),
    ConfigKey::new(
        "errors.deadletterqueue.topic.name",
        Kind::String,
        "The topic that takes records which can't be handled, with `errors.tolerance=all`. Empty: they are dropped.",
    )
    .default("")
    .importance(Importance::Medium)
    .form("Error Handling", 6, Width::Medium, "Dead Letter Queue Topic Name"),
    ConfigKey::new(
        "errors.deadletterqueue.topic.replication.factor",
        Kind::Short,
        "Replicas of that topic, when it is created.",
    )
    .default("3")
    .importance(Importance::Medium)
    .form("Error Handling", 7, Width::Medium, "Dead Letter Queue Topic Replication Factor"),
    ConfigKey::new(
        "errors.deadletterqueue.context.headers.enable",
        Kind::Boolean,
        "Whether headers `__connect.errors.*` say where the record came from and what went wrong.",
    )
    .default("false")
    .importance(Importance::Medium)
    .form("Error Handling", 8, Width::Medium, "Enable Error Context Headers"),
]);

/// What every transformation has besides its own (`TransformationStage`).
pub(super) static STAGE: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "predicate",
        Kind::String,
        "The predicate that decides whether the transformation applies to a record.",
    )
    .importance(Importance::Medium),
    ConfigKey::new(
        "negate",
        Kind::Boolean,
        "Whether it applies where the predicate does not hold.",
    )
    .default("false")
    .importance(Importance::Medium),
]);

/// `NonEmptyStringWithoutControlChars`. A missing name is reported as such already.
fn connector_name(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::Text(text) = value else {
        return None;
    };
    if text.is_empty() {
        return Some(format!(
            "Invalid value  for configuration {name}: String may not be empty"
        ));
    }
    let control: Vec<_> = text
        .chars()
        .filter(|c| c.is_control())
        .map(|c| u32::from(c).to_string())
        .collect();
    (!control.is_empty()).then(|| {
        format!(
            "Invalid value {text} for configuration {name}: String may not contain control sequences but had the \
             following ASCII chars: {}",
            control.join(", ")
        )
    })
}

fn aliases(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::List(items) = value else {
        return Some(format!(
            "Invalid value null for configuration {name}: Value must be non-null"
        ));
    };
    let twice = items
        .iter()
        .enumerate()
        .any(|(i, item)| items.iter().skip(i + 1).any(|other| other == item));
    twice.then(|| {
        format!(
            "Invalid value [{}] for configuration {name}: Duplicate alias provided.",
            items.join(", ")
        )
    })
}

fn positive_if_given(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if *n < 1 => Some(format!(
            "Invalid value {n} for configuration {name}: Value must be at least 1"
        )),
        _ => None,
    }
}

fn regex(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::Text(text) = value else {
        return None;
    };
    Some(Pattern::new(name, text).err()?.message().to_owned())
}
