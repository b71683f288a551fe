//! Transaction metadata (`provide.transaction.metadata`): the `transaction` block of events, and BEGIN and END records on
//! `topic.transaction`.
//!
//! A transaction's id is the connector's word for it; what stands in records may have more (Postgres adds each event's
//! LSN), so it comes in as an argument. The counts stand in the offset, so that a restart within a transaction goes on
//! counting.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value as Json;
use tapline_api::offset::Offset;
use tapline_api::{Record, Schema, SchemaRef, Struct, Value};

use crate::envelope::TRANSACTION_BLOCK;
use crate::java::hash_map_order;

static KEY: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("io.debezium.connector.common.TransactionMetadataKey")
        .version(1)
        .field("id", Schema::string().build())
        .build()
});

static COLLECTION: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("event.collection")
        .version(1)
        .optional()
        .field("data_collection", Schema::string().build())
        .field("event_count", Schema::int64().build())
        .build()
});

static VALUE: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::structure()
        .name("io.debezium.connector.common.TransactionMetadataValue")
        .version(1)
        .field("status", Schema::string().build())
        .field("id", Schema::string().build())
        .field("event_count", Schema::int64().optional().build())
        .field(
            "data_collections",
            Schema::array(COLLECTION.clone()).optional().build(),
        )
        .field("ts_ms", Schema::int64().build())
        .build()
});

/// What the names of tables' counts in an offset begin with.
const ORDER: &str = "transaction_data_collection_order_";

/// The transaction that is being streamed, and how many events it has had.
#[derive(Clone, Debug)]
pub struct Transactions {
    topic: Arc<str>,
    id: Option<String>,
    total: i64,
    /// By table as Debezium names it (`schema.table`), in the order of their first events.
    tables: HashMap<Arc<str>, (usize, i64)>,
}

impl Transactions {
    /// Writes to `topic`.
    pub fn new(topic: &str) -> Self {
        Self {
            topic: topic.into(),
            id: None,
            total: 0,
            tables: HashMap::new(),
        }
    }

    /// Goes on within the transaction that a stored offset is of.
    pub fn load(topic: &str, offset: Option<&Offset>) -> Self {
        let mut found = Self::new(topic);
        let Some(offset) = offset else { return found };
        found.id = offset
            .get("transaction_id")
            .and_then(Json::as_str)
            .map(str::to_owned);
        for (name, count) in offset.0.iter() {
            if let (Some(table), Some(count)) = (name.strip_prefix(ORDER), count.as_i64()) {
                let place = found.tables.len();
                found.tables.insert(table.into(), (place, count));
                found.total += count;
            }
        }
        found
    }

    /// A transaction begins; an event that comes before one is of none.
    pub fn begin(&mut self, id: String) {
        self.id = Some(id);
        self.total = 0;
        self.tables.clear();
    }

    /// The transaction has ended, and with it what the offset says of it.
    pub fn forget(&mut self) {
        self.id = None;
        self.total = 0;
        self.tables.clear();
    }

    /// The transaction's id.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Counts an event of `table`; the numbers of the block: of all, and of this table.
    pub fn count(&mut self, table: &Arc<str>) -> (i64, i64) {
        self.total += 1;
        if let Some((_, count)) = self.tables.get_mut(table) {
            *count += 1;
            return (self.total, *count);
        }
        self.tables.insert(table.clone(), (self.tables.len(), 1));
        (self.total, 1)
    }

    /// The block of an event; `id` as it stands in records.
    pub fn block(id: String, total: i64, of_table: i64) -> Value {
        let values = vec![Value::from(id), Value::Int64(total), Value::Int64(of_table)];
        Value::Struct(Struct::new(TRANSACTION_BLOCK.clone(), values))
    }

    /// The record that says the transaction has begun; `millis` since 1970.
    pub fn begun(&self, id: String, millis: i64) -> Record {
        self.record("BEGIN", id, Value::Null, Value::Null, millis)
    }

    /// The record that says it has ended, with its counts.
    pub fn ended(&self, id: String, millis: i64) -> Record {
        let per_table = |(table, count): (&Arc<str>, i64)| {
            let values = vec![Value::from(table.to_string()), Value::Int64(count)];
            Value::Struct(Struct::new(COLLECTION.clone(), values))
        };
        let tables = self.sorted().into_iter().map(per_table).collect::<Vec<_>>();
        self.record("END", id, Value::Int64(self.total), Value::Array(tables), millis)
    }

    /// What a stored offset says of the transaction, as Debezium's keys have it.
    pub fn offset_entries(&self) -> Vec<(String, Json)> {
        let id = self.id.iter();
        let id = id.map(|id| ("transaction_id".to_owned(), Json::from(id.as_str())));
        let tables = self
            .sorted()
            .into_iter()
            .map(|(table, count)| (format!("{ORDER}{table}"), Json::from(count)));
        id.chain(tables).collect()
    }

    /// Tables in the order of Java's `HashMap`.
    fn sorted(&self) -> Vec<(&Arc<str>, i64)> {
        let mut found: Vec<_> = self
            .tables
            .iter()
            .map(|(table, (place, count))| (*place, table, *count))
            .collect();
        found.sort_by_key(|(place, ..)| *place);
        hash_map_order(&mut found, |(_, table, _)| table);
        found
            .into_iter()
            .map(|(_, table, count)| (table, count))
            .collect()
    }

    fn record(&self, status: &'static str, id: String, count: Value, tables: Value, millis: i64) -> Record {
        let id = Value::from(id);
        let value = vec![
            Value::from(status),
            id.clone(),
            count,
            tables,
            Value::Int64(millis),
        ];
        Record {
            key_schema: Some(KEY.clone()),
            key: Value::Struct(Struct::new(KEY.clone(), vec![id])),
            value_schema: Some(VALUE.clone()),
            value: Value::Struct(Struct::new(VALUE.clone(), value)),
            ..Record::new(self.topic.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_over_all_and_by_table() {
        let mut tx = Transactions::new("g.transaction");
        tx.begin("24319".into());
        let (t1, t2): (Arc<str>, Arc<str>) = ("fx.t1".into(), "fx.t2".into());
        assert_eq!(
            (tx.count(&t1), tx.count(&t2), tx.count(&t1)),
            ((1, 1), (2, 1), (3, 2))
        );
        let end = tx.ended("24319:5".into(), 7);
        let value = end.value.as_struct().unwrap();
        assert_eq!(value.get("event_count"), Some(&Value::Int64(3)));
        let entries = tx.offset_entries();
        assert_eq!(entries[0], ("transaction_id".to_owned(), Json::from("24319")));
        assert!(entries.contains(&(
            "transaction_data_collection_order_fx.t1".to_owned(),
            Json::from(2)
        )));
        let again = Transactions::load("g.transaction", Some(&Offset::new(entries)));
        assert_eq!((again.id(), again.clone().count(&t1)), (Some("24319"), (4, 3)));
        tx.begin("24320".into());
        assert_eq!(tx.count(&t2), (1, 1));
        tx.forget();
        assert!(tx.offset_entries().is_empty());
    }

    #[test]
    fn a_beginning_has_no_counts() {
        let tx = Transactions::new("g.transaction");
        let begun = tx.begun("1:2".into(), 9);
        let value = begun.value.as_struct().unwrap();
        assert_eq!(
            value.values(),
            [
                "BEGIN".into(),
                Value::from("1:2".to_owned()),
                Value::Null,
                Value::Null,
                Value::Int64(9)
            ]
        );
        assert_eq!(&*begun.topic, "g.transaction");
    }
}
