//! What `make golden` compares, for Postgres 15 and 18: nothing may differ that `integration/golden/deviations.json` does not
//! explain.

use crate::{TAPLINE, golden};

fn replays(target: &str) {
    let options = golden::Options {
        binary: TAPLINE.to_owned(),
        target: target.to_owned(),
        folder: None,
        only: String::new(),
        lanes: 3,
    };
    assert!(golden::run(&options), "make golden TARGET={target}");
}

#[test]
fn every_event_that_debezium_recorded_on_postgres_15_comes_again() {
    replays("pg15");
}

#[test]
fn every_event_that_debezium_recorded_on_postgres_18_comes_again() {
    replays("pg18");
}
