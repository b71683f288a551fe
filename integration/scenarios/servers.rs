//! The servers themselves: what the other scenarios rely on when they kill them.

use std::time::Duration;
use tapline_harness::mysql::Kind;
use tapline_harness::{Kafka, Mysql, Postgres, Sql, create_topic, eventually, topic_names};

#[test]
fn a_killed_postgres_comes_back_with_what_it_committed() {
    let server = Postgres::start(&["fsync=off"]);
    let sql = server.create_database("kept");
    sql.execute("create table t (id int); insert into t select generate_series(1, 1000)");
    server.kill();
    server.restart();
    let sql = eventually("a session", Duration::from_secs(10), || {
        Sql::connect(server.port(), "kept").map_err(|e| e.to_string())
    });
    assert_eq!(sql.count("select count(*) from t"), 1000);
    assert_eq!(sql.value("show wal_level"), "logical");
}

#[test]
fn postgres_18_has_vectors_and_geometries() {
    let sql = Postgres::start_version(18, &[]).create_database("extended");
    assert!(sql.value("show server_version").starts_with("18."));
    sql.execute("create extension vector; create extension postgis");
    assert_eq!(sql.value("select '[1,2]'::vector <-> '[1,3]'"), "1");
    assert_eq!(sql.value("select st_astext(st_point(1, 2))"), "POINT(1 2)");
}

#[test]
fn a_killed_mysql_comes_back_with_what_it_committed() {
    kill_and_count(&Mysql::start(Kind::MySql, &[]), "9.");
}

#[test]
fn a_killed_mariadb_comes_back_with_what_it_committed() {
    kill_and_count(&Mysql::start(Kind::MariaDb, &[]), "10.");
}

fn kill_and_count(server: &Mysql, version: &str) {
    server.execute("create database kept; create table kept.t (id int primary key, name text); insert into kept.t values (1, 'a\tb'), (2, null)");
    server.kill();
    server.restart();
    let rows = server.rows("select id, name from kept.t order by id");
    let texts: Vec<Option<&str>> = rows.iter().flatten().map(Option::as_deref).collect();
    assert_eq!(texts, [Some("1"), Some("a\tb"), Some("2"), None]);
    assert_eq!(server.value("select @@binlog_format"), "ROW");
    assert!(server.value("select version()").starts_with(version));
}

#[test]
fn a_killed_kafka_comes_back_with_its_topics() {
    let kafka = Kafka::start(&[]);
    create_topic(&kafka.bootstrap(), "kept", 3, &[("cleanup.policy", "compact")]);
    kafka.kill();
    kafka.restart();
    assert!(topic_names(&kafka.bootstrap()).contains(&"kept".to_owned()));
}
