//! Kafka Connect's predicates: `TopicNameMatches`, `HasHeaderKey`, `RecordIsTombstone`.

use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator};
use tapline_api::connector::PredicatePlugin;
use tapline_api::pattern::Pattern;
use tapline_api::transform::Predicate;
use tapline_api::{KAFKA_VERSION, Record, Result};

use crate::topics::ByTopic;
use crate::validate;

/// All predicates, in the order in which REST lists them.
pub static PREDICATES: &[PredicatePlugin] = &[
    PredicatePlugin {
        class: "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
        version: KAFKA_VERSION,
        config: &HAS_HEADER_KEY,
        new: |config| Ok(Box::new(HasHeaderKey::new(config)?)),
    },
    PredicatePlugin {
        class: "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        version: KAFKA_VERSION,
        config: &RECORD_IS_TOMBSTONE,
        new: |_| Ok(Box::new(RecordIsTombstone)),
    },
    PredicatePlugin {
        class: "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        version: KAFKA_VERSION,
        config: &TOPIC_NAME_MATCHES,
        new: |config| Ok(Box::new(TopicNameMatches::new(config)?)),
    },
];

static HAS_HEADER_KEY: ConfigDef =
    ConfigDef::new(&[ConfigKey::new("name", Kind::String, "The header's key.")
        .required()
        .valid(Validator::NonEmpty)
        .importance(Importance::Medium)]);

static RECORD_IS_TOMBSTONE: ConfigDef = ConfigDef::new(&[]);

static TOPIC_NAME_MATCHES: ConfigDef = ConfigDef::new(&[ConfigKey::new(
    "pattern",
    Kind::String,
    "A Java regular expression that the whole topic must match.",
)
.required()
.valid(Validator::Custom(non_empty_regex))
.importance(Importance::Medium)]);

fn non_empty_regex(name: &str, value: &ConfigValue) -> Option<String> {
    match (value, validate::REGEX) {
        (ConfigValue::Text(text), _) if text.is_empty() => Some(format!(
            "Invalid value  for configuration {name}: String must be non-empty"
        )),
        (value, Validator::Custom(check)) => check(name, value),
        _ => None,
    }
}

/// True for records with at least one header of this key.
pub struct HasHeaderKey {
    name: String,
}

impl HasHeaderKey {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = HAS_HEADER_KEY.parse(config)?;
        Ok(Self {
            name: parsed.required("name")?.to_owned(),
        })
    }
}

impl Predicate for HasHeaderKey {
    fn test(&mut self, record: &Record) -> Result<bool> {
        Ok(record.headers.last(&self.name).is_some())
    }
}

/// True for records without a value.
pub struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&mut self, record: &Record) -> Result<bool> {
        Ok(record.value.is_null())
    }
}

/// True for records of topics that match a pattern.
pub struct TopicNameMatches {
    pattern: Pattern,
    known: ByTopic<bool>,
}

impl TopicNameMatches {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = TOPIC_NAME_MATCHES.parse(config)?;
        Ok(Self {
            pattern: Pattern::new("pattern", parsed.required("pattern")?)?,
            known: ByTopic::new(),
        })
    }
}

impl Predicate for TopicNameMatches {
    fn test(&mut self, record: &Record) -> Result<bool> {
        let pattern = &self.pattern;
        Ok(*self
            .known
            .get_or_make(&record.topic, |topic| pattern.matches(topic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::{Header, Value};

    #[test]
    fn each_predicate_tests_its_part_of_the_record() {
        let mut record = Record::new("shop.orders");
        record.value = Value::Boolean(false);
        record.headers.push(Header {
            key: "h".into(),
            schema: None,
            value: Value::Null,
        });
        let topic = |pattern| TopicNameMatches::new(&Config::from_iter([("pattern", pattern)]));
        assert!(topic("shop.*").unwrap().test(&record).unwrap());
        assert!(!topic("shop").unwrap().test(&record).unwrap());
        let header = |name| HasHeaderKey::new(&Config::from_iter([("name", name)])).unwrap();
        assert!(header("h").test(&record).unwrap());
        assert!(!header("H").test(&record).unwrap());
        assert!(!RecordIsTombstone.test(&record).unwrap());
        record.value = Value::Null;
        assert!(RecordIsTombstone.test(&record).unwrap());
        assert!(topic("").is_err() && topic("(").is_err());
    }
}
