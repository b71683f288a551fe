//! The configurations of the pipelines that most scenarios run: Postgres, MySQL or MariaDB → topic → Postgres.

use crate::mysql::Kind;
use crate::{Mysql, Postgres};
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

/// A source of these tables (`shop.a,shop.b`) of a MySQL or MariaDB server, by the connector for it; topic prefix and
/// `database.server.id` are of its own name. Schemas and history lie in topics of that prefix.
pub fn mysql_source(server: &Mysql, bootstrap: &str, name: &str, tables: &str) -> Value {
    let class = match server.kind() {
        Kind::MySql => "io.debezium.connector.mysql.MySqlConnector",
        Kind::MariaDb => "io.debezium.connector.mariadb.MariaDbConnector",
    };
    let id = name
        .bytes()
        .fold(5000u32, |id, byte| id * 31 % 1_000_003 + u32::from(byte));
    json!({
        "connector.class": class,
        "database.hostname": "127.0.0.1",
        "database.port": server.port().to_string(),
        "database.user": "tapline",
        "database.password": "tapline",
        "database.server.id": id.to_string(),
        "topic.prefix": name,
        "table.include.list": tables,
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
        "schema.history.internal.kafka.topic": format!("{name}.schema-history"),
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
