//! The options of Debezium's JDBC sink 3.6, as REST shows them.

use tapline_api::config::{ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator, Width};

const GROUP: &str = "Connector";
pub(crate) const NAMING_DEFAULT: &str = "io.debezium.sink.naming.DefaultCollectionNamingStrategy";
pub(crate) const NAMING_PASSTHROUGH: &str = "io.debezium.sink.naming.PassthroughCollectionNamingStrategy";
pub(crate) const COLUMN_NAMING_DEFAULT: &str =
    "io.debezium.connector.jdbc.naming.DefaultColumnNamingStrategy";

/// The options, in Debezium's order.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("connection.url", Kind::String, "The JDBC URL of the target, such as jdbc:postgresql://host:5432/db.")
        .valid(Validator::DebeziumRequired)
        .importance(Importance::High)
        .form(GROUP, 1, Width::Long, "Hostname"),
    ConfigKey::new("connection.username", Kind::String, "The user to log in as.")
        .valid(Validator::DebeziumRequired)
        .importance(Importance::High)
        .form(GROUP, 2, Width::Short, "User"),
    ConfigKey::new("connection.password", Kind::Password, "The user's password.")
        .importance(Importance::High)
        .form(GROUP, 3, Width::Short, "Password"),
    ConfigKey::new(
        "connection.pool.min_size",
        Kind::Int,
        "Taken for compatibility: a task has one connection, over which it pipelines.",
    )
    .default("5")
    .form(GROUP, 4, Width::Short, "Connection pool minimum size"),
    ConfigKey::new(
        "connection.pool.max_size",
        Kind::Int,
        "Taken for compatibility: a task has one connection, over which it pipelines.",
    )
    .default("32")
    .form(GROUP, 5, Width::Short, "Connection pool maximum size"),
    ConfigKey::new(
        "connection.pool.timeout",
        Kind::Long,
        "Taken for compatibility: a task keeps its one connection.",
    )
    .default("1800")
    .form(GROUP, 6, Width::Short, "Connection pool timeout"),
    ConfigKey::new(
        "insert.mode",
        Kind::String,
        "How rows are written: insert, upsert (insert, or update where the key exists), or update.",
    )
    .default("insert")
    .valid(Validator::Custom(insert_mode))
    .form(GROUP, 7, Width::Short, "The insertion mode to use"),
    ConfigKey::new(
        "delete.enabled",
        Kind::Boolean,
        "Whether delete events and null values delete rows; needs primary.key.mode=record_key.",
    )
    .default("false")
    .form(GROUP, 8, Width::Short, "Controls whether records can be deleted by the connector"),
    ConfigKey::new("truncate.enabled", Kind::Boolean, "Whether truncate events empty the table.")
        .default("false")
        .form(GROUP, 9, Width::Short, "Controls whether tables can be truncated by the connector"),
    ConfigKey::new(
        "collection.name.format",
        Kind::String,
        "The table's name; ${topic} stands for the topic, its dots as underscores, and ${source.FIELD} for a field of \
         the event's source block.",
    )
    .default("${topic}")
    .importance(Importance::Medium)
    .form(GROUP, 10, Width::Medium, "A format string for the collection name"),
    ConfigKey::new("table.name.format", Kind::String, "The former name of collection.name.format.")
        .default("${topic}")
        .importance(Importance::Medium)
        .form(GROUP, 10, Width::Medium, "A format string for the collection name"),
    ConfigKey::new(
        "primary.key.mode",
        Kind::String,
        "Where the columns of the primary key come from: none, kafka (topic, partition, offset), record_key, \
         record_value or record_header.",
    )
    .default("none")
    .valid(Validator::Custom(key_mode))
    .importance(Importance::High)
    .form(GROUP, 11, Width::Short, "Primary key mode"),
    ConfigKey::new(
        "primary.key.fields",
        Kind::String,
        "Which fields of the key, value or headers make up the primary key; all of them when it is not given. Names \
         the column of a key that is not a struct.",
    )
    .form(GROUP, 12, Width::Medium, "Comma-separated list of primary key field names"),
    ConfigKey::new(
        "schema.evolution",
        Kind::String,
        "Whether missing tables and columns are created (basic) or an error (none). Nothing is ever dropped.",
    )
    .default("none")
    .valid(Validator::Custom(schema_evolution))
    .form(GROUP, 13, Width::Short, "Controls how schema evolution is handled by the sink connector"),
    ConfigKey::new(
        "quote.identifiers",
        Kind::Boolean,
        "Whether names keep their case; otherwise they are written as the database folds names that are not quoted.",
    )
    .default("false")
    .form(GROUP, 14, Width::Short, "Controls whether table, column, or other identifiers are quoted"),
    ConfigKey::new(
        "collection.naming.strategy",
        Kind::Class,
        "How a topic's name becomes a table's: Debezium's default, or its passthrough, which leaves dots in the topic.",
    )
    .default(NAMING_DEFAULT)
    .form(GROUP, 15, Width::Long, "CollectionNamingStrategy class"),
    ConfigKey::new("table.naming.strategy", Kind::Class, "The former name of collection.naming.strategy.")
        .default(NAMING_DEFAULT)
        .form(GROUP, 15, Width::Long, "CollectionNamingStrategy class"),
    ConfigKey::new("column.naming.strategy", Kind::Class, "How a field's name becomes a column's: Debezium's default.")
        .default(COLUMN_NAMING_DEFAULT)
        .form(GROUP, 16, Width::Long, "Name of the strategy class that implements the ColumnNamingStrategy interface"),
    ConfigKey::new("collection.table.format", Kind::String, "Without effect, as in Debezium 3.6.")
        .default("${table}")
        .importance(Importance::Medium)
        .form(GROUP, 17, Width::Long, "Format string using table name"),
    ConfigKey::new(
        "use.time.zone",
        Kind::String,
        "The session's time zone: in it, times with a zone are written to columns without one, and the other way round.",
    )
    .default("UTC")
    .importance(Importance::Medium)
    .form(GROUP, 18, Width::Short, "The timezone used when inserting temporal values."),
    ConfigKey::new("database.time_zone", Kind::String, "The former name of use.time.zone.")
        .default("UTC")
        .importance(Importance::Medium)
        .form(GROUP, 18, Width::Short, "The timezone used when inserting temporal values."),
    ConfigKey::new("dialect.postgres.postgis.schema", Kind::String, "The schema of the PostGIS extension.")
        .default("public")
        .form(GROUP, 19, Width::Long, "Name of the schema where postgis extension is installed"),
    ConfigKey::new(
        "dialect.postgres.unnest.insert.enabled",
        Kind::Boolean,
        "Taken for compatibility: rows are always written by UNNEST.",
    )
    .default("false")
    .importance(Importance::Medium)
    .form(GROUP, 20, Width::Short, "Enable UNNEST-based batch inserts for PostgreSQL"),
    ConfigKey::new("dialect.sqlserver.identity.insert", Kind::Boolean, "Without effect: SQL Server is not supported.")
        .default("false")
        .form(
            GROUP,
            21,
            Width::Short,
            "Allowing to insert explicit value for identity column in table for SQLSERVER.",
        ),
    ConfigKey::new(
        "batch.size",
        Kind::Int,
        "Taken for compatibility: all records of one poll of the consumer are one transaction, so \
         consumer.override.max.poll.records decides.",
    )
    .default("500")
    .importance(Importance::Medium)
    .form(
        GROUP,
        22,
        Width::Short,
        "Specifies how many records to attempt to batch together into the destination table, when possible. You can \
         also configure the connector’s underlying consumer’s max.poll.records using \
         consumer.override.max.poll.records in the connector configuration.",
    ),
    ConfigKey::new("field.include.list", Kind::List, "The fields to write, as FIELD or TOPIC:FIELD; all when not given.")
        .importance(Importance::Medium)
        .form(GROUP, 23, Width::Long, "Include Fields"),
    ConfigKey::new("field.exclude.list", Kind::List, "The fields to leave out, as FIELD or TOPIC:FIELD.")
        .importance(Importance::Medium)
        .form(GROUP, 24, Width::Long, "Exclude Fields"),
    ConfigKey::new(
        "flush.max.retries",
        Kind::Int,
        "How often a batch is tried again within one put, after a lost connection, a lock timeout or the like.",
    )
    .default("5")
    .form(GROUP, 25, Width::Short, "Max retry count"),
    ConfigKey::new("flush.retry.delay.ms", Kind::Long, "How long to wait before such a try.")
        .default("1000")
        .form(GROUP, 26, Width::Short, "Delay to retry flush"),
    ConfigKey::new(
        "connection.restart.on.errors",
        Kind::Boolean,
        "Taken for compatibility: a lost connection is always made anew.",
    )
    .default("false")
    .form(GROUP, 27, Width::Short, "Restart connection on errors"),
    ConfigKey::new(
        "cloud.events.schema.name.pattern",
        Kind::String,
        "Values whose schema's name matches are CloudEvents: the row is in their data.",
    )
    .default(".*CloudEvents\\.Envelope$")
    .form(GROUP, 28, Width::Long, "CloudEvents messages schema name pattern"),
    EXACTLY_ONCE.form(GROUP, 29, Width::Short, "Exactly once"),
    EXACTLY_ONCE_TABLE.form(GROUP, 30, Width::Medium, "Table of offsets"),
]);

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $check:ident, $($(#[$value_doc:meta])* $value:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name {
            $($(#[$value_doc])* $value,)*
        }

        impl $name {
            /// As it is written.
            #[allow(dead_code, reason = "not every choice is told")]
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            /// The value that is written so, in any case.
            pub(crate) fn of(text: &str) -> Option<Self> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($text => Some(Self::$value),)*
                    _ => None,
                }
            }
        }

        fn $check(name: &str, value: &ConfigValue) -> Option<String> {
            one_of(name, value, |text| $name::of(text).is_some(), &[$($text),*])
        }
    };
}

