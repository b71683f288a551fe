//! The records against those that Debezium wrote for the same statements on real servers.

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use super::*;
use crate::ddl::{self, ChangeKind, Dialect};
use crate::schema::Tables;

const MYSQL: &str = include_str!("../../testdata/history-mysql.jsonl");
const MARIADB: &str = include_str!("../../testdata/history-mariadb.jsonl");

fn same_as_recorded(recorded: &str, dialect: &Dialect) {
    let mut fixture = String::new();
    let mut tables = Tables::new(false);
    let mut dialect = dialect.clone();
    let mut compared = 0;
    for line in recorded.lines() {
        let expected: Json = serde_json::from_str(line).unwrap();
        let text = |name: &str| expected[name].as_str().unwrap().to_owned();
        if text("fixture") != fixture {
            fixture = text("fixture");
            tables = Tables::new(false);
            // MariaDB's connector keeps comments whatever is set.
            dialect.comments = fixture.ends_with("/comments") || dialect.flavor == ddl::Flavor::MariaDb;
        }
        let ddl = text("ddl");
        let changes = ddl::apply(&mut tables, &dialect, &text("databaseName"), &ddl).unwrap();
        let [change] = changes.as_slice() else {
            panic!("{fixture}: {ddl}: {} changes", changes.len());
        };
        let record = HistoryRecord::new(&Map::new(), &Map::new(), 0, change);
        let found: Json = serde_json::from_str(&record.to_json()).unwrap();
        for name in ["databaseName", "ddl", "tableChanges"] {
            assert_eq!(
                found[name].to_string(),
                expected[name].to_string(),
                "{fixture}: {name} of {ddl}"
            );
        }
        compared += 1;
    }
    assert!(compared > 100);
}

#[test]
fn records_are_those_that_debezium_wrote_for_mysql() {
    same_as_recorded(MYSQL, &Dialect::mysql());
}

#[test]
fn records_are_those_that_debezium_wrote_for_mariadb() {
    same_as_recorded(MARIADB, &Dialect::mariadb());
}

#[test]
fn a_record_has_the_bytes_that_jackson_writes() {
    let mut tables = Tables::new(false);
    tables.set_server_charset("utf8mb4");
    let changes = ddl::apply(
        &mut tables,
        &Dialect::mysql(),
        "fx",
        "create table t (a enum('x') not null)",
    )
    .unwrap();
    let source = json!({"server": "g"});
    let position = json!({"ts_sec": 1, "file": "b.1", "pos": 4, "snapshot": "INITIAL"});
    let (Json::Object(source), Json::Object(position)) = (source, position) else {
        panic!("objects");
    };
    let record = HistoryRecord::new(&source, &position, 7, &changes[0]);
    let expected = r#"{
  "source" : {
    "server" : "g"
  },
  "position" : {
    "ts_sec" : 1,
    "file" : "b.1",
    "pos" : 4,
    "snapshot" : "INITIAL"
  },
  "ts_ms" : 7,
  "databaseName" : "fx",
  "ddl" : "create table t (a enum('x') not null)",
  "tableChanges" : [ {
    "type" : "CREATE",
    "id" : "\"fx\".\"t\"",
    "table" : {
      "defaultCharsetName" : "utf8mb4",
      "primaryKeyColumnNames" : [ ],
      "columns" : [ {
        "name" : "a",
        "jdbcType" : 1,
        "typeName" : "ENUM",
        "typeExpression" : "ENUM",
        "charsetName" : "utf8mb4",
        "length" : 1,
        "position" : 1,
        "optional" : false,
        "autoIncremented" : false,
        "generated" : false,
        "comment" : null,
        "hasDefaultValue" : false,
        "enumValues" : [ "'x'" ]
      } ],
      "attributes" : [ ]
    },
    "comment" : null
  } ]
}"#;
    assert_eq!(record.to_json(), expected);
}

/// 100,000 statements on 1,000 tables of some 20 columns must not take longer than five seconds.
#[test]
fn a_long_history_is_recovered_in_seconds() {
    let dialect = Dialect::mysql();
    let (Json::Object(source), Json::Object(offset)) =
        (json!({"server": "g"}), json!({"file": "b.2", "pos": 4}))
    else {
        panic!("objects");
    };
    let mut tables = Tables::new(false);
    tables.set_server_charset("utf8mb4");
    let columns: String = (0..20)
        .map(|n| format!(", c{n} varchar(20) default 'x'"))
        .collect();
    let mut records = Vec::new();
    for number in 0..2_000 {
        let statement = match number {
            0..1_000 => format!("create table t{number} (id int primary key{columns})"),
            _ => format!(
                "alter table t{} add column n{number} int after id",
                number % 1_000
            ),
        };
        let changes = ddl::apply(&mut tables, &dialect, "fx", &statement).unwrap();
        assert_eq!(
            changes[0].kind,
            if number < 1_000 {
                ChangeKind::Create
            } else {
                ChangeKind::Alter
            }
        );
        let position = Map::from_iter([
            ("file".to_owned(), json!("b.1")),
            ("pos".to_owned(), json!(number)),
        ]);
        records.push(HistoryRecord::new(&source, &position, 7, &changes[0]).to_json());
    }
    for prefer_ddl in [false, true] {
        let mut recovery = Recovery::new(&source, &offset, &dialect, false, prefer_ddl, &|_| false);
        let rounds = if prefer_ddl { 1 } else { 50 };
        let started = Instant::now();
        for _ in 0..rounds {
            for record in &records {
                recovery.read(record.as_bytes()).unwrap();
            }
        }
        let took = started.elapsed() * (50 / rounds);
        println!("100,000 records, prefer_ddl={prefer_ddl}: {took:?}");
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_eq!(recovery.recovered.tables.len(), 1_000);
    }
}
