//! The servers themselves: what the other scenarios rely on when they kill them.

use std::time::Duration;
use tapline_harness::{Kafka, Postgres, Sql, create_topic, eventually, topic_names};

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
fn a_killed_kafka_comes_back_with_its_topics() {
    let kafka = Kafka::start(&[]);
    create_topic(&kafka.bootstrap(), "kept", 3, &[("cleanup.policy", "compact")]);
    kafka.kill();
    kafka.restart();
    assert!(topic_names(&kafka.bootstrap()).contains(&"kept".to_owned()));
}
