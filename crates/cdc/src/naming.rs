//! Topic and schema names (`topic.naming.strategy`).
//!
//! Debezium's `SchemaTopicNamingStrategy`: prefix, schema and table, joined by `topic.delimiter`.

use tapline_api::config::Parsed;
use tapline_api::{Error, Result};

/// The longest name a Kafka topic may have.
const LONGEST: usize = 249;

/// Names the topics of one connector.
#[derive(Clone, Debug)]
pub struct TopicNaming {
    prefix: String,
    delimiter: String,
    heartbeat: String,
    transaction: String,
}

impl TopicNaming {
    /// From `topic.prefix`, `topic.delimiter`, `topic.heartbeat.prefix`, `topic.heartbeat.name` and `topic.transaction`.
    pub fn new(config: &Parsed) -> Result<Self> {
        let prefix = config.required("topic.prefix")?.to_owned();
        let delimiter = config.text("topic.delimiter").unwrap_or(".").to_owned();
        let heartbeat = match config
            .text("topic.heartbeat.name")
            .filter(|name| !name.is_empty())
        {
            Some(name) => name.to_owned(),
            None => {
                let first = config
                    .text("topic.heartbeat.prefix")
                    .unwrap_or("__debezium-heartbeat");
                format!("{first}{delimiter}{prefix}")
            }
        };
        let transaction = format!(
            "{prefix}{delimiter}{}",
            config.text("topic.transaction").unwrap_or("transaction")
        );
        Ok(Self {
            prefix,
            delimiter,
            heartbeat,
            transaction,
        })
    }

    /// `topic.prefix`: the connector's logical name.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The topic of a table's changes, which its schemas are named after too; `parts` are its names from the outermost in.
    pub fn data_change(&self, parts: &[&str]) -> String {
        sanitize(&self.joined(parts))
    }

    /// The topic of heartbeats.
    pub fn heartbeat(&self) -> &str {
        &self.heartbeat
    }

    /// The topic of transaction boundaries.
    pub fn transaction(&self) -> &str {
        &self.transaction
    }

    fn joined(&self, parts: &[&str]) -> String {
        let mut out = self.prefix.clone();
        for part in parts.iter().filter(|part| !part.trim().is_empty()) {
            out.push_str(&self.delimiter);
            out.push_str(part);
        }
        out
    }
}

/// Makes `name` a legal topic name: other characters than `[A-Za-z0-9._-]` become underscores.
fn sanitize(name: &str) -> String {
    let out: String = name
        .encode_utf16()
        .map(|unit| match char::from_u32(unit.into()) {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
            _ => '_',
        })
        .take(LONGEST)
        .collect();
    match out.as_str() {
        "." => "_".to_owned(),
        ".." => "__".to_owned(),
        _ => out,
    }
}

/// Debezium's check of `topic.prefix` and other parts of topic names.
///
/// # Errors
/// A config error with Debezium's text.
pub fn check_topic_part(option: &str, value: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if value.chars().all(legal) && !value.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!(
        "The '{option}' value is invalid: {value} has invalid format (only the underscore, hyphen, dot and alphanumeric \
         characters are allowed)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> TopicNaming {
        TopicNaming {
            prefix: "shop".into(),
            delimiter: ".".into(),
            heartbeat: "h".into(),
            transaction: "t".into(),
        }
    }

    #[test]
    fn topics_are_prefix_schema_table_made_fit_for_kafka() {
        assert_eq!(naming().data_change(&["public", "orders"]), "shop.public.orders");
        assert_eq!(
            naming().data_change(&["public", "Größe 1"]),
            "shop.public.Gr__e_1"
        );
        assert_eq!(naming().data_change(&["s", "😀"]), "shop.s.__");
        assert_eq!(naming().data_change(&["s", &"x".repeat(300)]).len(), 249);
    }
}