choice!(
    /// `insert.mode`.
    InsertMode, insert_mode,
    /// Plain INSERT.
    Insert = "insert",
    /// INSERT, or UPDATE where the key exists.
    Upsert = "upsert",
    /// UPDATE.
    Update = "update",
);

choice!(
    /// `primary.key.mode`.
    KeyMode, key_mode,
    /// No key.
    None = "none",
    /// Topic, partition and offset.
    Kafka = "kafka",
    /// The record's key.
    RecordKey = "record_key",
    /// Fields of the value.
    RecordValue = "record_value",
    /// Headers.
    RecordHeader = "record_header",
);

choice!(
    /// `schema.evolution`.
    Evolution, schema_evolution,
    /// Missing tables and columns are an error.
    None = "none",
    /// They are created.
    Basic = "basic",
);

choice!(
    /// `exactly.once`.
    ExactlyOnce, exactly_once,
    /// With `insert.mode=insert`, where repeats would show, if the table of offsets is there or can be made.
    Auto = "auto",
    /// Always, or the task fails.
    Enabled = "enabled",
    /// Never.
    Disabled = "disabled",
);

/// The options that are ours alone, in both vocabularies.
pub(crate) const EXACTLY_ONCE: ConfigKey = ConfigKey::new(
    "exactly.once",
    Kind::String,
    "Whether consumed offsets are kept in the target, in the transaction that writes the rows: auto (with \
     insert.mode=insert, if the user may create the table), enabled or disabled. Ours; the Java connectors are \
     at-least-once.",
)
.default("auto")
.valid(Validator::Custom(exactly_once))
.importance(Importance::Medium);

/// See [`EXACTLY_ONCE`].
pub(crate) const EXACTLY_ONCE_TABLE: ConfigKey = ConfigKey::new(
    "exactly.once.table",
    Kind::String,
    "The table of these offsets, as TABLE or SCHEMA.TABLE.",
)
.default("tapline_offsets")
.importance(Importance::Low);

fn one_of(name: &str, value: &ConfigValue, good: fn(&str) -> bool, all: &[&str]) -> Option<String> {
    match value {
        ConfigValue::Text(text) if good(text) => None,
        value => Some(format!(
            "Invalid value {} for configuration {name}: Value must be one of {}",
            value.display().as_deref().unwrap_or("null"),
            all.join(", ")
        )),
    }
}
