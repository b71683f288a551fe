//! `org.apache.kafka.connect.transforms.TimestampRouter`: a topic per day, month or hour of the record's timestamp.

use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::connector::TransformPlugin;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Error, KAFKA_VERSION, Record, Result};

use crate::simple_date_format::SimpleDateFormat;
use crate::topics::Names;

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "topic.format",
        Kind::String,
        "The new topic, where ${topic} stands for the old one and ${timestamp} for the timestamp.",
    )
    .default("${topic}-${timestamp}")
    .importance(Importance::High),
    ConfigKey::new(
        "timestamp.format",
        Kind::String,
        "How the timestamp is written, as a SimpleDateFormat pattern; in UTC.",
    )
    .default("yyyyMMdd")
    .importance(Importance::High),
]);

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "org.apache.kafka.connect.transforms.TimestampRouter",
    version: KAFKA_VERSION,
    config: &CONFIG,
    new: |config| Ok(Box::new(TimestampRouter::new(config)?)),
};

/// The transformation.
pub struct TimestampRouter {
    topic: String,
    timestamp: SimpleDateFormat,
    names: Names,
}

impl TimestampRouter {
    /// From its options.
    pub fn new(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let pattern = parsed.required("timestamp.format")?;
        Ok(Self {
            topic: parsed.required("topic.format")?.to_owned(),
            timestamp: SimpleDateFormat::new(pattern).map_err(|what| {
                Error::config(format!(
                    "Invalid value {pattern} for configuration timestamp.format: {what}"
                ))
            })?,
            names: Names::new(),
        })
    }
}

impl Transformation for TimestampRouter {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        let Some(millis) = record.timestamp else {
            return Err(Error::data(format!(
                "Timestamp missing on record: of topic {}",
                record.topic
            )));
        };
        // As in Java, a topic that holds "${timestamp}" has it filled in too.
        let topic = self
            .topic
            .replace("${topic}", &record.topic)
            .replace("${timestamp}", &self.timestamp.format(millis));
        record.topic = self.names.get(&topic);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_is_made_of_the_old_one_and_the_time() {
        let mut record = Record::new("orders");
        let mut router = TimestampRouter::new(&Config::new()).unwrap();
        assert!(router.apply(record.clone(), None).is_err());
        record.timestamp = Some(1_709_211_845_006);
        let routed = router.apply(record.clone(), None).unwrap().unwrap();
        assert_eq!(&*routed.topic, "orders-20240229");
        let options = [
            ("topic.format", "m.${timestamp}.${topic}"),
            ("timestamp.format", "yyyy-MM"),
        ];
        let mut monthly = TimestampRouter::new(&Config::from_iter(options)).unwrap();
        assert_eq!(
            &*monthly.apply(record, None).unwrap().unwrap().topic,
            "m.2024-02.orders"
        );
        assert!(TimestampRouter::new(&Config::from_iter([("timestamp.format", "b")])).is_err());
    }
}
