//! What must be true of the topic: nothing lost, and order within a key.

use serde_json::Value;
use std::collections::{HashMap, HashSet};
use tapline_harness::{Sql, scan_topic};

/// Every committed change, as the trigger noted it.
pub struct History {
    /// Row, operation, version.
    changes: Vec<(i64, char, i64)>,
    /// How many of them came before the marker: what the snapshot may have seen instead.
    before: usize,
}

impl History {
    pub fn read(sql: &Sql, marker: &str) -> History {
        let seq: i64 = sql
            .value(&format!("select seq from marker where name = '{marker}'"))
            .parse()
            .expect("it was written");
        Self::of(
            &sql.rows("select id, op, version, seq from history order by seq"),
            seq,
        )
    }

    /// From the rows of the history: id, operation, version, number; `seq` is the marker's.
    pub fn of(rows: &[Vec<Option<String>>], seq: i64) -> History {
        let number = |cell: &Option<String>| cell.as_deref().unwrap().parse::<i64>().unwrap();
        let changes: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    number(&row[0]),
                    row[1].as_deref().unwrap().chars().next().unwrap(),
                    number(&row[2]),
                )
            })
            .collect();
        let before = rows.iter().filter(|row| number(&row[3]) <= seq).count();
        History { changes, before }
    }

    pub fn len(&self) -> u64 {
        self.changes.len() as u64
    }
}

/// What the topic held.
pub struct Audit {
    pub records: u64,
    /// Records whose position had been there before.
    pub repeats: u64,
}

/// Reads the whole topic; panics at a change that is missing, or a position that falls.
pub fn topic(bootstrap: &str, topic: &str, history: &History) -> Audit {
    let mut audit = Audit {
        records: 0,
        repeats: 0,
    };
    let mut seen: HashSet<(i64, char, i64)> = HashSet::new();
    // the positions of a key so far, in order: an event and its tombstone share one
    let mut positions: HashMap<i64, Vec<Position>> = HashMap::new();
    scan_topic(bootstrap, topic, |record| {
        audit.records += 1;
        let key = record.key_json();
        let key = envelope(&key)["id"].as_i64().expect("a key");
        let value = record.value_json();
        if value.is_null() {
            return; // a tombstone
        }
        let event = envelope(&value);
        let (op, row) = operation(event);
        seen.insert((key, op, row["version"].as_i64().expect("a version")));
        let position = position(&event["source"]);
        let known = positions.entry(key).or_default();
        match known.last() {
            Some(&last) if position <= last => {
                assert!(
                    known.binary_search(&position).is_ok(),
                    "{topic}-{} offset {}: key {key} falls from {last:?} to {position:?}, which is no repeat",
                    record.partition,
                    record.offset
                );
                audit.repeats += 1;
            }
            _ => known.push(position),
        }
    });
    let missing: Vec<_> = history.changes[history.before..]
        .iter()
        .filter(|change| !seen.contains(*change))
        .collect();
    assert!(
        missing.is_empty(),
        "{} committed changes are not in {topic}, the first {:?}",
        missing.len(),
        &missing[..missing.len().min(5)]
    );
    audit
}

/// Every key's last record says what the table says, whose rows are given with id and version.
pub fn folds_to(rows: &[Vec<Option<String>>], bootstrap: &str, topic: &str) {
    let mut state: HashMap<i64, i64> = HashMap::new();
    scan_topic(bootstrap, topic, |record| {
        let (key, value) = (record.key_json(), record.value_json());
        let id = envelope(&key)["id"].as_i64().expect("a key");
        match envelope(&value)["after"]["version"].as_i64() {
            Some(version) => state.insert(id, version),
            None => state.remove(&id),
        };
    });
    let table: HashMap<i64, i64> = rows
        .iter()
        .map(|row| {
            let cell = |index: usize| row[index].as_deref().unwrap().parse().unwrap();
            (cell(0), cell(1))
        })
        .collect();
    let wrong: Vec<_> = table
        .iter()
        .filter(|(id, version)| state.get(id) != Some(version))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} rows differ, such as {:?}",
        wrong.len(),
        wrong.first()
    );
    assert_eq!(
        state.len(),
        table.len(),
        "rows that are deleted are still told of"
    );
}

/// Every row, given by its id, is there; gives how many there are, and how many records repeat one.
pub fn once(rows: &[Vec<Option<String>>], bootstrap: &str, topic: &str) -> (u64, u64) {
    let mut seen: HashMap<String, u64> = HashMap::new();
    scan_topic(bootstrap, topic, |record| {
        let key = record.key_json();
        let id = envelope(&key)["id"].as_str().expect("a key").to_owned();
        *seen.entry(id).or_default() += 1;
    });
    let missing = rows
        .iter()
        .filter(|row| !seen.contains_key(row[0].as_deref().unwrap()))
        .count();
    assert_eq!(missing, 0, "{missing} of {} rows are missing", rows.len());
    (rows.len() as u64, seen.values().sum::<u64>() - seen.len() as u64)
}

/// A position in Postgres' log; or in MySQL's: file, position and row.
type Position = (u64, i64, i64);

fn position(source: &Value) -> Position {
    if let Some(lsn) = source["lsn"].as_i64() {
        return (0, lsn, 0);
    }
    let file = source["file"].as_str().expect("a position");
    let number = file.rsplit('.').next().unwrap().parse().expect("a numbered file");
    (
        number,
        source["pos"].as_i64().unwrap(),
        source["row"].as_i64().unwrap(),
    )
}

/// What JsonConverter wraps with its schema.
pub fn envelope(json: &Value) -> &Value {
    json.get("payload").unwrap_or(json)
}

fn operation(event: &Value) -> (char, &Value) {
    match event["op"].as_str() {
        Some("d") => ('d', &event["before"]),
        Some(op) => (op.chars().next().unwrap(), &event["after"]),
        None => panic!("no envelope: {event}"),
    }
}
