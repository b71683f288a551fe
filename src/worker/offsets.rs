//! Source offsets (`KafkaOffsetBackingStore`): the offsets topic, held in memory.
//!
//! A record's key is `["connector",{partition}]`, its value the offset, both JSON without spaces; a null value
//! deletes. Java's maps have no order, so partitions are told apart by their entries, and a partition that is
//! known keeps the key bytes under which it was found: else compaction would keep both.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use tapline_api::offset::{CommittedOffsets, Offset, Partition};
use tapline_api::source::OffsetReader;
use tapline_api::topic_log::{LogRecord, TopicLog};
use tapline_api::{Error, Result};

/// The offsets of all connectors.
pub struct OffsetStore {
    log: Arc<dyn TopicLog>,
    known: RwLock<Known>,
}

/// By connector, by partition with its entries sorted.
type Known = HashMap<String, HashMap<String, Entry>>;

/// As it lies in the topic: a snapshot of thousands of tables has an entry for each.
struct Entry {
    key: Bytes,
    /// None while it is not known whether one is stored.
    value: Option<Bytes>,
}

impl Entry {
    fn offset(&self) -> Option<Offset> {
        let offset = serde_json::from_slice(self.value.as_ref()?).ok()?;
        Some(Offset(Arc::new(offset)))
    }

    fn partition(&self) -> Partition {
        let key = serde_json::from_slice::<(String, Option<Map<String, Json>>)>(&self.key);
        let partition = key.ok().and_then(|(_, partition)| partition);
        Partition(Arc::new(partition.unwrap_or_default()))
    }
}

impl OffsetStore {
    /// Reads the topic to its end.
    pub async fn load(log: Arc<dyn TopicLog>) -> Result<Self> {
        let mut known = Known::new();
        log.read_to_end(&mut |record| {
            apply(&mut known, &record);
            Ok(())
        })
        .await?;
        Ok(Self {
            log,
            known: RwLock::new(known),
        })
    }

    /// Appends offsets and waits until they are acknowledged. What has never been stored is not deleted either.
    pub async fn store(&self, connector: &str, offsets: &CommittedOffsets) -> Result<()> {
        let records = {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            prepare(&mut known, connector, offsets)
        };
        if records.is_empty() {
            return Ok(());
        }
        self.log.append(records.clone()).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for record in &records {
            apply(&mut known, record);
        }
        Ok(())
    }

    /// All offsets of a connector, ordered by partition.
    pub fn all(&self, connector: &str) -> Vec<(Partition, Offset)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = known
            .get(connector)
            .into_iter()
            .flatten()
            .filter_map(|(name, entry)| Some((name, entry.partition(), entry.offset()?)))
            .collect();
        found.sort_by(|a, b| a.0.cmp(b.0));
        found
            .into_iter()
            .map(|(_, partition, offset)| (partition, offset))
            .collect()
    }

    fn get(&self, connector: &str, partition: &Partition) -> Option<Offset> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(connector)?.get(&canonical(&partition.0))?.offset()
    }
}

/// One connector's view.
pub struct ConnectorOffsets {
    /// All offsets.
    pub store: Arc<OffsetStore>,
    /// The connector.
    pub connector: Arc<str>,
}

#[async_trait]
impl OffsetReader for ConnectorOffsets {
    async fn offset(&self, partition: &Partition) -> Result<Option<Offset>> {
        Ok(self.store.get(&self.connector, partition))
    }
}

/// The records that store offsets. A new partition is known from now on, without an offset: whether it was stored can't
/// be told any more once appending has begun.
fn prepare(known: &mut Known, connector: &str, offsets: &CommittedOffsets) -> Vec<LogRecord> {
    let entries = known.entry(connector.to_owned()).or_default();
    let record = |(partition, offset): &(Partition, Option<Offset>)| {
        let name = canonical(&partition.0);
        if offset.is_none() && !entries.contains_key(&name) {
            return None;
        }
        let entry = entries.entry(name).or_insert_with(|| Entry {
            key: key(connector, partition),
            value: None,
        });
        Some(LogRecord {
            partition: -1,
            key: Some(entry.key.clone()),
            value: offset.as_ref().map(value),
            ..LogRecord::default()
        })
    };
    offsets.0.iter().filter_map(record).collect()
}

/// The key under which a new partition is stored.
fn key(connector: &str, partition: &Partition) -> Bytes {
    let mut key = Vec::new();
    key.push(b'[');
    key.extend_from_slice(Json::from(connector).to_string().as_bytes());
    key.push(b',');
    key.extend_from_slice(text(&partition.0).as_bytes());
    key.push(b']');
    key.into()
}

