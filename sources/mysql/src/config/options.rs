//! The options, as Debezium 3.6 declares them: names, types, defaults and their places in forms; the words are ours.

use tapline_api::config::{ConfigDef, ConfigKey, Importance, Kind, Validator, Width};

use super::check;

const MYSQL: &str = "MySQL";
const CONNECTOR: &str = "Connector";
const HISTORY: &str = "History Storage";
const EVENTS: &str = "Events";

/// What REST lists, in Debezium's order; of the MySQL connector, where that of MariaDB has another default.
pub(crate) static OPTIONS: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("topic.prefix", Kind::String, "The logical name of this database server: the first part of every topic's name, and the source partition under which offsets are stored.").importance(Importance::High).form(MYSQL, 1, Width::Medium, "Topic prefix").valid(Validator::Custom(check::topic_prefix)),
    ConfigKey::new("database.hostname", Kind::String, "Host name or address of the server, or the path of its Unix socket when it begins with a slash.").importance(Importance::High).form(MYSQL, 2, Width::Medium, "Hostname").valid(Validator::DebeziumRequired),
    ConfigKey::new("database.port", Kind::Int, "Port of the server.").default("3306").importance(Importance::High).form(MYSQL, 3, Width::Short, "Port").valid(Validator::Custom(check::positive)),
    ConfigKey::new("database.user", Kind::String, "User to log in as. It needs SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE and REPLICATION CLIENT.").importance(Importance::High).form(MYSQL, 4, Width::Short, "User").valid(Validator::DebeziumRequired),
    ConfigKey::new("database.password", Kind::Password, "Password of that user.").importance(Importance::High).form(MYSQL, 5, Width::Short, "Password"),
    ConfigKey::new("database.query.timeout.ms", Kind::Int, "Longest silence of a query, in milliseconds; 0 for no limit.").default("600000").form(MYSQL, 6, Width::None, "Query timeout").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("database.initial.statements", Kind::String, "SQL statements, apart by semicolons, to run on every SQL connection after log-in. Two semicolons stand for one.").form(MYSQL, 7, Width::Long, "Initial statements"),
    ConfigKey::new("database.server.id", Kind::Long, "The number under which the connector is a replica; unlike that of every other replica.").importance(Importance::High).form(MYSQL, 8, Width::Long, "Cluster ID").valid(Validator::Custom(check::server_id)),
    ConfigKey::new("database.server.id.offset", Kind::Long, "Kept for compatibility.").default("10000").importance(Importance::High).form(MYSQL, 9, Width::Long, "Cluster ID offset").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("database.ssl.keystore", Kind::String, "PEM file of the client's certificate and private key.").importance(Importance::Medium).form(MYSQL, 10, Width::Long, "SSL Keystore"),
    ConfigKey::new("database.ssl.keystore.password", Kind::Password, "Password of the key store; a PEM file has none.").importance(Importance::Medium).form(MYSQL, 11, Width::Medium, "SSL Keystore Password"),
    ConfigKey::new("database.ssl.truststore", Kind::String, "PEM file of the authorities that are trusted.").importance(Importance::Medium).form(MYSQL, 12, Width::Long, "SSL Truststore"),
    ConfigKey::new("database.ssl.truststore.password", Kind::Password, "Password of the trust store; a PEM file has none.").importance(Importance::Medium).form(MYSQL, 13, Width::Medium, "SSL Truststore Password"),
    ConfigKey::new("database.jdbc.driver", Kind::Class, "Kept for compatibility.").default("com.mysql.cj.jdbc.Driver").form(MYSQL, 14, Width::Medium, "JDBC Driver Class Name"),
    ConfigKey::new("database.protocol", Kind::String, "Kept for compatibility.").default("jdbc:mysql").form(MYSQL, 15, Width::Medium, "JDBC Protocol"),
    ConfigKey::new("database.ssl.mode", Kind::String, "Encryption: disabled, preferred, required (encrypted, nothing checked), verify_ca (a trusted authority signed the certificate), verify_identity (and it is for this host). MariaDB's names disable, trust, verify-ca, verify-full are known too. Default: preferred; MariaDB: disable.").default("preferred").importance(Importance::Medium).form(MYSQL, 16, Width::Medium, "SSL mode").valid(Validator::Custom(|name, value| check::one_of(name, value, &["disabled", "preferred", "required", "verify_ca", "verify_identity", "disable", "trust", "verify-ca", "verify-full"]))),
    ConfigKey::new("event.processing.failure.handling.mode", Kind::String, "Debezium's older name of the former.").default("fail").importance(Importance::Medium).form(CONNECTOR, 1, Width::Short, "Event deserialization failure handling").valid(Validator::Custom(|name, value| check::one_of(name, value, &["fail", "warn", "skip"]))),
    ConfigKey::new("max.batch.size", Kind::Int, "Most records in a batch.").default("2048").importance(Importance::Medium).form(CONNECTOR, 2, Width::Short, "Change event batch size").valid(Validator::Custom(check::positive)),
    ConfigKey::new("max.queue.size", Kind::Int, "Kept for compatibility: reading ahead is bounded in bytes.").default("8192").importance(Importance::Medium).form(CONNECTOR, 3, Width::Short, "Change event buffer size").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("poll.interval.ms", Kind::Long, "Kept for compatibility.").default("500").importance(Importance::Medium).form(CONNECTOR, 4, Width::Short, "Poll interval (ms)").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("max.queue.size.in.bytes", Kind::Long, "Most bytes to read ahead; 0 for a few megabytes.").default("0").importance(Importance::Medium).form(CONNECTOR, 5, Width::Long, "Change event buffer size in bytes").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("provide.transaction.metadata", Kind::Boolean, "Whether events say which transaction they are of, and a topic has its boundaries.").default("false").form(CONNECTOR, 6, Width::Short, "Store transaction metadata information in a dedicated topic."),
    ConfigKey::new("skipped.operations", Kind::List, "Operations that make no events: c, u, d, t, r, or none.").default("t").form(CONNECTOR, 7, Width::Short, "Skipped Operations").valid(Validator::Custom(check::operations)),
    ConfigKey::new("snapshot.delay.ms", Kind::Long, "Time to wait before a snapshot, in milliseconds.").default("0").form(CONNECTOR, 8, Width::Medium, "Snapshot Delay (milliseconds)").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("streaming.delay.ms", Kind::Long, "Time to wait between a snapshot and streaming, in milliseconds.").default("0").form(CONNECTOR, 9, Width::Medium, "Streaming Delay (milliseconds)").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("snapshot.include.collection.list", Kind::List, "Regular expressions of tables whose rows a snapshot reads; all captured ones if empty.").importance(Importance::Medium).form(CONNECTOR, 10, Width::Long, "Snapshot mode include data collection").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("snapshot.fetch.size", Kind::Int, "Kept for compatibility: a snapshot is a stream of rows.").importance(Importance::Medium).form(CONNECTOR, 11, Width::Medium, "Snapshot fetch size").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("snapshot.max.threads", Kind::Int, "How many sessions read a snapshot's chunks.").default("1").importance(Importance::Medium).form(CONNECTOR, 12, Width::Short, "Snapshot maximum threads").valid(Validator::Custom(check::positive)),
    ConfigKey::new("snapshot.max.threads.multiplier", Kind::Int, "Kept for compatibility.").default("1").importance(Importance::Medium).form(CONNECTOR, 13, Width::Short, "Snapshot maximum thread multiplier"),
    ConfigKey::new("legacy.snapshot.max.threads", Kind::Boolean, "Kept for compatibility: whether one thread reads a table.").default("false").form(CONNECTOR, 14, Width::Short, "Enforces using a single thread per table regardless of table size"),
    ConfigKey::new("internal.legacy.snapshot.max.threads", Kind::Boolean, "Kept for compatibility: whether one thread reads a table.").default("false").form(CONNECTOR, 14, Width::Short, "Enforces using a single thread per table regardless of table size"),
    ConfigKey::new("snapshot.mode.custom.name", Kind::String, "Name of a snapshot mode of one's own (Java).").importance(Importance::Medium).form(CONNECTOR, 15, Width::Medium, "Snapshot Mode Custom Name"),
    ConfigKey::new("snapshot.mode.configuration.based.snapshot.data", Kind::Boolean, "With snapshot.mode=configuration_based: whether to read the tables' rows.").default("false").importance(Importance::Medium).form(CONNECTOR, 16, Width::Medium, "Snapshot mode property based snapshot data"),
    ConfigKey::new("snapshot.mode.configuration.based.snapshot.schema", Kind::Boolean, "With snapshot.mode=configuration_based: whether to read the tables' structure.").default("false").importance(Importance::Medium).form(CONNECTOR, 17, Width::Medium, "Snapshot mode property based snapshot schema"),
    ConfigKey::new("snapshot.mode.configuration.based.start.stream", Kind::Boolean, "With snapshot.mode=configuration_based: whether to stream afterwards.").default("false").importance(Importance::Medium).form(CONNECTOR, 18, Width::Medium, "Snapshot mode property based start stream"),
    ConfigKey::new("snapshot.mode.configuration.based.snapshot.on.schema.error", Kind::Boolean, "With snapshot.mode=configuration_based: whether to read the structure again after an error in it.").default("false").importance(Importance::Medium).form(CONNECTOR, 19, Width::Medium, "Snapshot mode property based snapshot on schema error"),
    ConfigKey::new("snapshot.mode.configuration.based.snapshot.on.data.error", Kind::Boolean, "With snapshot.mode=configuration_based: whether to read the rows again when the log has gone.").default("false").importance(Importance::Medium).form(CONNECTOR, 20, Width::Medium, "Snapshot mode property based snapshot on data error"),
    ConfigKey::new("retriable.restart.connector.wait.ms", Kind::Long, "Longest time to wait before that, in milliseconds.").default("10000").form(CONNECTOR, 21, Width::Medium, "Retriable restart wait (ms)").valid(Validator::Custom(check::positive)),
    ConfigKey::new("query.fetch.size", Kind::Int, "Kept for compatibility: rows are read as a stream.").default("0").importance(Importance::Medium).form(CONNECTOR, 22, Width::Medium, "Query fetch size"),
    ConfigKey::new("errors.max.retries", Kind::Int, "How often a retriable failure is tried again; -1 without end.").default("-1").form(CONNECTOR, 23, Width::Medium, "The maximum number of retries"),
    ConfigKey::new("incremental.snapshot.watermarking.strategy", Kind::String, "How an incremental snapshot marks its windows in the signal table: insert_insert or insert_delete.").default("INSERT_INSERT").form(CONNECTOR, 24, Width::Medium, "Incremental snapshot watermarking strategy").valid(Validator::Custom(|name, value| check::one_of(name, value, &["insert_insert", "insert_delete"]))).recommend(|_| offer(&["insert_delete", "insert_insert"])),
    ConfigKey::new("internal.log.position.check.enable", Kind::Boolean, "Whether the stored offset is checked against the slot at start.").default("true").importance(Importance::Medium).form(CONNECTOR, 25, Width::Medium, "Enable/Disable log position check"),
    ConfigKey::new("internal.advanced.metrics.enable", Kind::Boolean, "Kept for compatibility.").default("false").importance(Importance::Medium).form(CONNECTOR, 26, Width::Medium, "Enable/Disable advance metrics"),
    ConfigKey::new("connection.validation.timeout.ms", Kind::Long, "Longest time that a validation may take, in milliseconds.").default("60000").form(CONNECTOR, 27, Width::Short, "Connection validation timeout (ms)").valid(Validator::Custom(check::positive)),
    ConfigKey::new("executor.shutdown.timeout.ms", Kind::Long, "Kept for compatibility.").default("4000").importance(Importance::Medium).form(CONNECTOR, 28, Width::Medium, "Executor shutdown timeout (ms)"),
    ConfigKey::new("openlineage.integration.enabled", Kind::Boolean, "Whether lineage is sent.").default("false").form(CONNECTOR, 29, Width::Short, "Enables OpenLineage integration"),
    ConfigKey::new("openlineage.integration.config.file.path", Kind::String, "File of the OpenLineage configuration.").default("./openlineage.yml").form(CONNECTOR, 30, Width::Long, "Path to OpenLineage file configuration"),
    ConfigKey::new("openlineage.integration.job.namespace", Kind::String, "Namespace of the OpenLineage job.").form(CONNECTOR, 31, Width::Long, "Namespace used for Debezium job"),
    ConfigKey::new("openlineage.integration.job.description", Kind::String, "Description of the OpenLineage job.").default("Debezium change data capture job").form(CONNECTOR, 32, Width::Long, "Description used for Debezium job"),
    ConfigKey::new("openlineage.integration.job.tags", Kind::List, "Tags of the OpenLineage job.").form(CONNECTOR, 33, Width::Long, "Debezium job tags"),
    ConfigKey::new("openlineage.integration.job.owners", Kind::List, "Owners of the OpenLineage job.").form(CONNECTOR, 34, Width::Long, "Debezium job owners"),
    ConfigKey::new("openlineage.integration.dataset.kafka.bootstrap.servers", Kind::String, "Kafka servers to name in OpenLineage datasets.").form(CONNECTOR, 35, Width::Long, "Kafka bootstrap server used in Kafka Connect deployment"),
    ConfigKey::new("extended.headers.enabled", Kind::Boolean, "Whether events have the headers of their context.").default("true").form(CONNECTOR, 36, Width::Short, "Enable/Disable extended headers"),
    ConfigKey::new("guardrail.collections.max", Kind::Int, "Most tables to capture; 0 for no limit.").default("0").importance(Importance::Medium).form(CONNECTOR, 37, Width::Short, "Maximum number of collections or tables").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("guardrail.collections.limit.action", Kind::String, "What to do about more: warn, fail.").default("warn").importance(Importance::Medium).form(CONNECTOR, 38, Width::Short, "Guardrail collections limit action").valid(Validator::Custom(|name, value| check::one_of(name, value, &["warn", "fail"]))),
    ConfigKey::new("custom.sanitize.pattern", Kind::String, "Regular expression of options whose values are not logged.").default(".*secret$|.*password$|.*sasl\\.jaas\\.config$|.*basic\\.auth\\.user\\.info|.*registry\\.auth\\.client-secret|.*credentials\\.json$|.*connectionstring$|.*connection\\.string$").form(CONNECTOR, 39, Width::Long, "Custom pattern for masking sensitive configuration"),
    ConfigKey::new("statistics.metrics.enabled", Kind::Boolean, "Whether latencies are measured.").default("true").importance(Importance::Medium).form(CONNECTOR, 40, Width::Short, "Enable collecting statistics metrics like latencies"),
    ConfigKey::new("decimal.handling.mode", Kind::String, "How DECIMAL appears: precise (Decimal), double, string.").default("precise").importance(Importance::Medium).form(CONNECTOR, 41, Width::Short, "Decimal Handling").valid(Validator::Custom(|name, value| check::one_of(name, value, &["precise", "double", "string"]))),
    ConfigKey::new("snapshot.lock.timeout.ms", Kind::Long, "Longest time to wait for a lock, in milliseconds.").default("10000").importance(Importance::Medium).form(CONNECTOR, 42, Width::Long, "Snapshot lock timeout (ms)").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("memory.management.schemas.class", Kind::Class, "Kept for compatibility.").default("io.debezium.relational.ConcurrentMapTableMappingStorage").form(CONNECTOR, 43, Width::Long, "Schema storage class"),
    ConfigKey::new("memory.management.tables.class", Kind::Class, "Kept for compatibility.").default("io.debezium.relational.ConcurrentMapTableMappingStorage").form(CONNECTOR, 44, Width::Long, "Table storage class"),
    ConfigKey::new("connect.timeout.ms", Kind::Int, "Longest time to connect and log in, in milliseconds.").default("30000").importance(Importance::Medium).form(CONNECTOR, 45, Width::Short, "Connection Timeout (ms)").valid(Validator::Custom(check::positive)),
    ConfigKey::new("connect.keep.alive", Kind::Boolean, "Whether the stream's connection is watched: a server that is silent for three intervals is given up, and connected to again.").default("true").form(CONNECTOR, 46, Width::Short, "Keep connection alive (true/false)"),
    ConfigKey::new("connect.keep.alive.interval.ms", Kind::Long, "That interval, in milliseconds; the server is asked for heartbeats as often.").default("60000").form(CONNECTOR, 47, Width::Short, "Keep alive interval (ms)").valid(Validator::Custom(check::positive)),
    ConfigKey::new("use.nongraceful.disconnect", Kind::Boolean, "Kept for compatibility.").default("false").importance(Importance::Medium).form(CONNECTOR, 48, Width::Short, "Use Non-graceful Disconnect"),
    ConfigKey::new("binlog.net.write.timeout", Kind::Long, "Seconds that the server waits for the stream to be read (net_write_timeout); 0 for the server's own.").default("0").importance(Importance::Medium).form(CONNECTOR, 49, Width::Short, "Binlog Net Write Timeout"),
    ConfigKey::new("binlog.net.read.timeout", Kind::Long, "Seconds that the server waits for the connector's answers (net_read_timeout); 0 for the server's own.").default("0").importance(Importance::Medium).form(CONNECTOR, 50, Width::Short, "Binlog Net Read Timeout"),
    ConfigKey::new("snapshot.mode", Kind::String, "When a snapshot is taken: initial, initial_only, always, no_data (schemas alone), when_needed, recovery (of a lost schema history), never (the log from its beginning), configuration_based.").default("initial").form(CONNECTOR, 51, Width::Short, "Snapshot mode").valid(Validator::Custom(|name, value| check::one_of(name, value, &["always", "when_needed", "initial", "no_data", "schema_only", "recovery", "schema_only_recovery", "initial_only", "never", "configuration_based", "custom"]))),
    ConfigKey::new("snapshot.query.mode", Kind::String, "How a snapshot's queries are made.").default("select_all").form(CONNECTOR, 52, Width::Short, "Snapshot query mode"),
    ConfigKey::new("snapshot.query.mode.custom.name", Kind::String, "Name of a snapshot query of one's own (Java).").importance(Importance::Medium).form(CONNECTOR, 53, Width::Medium, "Snapshot Query Mode Custom Name"),
    ConfigKey::new("bigint.unsigned.handling.mode", Kind::String, "How BIGINT UNSIGNED appears: long (int64, negative above its range), precise (Decimal).").default("long").importance(Importance::Medium).form(CONNECTOR, 54, Width::Short, "The mode for handling bigint-unsigned values").valid(Validator::Custom(|name, value| check::one_of(name, value, &["long", "precise"]))),
    ConfigKey::new("time.precision.mode", Kind::String, "How times appear: adaptive_time_microseconds, connect, isostring, microseconds, nanoseconds.").default("adaptive_time_microseconds").importance(Importance::Medium).form(CONNECTOR, 55, Width::Short, "The time precision mode to be used").valid(Validator::Custom(|name, value| check::one_of(name, value, &["adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"]))),
    ConfigKey::new("enable.time.adjuster", Kind::Boolean, "Whether years of two digits are taken as near 2000.").default("true").form(CONNECTOR, 56, Width::Short, "Enable Time Adjuster"),
    ConfigKey::new("schema.name.adjustment.mode", Kind::String, "How schema names are made fit for a converter: none, avro, avro_unicode.").default("none").form(CONNECTOR, 57, Width::Medium, "Schema Name Adjustment").valid(Validator::Custom(|name, value| check::one_of(name, value, &["none", "avro", "avro_unicode"]))),
    ConfigKey::new("min.row.count.to.stream.results", Kind::Int, "Kept for compatibility: a snapshot is a stream of rows.").default("1000").form(CONNECTOR, 58, Width::Medium, "Stream result set of size").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("incremental.snapshot.chunk.size", Kind::Int, "Rows of an incremental snapshot's chunk.").default("1024").importance(Importance::Medium).form(CONNECTOR, 59, Width::Medium, "Incremental snapshot chunk size"),
    ConfigKey::new("incremental.snapshot.allow.schema.changes", Kind::Boolean, "Whether structure may change during an incremental snapshot.").default("false").form(CONNECTOR, 60, Width::Short, "Allow schema changes during incremental snapshot if supported."),
    ConfigKey::new("snapshot.locking.mode", Kind::String, "What is locked during a snapshot: minimal (writes, while schemas are read), extended (writes, until the end), none.").default("minimal").form(CONNECTOR, 61, Width::Short, "Snapshot locking mode").valid(Validator::Custom(|name, value| check::one_of(name, value, &["extended", "minimal", "minimal_percona", "minimal_percona_no_table_locks", "none"]))),
    ConfigKey::new("ddl.parser.type", Kind::String, "Kept for compatibility.").default("default").form(CONNECTOR, 62, Width::Short, "DDL Parser Type").valid(Validator::Custom(|name, value| check::one_of(name, value, &["default", "legacy"]))),
    ConfigKey::new("schema.history.internal", Kind::Class, "Where the history of schemas is kept: KafkaSchemaHistory.").default("io.debezium.storage.kafka.history.KafkaSchemaHistory").form(HISTORY, 1, Width::Long, "Database schema history class"),
    ConfigKey::new("schema.history.internal.skip.unparseable.ddl", Kind::Boolean, "Whether statements that can't be parsed are stepped over.").default("false").form(HISTORY, 2, Width::Short, "Skip DDL statements that cannot be parsed"),
    ConfigKey::new("schema.history.internal.store.only.captured.tables.ddl", Kind::Boolean, "Whether the history keeps captured tables alone.").default("false").form(HISTORY, 3, Width::Short, "Store only DDL that modifies tables that are captured based on include/exclude lists"),
    ConfigKey::new("schema.history.internal.store.only.captured.databases.ddl", Kind::Boolean, "Whether the history keeps captured databases alone.").default("false").form(HISTORY, 4, Width::Short, "Store only DDL that modifies tables of databases that are captured based on include/exclude lists"),
    ConfigKey::new("converters", Kind::String, "Names of converters; each needs NAME.type. Built in: TinyIntOneToBooleanConverter, ZeroDateFallbackConverter.").form(EVENTS, 1, Width::Medium, "List of prefixes defining custom values converters."),
    ConfigKey::new("post.processors", Kind::String, "Java classes; have no meaning here.").form(EVENTS, 2, Width::Medium, "List of change event post processors."),
    ConfigKey::new("tombstones.on.delete", Kind::Boolean, "Whether a delete is followed by a tombstone.").default("true").importance(Importance::Medium).form(EVENTS, 3, Width::Short, "Change the behaviour of Debezium with regards to delete operations"),
    ConfigKey::new("heartbeat.interval.ms", Kind::Int, "How often a heartbeat is written, in milliseconds; 0 for never.").default("0").importance(Importance::Medium).form(EVENTS, 4, Width::Medium, "Connector heartbeat interval (milli-seconds)").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("heartbeat.topics.prefix", Kind::String, "First part of the heartbeat topic's name.").default("__debezium-heartbeat").form(EVENTS, 5, Width::Medium, "A prefix used for naming of heartbeat topics"),
    ConfigKey::new("signal.data.collection", Kind::List, "Table that signals are written to.").importance(Importance::Medium).form(EVENTS, 6, Width::Medium, "Signaling data collection"),
    ConfigKey::new("signal.poll.interval.ms", Kind::Long, "How often to look for signals, in milliseconds.").default("5000").importance(Importance::Medium).form(EVENTS, 7, Width::Short, "Signal processor poll interval"),
    ConfigKey::new("signal.enabled.channels", Kind::List, "Where signals are heard.").default("source").importance(Importance::Medium).form(EVENTS, 8, Width::Long, "Enabled channels names"),
    ConfigKey::new("topic.naming.strategy", Kind::Class, "How topics are named.").default("io.debezium.schema.SchemaTopicNamingStrategy").importance(Importance::Medium).form(EVENTS, 9, Width::Medium, "Topic naming strategy class"),
    ConfigKey::new("notification.enabled.channels", Kind::List, "Where notifications go.").importance(Importance::Medium).form(EVENTS, 10, Width::Long, "Enabled notification channels names"),
    ConfigKey::new("notification.sink.topic.name", Kind::String, "Topic of notifications.").importance(Importance::High).form(EVENTS, 11, Width::Long, "Notification topic name"),
    ConfigKey::new("transaction.metadata.factory", Kind::Class, "A Java class.").default("io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory").form(EVENTS, 12, Width::Medium, "Factory class to create transaction context & transaction struct maker classes"),
    ConfigKey::new("custom.metric.tags", Kind::List, "Labels for metrics, as name=value pairs.").form(EVENTS, 13, Width::Medium, "Customize metric tags"),
    ConfigKey::new("column.include.list", Kind::List, "Regular expressions of columns (database.table.column) that are captured.").importance(Importance::Medium).form(EVENTS, 14, Width::Long, "Include Columns").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("column.exclude.list", Kind::List, "Regular expressions of columns that are not captured.").importance(Importance::Medium).form(EVENTS, 15, Width::Long, "Exclude Columns").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("table.include.list", Kind::List, "Regular expressions of tables (database.table) that are captured.").importance(Importance::High).form(EVENTS, 16, Width::Long, "Include Tables").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("table.exclude.list", Kind::List, "Regular expressions of tables that are not captured.").importance(Importance::Medium).form(EVENTS, 17, Width::Long, "Exclude Tables").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("message.key.columns", Kind::String, "Keys of one's own for tables: database.table:column,column;…").importance(Importance::Medium).form(EVENTS, 18, Width::Long, "Columns PK mapping").valid(Validator::Custom(check::key_columns)),
    ConfigKey::new("snapshot.select.statement.overrides", Kind::String, "Tables whose snapshot uses a query of one's own.").importance(Importance::Medium).form(EVENTS, 19, Width::Long, "List of tables where the default select statement used during snapshotting should be overridden."),
    ConfigKey::new("column.mask.hash.([^.]+).with.salt.(.+)", Kind::String, "Columns whose text is replaced by its salted hash.").importance(Importance::Medium).form(EVENTS, 20, Width::Long, "Mask Columns Using Hash and Salt"),
    ConfigKey::new("column.mask.with.(d+).chars", Kind::String, "Columns whose text is replaced by asterisks.").importance(Importance::Medium).form(EVENTS, 21, Width::None, "Mask Columns With n Asterisks"),
    ConfigKey::new("column.truncate.to.(d+).chars", Kind::Int, "Columns whose text is cut.").importance(Importance::Medium).form(EVENTS, 22, Width::None, "Truncate Columns To n Characters"),
    ConfigKey::new("include.schema.changes", Kind::Boolean, "Whether changes of structure are written to the topic of the prefix's name.").default("true").importance(Importance::Medium).form(EVENTS, 23, Width::Short, "Include database schema changes"),
    ConfigKey::new("include.schema.comments", Kind::Boolean, "Whether comments on tables and columns are kept.").default("false").importance(Importance::Medium).form(EVENTS, 24, Width::Short, "Include Table and Column Comments"),
    ConfigKey::new("column.propagate.source.type", Kind::List, "Regular expressions of columns whose database type goes into the schema's parameters.").importance(Importance::Medium).form(EVENTS, 25, Width::None, "Propagate Source Types by Columns"),
    ConfigKey::new("datatype.propagate.source.type", Kind::List, "Regular expressions of database types that go into the schema's parameters.").importance(Importance::Medium).form(EVENTS, 26, Width::None, "Propagate Source Types by Data Type"),
    ConfigKey::new("internal.snapshot.scan.all.columns.force", Kind::Boolean, "Kept for compatibility.").default("false").form(EVENTS, 27, Width::Short, "Snapshot force scan all columns of all tables"),
    ConfigKey::new("snapshot.tables.order.by.row.count", Kind::String, "Whether a snapshot takes small or large tables first.").default("disabled").importance(Importance::Medium).form(EVENTS, 28, Width::None, "Initial snapshot tables order by row count").valid(Validator::Custom(|name, value| check::one_of(name, value, &["ascending", "descending", "disabled"]))),
    ConfigKey::new("heartbeat.action.query", Kind::String, "SQL statement to run with every heartbeat.").form(EVENTS, 29, Width::Medium, "An optional query to execute with every heartbeat"),
    ConfigKey::new("include.query", Kind::Boolean, "Whether the statement of a change stands in its event; the server must log it (binlog_rows_query_log_events, binlog_annotate_row_events).").default("false").importance(Importance::Medium).form(EVENTS, 30, Width::Short, "Include original SQL query with in change events"),
    ConfigKey::new("table.ignore.builtin", Kind::Boolean, "Whether the server's own tables are left out.").default("true").form(EVENTS, 31, Width::Short, "Ignore system databases").dependents(&["database.include.list"]),
    ConfigKey::new("database.include.list", Kind::List, "Regular expressions of databases that are captured.").importance(Importance::High).form(EVENTS, 32, Width::Long, "Include Databases").dependents(&["table.include.list"]).valid(Validator::Custom(check::patterns)),
    ConfigKey::new("database.exclude.list", Kind::List, "Regular expressions of databases that are not captured.").importance(Importance::Medium).form(EVENTS, 33, Width::Long, "Exclude Databases").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("binlog.buffer.size", Kind::Int, "Kept for compatibility.").default("0").importance(Importance::Medium).form(EVENTS, 34, Width::Medium, "Binlog reader buffer size").valid(Validator::Custom(check::non_negative)),
    ConfigKey::new("event.deserialization.failure.handling.mode", Kind::String, "What to do with an event that can't be read: fail, warn (it is skipped), skip.").default("fail").importance(Importance::Medium).form(EVENTS, 35, Width::Short, "Event deserialization failure handling").valid(Validator::Custom(|name, value| check::one_of(name, value, &["fail", "warn", "skip", "ignore"]))),
    ConfigKey::new("inconsistent.schema.handling.mode", Kind::String, "What to do with changes of a table whose schema is not known: fail, warn (they are skipped), skip.").default("fail").importance(Importance::Medium).form(EVENTS, 36, Width::Short, "Inconsistent schema failure handling").valid(Validator::Custom(|name, value| check::one_of(name, value, &["fail", "warn", "skip", "ignore"]))),
    ConfigKey::new("gtid.source.filter.dml.events", Kind::Boolean, "Whether changes of other sources make no events.").default("true").importance(Importance::Medium).form(EVENTS, 37, Width::Short, "Filter DML events"),
    ConfigKey::new("gtid.ignore.on.recovery", Kind::Boolean, "Whether stored GTIDs are ignored, and the file and position taken.").default("false").form(EVENTS, 38, Width::Short, "Ignore GTID on recovery"),
    ConfigKey::new("gtid.source.includes", Kind::List, "Regular expressions of source UUIDs whose transactions are known when a position is looked for.").importance(Importance::High).form(EVENTS, 39, Width::Long, "Include GTID sources").dependents(&["table.include.list"]).valid(Validator::Custom(check::patterns)),
    ConfigKey::new("gtid.source.excludes", Kind::String, "Regular expressions of source UUIDs whose transactions are not.").importance(Importance::Medium).form(EVENTS, 40, Width::Long, "Exclude GTID sources").valid(Validator::Custom(check::patterns)),
    ConfigKey::new("sourceinfo.struct.maker", Kind::Class, "A Java class.").default("io.debezium.connector.mysql.MySqlSourceInfoStructMaker").form(EVENTS, 41, Width::Medium, "Source info struct maker class"),
]);

