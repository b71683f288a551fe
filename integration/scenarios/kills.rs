//! A few kills at every change; `make soak` has many.

use crate::faults::{Broker, Plan, run};
use tapline_harness::Random;

#[test]
fn three_kills_lose_nothing_with_apache_kafka() {
    println!(
        "{}",
        run(Plan {
            broker: Broker::Kafka,
            changes: 30_000,
            kills: 3,
            during_snapshot: 1,
            seed: Random::seed()
        })
    );
}

#[test]
fn three_kills_lose_nothing_with_the_embedded_broker() {
    println!(
        "{}",
        run(Plan {
            broker: Broker::Embedded,
            changes: 30_000,
            kills: 3,
            during_snapshot: 1,
            seed: Random::seed()
        })
    );
}
