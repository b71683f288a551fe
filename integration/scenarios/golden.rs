//! What `make golden` compares: nothing may differ that `integration/golden/deviations.json` does not explain, and no
//! recording may be left out.

use crate::{TAPLINE, golden};

/// How many recordings there are at least, and how many of their records are equal to the last field; a few of those depend on
/// when a signal is heard.
fn replays(target: &str, recordings: usize, equal: usize) {
    let options = golden::Options {
        binary: TAPLINE.to_owned(),
        target: target.to_owned(),
        folder: None,
        only: String::new(),
        lanes: 3,
    };
    let sum = golden::run(&options).expect("there are recordings");
    assert!(sum.good, "make golden TARGET={target}");
    assert!(
        sum.compared >= recordings && sum.equal >= equal,
        "{sum:?}: once there were {recordings} recordings and {equal} equal records"
    );
}

#[test]
fn every_event_that_debezium_recorded_on_postgres_15_comes_again() {
    replays("pg15", 94, 2_480);
}

#[test]
fn every_event_that_debezium_recorded_on_postgres_18_comes_again() {
    replays("pg18", 18, 340);
}

#[test]
fn every_event_that_debezium_recorded_on_mysql_comes_again() {
    replays("mysql", 53, 2_840);
}

#[test]
fn every_event_that_debezium_recorded_on_mariadb_comes_again() {
    replays("mariadb", 11, 145);
}
