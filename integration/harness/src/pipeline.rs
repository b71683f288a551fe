//! The configurations of the pipeline that most scenarios run: Postgres → topic → Postgres.

use crate::Postgres;
use serde_json::{Value, json};

/// A source of these tables (`public.a,public.b`) of `database`; prefix, slot and publication are named alike.
/// Converters are the worker's: JSON with schemas.
pub fn source(postgres: &Postgres, database: &str, name: &str, tables: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": postgres.port().to_string(),
        "database.user": "postgres",
        "database.password": "none",
        "database.dbname": database,
        "topic.prefix": name,
        "table.include.list": tables,
        "slot.name": name,
        "publication.name": name,
        "publication.autocreate.mode": "filtered",
    })
}

/// A sink of these topics into `database`: upserts and deletes by key, tables made as needed. A topic `a.b.c` becomes
/// the table `a_b_c`.
pub fn sink(postgres: &Postgres, database: &str, topics: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": topics,
        "connection.url": format!("jdbc:postgresql://127.0.0.1:{}/{database}", postgres.port()),
        "connection.username": "postgres",
        "connection.password": "none",
        "insert.mode": "upsert",
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
    })
}

/// Worker settings: internal topics of its own, so that several workers can share one Kafka.
pub fn worker<'a>(bootstrap: &'a str, names: &'a [String; 3]) -> Vec<(&'a str, &'a str)> {
    vec![
        ("bootstrap.servers", bootstrap),
        ("config.storage.topic", &names[0]),
        ("offset.storage.topic", &names[1]),
        ("status.storage.topic", &names[2]),
        ("offset.flush.interval.ms", "1000"),
    ]
}

/// The names of the internal topics of the worker `name`.
pub fn internal_topics(name: &str) -> [String; 3] {
    ["configs", "offsets", "status"].map(|topic| format!("{name}-{topic}"))
}
