//! The declaration of options, and what is derived from it.

use std::collections::HashMap;

use super::Config;
use super::parsed::{ConfigValue, Parsed};
use super::validator::Validator;
use crate::error::{Error, Result};

/// The type of an option (`ConfigDef.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// 64-bit floating point.
    Double,
    /// Comma-separated.
    List,
    /// A Java class name.
    Class,
    /// A secret.
    Password,
}

impl Kind {
    /// As REST prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// How much an option matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Look at it first.
    High,
    /// Look at it second.
    Medium,
    /// Rarely needed.
    Low,
}

impl Importance {
    /// As REST prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// How wide a form's field should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Unsaid.
    None,
    /// A number.
    Short,
    /// A name.
    Medium,
    /// A list or a URL.
    Long,
}

impl Width {
    /// As REST prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// What an option is when it is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It must be given (`NO_DEFAULT_VALUE`).
    Required,
    /// Null.
    Null,
    /// A value, as text.
    Value(&'static str),
}

/// One option. Built in a static table with [`ConfigKey::new`] and the setters, all of them `const`.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The default.
    pub default: Default,
    /// The check.
    pub validator: Validator,
    /// How much it matters.
    pub importance: Importance,
    /// What it does, in our own words.
    pub doc: &'static str,
    /// The group in forms.
    pub group: Option<&'static str>,
    /// The place in the group; -1 when there is none.
    pub order: i32,
    /// The width in forms.
    pub width: Width,
    /// The title in forms; the name when empty.
    pub display: &'static str,
    /// Options that depend on this one.
    pub dependents: &'static [&'static str],
    /// Values to offer.
    pub recommend: Option<fn(&Config) -> Vec<String>>,
    /// Whether forms show it.
    pub visible: bool,
}

impl ConfigKey {
    /// An option of low importance with a default of null.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            default: Default::Null,
            validator: Validator::Any,
            importance: Importance::Low,
            doc,
            group: None,
            order: -1,
            width: Width::None,
            display: "",
            dependents: &[],
            recommend: None,
            visible: true,
        }
    }

    /// It must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.default = Default::Required;
        self
    }

    /// Its default.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Default::Value(value);
        self
    }

    /// Its check.
    #[must_use]
    pub const fn valid(mut self, validator: Validator) -> Self {
        self.validator = validator;
        self
    }

    /// How much it matters.
    #[must_use]
    pub const fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// Group, place in it, width and title, for forms.
    #[must_use]
    pub const fn form(
        mut self,
        group: &'static str,
        order: i32,
        width: Width,
        display: &'static str,
    ) -> Self {
        self.group = Some(group);
        self.order = order;
        self.width = width;
        self.display = display;
        self
    }

    /// Options that depend on this one.
    #[must_use]
    pub const fn dependents(mut self, names: &'static [&'static str]) -> Self {
        self.dependents = names;
        self
    }

    /// Values to offer.
    #[must_use]
    pub const fn recommend(mut self, recommend: fn(&Config) -> Vec<String>) -> Self {
        self.recommend = Some(recommend);
        self
    }

    /// Forms do not show it.
    #[must_use]
    pub const fn invisible(mut self) -> Self {
        self.visible = false;
        self
    }

    /// The value for what the user wrote under `full` (the name behind a prefix), with what there is to say
    /// against it. As in Kafka, a check of its own knows the name without the prefix.
    fn evaluate(&self, full: &str, config: &Config) -> (ConfigValue, Vec<String>) {
        let mut errors = Vec::new();
        let given = if config.contains(full) {
            Some(config.get(full))
        } else {
            None
        };
        let text = match (given, self.default) {
            (Some(text), _) => text,
            (None, Default::Value(text)) => Some(text),
            (None, Default::Null) => None,
            (None, Default::Required) => {
                errors.push(format!(
                    "Missing required configuration \"{full}\" which has no default value."
                ));
                // As in Kafka, the check still sees the missing value, but only where a value was given.
                return (ConfigValue::Null, errors);
            }
        };
        let value = match text.map(|text| ConfigValue::parse(self.kind, text)) {
            None => ConfigValue::Null,
            Some(Ok(value)) => value,
            Some(Err(what)) => {
                let shown = if self.kind == Kind::Password {
                    "[hidden]"
                } else {
                    text.unwrap_or_default()
                };
                errors.push(format!("Invalid value {shown} for configuration {full}: {what}"));
                ConfigValue::Null
            }
        };
        errors.extend(self.validator.check(self.name, &value));
        (value, errors)
    }
}

/// A static list of options.
///
/// ```
/// use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator};
/// static DEF: ConfigDef = ConfigDef::new(&[
///     ConfigKey::new("topic", Kind::String, "The topic.").required().importance(Importance::High),
///     ConfigKey::new("batch.size", Kind::Int, "Rows at once.").default("2000").valid(Validator::AtLeast(1)),
/// ]);
/// let parsed = DEF.parse(&Config::from_iter([("topic", "orders")]))?;
/// assert_eq!((parsed.required("topic")?, parsed.integer("batch.size")?), ("orders", 2000));
/// # Ok::<(), tapline_api::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConfigDef {
    keys: &'static [ConfigKey],
}

