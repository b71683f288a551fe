//! From the records of a history back to the tables, as they were at a position of the log.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use tapline_api::{Error, Result};

use super::position::Position;
use super::record::{HistoryRecord, TableChangeKind};
use crate::ddl::{self, Dialect};
use crate::schema::{TableId, Tables};

/// Recovers tables from records in the order in which they lie in the topic.
pub struct Recovery<'a> {
    source: &'a Map<String, Json>,
    stop: Position<'a>,
    dialect: &'a Dialect,
    prefer_ddl: bool,
    ignored: &'a (dyn Fn(&str) -> bool + Sync),
    /// What is recovered so far.
    pub recovered: Recovered,
}

/// What a history gives.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The tables at the position.
    pub tables: Tables,
    /// Tables whose schema is not known, since a statement that changed them could not be understood, with why.
    pub unknown: HashMap<TableId, String>,
    /// How many records were read.
    pub read: u64,
    /// How many of them lay at or before the position.
    pub applied: u64,
}

impl<'a> Recovery<'a> {
    /// A recovery of `source`'s tables up to `offset`. `ignored` says which statements to step over
    /// ([`DdlFilter`](super::DdlFilter)); `prefer_ddl` reads statements even where a record holds the tables.
    pub fn new(
        source: &'a Map<String, Json>,
        offset: &'a Map<String, Json>,
        dialect: &'a Dialect,
        ignore_case: bool,
        prefer_ddl: bool,
        ignored: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> Self {
        Self {
            source,
            stop: Position::new(dialect.flavor, offset),
            dialect,
            prefer_ddl,
            ignored,
            recovered: Recovered {
                tables: Tables::new(ignore_case),
                ..Recovered::default()
            },
        }
    }

    /// Applies the next record, in bytes.
    pub fn read(&mut self, value: &[u8]) -> Result<()> {
        self.apply(&HistoryRecord::parse(value)?);
        Ok(())
    }

    /// Applies the next record, if it is this source's and happened before the position.
    pub fn apply(&mut self, record: &HistoryRecord) {
        self.recovered.read += 1;
        let at = Position::new(self.dialect.flavor, &record.position);
        if record.source != *self.source || !at.is_at_or_before(&self.stop) {
            return;
        }
        self.recovered.applied += 1;
        if record.changes.is_empty() || self.prefer_ddl {
            self.apply_ddl(record);
            return;
        }
        let Recovered { tables, unknown, .. } = &mut self.recovered;
        for change in &record.changes {
            unknown.remove(&change.id);
            if let Some(previous) = &change.previous {
                tables.remove(previous);
                unknown.remove(previous);
            }
            match (&change.kind, &change.table) {
                (TableChangeKind::Create | TableChangeKind::Alter, Some(table)) => {
                    tables.put(table.clone());
                }
                _ => {
                    tables.remove(&change.id);
                }
            }
        }
    }

    fn apply_ddl(&mut self, record: &HistoryRecord) {
        let Some(statement) = record.ddl.as_deref().filter(|ddl| !(self.ignored)(ddl)) else {
            return;
        };
        let database = record.database.as_deref().unwrap_or_default();
        let Recovered { tables, unknown, .. } = &mut self.recovered;
        match ddl::apply(tables, self.dialect, database, statement) {
            Ok(changes) => {
                for change in changes {
                    if let Some(table) = change.table {
                        unknown.remove(&table);
                    }
                }
            }
            Err(error) => match error.table() {
                Some(table) => {
                    tables.remove(table);
                    unknown.insert(table.clone(), error.to_string());
                }
                None => tracing::warn!("a statement of the schema history is left out: {error}"),
            },
        }
    }
}

impl Recovered {
    /// An error if the history had nothing up to the position, which it must have if it is this connector's.
    pub fn check(self, topic: &str) -> Result<Self> {
        if self.applied > 0 {
            return Ok(self);
        }
        let message = match self.read {
            0 => format!("the db history topic '{topic}' is empty or missing"),
            read => format!(
                "none of the {read} records of the db history topic '{topic}' lies before the stored offset"
            ),
        };
        Err(Error::fatal(message)
            .exception("io.debezium.DebeziumException")
            .hint(
                "You may attempt to recover it by reconfiguring the connector to use recovery snapshot mode",
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::{Change, ChangeKind};

    fn map(text: &str) -> Map<String, Json> {
        serde_json::from_str(text).unwrap()
    }

    fn recover(statements: &[&str], up_to: i64, prefer_ddl: bool) -> Recovered {
        let dialect = Dialect::mysql();
        let source = map(r#"{"server":"g"}"#);
        let offset = map(&format!(r#"{{"file":"b.1","pos":{up_to}}}"#));
        let mut tables = Tables::new(false);
        let mut recovery = Recovery::new(&source, &offset, &dialect, false, prefer_ddl, &|_| false);
        for (statement, pos) in statements.iter().zip(1..) {
            let position = map(&format!(r#"{{"file":"b.1","pos":{pos}}}"#));
            let changes = ddl::apply(&mut tables, &dialect, "fx", statement)
                .unwrap_or_else(|_| vec![Change::of_database("fx", *statement)]);
            for change in changes {
                assert_ne!(change.kind, ChangeKind::Truncate);
                let record = HistoryRecord::new(&source, &position, 7, &change);
                let json = record.to_json();
                assert_eq!(HistoryRecord::parse(json.as_bytes()).unwrap(), record);
                recovery.read(json.as_bytes()).unwrap();
            }
        }
        recovery.recovered
    }

    const STATEMENTS: [&str; 7] = [
        "SET character_set_server=latin1",
        "create database fx character set gbk",
        "create table a (id int primary key, e enum('x','y,z') default 'x', n decimal(5,2) comment 'c')",
        "rename table a to b",
        "alter table b add column c char(3) after id",
        "create table d (id int)",
        "drop table d",
    ];

    #[test]
    fn tables_are_as_they_were_at_the_position_by_either_way() {
        for (up_to, names) in [(2, ""), (3, "a"), (4, "b"), (6, "b d"), (9, "b")] {
            for prefer_ddl in [false, true] {
                let recovered = recover(&STATEMENTS, up_to, prefer_ddl);
                let mut found: Vec<String> = recovered
                    .tables
                    .iter()
                    .map(|table| table.id.table.to_string())
                    .collect();
                found.sort();
                assert_eq!(found.join(" "), names);
                assert_eq!(recovered.applied, up_to.min(7).cast_unsigned());
            }
        }
        let id = TableId::new("fx", "b");
        let [one, other] =
            [false, true].map(|way| recover(&STATEMENTS, 9, way).tables.get(&id).cloned().unwrap());
        assert_eq!(one, other);
        assert_eq!(one.columns[1].charset.as_deref(), Some("gbk"));
    }

    #[test]
    fn a_statement_that_can_not_be_understood_costs_one_table() {
        let statements = [
            "create table a (id int)",
            "create table b (id int)",
            "alter table a add column x wonder",
            "alter table b add column y int",
        ];
        let recovered = recover(&statements, 9, false);
        assert_eq!(recovered.tables.len(), 1);
        assert!(recovered.unknown.contains_key(&TableId::new("fx", "a")));
        let statements: Vec<&str> = statements
            .iter()
            .copied()
            .chain(["create table a (id int, x text)"])
            .collect();
        assert!(recover(&statements, 9, false).unknown.is_empty());
    }

    #[test]
    fn a_history_without_anything_before_the_offset_is_refused() {
        let error = recover(&STATEMENTS, 0, false).check("h").unwrap_err();
        assert!(error.message().contains("none of the 7 records"), "{error}");
    }
}
