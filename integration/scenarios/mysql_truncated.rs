//! A table is emptied while nobody knows its schema: that it is empty is told, in its place, and then its rows are read again.

use crate::{TAPLINE, mariadb, mysql};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_harness::pipeline::mysql_source;
use tapline_harness::{Mysql, Worker, eventually, read_topic};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_table_of_mysql_that_is_truncated_while_it_is_held_comes_out_as_the_server_has_it() {
    truncated("truncated_mysql", mysql());
}

#[test]
fn a_table_of_mariadb_that_is_truncated_while_it_is_held_comes_out_as_the_server_has_it() {
    truncated("truncated_maria", mariadb());
}

/// One table with a key, one without, and one that the log does not tell the making of.
fn truncated(name: &str, server: &Mysql) {
    let run = |sql: &str| server.execute(&format!("use {name}; {sql}"));
    server.execute(&format!("create database {name}"));
    run("create table keyed_table (n int primary key, x int);
         create table keyless_table (n int);
         create table other_table (n int primary key);
         insert into keyed_table values (1, 1), (2, 2), (3, 3); insert into keyless_table values (1), (2)");
    let mut worker = Worker::start(TAPLINE, &[("offset.flush.interval.ms", "200")], &[]);
    let bootstrap = worker.bootstrap();
    let mut source = mysql_source(server, &bootstrap, name, &format!("{name}[.].*"));
    source["skipped.operations"] = "none".into();
    worker.put_connector(name, &source);
    let events = |table: &str| -> Vec<(String, Value, Value)> {
        let records = read_topic(&bootstrap, &format!("{name}.{name}.{table}"));
        let event = |record: &tapline_harness::Record| {
            let (key, event) = (record.key_json(), record.value_json()["payload"].clone());
            let op = event["op"].as_str().unwrap_or_default().to_owned();
            (op, key["payload"]["n"].clone(), event["after"].clone())
        };
        records.iter().map(event).collect()
    };
    // what a target has that does as it is told
    let rows = |table: &str| -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        for (op, key, after) in events(table) {
            let id = if key.is_null() { &after["n"] } else { &key }.to_string();
            match (op.as_str(), after.is_null()) {
                ("t", _) => rows.clear(),
                (_, true) => {
                    rows.remove(&id);
                }
                (_, false) => {
                    rows.insert(id, after);
                }
            }
        }
        rows
    };
    let wait = |what: &str, ready: &dyn Fn() -> bool| {
        eventually(what, PATIENCE, || {
            let found = ["keyed_table", "keyless_table", "made_table"].map(events);
            ready().then_some(()).ok_or_else(|| format!("{found:?}"))
        });
    };
    wait("the snapshot", &|| {
        rows("keyed_table").len() == 3 && rows("keyless_table").len() == 2
    });

    // a statement lies ahead: nobody can say what the tables were when the rows were written
    assert!(worker.terminate().success());
    run(
        "set sql_log_bin = 0; alter table keyed_table add column odd int; alter table keyless_table add column odd int;
         create table made_table (n int, x int)",
    );
    run(
        "insert into keyed_table values (4, 4, 4); insert into keyless_table values (4, 4); delete from keyed_table where n = 1;
         insert into made_table values (2, 2);
         truncate keyed_table; truncate table keyless_table; truncate table made_table;
         insert into keyed_table values (5, 5, 5), (6, 6, 6); insert into keyless_table values (5, 5);
         insert into made_table values (5, 5); delete from keyed_table where n = 6;
         alter table keyed_table add column late varchar(9) default 'late';
         alter table keyless_table add column late varchar(9) default 'late';
         alter table made_table add column late varchar(9) default 'late'; insert into other_table values (1)",
    );
    worker.restart();
    wait("the others go on", &|| rows("other_table").len() == 1);
    let tables = ["keyed_table", "keyless_table", "made_table"];
    wait("rows of the held tables are read again", &|| {
        tables.iter().all(|table| {
            let rows = rows(table);
            rows.keys().eq(["5"]) && rows["5"]["late"] == "late"
        })
    });
    for table in tables {
        let emptied = events(table).iter().filter(|(op, ..)| op == "t").count();
        assert_eq!(emptied, 1, "{table} is emptied once");
    }
    let log = worker.process().log();
    assert_eq!(log.matches("are left out until its schema is known").count(), 3);

    // their schemas are known by now
    run(
        "truncate keyed_table; insert into keyed_table (n) values (7); truncate keyless_table; insert into keyless_table (n) values (7);
         truncate made_table; insert into made_table (n) values (7)",
    );
    wait("they are emptied again", &|| {
        tables.iter().all(|table| rows(table).keys().eq(["7"]))
    });
    worker.wait_running(name);
}
