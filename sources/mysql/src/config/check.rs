//! Checks of single options, with Debezium's words.

use tapline_api::config::{Config, ConfigValue};
use tapline_cdc::check::{JAVA, NOT_YET, invalid};
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

/// Percona Server's locks.
const PERCONA: &str = "locks as Percona Server alone can, which has not been tried";

/// What is not supported; see [`tapline_cdc::check::unsupported`].
const UNSUPPORTED: &[(&str, &[&str], &str)] = &[
    (
        "snapshot.mode",
        &[
            "initial",
            "initial_only",
            "always",
            "no_data",
            "schema_only",
            "when_needed",
            "recovery",
            "schema_only_recovery",
            "never",
            "configuration_based",
        ],
        JAVA,
    ),
    ("snapshot.mode.custom.name", &[], JAVA),
    ("snapshot.locking.mode", &["minimal", "extended", "none"], PERCONA),
    ("snapshot.locking.mode.custom.name", &[], JAVA),
    ("snapshot.query.mode", &["select_all"], JAVA),
    ("snapshot.query.mode.custom.name", &[], JAVA),
    ("database.ssl.keystore.password", &[], NOT_YET),
    ("database.ssl.truststore.password", &[], NOT_YET),
    ("post.processors", &[], NOT_YET),
    (
        "schema.history.internal",
        &["io.debezium.storage.kafka.history.KafkaSchemaHistory"],
        NOT_YET,
    ),
    (
        "transaction.metadata.factory",
        &["io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"],
        JAVA,
    ),
    ("sourceinfo.struct.maker", &[], JAVA),
    ("openlineage.integration.enabled", &["false"], NOT_YET),
];

/// Options that are set to something not supported, with what to say about each.
pub(super) fn unsupported(config: &Config) -> Vec<(String, String)> {
    tapline_cdc::check::unsupported(config, UNSUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let config: Config = [
            ("snapshot.mode", "custom"),
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
