//! Checks of single options, with Debezium's words.

use tapline_api::config::{Config, ConfigValue};
use tapline_cdc::filter::{KeyColumns, PatternList};
use tapline_cdc::naming::check_topic_part;

fn invalid(name: &str, what: &str) -> Option<String> {
    Some(format!("The '{name}' value is invalid: {what}"))
}

fn text(value: &ConfigValue) -> Option<String> {
    value.display().filter(|text| !text.is_empty())
}

/// An enumeration; case does not matter.
pub(super) fn one_of(name: &str, value: &ConfigValue, allowed: &[&str]) -> Option<String> {
    let text = text(value)?;
    if allowed.contains(&text.trim().to_lowercase().as_str()) {
        return None;
    }
    invalid(name, &format!("Value must be one of {}", allowed.join(", ")))
}

pub(super) fn topic_prefix(name: &str, value: &ConfigValue) -> Option<String> {
    match text(value) {
        None => invalid(name, "A value is required"),
        Some(_) => topic_part(name, value),
    }
}

pub(super) fn topic_part(name: &str, value: &ConfigValue) -> Option<String> {
    check_topic_part(name, &text(value)?)
        .err()
        .map(|error| error.message().to_owned())
}

pub(super) fn non_negative(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if *n < 0 => invalid(name, "An non-negative integer is expected"),
        _ => None,
    }
}

pub(super) fn positive(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if *n < 1 => invalid(name, "A positive, non-zero integer value is expected"),
        _ => None,
    }
}

pub(super) fn server_id(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if (1..=i64::from(u32::MAX)).contains(n) => None,
        ConfigValue::Integer(_) => invalid(name, "A number from 1 to 4294967295 is expected"),
        _ => invalid(name, "A value is required"),
    }
}

pub(super) fn patterns(name: &str, value: &ConfigValue) -> Option<String> {
    let error = PatternList::new(name, &text(value)?).err()?;
    invalid(
        name,
        &format!("A comma-separated list of valid regular expressions is expected, but {error}"),
    )
}

pub(super) fn key_columns(_: &str, value: &ConfigValue) -> Option<String> {
    KeyColumns::new(&text(value)?)
        .err()
        .map(|error| error.message().to_owned())
}

pub(super) fn operations(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::List(items) = value else {
        return None;
    };
    if items
        .iter()
        .any(|item| !matches!(item.as_str(), "none" | "r" | "c" | "u" | "d" | "t"))
    {
        return invalid(name, "Invalid operation");
    }
    if items.len() > 1 && items.iter().any(|item| item == "none") {
        return invalid(
            name,
            "\"none\" cannot be specified with other skipped operation types",
        );
    }
    None
}

/// Options whose setting would change what is written, and that nothing reads yet.
const UNSUPPORTED: &[(&str, &[&str])] = &[
    (
        "snapshot.mode",
        &[
            "initial",
            "initial_only",
            "always",
            "no_data",
            "schema_only",
            "when_needed",
        ],
    ),
    ("snapshot.locking.mode", &["minimal", "extended", "none"]),
    ("snapshot.query.mode", &["select_all"]),
    ("snapshot.select.statement.overrides", &[]),
    ("snapshot.tables.order.by.row.count", &["disabled"]),
    ("signal.data.collection", &[]),
    ("signal.enabled.channels", &["source"]),
    ("notification.enabled.channels", &[]),
    ("event.processing.failure.handling.mode", &["fail"]),
    ("event.deserialization.failure.handling.mode", &["fail"]),
    ("database.ssl.keystore.password", &[]),
    ("database.ssl.truststore.password", &[]),
    ("post.processors", &[]),
    (
        "schema.history.internal",
        &["io.debezium.storage.kafka.history.KafkaSchemaHistory"],
    ),
    (
        "transaction.metadata.factory",
        &["io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"],
    ),
    ("sourceinfo.struct.maker", &[]),
    ("openlineage.integration.enabled", &["false"]),
];

/// Options that are set to something not supported yet, with what to say about each.
pub(super) fn unsupported(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in config.iter() {
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            continue;
        };
        let bad = match UNSUPPORTED.iter().find(|(option, _)| *option == name) {
            Some((_, fine)) => !fine.iter().any(|fine| fine.eq_ignore_ascii_case(value)),
            None => name.starts_with("snapshot.select.statement.overrides."),
        };
        if bad {
            let shown = if name.contains("password") {
                "[hidden]"
            } else {
                value
            };
            found.push((
                name.to_owned(),
                format!("The '{name}' value is invalid: '{shown}' is not supported yet"),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let config: Config = [
            ("snapshot.mode", "recovery"),
            ("database.ssl.truststore.password", "pssst"),
            ("signal.data.collection", ""),
            ("snapshot.locking.mode", "NONE"),
        ]
        .into_iter()
        .collect();
        let found = unsupported(&config);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["snapshot.mode", "database.ssl.truststore.password"]);
        assert!(found.iter().all(|(_, text)| !text.contains("pssst")));
    }
}
