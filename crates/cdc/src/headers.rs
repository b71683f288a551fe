//! The headers that Debezium puts on every change (`extended.headers.enabled`), and those of a key change.

use tapline_api::envelope::{NEW_KEY_HEADER, OLD_KEY_HEADER};
use tapline_api::{Header, Headers, Schema, SchemaRef, Value};

/// What the context headers say; built once per run of a task and shared by all its records.
#[derive(Clone, Debug)]
pub struct ContextHeaders {
    shared: Headers,
    new_key: std::sync::Arc<str>,
    old_key: std::sync::Arc<str>,
}

impl ContextHeaders {
    /// For a connector with `topic.prefix` `logical_name`, of kind `connector` (`postgresql`), its task and this run.
    pub fn new(enabled: bool, logical_name: &str, task: u32, connector: &str, run_id: &str) -> Self {
        let schema = Schema::string().build();
        let header = |key: &str, value: String| Header {
            key: format!("__debezium.context.{key}").into(),
            schema: Some(schema.clone()),
            value: value.into(),
        };
        let shared = if enabled {
            Headers::new(vec![
                header("connectorLogicalName", logical_name.to_owned()),
                header("taskId", task.to_string()),
                header("connectorName", connector.to_owned()),
                header("runId", run_id.to_owned()),
            ])
        } else {
            Headers::default()
        };
        Self {
            shared,
            new_key: NEW_KEY_HEADER.into(),
            old_key: OLD_KEY_HEADER.into(),
        }
    }

    /// The headers of an ordinary change.
    pub fn shared(&self) -> Headers {
        self.shared.clone()
    }

    /// The headers of a key change's delete and tombstone: the key to come first.
    pub fn with_new_key(&self, schema: &SchemaRef, key: Value) -> Headers {
        self.with(self.new_key.clone(), schema, key)
    }

    /// The headers of a key change's create: the key before first.
    pub fn with_old_key(&self, schema: &SchemaRef, key: Value) -> Headers {
        self.with(self.old_key.clone(), schema, key)
    }

    fn with(&self, name: std::sync::Arc<str>, schema: &SchemaRef, key: Value) -> Headers {
        let mut all = Vec::with_capacity(self.shared.len() + 1);
        all.push(Header {
            key: name,
            schema: Some(schema.clone()),
            value: key,
        });
        all.extend(self.shared.iter().cloned());
        Headers::new(all)
    }
}

/// A new version 7 UUID.
pub fn new_uuid() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = || u128::from(RandomState::new().build_hasher().finish());
    uuid_v7(crate::clock::Instant::now().millis(), bits() << 64 | bits())
}

/// A version 7 UUID (RFC 9562) from milliseconds since 1970 and random bits.
pub fn uuid_v7(millis: i64, random: u128) -> String {
    let time = u128::from(millis.cast_unsigned() & 0xFFFF_FFFF_FFFF) << 80;
    let random = random & ((1 << 80) - 1);
    // Four bits of version, two of variant.
    let bits = time | random & !(0xF << 76) & !(0x3 << 62) | 0x7 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_change_names_the_other_key_before_the_context() {
        let headers = ContextHeaders::new(true, "g", 0, "postgresql", "run");
        let names: Vec<String> = headers
            .with_new_key(&Schema::int32().build(), Value::Int32(1))
            .iter()
            .map(|header| header.key.to_string())
            .collect();
        assert_eq!(
            names,
            [
                "__debezium.newkey",
                "__debezium.context.connectorLogicalName",
                "__debezium.context.taskId",
                "__debezium.context.connectorName",
                "__debezium.context.runId"
            ]
        );
        assert_eq!(headers.shared().id(), headers.shared().id());
        assert!(
            ContextHeaders::new(false, "g", 0, "postgresql", "run")
                .shared()
                .is_empty()
        );
    }

    #[test]
    fn a_uuid_of_version_seven_begins_with_the_time() {
        let id = uuid_v7(0x01a2_0695_988a, u128::MAX);
        assert_eq!(id, "01a20695-988a-7fff-bfff-ffffffffffff");
        assert_eq!(uuid_v7(0, 0), "00000000-0000-7000-8000-000000000000");
    }
}
