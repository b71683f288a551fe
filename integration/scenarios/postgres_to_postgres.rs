//! The main job: rows of one Postgres database come into another, through Apache Kafka and through the embedded
//! broker alike, across a restart.

use crate::{TAPLINE, kafka, postgres};
use std::time::Duration;
use tapline_harness::pipeline::{self, sink, source};
use tapline_harness::{Sql, Worker, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_change_in_postgres_reaches_a_second_database_through_apache_kafka() {
    let (bootstrap, names) = (kafka().bootstrap(), pipeline::internal_topics("through_kafka"));
    carries("through_kafka", &pipeline::worker(&bootstrap, &names));
}

#[test]
fn a_change_in_postgres_reaches_a_second_database_through_the_embedded_broker() {
    carries("through_broker", &[]);
}

const TABLES: &str = "
    create table customers (
        id bigint primary key, small smallint not null, n int, part real, share double precision,
        amount numeric(12,2) not null, flag boolean, name varchar(40), body text, raw bytea, uid uuid, doc jsonb,
        day date, moment time, at timestamp(3), exact timestamp, stamp timestamptz, tags text[], numbers int[]);
    alter table customers alter body set storage external;
    create table pairs (a int, b text, note text, primary key (a, b));
    insert into customers
        select i, i % 100, nullif(i % 7, 0), i / 3.0, i / 7.0, i * 1.25, i % 2 = 0, 'name ' || i,
               repeat('long text ', i % 3 * 500), decode(md5(i::text), 'hex'), md5(i::text)::uuid,
               jsonb_build_object('i', i, 'list', jsonb_build_array(1, null, 'x')),
               date '2020-02-29' + i, time '23:59:59.123456', timestamp '2021-03-04 05:06:07.89' + i * interval '1 hour',
               timestamp '1969-12-31 23:59:59.999999', timestamptz '2022-10-30 02:30:00+02' + i * interval '1 minute',
               array['a', null, 'c' || i], array[i, null, -i]
        from generate_series(1, 1000) i;
    insert into pairs select i, 'key ' || i, 'note' from generate_series(1, 50) i";

fn carries(name: &str, settings: &[(&str, &str)]) {
    let from = postgres().create_database(&format!("{name}_from"));
    let to = postgres().create_database(&format!("{name}_to"));
    from.execute(TABLES);
    let mut worker = Worker::start(TAPLINE, settings, &[]);
    let tables = "public.customers,public.pairs";
    worker.put_connector(
        &format!("{name}-source"),
        &source(postgres(), &format!("{name}_from"), name, tables),
    );
    let topics = format!("{name}.public.customers,{name}.public.pairs");
    worker.put_connector(
        &format!("{name}-sink"),
        &sink(postgres(), &format!("{name}_to"), &topics),
    );
    equal(name, &from, &to);
    worker.wait_running(&format!("{name}-source"));

    from.execute("insert into customers (id, small, amount) values (2001, 1, 0), (2002, -1, -0.01)");
    from.execute("update customers set n = n + 1, name = null where id <= 300");
    from.execute("delete from customers where id between 301 and 400");
    // long texts stay in their place, unread; a new key is a deletion and an insertion, of rows without one
    from.execute("update customers set flag = not flag where id between 501 and 600");
    from.execute("update customers set id = id + 10000 where id between 401 and 450 and id % 3 = 0");
    from.execute("update pairs set b = b || '!' where a % 2 = 0; delete from pairs where a % 5 = 0");
    from.execute("begin; update pairs set note = 'rolled back'; rollback");
    from.execute("begin; insert into pairs values (99, 'x', 'born'); update pairs set note = 'grown' where a = 99; delete from pairs where a = 99; insert into pairs values (99, 'x', 'again'); commit");
    equal(name, &from, &to);

    assert!(worker.terminate().success(), "SIGTERM ends it in order");
    from.execute("update customers set amount = amount + 1 where id <= 1000; delete from pairs where a = 99");
    worker.restart();
    from.execute("insert into pairs values (100, 'after', 'the restart')");
    equal(name, &from, &to);

    let offsets = worker
        .rest("GET", &format!("/connectors/{name}-source/offsets"), None)
        .json();
    assert_eq!(offsets["offsets"][0]["partition"]["server"], name, "{offsets}");
    assert_eq!(worker.rest("GET", "/metrics", None).status, 200);
}

/// Waits until both tables are equal, row by row and column by column.
fn equal(name: &str, from: &Sql, to: &Sql) {
    for (table, order) in [("customers", "id"), ("pairs", "a, b")] {
        let columns = from.value(&format!(
            "select string_agg(format('%I::text', attname), ', ' order by attnum) from pg_attribute
             where attrelid = '{table}'::regclass and attnum > 0"
        ));
        eventually(&format!("{table} is equal"), PATIENCE, || {
            let left = from.rows(&format!("select {columns} from {table} order by {order}"));
            let there = to.try_rows(&format!(
                "select {columns} from {name}_public_{table} order by {order}"
            ));
            let right = there.map_err(|e| e.to_string())?;
            match left.iter().zip(&right).find(|(left, right)| left != right) {
                Some((left, right)) => Err(format!("{left:?} became {right:?}")),
                None if left.len() != right.len() => {
                    Err(format!("{} rows became {}", left.len(), right.len()))
                }
                None => Ok(()),
            }
        });
    }
}
