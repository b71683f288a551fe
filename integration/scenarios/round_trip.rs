//! Postgres → topic → Postgres over every type of the recordings' fixtures: the same table comes out, but for what the
//! source does not send, which is listed here with its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tapline_harness::{Postgres, Sql, Worker, eventually, pipeline, script};

use crate::{TAPLINE, postgres, postgres_18};

const PATIENCE: Duration = Duration::from_secs(60);

/// Columns that come out null or otherwise, and why.
const LOST: &[(&str, &str)] = &[
    ("geo.l", "Debezium 3.6 has no type for it"),
    ("geo.s", "Debezium 3.6 has no type for it"),
    ("geo.b", "Debezium 3.6 has no type for it"),
    ("geo.pa", "Debezium 3.6 has no type for it"),
    ("geo.po", "Debezium 3.6 has no type for it"),
    ("geo.c", "Debezium 3.6 has no type for it"),
    ("geo.ls", "Debezium 3.6 has no type for it"),
    ("geo.snap", "Debezium 3.6 has no type for it"),
    ("geo.rc", "Debezium 3.6 has no type for it"),
    ("rng.m4", "Debezium 3.6 has no type for it"),
    ("rng.m8", "Debezium 3.6 has no type for it"),
    ("rng.mn", "Debezium 3.6 has no type for it"),
    ("rng.mts", "Debezium 3.6 has no type for it"),
    ("rng.mtz", "Debezium 3.6 has no type for it"),
    ("rng.md", "Debezium 3.6 has no type for it"),
    ("txt.ch1", "Debezium 3.6 has no type for it"),
    ("txt.tsq", "Debezium 3.6 has no type for it"),
    ("ext.comp", "composite types are left out"),
    ("ext.compa", "composite types are left out"),
    (
        "arr.e",
        "an array of enums with a null in it is null in the event",
    ),
    ("arr.n", "the event has no trailing zeros"),
    ("arr.ti", "times in arrays are milliseconds in the event"),
    ("num.n", "the event has no trailing zeros"),
    ("tim.tz", "the event has the time in UTC"),
    ("tim.tz3", "the event has the time in UTC"),
    ("txt.vb20", "the event has as many bits as the column may have"),
];

#[test]
fn every_type_of_postgres_comes_out_as_it_went_in() {
    let fixtures = [
        "types_num",
        "types_time",
        "types_text",
        "types_misc",
        "types_array",
        "types_ext",
        "types_time_special",
    ];
    carries(postgres(), "round_trip", &fixtures, "hstore, citext, ltree");
}

#[test]
fn vectors_and_shapes_of_postgres_18_come_out_as_they_went_in() {
    carries(
        postgres_18(),
        "round_trip_18",
        &["types_vector"],
        "vector, postgis",
    );
}

fn carries(server: &Postgres, name: &str, fixtures: &[&str], extensions: &str) {
    let (from, to) = (format!("{name}_from"), format!("{name}_to"));
    let (from, to) = (server.create_database(&from), server.create_database(&to));
    for sql in [&from, &to] {
        for extension in extensions.split(", ") {
            sql.execute(&format!("create extension {extension}"));
        }
        sql.execute("create schema fx");
        let mut moods = 0;
        for fixture in fixtures {
            let mut setup = setup(fixture);
            // Several fixtures make the same type.
            if setup.contains("create type fx.mood") {
                moods += 1;
                if moods > 1 {
                    setup = setup.replace("create type fx.mood as enum('sad','ok','happy');", "");
                }
            }
            sql.execute(&setup);
        }
    }
    let tables = from.rows(
        "select relname from pg_class where relnamespace = 'fx'::regnamespace and relkind = 'r' order by 1",
    );
    let tables: Vec<String> = tables.into_iter().filter_map(|mut row| row.remove(0)).collect();
    for table in &tables {
        to.execute(&format!("truncate fx.{table}"));
    }
    let worker = Worker::start(TAPLINE, &[], &[]);
    let included: Vec<_> = tables.iter().map(|table| format!("fx.{table}")).collect();
    let mut source = pipeline::source(server, &format!("{name}_from"), name, &included.join(","));
    with(
        &mut source,
        json!({"interval.handling.mode": "string", "hstore.handling.mode": "map"}),
    );
    worker.put_connector(&format!("{name}-source"), &source);
    let topics: Vec<_> = included.iter().map(|table| format!("{name}.{table}")).collect();
    let mut sink = pipeline::sink(server, &format!("{name}_to"), &topics.join(","));
    with(
        &mut sink,
        json!({"collection.name.format": "${source.schema}.${source.table}", "schema.evolution": "none"}),
    );
    worker.put_connector(&format!("{name}-sink"), &sink);
    let count = |sql: &Sql| {
        tables
            .iter()
            .map(|table| sql.count(&format!("select count(*) from fx.{table}")))
            .sum::<u64>()
    };
    let wanted = count(&from);
    eventually("every row has come", PATIENCE, || {
        let status = worker
            .rest("GET", &format!("/connectors/{name}-sink/status"), None)
            .json();
        if let Some(trace) = status["tasks"][0]["trace"].as_str() {
            panic!("{trace}");
        }
        match count(&to) {
            count if count == wanted => Ok(()),
            count => Err(format!("{count} of {wanted} rows")),
        }
    });
    let mut differences = BTreeMap::new();
    for table in &tables {
        compare(&from, &to, table, &mut differences);
    }
    for (column, _) in LOST {
        differences.remove(*column);
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

fn with(config: &mut Value, more: Value) {
    let (Value::Object(config), Value::Object(more)) = (config, more) else {
        panic!("both are objects");
    };
    config.extend(more);
}

/// The part of a fixture before the snapshot.
fn setup(fixture: &str) -> String {
    let path = script("../golden/fixtures/pg").join(format!("{fixture}.sql"));
    let text = std::fs::read_to_string(path).unwrap();
    let behind = text.split_once("--@setup").unwrap().1;
    behind.split_once("--@stream").unwrap().0.to_owned()
}

fn compare(from: &Sql, to: &Sql, table: &str, differences: &mut BTreeMap<String, String>) {
    let columns = from.rows(&format!(
        "select quote_ident(attname) from pg_attribute where attrelid = 'fx.{table}'::regclass and attnum > 0 order by attnum"
    ));
    for column in columns.into_iter().filter_map(|mut row| row.remove(0)) {
        let values = |sql: &Sql| sql.rows(&format!("select {column}::text from fx.{table} order by id"));
        let (left, right) = (values(from), values(to));
        if let Some((left, right)) = left.iter().zip(&right).find(|(left, right)| left != right) {
            differences.insert(format!("{table}.{column}"), format!("{left:?} became {right:?}"));
        }
    }
}