fn value(offset: &Offset) -> Bytes {
    text(&offset.0).into()
}

fn text(map: &Map<String, Json>) -> String {
    serde_json::to_string(map).unwrap_or_default()
}

/// The same text for the same entries, whatever their order.
fn canonical(map: &Map<String, Json>) -> String {
    let mut sorted: Vec<_> = map.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    serde_json::to_string(&sorted).unwrap_or_default()
}

/// Takes in a record of the topic. What can't be read is reported and left: it is not ours.
fn apply(known: &mut Known, record: &LogRecord) {
    let (connector, name, entry) = match parse(record) {
        Ok(parsed) => parsed,
        Err(error) => {
            tracing::warn!("a record of the offsets topic can't be read: {error}");
            return;
        }
    };
    let entries = known.entry(connector).or_default();
    if entry.value.is_none() {
        entries.remove(&name);
    } else {
        entries.insert(name, entry);
    }
}

/// The connector, the partition's name, the entry.
fn parse(record: &LogRecord) -> Result<(String, String, Entry)> {
    let wrong = |what: &str| {
        Error::data(format!(
            "{what} (partition {}, offset {})",
            record.partition, record.offset
        ))
    };
    let key = record.key.as_ref().ok_or_else(|| wrong("it has no key"))?;
    let (connector, partition): (String, Option<Map<String, Json>>) = serde_json::from_slice(key)
        .map_err(|error| wrong("its key is no [connector, partition]").cause(error))?;
    let value = record.value.as_ref();
    let offset: Option<Map<String, Json>> = match value {
        None => None,
        Some(value) => {
            serde_json::from_slice(value).map_err(|error| wrong("its value is no offset").cause(error))?
        }
    };
    // Copies: a record may be a slice of all that was read with it.
    let entry = Entry {
        key: Bytes::copy_from_slice(key),
        value: value
            .filter(|_| offset.is_some())
            .map(|value| Bytes::copy_from_slice(value)),
    };
    Ok((connector, canonical(&partition.unwrap_or_default()), entry))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(key: &str, value: Option<&str>) -> LogRecord {
        LogRecord {
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            ..LogRecord::default()
        }
    }

    #[test]
    fn keys_and_values_are_those_that_kafka_connect_writes() {
        // As recorded from Kafka Connect 4.3.1 with Debezium 3.6.1.
        let partition = Partition::new([("server".to_owned(), json!("tour"))]);
        assert_eq!(key("tour-pg", &partition), r#"["tour-pg",{"server":"tour"}]"#);
        let entries = [
            ("lsn_proc", 1),
            ("lsn_commit", 1),
            ("lsn", 1),
            ("txId", 1),
            ("ts_usec", 1),
        ];
        let offset = Offset::new(entries.map(|(name, n)| (name.to_owned(), json!(n))));
        assert_eq!(
            value(&offset),
            r#"{"lsn_proc":1,"lsn_commit":1,"lsn":1,"txId":1,"ts_usec":1}"#
        );
    }

    #[test]
    fn a_partition_is_known_whatever_the_order_of_its_entries_and_a_null_forgets_its_offset() {
        let mut known = Known::new();
        apply(&mut known, &record(r#"["c",{"a":1,"b":2}]"#, Some(r#"{"n":1}"#)));
        apply(&mut known, &record(r#"["c",{"b":2,"a":1}]"#, Some(r#"{"n":2}"#)));
        apply(&mut known, &record("not json", Some("{}")));
        let entries = &known["c"];
        assert_eq!(entries.len(), 1);
        let entry = entries.values().next().unwrap();
        assert_eq!(entry.offset().unwrap().get("n"), Some(&json!(2)));
        apply(&mut known, &record(r#"["c",{"a":1,"b":2}]"#, None));
        assert!(known["c"].is_empty());
    }

    #[test]
    fn what_was_never_stored_is_not_deleted() {
        let mut known = Known::new();
        let of = |name: &str| Partition::new([("table".to_owned(), json!(name))]);
        let offset = Offset::new([("n".to_owned(), json!(1))]);
        let offsets = CommittedOffsets(vec![(of("a"), Some(offset)), (of("b"), None)]);
        assert_eq!(prepare(&mut known, "c", &offsets).len(), 1);
        let offsets = CommittedOffsets(vec![(of("a"), None), (of("b"), None)]);
        let records = prepare(&mut known, "c", &offsets);
        assert_eq!(records.len(), 1);
        assert!(records[0].value.is_none());
    }
}
