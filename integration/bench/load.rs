//! The table that the throughput benchmarks read: rows of about 200 bytes, inserted a thousand to a transaction, then
//! a tenth of them updated a hundred to a transaction. The slot `base` is made before the load and never read:
//! every run drains a copy of it.

use crate::Bench;
use crate::measure::bar;
use std::time::Duration;
use tapline_harness::{Sql, eventually};

/// The database of the load.
pub const DATABASE: &str = "bench";

/// The columns but the key, all of which an upsert sets.
pub const COLUMNS: [&str; 7] = ["k", "grp", "created", "amount", "flag", "name", "payload"];

/// What was loaded.
pub struct Load {
    pub rows: u64,
    /// Inserts and updates together.
    pub events: u64,
    /// A position after the last of them.
    pub end: String,
}

/// Loads once; later calls find what is there.
pub fn load(bench: &Bench) -> Load {
    let (rows, updates) = (bench.rows, bench.rows / 10);
    let databases = bench.postgres().sql("postgres");
    if databases.count(&format!(
        "select count(*) from pg_database where datname = '{DATABASE}'"
    )) == 0
    {
        bench.postgres().create_database(DATABASE);
    }
    let sql = bench.postgres().sql(DATABASE);
    if sql.value("select to_regclass('loaded')").is_empty() {
        fill(&sql, rows, updates);
    }
    Load {
        rows,
        events: rows + updates,
        end: sql.value("select lsn from loaded"),
    }
}

fn fill(sql: &Sql, rows: u64, updates: u64) {
    sql.execute(
        "create table bench_t (id bigint primary key, k int not null, grp int not null, created timestamptz not null,
           amount numeric(12,2) not null, flag boolean, name varchar(40), payload text);
         create publication bench_t_pub for table bench_t",
    );
    sql.execute("select pg_create_logical_replication_slot('base', 'pgoutput')");
    let bar = bar(rows + updates, "loading");
    for first in (1..=rows).step_by(1000) {
        sql.execute(&format!(
            "insert into bench_t
               select x, x % 1000, x % 7, now(), (x % 100000) / 100.0, x % 2 = 0, 'customer-' || x, repeat(md5(x::text), 4)
               from generate_series({first}, {first} + 999) x"
        ));
        bar.inc(1000);
    }
    for first in (1..=rows).step_by(1000) {
        sql.execute(&format!(
            "update bench_t set k = k + 1, amount = amount + 1 where id between {first} and {first} + 99"
        ));
        bar.inc(100);
    }
    bar.finish_and_clear();
    sql.execute("create table loaded as select pg_current_wal_lsn() as lsn");
    // one commit more, so that a reader with an end position passes it
    sql.execute("select pg_logical_emit_message(true, 'bench', 'end')");
    sql.execute("vacuum analyze bench_t");
    sql.execute("checkpoint");
}

/// Makes the slot `name` a fresh copy of `base`.
pub fn copy_slot(bench: &Bench, name: &str) {
    drop_slot(bench, name);
    let copy = format!("select pg_copy_logical_replication_slot('base', '{name}')");
    bench.postgres().sql(DATABASE).execute(&copy);
}

/// Drops the slot, once its reader is gone.
pub fn drop_slot(bench: &Bench, name: &str) {
    let sql = bench.postgres().sql("postgres");
    let drop = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}'"
    );
    eventually("the slot's reader is gone", Duration::from_secs(30), || {
        sql.try_rows(&drop).map(|_| ()).map_err(|e| e.to_string())
    });
}

/// Makes the table `name` a copy of the first `rows` rows, with a publication of its own.
pub fn copy_table(sql: &Sql, name: &str, kind: &str, rows: u64) {
    sql.execute(&format!("drop table if exists {name}"));
    sql.execute(&format!(
        "create {kind} table {name} (like bench_t including all)"
    ));
    sql.execute(&format!(
        "insert into {name} select * from bench_t where id <= {rows}"
    ));
    sql.execute(&format!("vacuum analyze {name}"));
}
