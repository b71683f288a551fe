//! Notifications (`notification.enabled.channels`): what snapshots are at, told to a topic or to the log.
//!
//! Debezium's `Notification`: an id, an aggregate ("Initial Snapshot", "Incremental Snapshot"), a type, and a map of texts.
//! In the topic they are records among others, so that they come neither before nor after what they are about.

use std::sync::{Arc, LazyLock};

use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Value};

use crate::clock::Instant;
use crate::java::new_hash_map_order;

static KEY: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("io.debezium.connector.common.NotificationKey")
        .version(1)
        .field("id", Schema::string().build())
        .build()
});

static VALUE: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = || Schema::string().build();
    Schema::structure()
        .name("io.debezium.connector.common.Notification")
        .version(1)
        .field("id", text())
        .field("type", text())
        .field("aggregate_type", text())
        .field("additional_data", Schema::map(text(), text()).optional().build())
        .field("timestamp", Schema::int64().build())
        .build()
});

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// A snapshot at the start, or a blocking one.
    Initial,
    /// An incremental one.
    Incremental,
    /// A table whose changes are left out, since its schema is not known. Ours.
    Quarantine,
}

impl Aggregate {
    const fn name(self) -> &'static str {
        match self {
            Self::Initial => "Initial Snapshot",
            Self::Incremental => "Incremental Snapshot",
            Self::Quarantine => "Quarantine",
        }
    }
}

/// Makes notifications for the channels that are enabled.
#[derive(Clone, Debug)]
pub struct Notifier {
    connector: Arc<str>,
    topic: Option<Arc<str>>,
    log: bool,
}

impl Notifier {
    /// From `notification.enabled.channels` and `notification.sink.topic.name`, for `topic.prefix` `connector`.
    ///
    /// # Errors
    /// A config error for a channel that is not there, and for the sink channel without a topic.
    pub fn new(connector: &str, channels: &[String], topic: Option<&str>) -> Result<Self> {
        let mut notifier = Self {
            connector: connector.into(),
            topic: None,
            log: false,
        };
        for channel in channels.iter().map(|channel| channel.trim()) {
            match channel {
                "" => {}
                "log" => notifier.log = true,
                "sink" => {
                    let topic = topic.filter(|topic| !topic.is_empty()).ok_or_else(|| {
                        Error::config(
                            "The 'notification.sink.topic.name' value is invalid: Notification topic name must be \
                             provided when kafka notification channel is enabled",
                        )
                    })?;
                    notifier.topic = Some(topic.into());
                }
                other => {
                    return Err(Error::config(format!(
                        "The 'notification.enabled.channels' value is invalid: channel '{other}' is not there; sink and \
                         log are"
                    )));
                }
            }
        }
        Ok(notifier)
    }

    /// Whether nobody wants to hear.
    pub fn is_silent(&self) -> bool {
        self.topic.is_none() && !self.log
    }

    /// Tells of one thing; gives the record that goes to the topic. `data` in the order in which it is put together.
    pub fn notify(
        &self,
        id: &str,
        aggregate: Aggregate,
        kind: &str,
        data: &[(&str, String)],
        at: Instant,
    ) -> Option<Record> {
        if self.is_silent() {
            return None;
        }
        let mut entries: Vec<(&str, String)> = data.to_vec();
        entries.push(("connector_name", self.connector.to_string()));
        new_hash_map_order(&mut entries, data.len(), |(name, _)| name);
        if self.log {
            let texts: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            tracing::info!(
                "[Notification Service] {{aggregateType='{}', type='{kind}', additionalData={{{}}}, timestamp={}}}",
                aggregate.name(),
                texts.join(", "),
                at.millis()
            );
        }
        let text = |text: &str| Value::from(text.to_owned());
        let entries = entries
            .into_iter()
            .map(|(name, value)| (text(name), Value::from(value)))
            .collect();
        let value = vec![
            text(id),
            text(kind),
            text(aggregate.name()),
            Value::Map(entries),
            Value::Int64(at.millis()),
        ];
        Some(Record {
            key_schema: Some(KEY.clone()),
            key: Value::Struct(Struct::new(KEY.clone(), vec![text(id)])),
            value_schema: Some(VALUE.clone()),
            value: Value::Struct(Struct::new(VALUE.clone(), value)),
            ..Record::new(self.topic.clone()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_the_recorded_one() {
        let notifier = Notifier::new("g", &["sink".into(), "log".into()], Some("n")).unwrap();
        let data = [
            ("current_collection_in_progress", "fx.s2".to_owned()),
            ("data_collections", "fx.s2".to_owned()),
            ("maximum_key", "1,5".to_owned()),
            ("last_processed_key", "1,5".to_owned()),
        ];
        let at = Instant::from_micros(1_795_407_079_538_000);
        let record = notifier
            .notify("inc-1", Aggregate::Incremental, "IN_PROGRESS", &data, at)
            .unwrap();
        assert_eq!(&*record.topic, "n");
        let value = record.value.as_struct().unwrap();
        let Some(Value::Map(entries)) = value.get("additional_data") else {
            panic!("no map");
        };
        let names: Vec<&str> = entries.iter().filter_map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "current_collection_in_progress",
                "connector_name",
                "maximum_key",
                "data_collections",
                "last_processed_key"
            ]
        );
        assert_eq!(value.get("timestamp"), Some(&Value::Int64(1_795_407_079_538)));
        assert!(Notifier::new("g", &["sink".into()], None).is_err());
        assert!(Notifier::new("g", &["jmx".into()], None).is_err());
        assert!(Notifier::new("g", &[], None).unwrap().is_silent());
    }
}
