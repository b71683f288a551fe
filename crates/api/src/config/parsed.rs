//! Typed values of options.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::def::Kind;
use super::split_list;
use crate::error::{Error, Result};

/// Text that must not be shown: `Debug` and `Display` print `[hidden]`, as Kafka's `Password` does.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// No value.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// SHORT, INT or LONG.
    Integer(i64),
    /// DOUBLE.
    Double(f64),
    /// STRING or CLASS.
    Text(String),
    /// LIST.
    List(Vec<String>),
    /// PASSWORD.
    Secret(Secret),
}

impl ConfigValue {
    /// Reads a text as Kafka's `ConfigDef.parseType` does; the error is the part after `Invalid value … for
    /// configuration …: `.
    pub(super) fn parse(kind: Kind, text: &str) -> Result<Self, &'static str> {
        let trimmed = text.trim();
        Ok(match kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Self::Boolean(true),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Self::Boolean(false),
            Kind::Boolean => return Err("Expected value to be either true or false"),
            Kind::Short => Self::Integer(
                trimmed
                    .parse::<i16>()
                    .map_err(|_| "Not a number of type SHORT")?
                    .into(),
            ),
            Kind::Int => Self::Integer(
                trimmed
                    .parse::<i32>()
                    .map_err(|_| "Not a number of type INT")?
                    .into(),
            ),
            Kind::Long => Self::Integer(trimmed.parse::<i64>().map_err(|_| "Not a number of type LONG")?),
            Kind::Double => Self::Double(trimmed.parse().map_err(|_| "Not a number of type DOUBLE")?),
            Kind::String | Kind::Class => Self::Text(trimmed.to_owned()),
            Kind::List => Self::List(split_list(trimmed)),
            Kind::Password => Self::Secret(Secret::new(text)),
        })
    }

    /// As REST prints it: lists joined with commas, secrets hidden.
    pub fn display(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(b) => Some(b.to_string()),
            Self::Integer(n) => Some(n.to_string()),
            Self::Double(d) => Some(format!("{d:?}")),
            Self::Text(text) => Some(text.clone()),
            Self::List(items) => Some(items.join(",")),
            Self::Secret(secret) => Some(secret.to_string()),
        }
    }
}

/// A configuration after parsing: every declared option has its typed value.
///
/// The accessors are for starting up, not for rows. An undeclared name or a wrong type is our own mistake and comes
/// back as a fatal error rather than a panic.
#[derive(Clone, Debug)]
pub struct Parsed(pub(super) HashMap<&'static str, ConfigValue>);

impl Parsed {
    /// These, and those of another declaration.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The raw value.
    pub fn value(&self, name: &str) -> &ConfigValue {
        self.0.get(name).unwrap_or(&ConfigValue::Null)
    }

    /// A STRING or CLASS that may be null.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            ConfigValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A STRING or CLASS that must be there.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| {
            Error::config(format!(
                "Missing required configuration \"{name}\" which has no default value."
            ))
        })
    }

    /// A BOOLEAN.
    pub fn boolean(&self, name: &str) -> Result<bool> {
        match self.value(name) {
            ConfigValue::Boolean(value) => Ok(*value),
            _ => Err(undeclared(name, "boolean")),
        }
    }

    /// A SHORT, INT or LONG.
    pub fn integer(&self, name: &str) -> Result<i64> {
        match self.value(name) {
            ConfigValue::Integer(value) => Ok(*value),
            _ => Err(undeclared(name, "number")),
        }
    }

    /// A SHORT, INT or LONG that counts something; a negative one counts as 0.
    pub fn count(&self, name: &str) -> Result<usize> {
        Ok(usize::try_from(self.integer(name)?).unwrap_or(0))
    }

    /// A number of milliseconds; a negative one counts as 0.
    pub fn millis(&self, name: &str) -> Result<Duration> {
        Ok(Duration::from_millis(
            u64::try_from(self.integer(name)?).unwrap_or(0),
        ))
    }

    /// A LIST; null is an empty one.
    pub fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            ConfigValue::List(items) => items,
            _ => &[],
        }
    }

    /// A PASSWORD that may be null.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        match self.value(name) {
            ConfigValue::Secret(secret) => Some(secret),
            _ => None,
        }
    }
}

fn undeclared(name: &str, what: &str) -> Error {
    Error::fatal(format!(
        "option \"{name}\" is not declared as a {what} with a value"
    ))
}