/// What Debezium reads without listing it.
pub(crate) static UNLISTED: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "internal.snapshot.chunk.bytes",
        Kind::Long,
        "About how many bytes of a table make a chunk of a snapshot, which a kill repeats at most once per connection. It is read and stored in quarters.",
    )
    .default("16777216")
    .valid(Validator::Custom(check::positive)),
    ConfigKey::new(
        "skip.messages.without.change",
        Kind::Boolean,
        "Whether updates that change no captured column make no event.",
    )
    .default("false"),
    ConfigKey::new(
        "binary.handling.mode",
        Kind::String,
        "How binary values appear: bytes, base64, base64-url-safe, hex.",
    )
    .default("bytes")
    .valid(Validator::Custom(|name, value| {
        check::one_of(name, value, &["bytes", "base64", "base64-url-safe", "hex"])
    })),
    ConfigKey::new(
        "event.converting.failure.handling.mode",
        Kind::String,
        "What to do with a value that can't be converted: fail, warn (it becomes null), skip.",
    )
    .default("warn")
    .importance(Importance::Medium)
    .valid(Validator::Custom(|name, value| {
        check::one_of(name, value, &["fail", "warn", "skip"])
    })),
    ConfigKey::new(
        "schema.history.internal.kafka.topic",
        Kind::String,
        "Topic of that history; PREFIX.schema-history if it is not set.",
    )
    .importance(Importance::High),
    ConfigKey::new(
        "schema.history.internal.kafka.bootstrap.servers",
        Kind::String,
        "Kafka servers of that topic; the worker's if it is not set.",
    )
    .importance(Importance::High),
    ConfigKey::new(
        "schema.history.internal.prefer.ddl",
        Kind::Boolean,
        "Whether a recovery reads statements even where the tables are recorded.",
    )
    .default("false"),
    ConfigKey::new(
        "schema.history.internal.ddl.filter",
        Kind::String,
        "Regular expressions of statements that are stepped over.",
    ),
    ConfigKey::new(
        "topic.delimiter",
        Kind::String,
        "What stands between the parts of a topic's name.",
    )
    .default(".")
    .importance(Importance::Medium)
    .valid(Validator::Custom(check::topic_part)),
    ConfigKey::new("topic.cache.size", Kind::Int, "Kept for compatibility.").default("10000"),
    ConfigKey::new(
        "topic.heartbeat.prefix",
        Kind::String,
        "First part of the heartbeat topic's name.",
    )
    .default("__debezium-heartbeat")
    .valid(Validator::Custom(check::topic_part)),
    ConfigKey::new(
        "topic.heartbeat.name",
        Kind::String,
        "Name of the heartbeat topic, instead.",
    )
    .valid(Validator::Custom(check::topic_part)),
    ConfigKey::new(
        "topic.transaction",
        Kind::String,
        "Last part of the transaction topic's name.",
    )
    .default("transaction")
    .valid(Validator::Custom(check::topic_part)),
    ConfigKey::new("field.name.adjustment.mode", Kind::String, "How field names are.")
        .default("none")
        .importance(Importance::Medium)
        .valid(Validator::Custom(|name, value| {
            check::one_of(name, value, &["none", "avro", "avro_unicode"])
        })),
    ConfigKey::new(
        "read.only",
        Kind::Boolean,
        "Whether the connector never writes to the database.",
    )
    .default("false"),
]);

/// Values to offer, in the order in which Debezium's answer has them.
fn offer(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}
