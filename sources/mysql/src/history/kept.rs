//! The captured tables' schemas beside the offsets, so that a lost history stops nobody.
//!
//! Each table lies under a source partition of its own, an index and the character sets under another. They are written
//! when a table changes, with the marks of the batch that changed it. Debezium does not see them: their partition is
//! none of its.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tapline_api::Result;
use tapline_api::offset::{Offset, OffsetMark, Partition};
use tapline_api::source::OffsetReader;

use super::record::{table_json, table_of_json};
use crate::ddl::{Change, ChangeKind};
use crate::schema::{Table, TableId, Tables};

/// What is kept, and what of it has changed since the last mark.
#[derive(Debug)]
pub struct KeptTables {
    server: Arc<str>,
    tables: BTreeSet<TableId>,
    changed: Vec<(TableId, Option<Arc<Table>>)>,
}

impl KeptTables {
    /// Nothing kept yet for the server of this topic prefix.
    pub fn new(server: impl Into<Arc<str>>) -> Self {
        Self {
            server: server.into(),
            tables: BTreeSet::new(),
            changed: Vec::new(),
        }
    }

    fn partition(&self, table: Option<&TableId>) -> Partition {
        let mut entries = vec![
            ("server".to_owned(), json!(&*self.server)),
            ("tapline".to_owned(), json!("schema")),
        ];
        entries.extend(table.map(|table| ("table".to_owned(), json!(table.quoted('"')))));
        Partition::new(entries)
    }

    /// A statement's change, if it is of a captured table.
    pub fn changed(&mut self, change: &Change, captured: impl Fn(&TableId) -> bool) {
        if matches!(
            change.kind,
            ChangeKind::Truncate | ChangeKind::Database | ChangeKind::Other
        ) {
            return;
        }
        if let Some(previous) = change.previous.as_ref().filter(|id| self.tables.contains(*id)) {
            self.changed.push((previous.clone(), None));
        }
        if let Some(table) = change
            .table
            .as_ref()
            .filter(|id| captured(id) || self.tables.contains(*id))
        {
            let after = change.after.clone().filter(|_| change.kind != ChangeKind::Drop);
            self.changed.push((table.clone(), after));
        }
    }

    /// A table's schema is not known any more.
    pub fn forget(&mut self, table: &TableId) {
        if self.tables.contains(table) {
            self.changed.push((table.clone(), None));
        }
    }

    /// All captured tables, as after a snapshot.
    pub fn all(&mut self, tables: &Tables, captured: impl Fn(&TableId) -> bool) {
        let found = tables.iter().filter(|table| captured(&table.id));
        self.changed
            .extend(found.map(|table| (table.id.clone(), Some(Arc::clone(table)))));
    }

    /// The marks for what has changed; `position` is the offset they belong to.
    pub fn marks(&mut self, after: usize, position: &Offset, tables: &Tables) -> Vec<OffsetMark> {
        if self.changed.is_empty() {
            return Vec::new();
        }
        let mut marks = Vec::new();
        let before = self.tables.clone();
        for (id, table) in std::mem::take(&mut self.changed) {
            match &table {
                Some(_) => self.tables.insert(id.clone()),
                None => self.tables.remove(&id),
            };
            let offset = table.map(|table| {
                Offset::new([
                    ("position".to_owned(), Json::Object(Map::clone(&position.0))),
                    ("schema".to_owned(), Json::String(compact(&table_json(&table)))),
                ])
            });
            let partition = self.partition(Some(&id));
            marks.push(OffsetMark {
                after,
                partition,
                offset,
            });
        }
        if before != self.tables {
            let names: Vec<Json> = self.tables.iter().map(|id| json!(id.quoted('"'))).collect();
            let databases: BTreeSet<&Arc<str>> = self.tables.iter().map(|id| &id.database).collect();
            let charsets: Map<String, Json> = databases
                .into_iter()
                .filter_map(|database| Some((database.to_string(), json!(&*tables.charset_of(database)?))))
                .collect();
            let offset = Offset::new([
                ("tables".to_owned(), Json::Array(names)),
                ("charsets".to_owned(), Json::Object(charsets)),
                (
                    "charset".to_owned(),
                    json!(tables.server_charset().map(|charset| &**charset)),
                ),
            ]);
            marks.push(OffsetMark {
                after,
                partition: self.partition(None),
                offset: Some(offset),
            });
        }
        marks
    }

    /// Reads back what was kept; `None` if nothing was.
    pub async fn restore(&mut self, offsets: &dyn OffsetReader, ignore_case: bool) -> Result<Option<Tables>> {
        let Some(index) = offsets.offset(&self.partition(None)).await? else {
            return Ok(None);
        };
        let mut tables = Tables::new(ignore_case);
        if let Some(charset) = index.get("charset").and_then(Json::as_str) {
            tables.set_server_charset(charset);
        }
        if let Some(Json::Object(charsets)) = index.get("charsets") {
            for (database, charset) in charsets {
                tables.set_database_charset(database, charset.as_str());
            }
        }
        let names = index.get("tables").and_then(Json::as_array).into_iter().flatten();
        let names: Vec<TableId> = names
            .filter_map(Json::as_str)
            .filter_map(TableId::parse)
            .collect();
        for id in names {
            let offset = offsets.offset(&self.partition(Some(&id))).await?;
            let schema = offset
                .as_ref()
                .and_then(|offset| offset.get("schema"))
                .and_then(Json::as_str);
            if let Some(table) = schema.and_then(table_of_json) {
                self.tables.insert(id);
                tables.put(table);
            }
        }
        Ok((!tables.is_empty()).then_some(tables))
    }
}

/// JSON without the blanks around its signs.
fn compact(text: &str) -> String {
    serde_json::from_str::<Json>(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::ddl::{self, Dialect};

    /// Offsets as a worker stores them: the newest per partition.
    #[derive(Default)]
    struct Stored(Mutex<HashMap<String, Option<Offset>>>);

    #[async_trait]
    impl OffsetReader for Stored {
        async fn offset(&self, partition: &Partition) -> Result<Option<Offset>> {
            let key = Json::Object(Map::clone(&partition.0)).to_string();
            Ok(self.0.lock().unwrap().get(&key).cloned().flatten())
        }
    }

    #[tokio::test]
    async fn tables_come_back_as_they_were_kept() {
        let stored = Stored::default();
        let mut kept = KeptTables::new("g");
        let mut tables = Tables::new(false);
        tables.set_server_charset("latin1");
        let position = Offset::new([("pos".to_owned(), json!(4))]);
        for statement in [
            "create table a (id int primary key, e enum('x'))",
            "create table b (id int)",
            "create table other (id int)",
            "rename table a to c",
            "drop table b",
        ] {
            for change in ddl::apply(&mut tables, &Dialect::mysql(), "fx", statement).unwrap() {
                kept.changed(&change, |id| &*id.table != "other");
            }
            for mark in kept.marks(0, &position, &tables) {
                let key = Json::Object(Map::clone(&mark.partition.0)).to_string();
                stored.0.lock().unwrap().insert(key, mark.offset);
            }
        }
        assert!(kept.marks(0, &position, &tables).is_empty());
        let restored = KeptTables::new("g")
            .restore(&stored, false)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(restored.len(), 1);
        let id = TableId::new("fx", "c");
        assert_eq!(restored.get(&id), tables.get(&id));
        assert_eq!(restored.charset_of("fx").as_deref(), Some("latin1"));
        assert!(
            KeptTables::new("h")
                .restore(&stored, false)
                .await
                .unwrap()
                .is_none()
        );
    }
}
