//! `make soak`: the long tests. Forty kills during 400,000 changes, with either broker; twenty with MySQL and MariaDB;
//! a binlog beyond 4 GiB; a million records into each target, which is away for a minute; changing places with Kafka
//! Connect and Debezium, and back.
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
mod large;
mod oracle;
mod swap;

use faults::sinks::{self, Target};
use faults::{Broker, Plan, mysql, mysql_snapshot, once, snapshot, two_brokers};
use std::time::Duration;
use tapline_harness::mysql::Kind;
use tapline_harness::{Kafka, Mysql, Postgres, Random};

#[test]
fn forty_kills_lose_nothing_with_apache_kafka() {
    soak(Broker::Kafka);
}

#[test]
fn forty_kills_lose_nothing_with_the_embedded_broker() {
    soak(Broker::Embedded);
}

#[test]
fn ten_kills_of_one_of_two_brokers_lose_nothing() {
    let plan = two_brokers::Plan {
        changes: 300_000,
        kills: 10,
        seed: Random::seed(),
    };
    println!("{}", two_brokers::run(plan));
}

#[test]
fn twenty_kills_during_a_snapshot_lose_nothing_and_repeat_a_chunk_at_most() {
    let outcome = snapshot::run(snapshot::Plan {
        kills: 20,
        rows: 1_000_000,
        seed: Random::seed(),
    });
    println!("{outcome}");
}

#[test]
fn twenty_kills_during_a_snapshot_lose_nothing_of_mysql_and_mariadb() {
    for (kind, alters) in [(Kind::MySql, false), (Kind::MariaDb, true)] {
        let plan = mysql_snapshot::Plan {
            kind,
            kills: 20,
            rows: 300_000,
            alters,
            seed: Random::seed(),
        };
        println!("{}", mysql_snapshot::run(plan));
    }
}

#[test]
fn thirty_kills_make_no_row_twice() {
    let plan = once::Plan {
        kills: 30,
        records: 500_000,
        seed: Random::seed(),
    };
    println!(
        "{}",
        once::run(&Kafka::start(&[]), &Postgres::start(&[]), "once_thirty", plan)
    );
}

#[test]
fn a_java_sink_in_between_makes_no_row_twice() {
    once::java_in_between(&Kafka::start(&[]), &Postgres::start(&[]), "once_java", 20_000);
}

#[test]
fn a_million_records_pass_a_target_that_is_away_for_a_minute() {
    for (target, records) in [
        (Target::Postgres, 1_000_000),
        (Target::MySql, 1_000_000),
        (Target::MariaDb, 1_000_000),
        (Target::Sqlite, 1_000_000),
        (Target::Documents, 20_000),
    ] {
        let plan = sinks::Plan {
            target,
            records,
            keys: records / 10,
            outage: Duration::from_secs(60),
            memory: Some(100.0),
        };
        println!("{}", sinks::run(plan));
    }
}

#[test]
fn twenty_kills_while_a_table_changes_lose_nothing_of_mysql() {
    altered(Kind::MySql);
}

#[test]
fn twenty_kills_while_a_table_changes_lose_nothing_of_mariadb() {
    altered(Kind::MariaDb);
}

#[test]
fn a_log_beyond_four_gibibytes_is_read_and_resumed_by_mysql_and_mariadb() {
    for (kind, gtids) in [(Kind::MySql, true), (Kind::MySql, false), (Kind::MariaDb, true)] {
        println!("{}", large::run(kind, gtids));
    }
}

#[test]
fn events_of_forty_random_tables_say_what_the_server_says() {
    let plan = oracle::Plan {
        seed: Random::seed(),
        tables: 40,
        steps: 100,
    };
    let binary = env!("CARGO_BIN_EXE_tapline");
    for kind in [Kind::MySql, Kind::MariaDb] {
        let server = Mysql::start(kind, &[]);
        println!(
            "{kind:?}, {}",
            oracle::run(&oracle::mysql::Asked(&server), binary, plan)
        );
    }
    let server = Postgres::start(&[]);
    println!(
        "Postgres, {}",
        oracle::run(&oracle::postgres::asked(&server, plan.seed), binary, plan)
    );
}

#[test]
fn tapline_and_kafka_connect_go_on_where_the_other_was() {
    println!("{}", swap::run());
}

fn altered(kind: Kind) {
    let plan = mysql::Plan {
        kind,
        changes: 150_000,
        kills: 20,
        seed: Random::seed(),
    };
    println!("{}", mysql::run(plan));
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
