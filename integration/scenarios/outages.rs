//! A target is killed in the midst of a batch and comes back, and the group is rebalanced in mid-flight; `make soak` has
//! a minute and a million records.

use std::time::Duration;

use crate::faults::sinks::{self, Target};

fn outage(target: Target, records: u64) {
    let plan = sinks::Plan {
        target,
        records,
        keys: (records / 10).max(2_000),
        outage: Duration::from_secs(2),
        memory: None,
    };
    println!("{}", sinks::run(plan));
}

#[test]
fn postgres_may_be_killed_and_the_group_rebalanced() {
    outage(Target::Postgres, 40_000);
}

#[test]
fn mysql_may_be_killed_and_the_group_rebalanced() {
    outage(Target::MySql, 40_000);
}

#[test]
fn mariadb_may_be_killed_and_the_group_rebalanced() {
    outage(Target::MariaDb, 40_000);
}

#[test]
fn sqlite_may_be_locked_and_the_group_rebalanced() {
    outage(Target::Sqlite, 40_000);
}

#[test]
fn a_document_server_may_be_killed_and_the_group_rebalanced() {
    // Each replacement looks through the whole collection here, and is a transaction of its own.
    outage(Target::Documents, 4_000);
}
