//! Checks of single options, with Debezium's words.

use tapline_api::config::{Config, ConfigValue};
use tapline_cdc::check::invalid;
pub(super) use tapline_cdc::check::{
    key_columns, non_negative, one_of, operations, patterns, positive, topic_part, topic_prefix,
};

pub(super) fn server_id(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if (1..=i64::from(u32::MAX)).contains(n) => None,
        ConfigValue::Integer(_) => invalid(name, "A number from 1 to 4294967295 is expected"),
        _ => invalid(name, "A value is required"),
    }
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
            ("snapshot.select.statement.overrides", ""),
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
