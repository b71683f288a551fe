//! Checks of single options, with Debezium's words.

use tapline_api::config::{Config, ConfigValue};
use tapline_cdc::check::{JAVA, NOT_YET, invalid};
pub(super) use tapline_cdc::check::{
    key_columns, non_negative, one_of, operations, patterns, positive, topic_part, topic_prefix,
};

pub(super) fn slot_name(name: &str, value: &ConfigValue) -> Option<String> {
    let text = value.display().filter(|text| !text.is_empty())?;
    let legal = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'_';
    if text.len() <= 63 && text.bytes().all(legal) {
        return None;
    }
    invalid(
        name,
        "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63",
    )
}

/// What is not supported; see [`tapline_cdc::check::unsupported`].
const UNSUPPORTED: &[(&str, &[&str], &str)] = &[
    ("database.connection.factory.class", &[], JAVA),
    ("database.sslfactory", &[], JAVA),
    (
        "snapshot.mode",
        &[
            "initial",
            "initial_only",
            "always",
            "no_data",
            "when_needed",
            "configuration_based",
        ],
        JAVA,
    ),
    ("snapshot.mode.custom.name", &[], JAVA),
    ("snapshot.query.mode", &["select_all"], JAVA),
    ("snapshot.query.mode.custom.name", &[], JAVA),
    ("snapshot.locking.mode", &["none", "shared"], JAVA),
    ("snapshot.locking.mode.custom.name", &[], JAVA),
    ("converters", &[], JAVA),
    (
        "transaction.metadata.factory",
        &["io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"],
        JAVA,
    ),
    (
        "sourceinfo.struct.maker",
        &["io.debezium.connector.postgresql.PostgresSourceInfoStructMaker"],
        JAVA,
    ),
    ("include.schema.comments", &["false"], NOT_YET),
    (
        "openlineage.integration.enabled",
        &["false"],
        "asks for OpenLineage events, which are not written",
    ),
];

/// Options that are set to something not supported, with what to say about each.
pub(super) fn unsupported(config: &Config) -> Vec<(String, String)> {
    tapline_cdc::check::unsupported(config, UNSUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_refused_by_name_and_never_ignored() {
        let config: Config = [
            ("snapshot.mode", "custom"),
            ("database.sslfactory", "my.Factory"),
            ("snapshot.tables.order.by.row.count", "DISABLED"),
            ("signal.data.collection", ""),
            ("decimal.handling.mode", "string"),
        ]
        .into_iter()
        .collect();
        let found = unsupported(&config);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["snapshot.mode", "database.sslfactory"]);
        assert!(found.iter().all(|(_, text)| text.contains("Java class")));
    }

    #[test]
    fn a_slots_name_is_of_small_letters_and_digits() {
        let text = |text: &str| ConfigValue::Text(text.to_owned());
        assert!(slot_name("slot.name", &text("My-Slot")).is_some());
        assert_eq!(slot_name("slot.name", &text("my_slot")), None);
    }
}
