//! A few kills at every change; `make soak` has many.

use crate::faults::{Broker, Plan, mysql, mysql_snapshot, once, run, snapshot, two_brokers};
use tapline_harness::Random;
use tapline_harness::mysql::Kind;

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

#[test]
fn one_of_two_brokers_may_be_killed_and_both_while_records_wait_for_a_leader() {
    let plan = two_brokers::Plan {
        changes: 10_000,
        kills: 1,
        seed: Random::seed(),
    };
    println!("{}", two_brokers::run(plan));
}

#[test]
fn three_kills_during_a_snapshot_lose_nothing_and_repeat_a_chunk_at_most() {
    println!(
        "{}",
        snapshot::run(snapshot::Plan {
            kills: 3,
            rows: 60_000,
            seed: Random::seed()
        })
    );
}

#[test]
fn three_kills_and_a_former_owner_that_wakes_up_make_no_row_twice() {
    let plan = once::Plan {
        kills: 3,
        records: 30_000,
        seed: Random::seed(),
    };
    println!(
        "{}",
        once::run(crate::kafka(), crate::postgres(), "once_three", plan)
    );
}

#[test]
fn three_kills_while_a_table_changes_lose_nothing_of_mysql() {
    println!("{}", mysql::run(few(Kind::MySql)));
}

#[test]
fn three_kills_while_a_table_changes_lose_nothing_of_mariadb() {
    println!("{}", mysql::run(few(Kind::MariaDb)));
}

#[test]
fn three_kills_during_a_snapshot_lose_nothing_of_mysql_and_repeat_a_chunk_at_most() {
    println!("{}", mysql_snapshot::run(a_snapshot(Kind::MySql, false)));
}

#[test]
fn three_kills_during_a_snapshot_lose_nothing_of_mariadb_whose_tables_change() {
    println!("{}", mysql_snapshot::run(a_snapshot(Kind::MariaDb, true)));
}

fn a_snapshot(kind: Kind, alters: bool) -> mysql_snapshot::Plan {
    mysql_snapshot::Plan {
        kind,
        kills: 3,
        rows: 60_000,
        alters,
        seed: Random::seed(),
    }
}

fn few(kind: Kind) -> mysql::Plan {
    mysql::Plan {
        kind,
        changes: 10_000,
        kills: 3,
        seed: Random::seed(),
    }
}
