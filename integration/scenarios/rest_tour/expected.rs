//! What is not compared, or is answered otherwise on purpose: each with its reason.

use serde_json::Value;

/// How a step is to be answered.
pub enum Expected {
    /// As recorded.
    Recorded,
    /// With this status and a body that contains this text.
    Otherwise(u16, &'static str),
    /// Not asked yet.
    Deferred,
}

/// How this step is to be answered.
pub fn of(step: &Value) -> Expected {
    let n = step["n"].as_u64().unwrap();
    if DEFERRED.iter().any(|(deferred, _)| *deferred == n) {
        return Expected::Deferred;
    }
    match OTHERWISE.iter().find(|(other, ..)| *other == n) {
        Some((_, status, contains, _)) => Expected::Otherwise(*status, contains),
        None => Expected::Recorded,
    }
}

/// How many steps are deferred, and how many are answered otherwise.
pub fn counts() -> (usize, usize) {
    (DEFERRED.len(), OTHERWISE.len())
}

/// Fields whose value is not compared, by the end of their path.
pub const UNCOMPARED: &[(&str, &str)] = &[
    (".documentation", "our own words"),
    (".commit", "the commit of our own build"),
    (
        "MariaDbConnector source].version",
        "the recorded worker had an older one of this connector",
    ),
    (
        "MongoSinkConnector sink].version",
        "the recorded worker had an older one of this connector",
    ),
];

/// Steps that are not answered as recorded yet.
const DEFERRED: &[(u64, &str)] = &[];

/// Steps that are answered otherwise on purpose.
const OTHERWISE: &[(u64, u16, &str, &str)] = &[
    (25, 400, "config", "Java: 500 with a NullPointerException's text"),
    (
        29,
        400,
        "Failed to find any class that implements Connector and which name matches no.such.C",
        "lists our own plugins",
    ),
    (31, 400, "message", "Java: 500 with Jackson's text"),
    (32, 400, "extra", "Java: 500 with Jackson's text"),
    (33, 400, "message", "Java: 500 with a NullPointerException's text"),
    (35, 400, "BOGUS", "Java: 500 with Jackson's text"),
    (
        37,
        200,
        "tour bad/name",
        "Java: a name with a slash can't be read",
    ),
    (38, 204, "", "Java: a name with a slash can't be deleted"),
    (41, 200, "[\"tour-src\"]", "the name with a slash is deleted here"),
    (42, 200, "tour-src", "the name with a slash is deleted here"),
    (
        43,
        200,
        "{\"tour-src\":{}}",
        "the name with a slash is deleted here",
    ),
    (
        53,
        200,
        "{\"tour-src\":{\"topics\":[]}}",
        "Java answers before it has read its own reset",
    ),
    (115, 400, "message", "Java: 500 with Jackson's text"),
    (
        124,
        400,
        "Connection to 127.0.0.1:1 refused.",
        "Java: 500 with a NullPointerException's text",
    ),
    (
        131,
        200,
        "offsets",
        "the recorded task failed for want of decoderbufs, where ours uses pgoutput",
    ),
    (
        134,
        400,
        "lsn",
        "Java takes any offset, and fails when the task starts",
    ),
    (139, 200, "level", "the names of our own loggers"),
    (147, 200, "org.apache.kafka", "the names of our own loggers"),
    (153, 200, "[]", "the name with a slash is deleted here"),
];

/// Plugins of the recorded worker that do not exist here yet.
pub const DEFERRED_PLUGINS: &[&str] = &[
    // sources and sinks
    "com.mongodb.kafka.connect.MongoSourceConnector",
    "org.apache.kafka.connect.mirror.MirrorCheckpointConnector",
    "org.apache.kafka.connect.mirror.MirrorHeartbeatConnector",
    "org.apache.kafka.connect.mirror.MirrorSourceConnector",
    // transformations
    "io.debezium.connector.jdbc.transforms.CollectionNameTransformation",
    "io.debezium.connector.jdbc.transforms.FieldNameTransformation",
    "io.debezium.connector.mysql.transforms.ReadToInsertEvent",
    "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb",
    "io.debezium.transforms.EnforceRecordSize",
    "io.debezium.transforms.ExtractSchemaToNewRecord",
    "io.debezium.transforms.GeometryFormatTransformer",
    "io.debezium.transforms.HeaderToValue",
    "io.debezium.transforms.SchemaChangeEventFilter",
    "io.debezium.transforms.SwapGeometryCoordinates",
    "io.debezium.transforms.TimezoneConverter",
    "io.debezium.transforms.VectorToJsonConverter",
    "io.debezium.transforms.openlineage.OpenLineage",
    "io.debezium.transforms.partitions.PartitionRouting",
    "io.debezium.transforms.tracing.ActivateTracingSpan",
    // converters
    "io.debezium.converters.BinaryDataConverter",
    "io.debezium.converters.ByteArrayConverter",
];

/// Plugins that the recorded worker did not have.
pub const OURS_ALONE: &[(&str, &str)] = &[
    (
        "io.confluent.connect.jdbc.JdbcSinkConnector",
        "the relational sink in Confluent's vocabulary",
    ),
    (
        "io.debezium.transforms.ToLogicalTopicRouter",
        "ByLogicalTableRouter's name from Debezium 3.7 on",
    ),
];

/// Options that no connector of the recorded worker had.
pub const OPTIONS_OURS_ALONE: &[(&str, &str)] = &[
    ("exactly.once", "each record once in the target"),
    ("exactly.once.table", "each record once in the target"),
];

/// Connectors of the tour that are left out of the comparison of topics.
pub const UNASKED_CONNECTORS: &[&str] = &[
    // created and deleted here, created only there
    "tour bad/name",
];

/// Keys of internal topics whose records differ on purpose.
pub const OTHERWISE_IN_TOPICS: &[(&str, &str)] = &[
    (
        "status-topic-tour-lines:connector-tour-fail",
        "told when the first record has come, for which the tour does not wait before it deletes the sink",
    ),
    (
        "[\"tour-pg\",{\"server\":\"tour\"}]",
        "an impossible offset is refused here",
    ),
    (
        "status-task-tour-pg-0",
        "the recorded task failed for want of decoderbufs, where ours uses pgoutput",
    ),
    (
        "task-tour-src-0",
        "Java's connector fails to start on a null value, and makes no tasks of it",
    ),
];
