//! `make soak`: the long tests. Forty kills during 400,000 changes, with either broker.
#![allow(unreachable_pub, reason = "a program has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code stops at the first surprise"
)]

mod faults;

use faults::{Broker, Plan};
use tapline_harness::Random;

#[test]
fn forty_kills_lose_nothing_with_apache_kafka() {
    soak(Broker::Kafka);
}

#[test]
fn forty_kills_lose_nothing_with_the_embedded_broker() {
    soak(Broker::Embedded);
}

fn soak(broker: Broker) {
    let outcome = faults::run(Plan {
        broker,
        changes: 400_000,
        kills: 40,
        during_snapshot: 10,
        seed: Random::seed(),
    });
    println!("{outcome}");
}
