//! A table is changed behind the log's back, as a statement does that nobody can parse: the connector goes on.
//!
//! Where no later statement names the table its schema is the server's; else the table is held, alone, until the stream
//! has come to the server's end, and is then read again.

use crate::{TAPLINE, mariadb, mysql};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_harness::pipeline::mysql_source;
use tapline_harness::{Mysql, Worker, end_offset, eventually, read_topic};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_table_of_mysql_whose_schema_is_not_known_holds_up_nobody_and_is_read_again() {
    goes_on("held_mysql", mysql());
}

#[test]
fn a_table_of_mariadb_whose_schema_is_not_known_holds_up_nobody_and_is_read_again() {
    goes_on("held_maria", mariadb());
}

/// Its rows were read, the worker was killed while it read another table's, and the table was changed meanwhile.
#[test]
fn a_table_that_is_held_before_a_killed_snapshot_goes_on_is_read_again() {
    const ROWS: i64 = 300_000;
    let (name, server) = ("held_before", mysql());
    let run = |sql: &str| server.execute(&format!("use {name}; {sql}"));
    server.execute(&format!("create database {name}"));
    run(&format!(
        "create table small (id int primary key, x int);
         insert into small values (1, 1), (2, 2);
         create table large (id int primary key, v varchar(100));
         set cte_max_recursion_depth = {ROWS};
         insert into large with recursive s(i) as (select 1 union all select i + 1 from s where i < {ROWS})
           select i, repeat('x', 100) from s;
         analyze table small, large"
    ));
    let mut worker = Worker::start(TAPLINE, &[("value.converter.schemas.enable", "false")], &[]);
    let bootstrap = worker.bootstrap();
    let mut source = mysql_source(server, &bootstrap, name, &format!("{name}[.].*"));
    source["snapshot.tables.order.by.row.count"] = "ascending".into();
    source["internal.snapshot.chunk.bytes"] = "131072".into();
    worker.put_connector(name, &source);
    let (small, large) = (format!("{name}.{name}.small"), format!("{name}.{name}.large"));
    eventually("it reads the second table", PATIENCE, || {
        match end_offset(&bootstrap, &large) {
            0 => Err("it does not".to_owned()),
            _ => Ok(()),
        }
    });
    worker.kill();
    run(
        "set sql_log_bin = 0; alter table small add column odd int; set sql_log_bin = 1;
         insert into small values (3, 3, 3); update small set x = 10 where id = 1;
         alter table small add column late varchar(9) default 'late'",
    );
    worker.restart();
    let rows = || -> BTreeMap<String, Value> {
        let records = read_topic(&bootstrap, &small);
        let after = |record: &tapline_harness::Record| record.value_json()["after"].clone();
        records
            .iter()
            .map(after)
            .map(|row| (row["id"].to_string(), row))
            .collect()
    };
    eventually("its rows are read again", PATIENCE, || {
        let rows = rows();
        let all = rows.len() == 3 && rows.values().all(|row| row["late"] == "late");
        match all && rows["1"]["x"] == 10 {
            true => Ok(()),
            false => Err(format!("{rows:?}")),
        }
    });
    eventually("the other table is there", PATIENCE, || {
        match end_offset(&bootstrap, &large) {
            ROWS.. => Ok(()),
            found => Err(format!("{found} rows")),
        }
    });
    worker.wait_running(name);
    let log = worker.process().log();
    assert!(
        log.contains("goes on where it was killed"),
        "the kill came too late"
    );
    assert!(
        log.contains("are left out until its schema is known"),
        "it was held"
    );
}

