//! What a snapshot of MySQL reads, by its options: queries of one's own, tables that are left out, modes.

use crate::{TAPLINE, mysql};
use serde_json::{Value, json};
use std::time::Duration;
use tapline_harness::pipeline::mysql_source;
use tapline_harness::{Worker, end_offset, eventually, read_topic};

const NAME: &str = "my_snaps";
const PATIENCE: Duration = Duration::from_secs(60);

/// What JsonConverter wraps with its schema.
fn envelope(json: &Value) -> &Value {
    json.get("payload").unwrap_or(json)
}

#[test]
fn a_snapshot_of_mysql_reads_what_its_options_say() {
    let server = mysql();
    server.execute(&format!(
        "create database {NAME}; use {NAME};
         create table big (id int primary key, v varchar(20));
         create table small (id int primary key, v varchar(20));
         create table later (id int primary key, v varchar(20));
         create table asked (id varchar(40) primary key, type varchar(40), data varchar(2000));
         insert into big with recursive s(i) as (select 1 union all select i + 1 from s where i < 900)
           select i, if(i % 3 = 0, 'kept', 'left') from s;
         insert into small values (1, 'one'); insert into later values (1, 'one');
         analyze table big, small, later"
    ));
    let worker = Worker::start(TAPLINE, &[("offset.flush.interval.ms", "200")], &[]);
    let bootstrap = worker.bootstrap();
    let config = |prefix: &str, settings: &[(&str, &str)]| {
        let mut config = mysql_source(server, &bootstrap, prefix, &format!("{NAME}\\..*"));
        for (name, value) in settings {
            config[name] = (*value).into();
        }
        config
    };
    let wait = |prefix: &str, table: &str, wanted: &[(&str, usize)]| {
        let topic = format!("{prefix}.{NAME}.{table}");
        eventually(&format!("{topic} has {wanted:?}"), PATIENCE, || {
            let records = read_topic(&bootstrap, &topic);
            let values: Vec<Value> = records.iter().map(tapline_harness::Record::value_json).collect();
            let count = |op: &str| values.iter().filter(|v| envelope(v)["op"] == op).count();
            match wanted.iter().all(|(op, number)| count(op) == *number) {
                true => Ok(()),
                false => Err(format!("{} records", records.len())),
            }
        });
    };

    let list = format!("{NAME}.big");
    let query = format!("snapshot.select.statement.overrides.{NAME}.big");
    let of = format!("select v, id from {NAME}.big where v = 'kept' -- of all\n;");
    let only = format!("{NAME}.big,{NAME}.small");
    let settings = [
        ("snapshot.select.statement.overrides", list.as_str()),
        (&query, &of),
        ("snapshot.include.collection.list", &only),
        ("snapshot.tables.order.by.row.count", "ascending"),
        ("signal.data.collection", "my_snaps.asked"),
        ("notification.enabled.channels", "sink"),
        ("notification.sink.topic.name", "my_snaps.told"),
    ];
    worker.put_connector("some", &config("some", &settings));
    wait("some", "big", &[("r", 300)]);
    wait("some", "small", &[("r", 1)]);
    let told = read_topic(&bootstrap, "my_snaps.told");
    let begun: Vec<String> = told
        .iter()
        .map(tapline_harness::Record::value_json)
        .filter_map(|told| {
            let data = envelope(&told)["additional_data"]["current_collection_in_progress"].clone();
            data.as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(begun, [format!("{NAME}.small"), format!("{NAME}.big")]);

    // The log has all from its beginning.
    worker.put_connector("never", &config("never", &[("snapshot.mode", "never")]));
    wait("never", "big", &[("c", 900), ("r", 0)]);
    wait("never", "later", &[("c", 1), ("r", 0)]);

    let based = "snapshot.mode.configuration.based";
    let (data, schema) = (
        format!("{based}.snapshot.data"),
        format!("{based}.snapshot.schema"),
    );
    let settings = [
        ("snapshot.mode", "configuration_based"),
        (data.as_str(), "true"),
        (schema.as_str(), "true"),
        ("snapshot.max.threads", "2"),
    ];
    worker.put_connector("based", &config("based", &settings));
    wait("based", "big", &[("r", 900)]);
    // A filter of a blocking snapshot may be a statement of its own.
    let asked = json!({
        "data-collections": [format!("{NAME}.big")],
        "type": "BLOCKING",
        "additional-conditions": [{
            "data-collection": format!("{NAME}.big"),
            "filter": format!("select v, id from {NAME}.big where id <= 10;"),
        }],
    });
    server.execute(&format!(
        "insert into {NAME}.asked values ('of ten', 'execute-snapshot', '{asked}')"
    ));
    wait("some", "big", &[("r", 310)]);

    server.execute(&format!("insert into {NAME}.later values (2, 'two')"));
    wait("some", "later", &[("c", 1), ("r", 0)]);
    wait("never", "later", &[("c", 2)]);
    // Its history is lost, and made anew.
    let settings = [
        ("snapshot.mode", "recovery"),
        ("schema.history.internal.kafka.topic", "never.another-history"),
    ];
    worker.put_connector("never", &config("never", &settings));
    server.execute(&format!("insert into {NAME}.later values (3, 'three')"));
    wait("never", "later", &[("c", 3), ("r", 0)]);
    assert!(end_offset(&bootstrap, "never.another-history") > 0);
    wait("based", "later", &[("r", 1), ("c", 0)]);
}
