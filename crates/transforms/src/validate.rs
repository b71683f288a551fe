//! Checks that several transformations share, with the texts of Kafka's and Debezium's validators.

use tapline_api::config::{ConfigValue, Validator};
use tapline_api::pattern::Pattern;

/// `RegexValidator`: a Java regular expression.
pub(crate) const REGEX: Validator = Validator::Custom(regex);

/// `NonEmptyListValidator`.
pub(crate) const NON_EMPTY_LIST: Validator = Validator::Custom(|name, value| match value {
    ConfigValue::List(items) if !items.is_empty() => None,
    ConfigValue::List(_) => Some(format!("Invalid value [] for configuration {name}: Empty list")),
    _ => Some(format!("Invalid value null for configuration {name}: Empty list")),
});

/// Debezium's `required()` with `Field::isRegex`.
pub(crate) const DEBEZIUM_REQUIRED_REGEX: Validator = Validator::Custom(|name, value| match value {
    ConfigValue::Text(text) if !text.is_empty() => debezium_regex(name, text),
    _ => Some(format!("The '{name}' value is invalid: A value is required")),
});

/// Debezium's `Field::isRegex`.
pub(crate) const DEBEZIUM_REGEX: Validator = Validator::Custom(|name, value| match value {
    ConfigValue::Text(text) => debezium_regex(name, text),
    _ => None,
});

fn regex(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::Text(text) = value else {
        return Some(format!(
            "Invalid value null for configuration {name}: Invalid regex: null"
        ));
    };
    let error = Pattern::new(name, text).err()?;
    Some(format!(
        "Invalid value {text} for configuration {name}: Invalid regex: {}",
        reason(error.message())
    ))
}

fn debezium_regex(name: &str, text: &str) -> Option<String> {
    let error = Pattern::new(name, text).err()?;
    Some(format!(
        "The '{name}' value is invalid: A valid regular expressions is expected, but {}",
        reason(error.message())
    ))
}

/// What the regex engine said, without our own beginning.
fn reason(message: &str) -> &str {
    message.split_once(": ").map_or(message, |(_, reason)| reason)
}
