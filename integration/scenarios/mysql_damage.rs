//! A damaged binlog: bytes of a stopped server's files are changed, with checksums and without. What can't be read is told
//! with file and position, and nothing is guessed; where the connector is told to, it is left out, alone.

use crate::TAPLINE;
use std::fs;
use std::time::Duration;
use tapline_harness::mysql::Kind;
use tapline_harness::pipeline::mysql_source;
use tapline_harness::{Mysql, Worker, eventually, read_topic};

const PATIENCE: Duration = Duration::from_secs(60);
const MODE: &str = "event.deserialization.failure.handling.mode";

#[test]
fn a_damaged_log_of_mysql_is_told_with_file_and_position() {
    damaged("hurt_mysql", Kind::MySql);
}

#[test]
fn a_damaged_log_of_mariadb_is_told_with_file_and_position() {
    damaged("hurt_maria", Kind::MariaDb);
}

fn damaged(name: &str, kind: Kind) {
    let server = Mysql::start(kind, &["binlog_checksum=CRC32"]);
    server.execute(&format!(
        "create database {name}; create table {name}.t (id int primary key, v varchar(200));
         insert into {name}.t values (1, 'sound')"
    ));
    let settings = [
        ("value.converter.schemas.enable", "false"),
        ("offset.flush.interval.ms", "200"),
    ];
    let mut worker = Worker::start(TAPLINE, &settings, &[]);
    let mut source = mysql_source(&server, &worker.bootstrap(), name, &format!("{name}.t"));
    worker.put_connector(name, &source);
    let topic = format!("{name}.{name}.t");
    let wait = |worker: &Worker, ids: &[i64]| {
        eventually(&format!("{topic} has {ids:?}"), PATIENCE, || {
            let records = read_topic(&worker.bootstrap(), &topic);
            let ids_of = |record: &tapline_harness::Record| record.value_json()["after"]["id"].as_i64();
            let found: Vec<i64> = records.iter().filter_map(ids_of).collect();
            match found == ids {
                true => Ok(()),
                false => Err(format!("{found:?}")),
            }
        });
    };
    wait(&worker, &[1]);
    worker.wait_running(name);
    assert!(worker.terminate().success());

    // the last rows of the newest file, and where they begin
    let newest = || {
        server
            .rows("show binary logs")
            .pop()
            .unwrap()
            .swap_remove(0)
            .unwrap()
    };
    let insert = |id: u8, text: &str| -> (String, String) {
        server.execute(&format!("insert into {name}.t values ({id}, '{text}')"));
        let file = newest();
        let events = server.rows(&format!("show binlog events in '{file}'"));
        let rows = events.iter().rfind(|event| {
            let kind = event[2].as_deref().unwrap_or_default();
            kind.starts_with("Write_rows")
        });
        (file, rows.expect("an insert")[1].clone().expect("its position"))
    };
    let with_checksum = insert(2, "damaged with a checksum");
    server.execute("set global binlog_checksum = NONE");
    let without = insert(3, "damaged without a checksum");
    insert(4, "sound");
    assert_ne!(with_checksum.0, without.0, "another file");
    server.stop();
    change(
        &server,
        &with_checksum.0,
        "damaged with a checksum",
        |at, bytes| {
            bytes[at] ^= 1;
        },
    );
    // a value that is longer than the event
    change(&server, &without.0, "damaged without a checksum", |at, bytes| {
        bytes[at - 2..at].copy_from_slice(&[0xff, 0x7f]);
    });
    server.restart();

    worker.restart();
    worker.wait_state(name, "FAILED");
    let status = worker
        .rest("GET", &format!("/connectors/{name}/status"), None)
        .json();
    let trace = status["tasks"][0]["trace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let place = |(file, position): &(String, String)| format!("the event at position {position} of {file}: ");
    let told = format!(
        "{}an event's checksum does not fit its bytes",
        place(&with_checksum)
    );
    assert!(trace.contains(&told), "{told} in {trace}");

    source[MODE] = "warn".into();
    worker.put_connector(name, &source);
    wait(&worker, &[1, 4]);
    worker.wait_running(name);
    let log = worker.process().log();
    for damage in [&with_checksum, &without] {
        let told = log
            .lines()
            .any(|line| line.contains("is left out") && line.contains(&place(damage)));
        assert!(told, "{} is left out", place(damage));
    }
}

/// Changes what lies before, at or behind the last `text` of a log's file: before the row may come its statement.
fn change(server: &Mysql, file: &str, text: &str, change: impl FnOnce(usize, &mut [u8])) {
    let path = server.dir().join("db").join(file);
    let mut bytes = fs::read(&path).expect("the log");
    let found = bytes
        .windows(text.len())
        .rposition(|window| window == text.as_bytes());
    change(found.expect("the row"), &mut bytes);
    fs::write(&path, bytes).expect("the log");
}
