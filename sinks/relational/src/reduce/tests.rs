//! Steps against the same changes one by one.

use std::collections::BTreeMap;

use super::*;
use crate::planner::Planner;
use proptest::prelude::*;
use tapline_api::config::Config;
use tapline_api::record::{Origin, SinkRecord, TimestampType};
use tapline_api::{Record, Schema, SchemaRef, Struct, Value, envelope};

/// What happens to a key, or to the table.
#[derive(Clone, Debug)]
enum Change {
    /// The second value may be unavailable.
    Write(i32, i64, Option<i64>),
    /// By another schema, which has a column less.
    WriteNarrow(i32, i64),
    Delete(i32),
    Tombstone(i32),
    Truncate,
}

fn change() -> impl Strategy<Value = Change> {
    let key = 0..4i32;
    prop_oneof![
        6 => (key.clone(), 0..9i64, prop::option::weighted(0.7, 0..9i64))
            .prop_map(|(key, a, b)| Change::Write(key, a, b)),
        1 => (key.clone(), 0..9i64).prop_map(|(key, a)| Change::WriteNarrow(key, a)),
        2 => key.clone().prop_map(Change::Delete),
        1 => key.prop_map(Change::Tombstone),
        1 => Just(Change::Truncate),
    ]
}

struct Schemas {
    key: SchemaRef,
    wide: SchemaRef,
    narrow: SchemaRef,
    wide_envelope: SchemaRef,
    narrow_envelope: SchemaRef,
}

impl Schemas {
    fn new() -> Self {
        let key = || Schema::structure().field("id", Schema::int32().build());
        let narrow = key().field("a", Schema::int64().build()).optional().build();
        let text = Schema::string().optional().build();
        let wide = narrow.to_builder().field("b", text).build();
        let around = |row: &SchemaRef| {
            Schema::structure()
                .name("t.Envelope")
                .field("before", row.clone())
                .field("after", row.clone())
                .field("op", Schema::string().build())
                .build()
        };
        Self {
            key: key().build(),
            wide_envelope: around(&wide),
            narrow_envelope: around(&narrow),
            wide,
            narrow,
        }
    }

    fn record(&self, change: &Change) -> SinkRecord {
        let event = |envelope: &SchemaRef, op: &'static str, after: Value| {
            let fields = vec![Value::Null, after, op.into()];
            (
                Value::Struct(Struct::new(envelope.clone(), fields)),
                Some(envelope.clone()),
            )
        };
        let (key, (value, value_schema)) = match change {
            Change::Write(key, a, b) => {
                let b = b.map_or(envelope::UNAVAILABLE_VALUE.into(), |b| Value::from(b.to_string()));
                let row = vec![Value::Int32(*key), Value::Int64(*a), b];
                let row = Value::Struct(Struct::new(self.wide.clone(), row));
                (Some(*key), event(&self.wide_envelope, "u", row))
            }
            Change::WriteNarrow(key, a) => {
                let row = vec![Value::Int32(*key), Value::Int64(*a)];
                let row = Value::Struct(Struct::new(self.narrow.clone(), row));
                (Some(*key), event(&self.narrow_envelope, "c", row))
            }
            Change::Delete(key) => (Some(*key), event(&self.wide_envelope, "d", Value::Null)),
            Change::Tombstone(key) => (Some(*key), (Value::Null, None)),
            Change::Truncate => (None, event(&self.wide_envelope, "t", Value::Null)),
        };
        let key = key.map(|key| Value::Struct(Struct::new(self.key.clone(), vec![Value::Int32(key)])));
        let record = Record {
            key_schema: key.is_some().then(|| self.key.clone()),
            key: key.unwrap_or_default(),
            value,
            value_schema,
            ..Record::new("t")
        };
        let origin = Origin {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp_type: TimestampType::None,
        };
        SinkRecord { record, origin }
    }
}

/// A table: `a` and `b` by key, and how often the key is there.
type Table = BTreeMap<i32, Vec<(i64, String)>>;

/// One by one, as a database would do it.
fn apply(mode: InsertMode, table: &mut Table, change: &Change) {
    let (key, a, b) = match change {
        Change::Truncate => return table.clear(),
        Change::Delete(key) | Change::Tombstone(key) => {
            table.remove(key);
            return;
        }
        Change::Write(key, a, b) => (*key, *a, b.map(|b| b.to_string())),
        Change::WriteNarrow(key, a) => (*key, *a, None),
    };
    write(mode, table, key, a, b);
}

