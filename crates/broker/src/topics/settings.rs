//! The settings of a topic: Kafka's, with its names, types, defaults and messages (`TopicConfig`, `LogConfig`).

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use crate::Config;
use crate::log::{Compaction, Refusal, Rules};

/// A setting's type, by its number in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Type {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Boolean => "BOOLEAN",
            Type::String => "STRING",
            Type::Int => "INT",
            Type::Long => "LONG",
            Type::Double => "DOUBLE",
            Type::List => "LIST",
        }
    }
}

/// Which values are taken, beyond the type.
#[derive(Debug, Clone, Copy)]
enum Valid {
    Any,
    /// At least this.
    Min(i64),
    /// From 0 to 1.
    Ratio,
    OneOf(&'static [&'static str]),
    EachOf(&'static [&'static str]),
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Def {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    default: &'static str,
    valid: Valid,
    pub(crate) doc: &'static str,
}

const MAX: &str = "9223372036854775807";
const NO_EFFECT: &str = "Taken for compatibility; it has no meaning on a single node.";

const fn def(name: &'static str, kind: Type, default: &'static str, valid: Valid, doc: &'static str) -> Def {
    Def {
        name,
        kind,
        default,
        valid,
        doc,
    }
}

/// Every setting, in the order of names.
pub(crate) static DEFS: &[Def] = &[
    def(
        "cleanup.policy",
        Type::List,
        "delete",
        Valid::EachOf(&["compact", "delete"]),
        "What becomes of old records: `delete` by age and size, `compact` to the last one of each key.",
    ),
    def("compression.gzip.level", Type::Int, "-1", Valid::Any, NO_EFFECT),
    def("compression.lz4.level", Type::Int, "9", Valid::Any, NO_EFFECT),
    def(
        "compression.type",
        Type::String,
        "producer",
        Valid::OneOf(&["producer"]),
        "Batches are kept as their producer compressed them; nothing else is taken.",
    ),
    def("compression.zstd.level", Type::Int, "3", Valid::Any, NO_EFFECT),
    def(
        "delete.retention.ms",
        Type::Long,
        "86400000",
        Valid::Min(0),
        "How long a compacted topic keeps tombstones.",
    ),
    def(
        "file.delete.delay.ms",
        Type::Long,
        "60000",
        Valid::Min(0),
        NO_EFFECT,
    ),
    def(
        "flush.messages",
        Type::Long,
        MAX,
        Valid::Min(1),
        "No effect: every acknowledged record is flushed.",
    ),
    def(
        "flush.ms",
        Type::Long,
        MAX,
        Valid::Min(0),
        "No effect: every acknowledged record is flushed.",
    ),
    def(
        "follower.replication.throttled.replicas",
        Type::List,
        "",
        Valid::Any,
        NO_EFFECT,
    ),
    def(
        "index.interval.bytes",
        Type::Int,
        "4096",
        Valid::Min(0),
        NO_EFFECT,
    ),
    def(
        "leader.replication.throttled.replicas",
        Type::List,
        "",
        Valid::Any,
        NO_EFFECT,
    ),
    def(
        "local.retention.bytes",
        Type::Long,
        "-2",
        Valid::Min(-2),
        NO_EFFECT,
    ),
    def("local.retention.ms", Type::Long, "-2", Valid::Min(-2), NO_EFFECT),
    def(
        "max.compaction.lag.ms",
        Type::Long,
        MAX,
        Valid::Min(1),
        "The longest a record may wait for compaction.",
    ),
    def(
        "max.message.bytes",
        Type::Int,
        "1048588",
        Valid::Min(0),
        "The largest record batch that is taken.",
    ),
    def(
        "message.timestamp.after.max.ms",
        Type::Long,
        "3600000",
        Valid::Min(0),
        "How far a record's time may lie after the broker's.",
    ),
    def(
        "message.timestamp.before.max.ms",
        Type::Long,
        MAX,
        Valid::Min(0),
        "How far a record's time may lie before the broker's.",
    ),
    def(
        "message.timestamp.type",
        Type::String,
        "CreateTime",
        Valid::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whether a record keeps its producer's time or gets that of the append.",
    ),
    def(
        "min.cleanable.dirty.ratio",
        Type::Double,
        "0.5",
        Valid::Ratio,
        "Which share of a log must be new to compact it.",
    ),
    def(
        "min.compaction.lag.ms",
        Type::Long,
        "0",
        Valid::Min(0),
        "How long a record stays whatever comes after it.",
    ),
    def("min.insync.replicas", Type::Int, "1", Valid::Min(1), NO_EFFECT),
    def("preallocate", Type::Boolean, "false", Valid::Any, NO_EFFECT),
    def(
        "remote.log.copy.disable",
        Type::Boolean,
        "false",
        Valid::Any,
        NO_EFFECT,
    ),
    def(
        "remote.log.delete.on.disable",
        Type::Boolean,
        "false",
        Valid::Any,
        NO_EFFECT,
    ),
    def(
        "remote.storage.enable",
        Type::Boolean,
        "false",
        Valid::OneOf(&["false"]),
        "There is no tiered storage.",
    ),
    def(
        "retention.bytes",
        Type::Long,
        "-1",
        Valid::Min(-1),
        "How large a partition may become; -1 is without limit.",
    ),
    def(
        "retention.ms",
        Type::Long,
        "604800000",
        Valid::Min(-1),
        "How old a record may become; -1 is without limit.",
    ),
    def(
        "segment.bytes",
        Type::Int,
        "1073741824",
        Valid::Min(1 << 20),
        "When a partition goes on in a new file.",
    ),
    def(
        "segment.index.bytes",
        Type::Int,
        "10485760",
        Valid::Min(4),
        NO_EFFECT,
    ),
    def("segment.jitter.ms", Type::Long, "0", Valid::Min(0), NO_EFFECT),
    def(
        "segment.ms",
        Type::Long,
        "604800000",
        Valid::Min(1),
        "When a partition goes on in a new file although the old one is not full.",
    ),
    def(
        "unclean.leader.election.enable",
        Type::Boolean,
        "false",
        Valid::Any,
        NO_EFFECT,
    ),
];

