//! Records and their headers.

use std::sync::Arc;

use crate::schema::SchemaRef;
use crate::value::Value;

/// A record on its way from a source to a topic, or from a topic to a sink (Connect's `ConnectRecord`).
///
/// A schema of `None` is a schemaless value. A null value with a schema is legal; a null value without one is a
/// tombstone.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The topic to write to or, for a sink, the topic it was read from (a transformation may change it).
    pub topic: Arc<str>,
    /// The partition, or `None` to let the producer choose by the key's hash.
    pub partition: Option<i32>,
    /// The key's schema.
    pub key_schema: Option<SchemaRef>,
    /// The key.
    pub key: Value,
    /// The value's schema.
    pub value_schema: Option<SchemaRef>,
    /// The value.
    pub value: Value,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The headers.
    pub headers: Headers,
}

impl Record {
    /// A record with a topic and nothing else.
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key_schema: None,
            key: Value::Null,
            value_schema: None,
            value: Value::Null,
            timestamp: None,
            headers: Headers::default(),
        }
    }

    /// Bytes held, for bounding channels.
    #[inline]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.key.size() + self.value.size()
    }
}

/// One header. Several may have the same key.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The key.
    pub key: Arc<str>,
    /// The value's schema.
    pub schema: Option<SchemaRef>,
    /// The value.
    pub value: Value,
}

/// A record's headers, shared until changed: all records of a task may hold the same ones.
///
/// [`id`](Self::id) tells whether two records share them, so that what is rendered for one serves the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// Headers from a list.
    pub fn new(headers: Vec<Header>) -> Self {
        Self(if headers.is_empty() {
            None
        } else {
            Some(Arc::new(headers))
        })
    }

    /// The address of the shared list; 0 when there is none. Valid as long as a clone is held.
    #[inline]
    pub fn id(&self) -> usize {
        self.0.as_ref().map_or(0, |shared| Arc::as_ptr(shared) as usize)
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.as_slice().iter()
    }

    /// All of them, in order.
    #[inline]
    pub fn as_slice(&self) -> &[Header] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds one at the end, unsharing the list first.
    pub fn push(&mut self, header: Header) {
        Arc::make_mut(self.0.get_or_insert_default()).push(header);
    }

    /// Keeps those for which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        if let Some(shared) = &mut self.0 {
            Arc::make_mut(shared).retain(keep);
            if shared.is_empty() {
                self.0 = None;
            }
        }
    }

    /// The last one with this key.
    pub fn last(&self, key: &str) -> Option<&Header> {
        self.iter().rev().find(|header| &*header.key == key)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A topic and a partition of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// Which clock set a record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The record has none.
    None,
    /// The producer's.
    CreateTime,
    /// The broker's.
    LogAppendTime,
}

/// Where a sink's record lay, whatever transformations did to its topic and partition (KIP-793).
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The topic as consumed.
    pub topic: Arc<str>,
    /// The partition as consumed.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Which clock.
    pub timestamp_type: TimestampType,
}

/// A record read from a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkRecord {
    /// What it says, after transformations.
    pub record: Record,
    /// Where it lay, before them.
    pub origin: Origin,
}