fn write(mode: InsertMode, table: &mut Table, key: i32, a: i64, b: Option<String>) {
    let rows = table.entry(key).or_default();
    match rows.first_mut().filter(|_| mode != InsertMode::Insert) {
        Some(row) => *row = (a, b.unwrap_or_else(|| row.1.clone())),
        None if mode != InsertMode::Update => rows.push((a, b.unwrap_or_default())),
        None => {}
    }
    if rows.is_empty() {
        table.remove(&key);
    }
}

fn run(mode: InsertMode, table: &mut Table, batch: &Batch<'_>) {
    for step in &batch.steps {
        let mut seen = Vec::new();
        for row in &step.rows {
            let column = |name: &str| {
                let columns = step.layout.columns.iter();
                let at = columns.enumerate().find(|(_, column)| *column.name == *name)?.0;
                let absent = matches!(&step.action, Action::Write(_, mask) if mask.has(at));
                (!absent).then(|| batch.cell(*row, at).clone())
            };
            let key = i32::try_from(column("id").unwrap().as_i64().unwrap()).unwrap();
            assert!(
                mode == InsertMode::Insert || !seen.contains(&key),
                "a key twice in a statement"
            );
            seen.push(key);
            if step.action == Action::Delete {
                table.remove(&key);
            } else {
                let b = column("b").and_then(|b| b.as_str().map(str::to_owned));
                write(mode, table, key, column("a").unwrap().as_i64().unwrap(), b);
            }
        }
        if step.action == Action::Truncate {
            table.clear();
        }
    }
}

fn check(mode: &str, changes: &[Change], strict: bool) {
    let config = Config::from_iter([
        ("connection.url", "jdbc:postgresql://h/d"),
        ("connection.username", "u"),
        ("insert.mode", mode),
        ("primary.key.mode", "record_key"),
        ("delete.enabled", "true"),
        ("truncate.enabled", "true"),
    ]);
    let options = Options::read(crate::options::Vocabulary::Debezium, &config).unwrap();
    let mode = options.insert_mode;
    let schemas = Schemas::new();
    let records: Vec<_> = changes.iter().map(|change| schemas.record(change)).collect();
    let mut planner = Planner::new(options);
    let resolved = planner.resolve(&records, &[]).unwrap();
    let batch = planner.plan(&records, &resolved, strict).unwrap();
    let mut one_by_one = Table::from([(0, vec![(7, "old".to_owned())]), (1, vec![(8, "old".to_owned())])]);
    let mut in_steps = one_by_one.clone();
    for change in changes {
        apply(mode, &mut one_by_one, change);
    }
    run(mode, &mut in_steps, &batch);
    // Inserted rows have no order.
    one_by_one
        .values_mut()
        .chain(in_steps.values_mut())
        .for_each(|rows| rows.sort());
    assert_eq!(in_steps, one_by_one);
    if strict {
        assert!(batch.steps.iter().all(|step| step.rows.len() <= 1));
    }
}

proptest! {
    #[test]
    fn steps_do_what_the_records_would_do_one_by_one(
        changes in prop::collection::vec(change(), 0..30),
        mode in prop::sample::select(vec!["insert", "upsert", "update"]),
        strict in any::<bool>(),
    ) {
        check(mode, &changes, strict);
    }
}

#[test]
fn a_batch_of_one_table_is_one_delete_and_one_write() {
    let config = Config::from_iter([
        ("connection.url", "jdbc:postgresql://h/d"),
        ("connection.username", "u"),
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("delete.enabled", "true"),
    ]);
    let schemas = Schemas::new();
    let changes = [
        Change::Write(1, 1, Some(1)),
        Change::Write(2, 2, None),
        Change::Delete(3),
        Change::Write(1, 3, None),
        Change::Tombstone(3),
        Change::Write(2, 4, Some(4)),
    ];
    let records: Vec<_> = changes.iter().map(|change| schemas.record(change)).collect();
    let mut planner = Planner::new(Options::read(crate::options::Vocabulary::Debezium, &config).unwrap());
    let resolved = planner.resolve(&records, &[]).unwrap();
    let batch = planner.plan(&records, &resolved, false).unwrap();
    let steps: Vec<_> = batch
        .steps
        .iter()
        .map(|step| (&step.action, step.rows.len()))
        .collect();
    let all = Action::Write(InsertMode::Upsert, Mask::default());
    assert_eq!(steps, [(&Action::Delete, 1), (&all, 2)]);
}