pub(crate) fn find(name: &str) -> Option<&'static Def> {
    DEFS.iter().find(|def| def.name == name)
}

impl Def {
    /// The default, which the broker's own settings may change.
    pub(crate) fn default(&self, config: &Config) -> String {
        match self.name {
            "max.message.bytes" => config.max_message_bytes.to_string(),
            "segment.bytes" => config.segment_bytes.to_string(),
            _ => self.default.to_owned(),
        }
    }

    /// # Errors
    /// In the words of Kafka's `ConfigException`.
    fn check(&self, value: &str) -> Result<(), Refusal> {
        let invalid = |why: String| {
            let message = format!("Invalid value {value} for configuration {}: {why}", self.name);
            Err(Refusal::new(ResponseError::InvalidConfig, message))
        };
        let value = value.trim();
        let typed = match self.kind {
            Type::Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Type::Int => value.parse::<i32>().is_ok(),
            Type::Long => value.parse::<i64>().is_ok(),
            Type::Double => value.parse::<f64>().is_ok_and(f64::is_finite),
            Type::String | Type::List => true,
        };
        if !typed {
            return invalid(match self.kind {
                Type::Boolean => "Expected value to be either true or false".to_owned(),
                kind => format!("Not a number of type {}", kind.name()),
            });
        }
        match self.valid {
            Valid::Min(min) if value.parse::<i64>().is_ok_and(|value| value < min) => {
                invalid(format!("Value must be at least {min}"))
            }
            Valid::Ratio
                if value
                    .parse::<f64>()
                    .is_ok_and(|value| !(0.0..=1.0).contains(&value)) =>
            {
                invalid("Value must be between 0 and 1".to_owned())
            }
            Valid::OneOf(values) if !values.contains(&value) => {
                invalid(format!("String must be one of: {}", values.join(", ")))
            }
            Valid::EachOf(values) if list(value).any(|item| !values.contains(&item)) => {
                invalid(format!("String must be one of: {}", values.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// The items of a list, as in Kafka's configurations.
fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// What a topic was given; everything else has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// What the small state holds; it was checked when it came.
    pub(crate) fn from_stored(overrides: BTreeMap<String, String>) -> Self {
        Self(overrides)
    }

    pub(crate) fn overrides(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Sets one, or with none puts the default back.
    ///
    /// # Errors
    /// `INVALID_CONFIG`
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let def = known(name)?;
        match value {
            Some(value) => {
                def.check(value)?;
                self.0.insert(name.to_owned(), value.trim().to_owned());
            }
            None => drop(self.0.remove(name)),
        }
        Ok(())
    }

    /// Adds items to a list, or takes them out (IncrementalAlterConfigs' APPEND and SUBTRACT).
    pub(crate) fn edit_list(&mut self, name: &str, items: &str, add: bool) -> Result<(), Refusal> {
        let def = known(name)?;
        if def.kind != Type::List {
            let message = format!("Config value append is not allowed for config key: {name}");
            return Err(Refusal::new(ResponseError::InvalidConfig, message));
        }
        let old = self.0.get(name).map_or(def.default, String::as_str);
        let mut new: Vec<&str> = list(old)
            .filter(|item| add || !list(items).any(|gone| gone == *item))
            .collect();
        for item in list(items).filter(|_| add) {
            if !new.contains(&item) {
                new.push(item);
            }
        }
        let new = new.join(",");
        self.set(name, Some(&new))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        self.get(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    }

    /// `cleanup.policy` has `compact`.
    pub(crate) fn is_compacted(&self) -> bool {
        self.get("cleanup.policy")
            .is_some_and(|policy| list(policy).any(|item| item == "compact"))
    }

    pub(crate) fn rules(&self, config: &Config) -> Rules {
        let number = |name, default| u32::try_from(self.number(name, default)).unwrap_or(u32::MAX);
        Rules {
            max_message_bytes: number("max.message.bytes", i64::from(config.max_message_bytes)),
            segment_bytes: number("segment.bytes", i64::from(config.segment_bytes)).min(1 << 31),
            log_append_time: self.get("message.timestamp.type") == Some("LogAppendTime"),
            compacted: self.is_compacted(),
            max_time_ahead: self.number("message.timestamp.after.max.ms", 3_600_000),
            max_time_behind: self.number("message.timestamp.before.max.ms", i64::MAX),
        }
    }

    /// How the topic is compacted, if it is.
    pub(crate) fn compaction(&self, rules: &Rules) -> Option<Compaction> {
        self.is_compacted().then(|| Compaction {
            delete_retention_ms: self.number("delete.retention.ms", 86_400_000),
            min_lag_ms: self.number("min.compaction.lag.ms", 0),
            min_dirty_ratio: self
                .get("min.cleanable.dirty.ratio")
                .and_then(|ratio| ratio.parse().ok())
                .unwrap_or(0.5),
            segment_bytes: rules.segment_bytes,
        })
    }
}

fn known(name: &str) -> Result<&'static Def, Refusal> {
    find(name).ok_or_else(|| {
        Refusal::new(
            ResponseError::InvalidConfig,
            format!("Unknown topic config name: {name}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_the_names_are_sorted() {
        let config = Config::new("/nowhere");
        for def in DEFS {
            assert!(def.check(&def.default(&config)).is_ok(), "{}", def.name);
        }
        assert!(DEFS.is_sorted_by_key(|def| def.name));
    }

    #[test]
    fn values_are_judged_in_kafkas_words() {
        let mut settings = Settings::default();
        for (name, value, message) in [
            (
                "retention.ms",
                "soon",
                "Invalid value soon for configuration retention.ms: Not a number of type LONG",
            ),
            (
                "retention.ms",
                "-2",
                "Invalid value -2 for configuration retention.ms: Value must be at least -1",
            ),
            (
                "max.message.bytes",
                "3000000000",
                "Invalid value 3000000000 for configuration max.message.bytes: Not a number of type INT",
            ),
            (
                "preallocate",
                "yes",
                "Invalid value yes for configuration preallocate: Expected value to be either true or false",
            ),
            (
                "cleanup.policy",
                "shred",
                "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                "min.cleanable.dirty.ratio",
                "1.5",
                "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be between 0 and 1",
            ),
            ("no.such", "1", "Unknown topic config name: no.such"),
        ] {
            let refusal = settings.set(name, Some(value)).unwrap_err();
            assert_eq!(
                (refusal.error, refusal.message.as_deref()),
                (ResponseError::InvalidConfig, Some(message))
            );
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn lists_are_added_to_and_taken_from() {
        let mut settings = Settings::default();
        settings.edit_list("cleanup.policy", "compact", true).unwrap();
        assert_eq!(settings.get("cleanup.policy"), Some("delete,compact"));
        assert!(settings.is_compacted());
        settings.edit_list("cleanup.policy", "delete", false).unwrap();
        assert_eq!(settings.get("cleanup.policy"), Some("compact"));
        assert!(settings.edit_list("retention.ms", "1", true).is_err());
        settings.set("cleanup.policy", None).unwrap();
        assert!(!settings.is_compacted());
    }
}
