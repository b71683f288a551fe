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

pub(super) fn slot_name(name: &str, value: &ConfigValue) -> Option<String> {
    let text = text(value)?;
    let legal = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'_';
    if text.len() <= 63 && text.bytes().all(legal) {
        return None;
    }
    invalid(
        name,
        "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63",
    )
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

/// Why an option can't be met.
const JAVA: &str =
    "names a Java class of one's own, which can't be loaded; it is for Debezium's own values only";
const NOT_YET: &str = "is not supported yet";

/// Options whose setting would change what is written, and that nothing reads; with the values that are fine, and the
/// reason. Leaving one out without a word would be worst.
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
    ("post.processors", &[], NOT_YET),
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
    let mut found = Vec::new();
    for (name, value) in config.iter() {
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            continue;
        };
        let listed = UNSUPPORTED.iter().find(|(option, ..)| *option == name);
        if let Some((_, fine, why)) = listed
            && !fine.iter().any(|fine| fine.eq_ignore_ascii_case(value))
        {
            let text = format!("The '{name}' value is invalid: '{value}' {why}");
            found.push((name.to_owned(), text));
        }
    }
    found
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
    fn findings_are_in_debeziums_words() {
        let text = |text: &str| ConfigValue::Text(text.to_owned());
        assert_eq!(
            one_of("x", &text("maybe"), &["a", "b"]).unwrap(),
            "The 'x' value is invalid: Value must be one of a, b"
        );
        assert_eq!(one_of("x", &text("A "), &["a"]), None);
        assert!(slot_name("slot.name", &text("My-Slot")).is_some());
        assert_eq!(slot_name("slot.name", &text("my_slot")), None);
        assert_eq!(
            topic_prefix("topic.prefix", &ConfigValue::Null).unwrap(),
            "The 'topic.prefix' value is invalid: A value is required"
        );
        assert!(
            topic_prefix("topic.prefix", &text("a b"))
                .unwrap()
                .contains("has invalid format")
        );
        let list = |items: &[&str]| ConfigValue::List(items.iter().map(|i| (*i).to_owned()).collect());
        assert_eq!(operations("skipped.operations", &list(&["c", "t"])), None);
        assert!(operations("skipped.operations", &list(&["none", "t"])).is_some());
    }
}
