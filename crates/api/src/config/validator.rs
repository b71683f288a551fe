//! What a value must satisfy beyond its type.

use super::parsed::ConfigValue;

/// A check; its messages are Kafka's.
#[derive(Clone, Copy, Debug)]
pub enum Validator {
    /// Everything goes.
    Any,
    /// `Range.atLeast`.
    AtLeast(i64),
    /// `Range.between`, both ends included.
    Between(i64, i64),
    /// `ValidString.in`.
    OneOf(&'static [&'static str]),
    /// `CaseInsensitiveValidString.in`.
    OneOfIgnoringCase(&'static [&'static str]),
    /// `NonEmptyString`.
    NonEmpty,
    /// Debezium's `Field.withValidation(Field::isRequired)`.
    DebeziumRequired,
    /// Any other check: the finding as a whole sentence.
    Custom(fn(name: &str, value: &ConfigValue) -> Option<String>),
}

impl Validator {
    /// The finding, or `None` if the value will do.
    pub(super) fn check(self, name: &str, value: &ConfigValue) -> Option<String> {
        let invalid = |what: &str| {
            Some(format!(
                "Invalid value {} for configuration {name}: {what}",
                shown(value)
            ))
        };
        match (self, value) {
            (Self::Any, _) => None,
            (Self::AtLeast(_) | Self::Between(..), ConfigValue::Null) => invalid("Value must be non-null"),
            (Self::AtLeast(least) | Self::Between(least, _), ConfigValue::Integer(n)) if *n < least => {
                invalid(&format!("Value must be at least {least}"))
            }
            (Self::Between(_, most), ConfigValue::Integer(n)) if *n > most => {
                invalid(&format!("Value must be no more than {most}"))
            }
            (Self::AtLeast(_) | Self::Between(..), _) => None,
            (Self::OneOf(allowed), value) => {
                let ok = matches!(value, ConfigValue::Text(text) if allowed.contains(&text.as_str()));
                if ok {
                    None
                } else {
                    invalid(&format!("String must be one of: {}", allowed.join(", ")))
                }
            }
            (Self::OneOfIgnoringCase(allowed), value) => {
                let ok = matches!(value, ConfigValue::Text(text) if allowed.iter().any(|a| a.eq_ignore_ascii_case(text)));
                if ok {
                    None
                } else {
                    let allowed = allowed.join(", ").to_uppercase();
                    invalid(&format!("String must be one of (case insensitive): {allowed}"))
                }
            }
            (Self::NonEmpty, ConfigValue::Text(text)) if text.is_empty() => Some(format!(
                "Invalid value  for configuration {name}: String must be non-empty"
            )),
            (Self::NonEmpty, _) => None,
            (Self::DebeziumRequired, ConfigValue::Null) => {
                Some(format!("The '{name}' value is invalid: A value is required"))
            }
            (Self::DebeziumRequired, ConfigValue::Text(text)) if text.is_empty() => {
                Some(format!("The '{name}' value is invalid: A value is required"))
            }
            (Self::DebeziumRequired, _) => None,
            (Self::Custom(check), value) => check(name, value),
        }
    }
}

/// A value as Java's string concatenation would print it.
fn shown(value: &ConfigValue) -> String {
    match value {
        ConfigValue::List(items) => format!("[{}]", items.join(", ")),
        value => value.display().unwrap_or_else(|| "null".to_owned()),
    }
}
