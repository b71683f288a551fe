//! Rows of MySQL and of MariaDB come into Postgres: snapshot, changes, an added column, and what was changed while the
//! worker was down.

use crate::{TAPLINE, kafka, mariadb, mysql, postgres};
use std::time::Duration;
use tapline_harness::pipeline::{self, mysql_source, sink};
use tapline_harness::{Mysql, Sql, Worker, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_change_in_mysql_reaches_postgres_through_apache_kafka() {
    let (bootstrap, names) = (kafka().bootstrap(), pipeline::internal_topics("my_to_pg"));
    carries("my_to_pg", mysql(), &pipeline::worker(&bootstrap, &names));
}

#[test]
fn a_change_in_mariadb_reaches_postgres_through_the_embedded_broker() {
    carries("maria_to_pg", mariadb(), &[]);
}

const TABLES: &str = "
    create table customers (
        id bigint primary key, tiny tinyint, small smallint unsigned not null, n int, huge bigint, part float,
        share double, amount decimal(12,2) not null, name varchar(40), latin varchar(40) character set latin1, body text,
        raw varbinary(64), kind enum('new','old','x,y'), doc json, day date, moment time(6), at datetime(3),
        stamp timestamp(6) null);
    create table pairs (a int, b varchar(30), note text, primary key (a, b));
    insert into customers
        with recursive s(i) as (select 1 union all select i + 1 from s where i < 1000)
        select i, i % 100 - 50, i * 60, nullif(i % 7, 0), i * -9000000000, i / 4, i / 7e0, i * 1.25, concat('name ü🐘 ', i),
               'café', repeat('long text ', i % 3 * 500), unhex(sha2(i, 256)), elt(i % 3 + 1, 'new', 'old', 'x,y'),
               json_object('i', i, 'list', json_array(1, null, 'x')), date_add('2020-02-29', interval i day),
               '23:59:59.123456', date_add('2021-03-04 05:06:07.89', interval i hour),
               date_add('2022-10-30 00:30:00.000001', interval i minute)
        from s;
    insert into pairs with recursive s(i) as (select 1 union all select i + 1 from s where i < 50)
        select i, concat('key ', i), 'note' from s;";

/// A column as both servers can print it: in MySQL, in Postgres.
const CUSTOMERS: [(&str, &str); 18] = [
    ("id", "id"),
    ("tiny", "tiny"),
    ("small", "small"),
    ("n", "n"),
    ("huge", "huge"),
    ("cast(part as decimal(20,6))", "part::numeric(20,6)"),
    ("cast(share as decimal(20,6))", "share::numeric(20,6)"),
    ("amount", "amount"),
    ("name", "name"),
    ("latin", "latin"),
    ("char_length(body)", "length(body)"),
    ("lower(hex(raw))", "encode(raw, 'hex')"),
    ("kind", "kind"),
    (
        "concat(json_extract(doc, '$.i'), ' ', json_length(doc, '$.list'))",
        "doc::jsonb ->> 'i' || ' ' || jsonb_array_length(doc::jsonb -> 'list')",
    ),
    ("day", "day"),
    ("moment", "to_char(moment, 'HH24:MI:SS.US')"),
    ("at", "to_char(at, 'YYYY-MM-DD HH24:MI:SS.MS')"),
    (
        "stamp",
        "to_char(stamp at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
    ),
];
const PAIRS: [(&str, &str); 3] = [("a", "a"), ("b", "b"), ("note", "note")];

fn carries(name: &str, from: &Mysql, settings: &[(&str, &str)]) {
    from.execute(&format!("create database {name}; use {name}; {TABLES}"));
    let change = |sql: &str| from.execute(&format!("use {name}; {sql}"));
    let to = postgres().create_database(&format!("{name}_to"));
    let mut worker = Worker::start(TAPLINE, settings, &[]);
    let tables = format!("{name}.customers,{name}.pairs");
    let source = mysql_source(from, &worker.bootstrap(), name, &tables);
    worker.put_connector(&format!("{name}-source"), &source);
    let topics = format!("{name}.{name}.customers,{name}.{name}.pairs");
    worker.put_connector(
        &format!("{name}-sink"),
        &sink(postgres(), &format!("{name}_to"), &topics),
    );
    let (mut customers, pairs) = (CUSTOMERS.to_vec(), PAIRS.to_vec());
    equal(name, "customers", &customers, from, &to);
    equal(name, "pairs", &pairs, from, &to);
    worker.wait_running(&format!("{name}-source"));

    change("insert into customers (id, small, amount) values (2001, 1, 0), (2002, 65535, -0.01)");
    change("update customers set n = n + 1, name = null where id <= 300");
    change("delete from customers where id between 301 and 400");
    change("update customers set id = id + 10000 where id between 401 and 450 and id % 3 = 0");
    change("update pairs set b = concat(b, '!') where a % 2 = 0; delete from pairs where a % 5 = 0");
    change("begin; update pairs set note = 'rolled back'; rollback");
    change(
        "begin; insert into pairs values (99, 'x', 'born'); update pairs set note = 'grown' where a = 99;
         delete from pairs where a = 99; insert into pairs values (99, 'x', 'again'); commit",
    );
    // a column in the middle, with a value for the rows that are there; another one that goes
    change("alter table customers add column level int not null default 7 after small, drop column kind");
    change(
        "update customers set level = id % 5 where id <= 100; insert into customers (id, small, amount) values (2003, 2, 1)",
    );
    customers.retain(|(column, _)| *column != "kind");
    customers.push(("level", "level"));
    equal(name, "customers", &customers, from, &to);
    equal(name, "pairs", &pairs, from, &to);

    assert!(worker.terminate().success(), "SIGTERM ends it in order");
    change("update customers set amount = amount + 1 where id <= 1000; delete from pairs where a = 99");
    change("alter table pairs add column weight decimal(5,1), rename column note to remark");
    change("insert into pairs values (101, 'while', 'it was down', 1.5)");
    worker.restart();
    change("insert into pairs values (100, 'after', 'the restart', null)");
    equal(name, "customers", &customers, from, &to);
    let pairs = [("a", "a"), ("b", "b"), ("weight", "weight")];
    equal(name, "pairs", &pairs, from, &to);
    assert_eq!(
        to.value(&format!("select remark from {name}_{name}_pairs where a = 101")),
        "it was down"
    );

    let offsets = worker
        .rest("GET", &format!("/connectors/{name}-source/offsets"), None)
        .json();
    assert!(offsets.to_string().contains("binlog."), "{offsets}");
}

/// Waits until both tables are equal, row by row and column by column.
fn equal(name: &str, table: &str, columns: &[(&str, &str)], from: &Mysql, to: &Sql) {
    let list = |side: fn(&(&str, &str)) -> String| columns.iter().map(side).collect::<Vec<_>>().join(", ");
    let (left, right) = (list(|c| c.0.to_owned()), list(|c| format!("({})::text", c.1)));
    eventually(&format!("{table} of {name} is equal"), PATIENCE, || {
        let left = from.rows(&format!("select {left} from {name}.{table} order by 1, 2"));
        let right = to
            .try_rows(&format!("select {right} from {name}_{name}_{table}"))
            .map_err(|e| e.as_db_error().map_or_else(|| e.to_string(), ToString::to_string))?;
        let (mut left, mut right) = (left, right);
        left.sort();
        right.sort();
        match left.iter().zip(&right).find(|(left, right)| left != right) {
            Some((left, right)) => Err(format!("{left:?} became {right:?}")),
            None if left.len() != right.len() => Err(format!("{} rows became {}", left.len(), right.len())),
            None => Ok(()),
        }
    });
}
