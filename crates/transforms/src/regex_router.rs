//! `org.apache.kafka.connect.transforms.RegexRouter`: another topic for records whose topic matches a pattern.

use std::sync::Arc;

use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::connector::TransformPlugin;
use tapline_api::pattern::Pattern;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{KAFKA_VERSION, Record, Result};

use crate::topics::ByTopic;
use crate::validate;

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "regex",
        Kind::String,
        "A Java regular expression that the whole topic must match.",
    )
    .required()
    .valid(validate::REGEX)
    .importance(Importance::High),
    ConfigKey::new(
        "replacement",
        Kind::String,
        "What takes the place of the match; $1 and ${name} stand for groups.",
    )
    .required()
    .importance(Importance::High),
]);

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "org.apache.kafka.connect.transforms.RegexRouter",
    version: KAFKA_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(RegexRouter::new(config)?)),
};

/// The transformation.
pub struct RegexRouter {
    regex: Pattern,
    replacement: String,
    routes: ByTopic<Option<Arc<str>>>,
}

impl RegexRouter {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        Ok(Self {
            regex: Pattern::new("regex", parsed.required("regex")?)?,
            replacement: parsed.required("replacement")?.to_owned(),
            routes: ByTopic::new(),
        })
    }
}

impl Transformation for RegexRouter {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let route = self.routes.get_or_make(&record.topic, |topic| {
            self.regex.replace(topic, &self.replacement).map(Arc::from)
        });
        if let Some(route) = route {
            record.topic = route.clone();
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_matches_as_a_whole_is_renamed_and_others_are_not() {
        let config = Config::from_iter([("regex", r"shop\.(\w+)\.(\w+)"), ("replacement", "$2_of_$1")]);
        let mut router = RegexRouter::new(&config).unwrap();
        for (topic, expected) in [
            ("shop.public.orders", "orders_of_public"),
            ("my.shop.public.orders", "my.shop.public.orders"),
            ("shop.public.orders", "orders_of_public"),
        ] {
            let routed = router.apply(Record::new(topic), None).unwrap().unwrap();
            assert_eq!(&*routed.topic, expected);
        }
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let config = Config::from_iter([("regex", "("), ("replacement", "x")]);
        let error = RegexRouter::new(&config).map(drop).unwrap_err();
        assert!(
            error
                .message()
                .starts_with("Invalid value ( for configuration regex: Invalid regex: "),
            "{error}"
        );
    }
}
