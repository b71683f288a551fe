//! MySQL → topic → MySQL, and the same of MariaDB, over every type of the recordings' fixtures: the same table comes out, to
//! the byte.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tapline_harness::{Mysql, Worker, eventually, pipeline, script};

use crate::{TAPLINE, mariadb, mysql};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_type_of_mysql_comes_out_as_it_went_in() {
    carries(
        mysql(),
        "my_round",
        &[
            "types_num",
            "types_text",
            "types_time",
            "types_geo",
            "types_vector",
        ],
    );
}

#[test]
fn every_type_of_mariadb_comes_out_as_it_went_in() {
    carries(
        mariadb(),
        "maria_round",
        &[
            "types_num",
            "types_text",
            "types_time",
            "types_geo",
            "types_maria",
        ],
    );
}

fn carries(server: &Mysql, name: &str, fixtures: &[&str]) {
    let (from, to) = (format!("{name}_from"), format!("{name}_to"));
    for database in [&from, &to] {
        server.execute(&format!("create database {database} character set utf8mb4"));
        for fixture in fixtures {
            server.execute(&format!("use {database}; {}", setup(fixture)));
        }
    }
    let tables = server.rows(&format!(
        "select table_name from information_schema.tables where table_schema = '{from}' order by 1"
    ));
    let tables: Vec<String> = tables.into_iter().filter_map(|mut row| row.remove(0)).collect();
    for table in &tables {
        server.execute(&format!("truncate table {to}.{table}"));
    }
    let worker = Worker::start(TAPLINE, &[], &[]);
    let included: Vec<_> = tables.iter().map(|table| format!("{from}.{table}")).collect();
    let mut source = pipeline::mysql_source(server, &worker.bootstrap(), name, &included.join(","));
    // The default, `long`, makes negative numbers of those above 2^63.
    source["bigint.unsigned.handling.mode"] = json!("precise");
    worker.put_connector(&format!("{name}-source"), &source);
    let topics: Vec<_> = included.iter().map(|table| format!("{name}.{table}")).collect();
    let scheme = match server.kind() {
        tapline_harness::mysql::Kind::MySql => "mysql",
        tapline_harness::mysql::Kind::MariaDb => "mariadb",
    };
    worker.put_connector(
        &format!("{name}-sink"),
        &json!({
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "topics": topics.join(","),
            "connection.url": format!("jdbc:{scheme}://127.0.0.1:{}/{to}", server.port()),
            "connection.username": "tapline",
            "connection.password": "tapline",
            "insert.mode": "upsert",
            "primary.key.mode": "record_key",
            "collection.name.format": "${source.table}",
        }),
    );
    let count = |database: &str| -> u64 {
        let tables = tables.iter();
        tables
            .map(|table| server.count(&format!("select count(*) from {database}.{table}")))
            .sum()
    };
    let wanted = count(&from);
    eventually("every row has come", PATIENCE, || {
        let path = format!("/connectors/{name}-sink/status");
        let status = worker.rest("GET", &path, None).json();
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
        for (column, kind) in columns(server, &from, table) {
            // As bytes: numbers and times as they are printed, shapes and vectors as they are stored.
            let text = match kind.as_str() {
                "vector" => column.clone(),
                _ => format!("concat({column})"),
            };
            let values = |database: &str| {
                server.rows(&format!(
                    "select id, hex({text}) from {database}.{table} order by id"
                ))
            };
            let (left, right) = (values(&from), values(&to));
            if let Some((left, right)) = left.iter().zip(&right).find(|(left, right)| left[1] != right[1]) {
                differences.insert(format!("{table}.{column}"), format!("{left:?} became {right:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Names and types.
fn columns(server: &Mysql, database: &str, table: &str) -> Vec<(String, String)> {
    let rows = server.rows(&format!(
        "select column_name, data_type from information_schema.columns where table_schema = '{database}' and table_name = '{table}' \
         order by ordinal_position"
    ));
    let pair = |mut row: Vec<Option<String>>| Some((row.remove(0)?, row.remove(0)?));
    rows.into_iter().filter_map(pair).collect()
}

/// The part of a fixture before the snapshot.
fn setup(fixture: &str) -> String {
    let path = script("../golden/fixtures/mysql").join(format!("{fixture}.sql"));
    let text = std::fs::read_to_string(path).unwrap();
    let behind = text.split_once("--@setup").unwrap().1;
    behind.split_once("--@stream").unwrap().0.to_owned()
}