fn goes_on(name: &str, server: &Mysql) {
    let run = |sql: &str| server.execute(&format!("use {name}; {sql}"));
    server.execute(&format!("create database {name}"));
    run(
        "create table keyed_table (id int primary key, x int);
         create table keyless_table (n int);
         create table other_table (id int primary key);
         insert into keyed_table values (1, 1), (7, 7), (8, 8), (9, 9); insert into keyless_table values (1)",
    );
    let mut worker = Worker::start(TAPLINE, &[("offset.flush.interval.ms", "200")], &[]);
    let bootstrap = worker.bootstrap();
    let mut source = mysql_source(server, &bootstrap, name, &format!("{name}[.].*"));
    source["notification.enabled.channels"] = "sink".into();
    source["notification.sink.topic.name"] = format!("{name}.notifications").into();
    worker.put_connector(name, &source);
    let strict = format!("{name}_strict");
    let mut failing = mysql_source(server, &bootstrap, &strict, &format!("{name}[.].*"));
    failing["inconsistent.schema.handling.mode"] = "fail".into();
    worker.put_connector(&strict, &failing);
    let rows = |table: &str| -> Vec<(String, Value)> {
        let records = read_topic(&bootstrap, &format!("{name}.{name}.{table}"));
        let event = |record: &tapline_harness::Record| {
            let event = record.value_json()["payload"].clone();
            (
                event["op"].as_str().unwrap_or_default().to_owned(),
                event["after"].clone(),
            )
        };
        records.iter().map(event).collect()
    };
    let wait = |what: &str, ready: &dyn Fn() -> bool| {
        eventually(what, PATIENCE, || {
            ready().then_some(()).ok_or_else(|| "not yet".to_owned())
        });
    };
    wait("the snapshot", &|| {
        rows("keyed_table").len() == 4 && rows("keyless_table").len() == 1
    });
    let secretly = |sql: &str| run(&format!("set sql_log_bin = 0; {sql}"));

    // no statement lies ahead: the server's schema is that of the row
    secretly("alter table keyed_table add column odd int");
    run("insert into keyed_table values (2, 2, 2)");
    wait("the row with the unknown column", &|| {
        rows("keyed_table").len() == 5
    });
    assert_eq!(
        rows("keyed_table")[4].1,
        serde_json::json!({"id": 2, "x": 2, "odd": 2}),
        "the column that the log does not tell of"
    );

    // a statement lies ahead: nobody can say what the table was when the row was written
    assert!(worker.terminate().success());
    secretly("alter table keyed_table add column odder int; alter table keyless_table add column odder int");
    run(
        "insert into keyed_table values (3, 3, 3, 3); insert into keyless_table values (3, 3);
         insert into other_table values (1); delete from keyed_table where id = 7;
         update keyed_table set x = 90 where id = 9; update keyed_table set id = 10 where id = 9;
         alter table keyed_table add column late varchar(9) default 'late';
         alter table keyless_table add column late varchar(9) default 'late';
         delete from keyed_table where id = 8; insert into keyed_table (id) values (8); delete from keyed_table where id = 8;
         update keyed_table set x = 20 where id = 2; insert into other_table values (2)",
    );
    worker.restart();
    wait("the others go on", &|| rows("other_table").len() == 2);
    // what a target has that does as it is told
    let newest = |table: &str, by: &str| -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        for record in read_topic(&bootstrap, &format!("{name}.{name}.{table}")) {
            let (key, event) = (record.key_json(), record.value_json());
            let after = &event["payload"]["after"];
            let id = match &key["payload"][by] {
                Value::Null => after[by].to_string(),
                id => id.to_string(),
            };
            match after.is_null() {
                true => rows.remove(&id),
                false => rows.insert(id, after.clone()),
            };
        }
        rows
    };
    wait("rows of the held tables are read again", &|| {
        newest("keyed_table", "id")
            .values()
            .all(|row| row["late"] == "late")
            && newest("keyed_table", "id").keys().eq(["1", "10", "2", "3"])
            && newest("keyless_table", "n")
                .values()
                .all(|row| row["late"] == "late")
            && newest("keyless_table", "n").len() == 2
    });
    assert_eq!(newest("keyed_table", "id")["2"]["x"], 20);
    assert_eq!(newest("keyed_table", "id")["10"]["x"], 90);
    run("insert into keyed_table values (4, 4, 4, 4, 'new'); delete from keyed_table where id = 1");
    wait("changes of the released table", &|| {
        let rows = rows("keyed_table");
        let has = |of: &str| rows.iter().rev().take(4).any(|(op, _)| op == of);
        has("c") && has("d")
    });
    let told: Vec<String> = read_topic(&bootstrap, &format!("{name}.notifications"))
        .iter()
        .map(tapline_harness::Record::value_json)
        .filter(|event| event["payload"]["aggregate_type"] == "Quarantine")
        .map(|event| {
            let data = &event["payload"]["additional_data"]["data_collections"];
            format!("{} {}", event["payload"]["type"], data).replace('"', "")
        })
        .collect();
    for table in ["keyed_table", "keyless_table"] {
        let of: Vec<&String> = told.iter().filter(|text| text.ends_with(table)).collect();
        let expected = ["QUARANTINED", "RELEASED"].map(|kind| format!("{kind} {name}.{table}"));
        assert_eq!(of, expected.iter().collect::<Vec<_>>());
    }
    wait("nothing is held", &|| {
        let offsets = worker
            .rest("GET", &format!("/connectors/{name}/offsets"), None)
            .json();
        !offsets.to_string().contains("\"quarantine\"")
    });
    worker.wait_running(name);

    worker.wait_state(&strict, "FAILED");
    let status = worker
        .rest("GET", &format!("/connectors/{strict}/status"), None)
        .json();
    let trace = status["tasks"][0]["trace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(trace.contains("keyed_table is not known"), "{trace}");
}
