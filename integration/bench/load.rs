//! The table that the throughput benchmarks read: rows of about 200 bytes, inserted a thousand to a transaction, then
//! a tenth of them updated a hundred to a transaction. The slot `base` is made before the load and never read:
//! every run drains a copy of it.

use crate::Bench;
use tapline_harness::Sql;

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
    let postgres = bench.postgres();
    if postgres
        .sql("postgres")
        .value("select 1 from pg_database where datname = 'bench'")
        .is_empty()
    {
        postgres.create_database("bench");
    }
    let sql = postgres.sql("bench");
    if sql.value("select to_regclass('loaded')").is_empty() {
        eprintln!("loading {rows} inserts and {updates} updates");
        sql.execute(
            "create table bench_t (id bigint primary key, k int not null, grp int not null, created timestamptz not null,
               amount numeric(12,2) not null, flag boolean, name varchar(40), payload text);
             create publication bench_pub for table bench_t;
             create procedure bench_load(n int, u int) language plpgsql as $$
             begin
               for i in 0 .. n / 1000 - 1 loop
                 insert into bench_t
                   select x, x % 1000, x % 7, now(), (x % 100000) / 100.0, x % 2 = 0, 'customer-' || x, repeat(md5(x::text), 4)
                   from generate_series(i * 1000 + 1, (i + 1) * 1000) x;
                 commit;
               end loop;
               for i in 0 .. u / 100 - 1 loop
                 update bench_t set k = k + 1, amount = amount + 1 where id between i * 1000 + 1 and i * 1000 + 100;
                 commit;
               end loop;
             end $$",
        );
        sql.execute("select pg_create_logical_replication_slot('base', 'pgoutput')");
        sql.execute(&format!("call bench_load({rows}, {updates})"));
        sql.execute("create table loaded as select pg_current_wal_lsn() as lsn");
        // one commit more, so that a reader with an end position passes it
        sql.execute("select pg_logical_emit_message(true, 'bench', 'end')");
        sql.execute("vacuum analyze bench_t");
        sql.execute("checkpoint");
    }
    Load {
        rows,
        events: rows + updates,
        end: sql.value("select lsn from loaded"),
    }
}

/// Makes the slot `name` a fresh copy of `base`.
pub fn copy_slot(sql: &Sql, name: &str) {
    drop_slot(sql, name);
    sql.execute(&format!(
        "select pg_copy_logical_replication_slot('base', '{name}')"
    ));
}

/// Drops the slot, once its reader is gone.
pub fn drop_slot(sql: &Sql, name: &str) {
    tapline_harness::eventually(
        "the slot's reader is gone",
        std::time::Duration::from_secs(30),
        || {
            let drop = format!(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}'"
            );
            sql.try_rows(&drop).map(|_| ()).map_err(|e| e.to_string())
        },
    );
}