/// What REST's `validate` answers for one option. Names are owned, so that options of a transformation can be
/// shown under its prefix.
#[derive(Clone, Debug)]
pub struct ConfigInfo {
    /// The declaration.
    pub key: ConfigKey,
    /// The name, with its prefix.
    pub name: String,
    /// The value as shown: secrets hidden.
    pub value: Option<String>,
    /// Values to offer.
    pub recommended: Vec<String>,
    /// What there is to say against it.
    pub errors: Vec<String>,
    /// Whether a form should show it.
    pub visible: bool,
}

impl ConfigDef {
    /// From a static list.
    pub const fn new(keys: &'static [ConfigKey]) -> Self {
        Self { keys }
    }

    /// The options, in the order of their declaration.
    pub const fn keys(&self) -> &'static [ConfigKey] {
        self.keys
    }

    /// One option.
    pub fn key(&self, name: &str) -> Option<&'static ConfigKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// All typed values, or the first thing that is wrong, as a [config error](crate::Kind::Config).
    pub fn parse(&self, config: &Config) -> Result<Parsed> {
        let mut values = HashMap::with_capacity(self.keys.len());
        for key in self.keys {
            let (value, errors) = key.evaluate(key.name, config);
            if let Some(first) = errors.into_iter().next() {
                return Err(Error::config(first));
            }
            values.insert(key.name, value);
        }
        Ok(Parsed(values))
    }

    /// Every option with its value and all findings, in the order of declaration.
    pub fn validate(&self, config: &Config) -> Vec<ConfigInfo> {
        self.validate_under("", config)
    }

    /// As [`validate`](Self::validate), for options that stand in `config` under a prefix (`ConfigDef.embed`).
    pub fn validate_under(&self, prefix: &str, config: &Config) -> Vec<ConfigInfo> {
        self.keys
            .iter()
            .map(|key| ConfigInfo::under(key, prefix, config))
            .collect()
    }
}

impl ConfigInfo {
    /// One option that stands in `config` under a prefix, which may be empty.
    pub fn under(key: &ConfigKey, prefix: &str, config: &Config) -> Self {
        let name = format!("{prefix}{}", key.name);
        let (value, errors) = key.evaluate(&name, config);
        let recommended = match key.recommend {
            None => Vec::new(),
            Some(recommend) if prefix.is_empty() => recommend(config),
            Some(recommend) => recommend(&config.prefixed(prefix)),
        };
        Self {
            key: *key,
            name,
            value: value.display(),
            recommended,
            errors,
            visible: key.visible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static DEF: ConfigDef = ConfigDef::new(&[
        ConfigKey::new("topic", Kind::String, "The topic.").required(),
        ConfigKey::new("tasks.max", Kind::Int, "Tasks.")
            .default("1")
            .valid(Validator::AtLeast(1)),
        ConfigKey::new("errors.tolerance", Kind::String, "Tolerance.")
            .default("none")
            .valid(Validator::OneOf(&["none", "all"])),
        ConfigKey::new("password", Kind::Password, "Secret."),
        ConfigKey::new("host", Kind::String, "Host.").valid(Validator::DebeziumRequired),
    ]);

    fn errors(config: &[(&str, &str)]) -> Vec<String> {
        let config: Config = config.iter().copied().collect();
        DEF.validate(&config)
            .into_iter()
            .flat_map(|info| info.errors)
            .collect()
    }

    #[test]
    fn messages_are_those_of_kafka_and_debezium() {
        assert_eq!(
            errors(&[("tasks.max", "zero"), ("errors.tolerance", "maybe")]),
            [
                "Missing required configuration \"topic\" which has no default value.",
                "Invalid value zero for configuration tasks.max: Not a number of type INT",
                "Invalid value null for configuration tasks.max: Value must be non-null",
                "Invalid value maybe for configuration errors.tolerance: String must be one of: none, all",
                "The 'host' value is invalid: A value is required",
            ]
        );
        assert_eq!(
            errors(&[("topic", "t"), ("host", "h"), ("tasks.max", "0")]),
            ["Invalid value 0 for configuration tasks.max: Value must be at least 1"]
        );
    }

    #[test]
    fn under_a_prefix_only_checks_know_the_bare_name() {
        let config = Config::from_iter([("a.tasks.max", "0"), ("tasks.max", "2")]);
        let infos = DEF.validate_under("a.", &config);
        assert_eq!(infos[1].name, "a.tasks.max");
        assert_eq!(
            infos[0].errors,
            ["Missing required configuration \"a.topic\" which has no default value."]
        );
        assert_eq!(
            infos[1].errors,
            ["Invalid value 0 for configuration tasks.max: Value must be at least 1"]
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let config = Config::from_iter([("topic", "t"), ("host", "h"), ("password", "pssst")]);
        assert!(!format!("{config:?}{:?}{:?}", DEF.validate(&config), DEF.parse(&config)).contains("pssst"));
        assert_eq!(
            DEF.parse(&config).unwrap().secret("password").unwrap().reveal(),
            "pssst"
        );
    }
}
