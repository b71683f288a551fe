//! What the servers say of rows of random types is what events say of them; `SEED=n` repeats a run.

use crate::oracle::{Plan, mysql, postgres, run};
use crate::{TAPLINE, mariadb};
use tapline_harness::Random;

fn plan() -> Plan {
    Plan {
        seed: Random::seed(),
        tables: 6,
        steps: 30,
    }
}

#[test]
fn rows_of_random_types_say_what_the_server_says_in_snapshot_and_stream_and_across_ddl() {
    let plan = plan();
    println!(
        "{}",
        run(&postgres::asked(crate::postgres(), plan.seed), TAPLINE, plan)
    );
}

#[test]
fn rows_of_mysql_say_what_the_server_says_in_snapshot_and_stream_and_across_ddl() {
    println!("{}", run(&mysql::Asked(crate::mysql()), TAPLINE, plan()));
}

#[test]
fn rows_of_mariadb_say_what_the_server_says_in_snapshot_and_stream_and_across_ddl() {
    println!("{}", run(&mysql::Asked(mariadb()), TAPLINE, plan()));
}
