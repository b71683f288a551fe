//! `io.confluent.connect.jdbc.JdbcSinkConnector`: the same task, in the words of Confluent's JDBC sink 10.9.
//!
//! It knows flat records only: an envelope is flattened by a transformation first, and of semantic types it knows those of
//! Connect itself; Debezium's are the plain numbers and texts that they are made of.

use std::time::Duration;

use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Validator, Width};
use tapline_api::pattern::Pattern;
use tapline_api::schema::logical;
use tapline_api::{Error, Result, Schema, SchemaRef, Type, envelope};

use crate::config::{EXACTLY_ONCE, EXACTLY_ONCE_TABLE, ExactlyOnce, InsertMode, KeyMode};
use crate::dialect;
use crate::names::{FieldFilter, Naming};
use crate::options::{Evolving, Options, Vocabulary};

const CONNECTION: &str = "Connection";
const WRITES: &str = "Writes";
const MAPPING: &str = "Data Mapping";
const DDL: &str = "SQL/DDL Support";
const RETRIES: &str = "Retries";

/// The options, by group.
pub(crate) static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new("connection.url", Kind::String, "The JDBC URL of the target, such as jdbc:postgresql://host:5432/db.")
        .required()
        .importance(Importance::High)
        .form(CONNECTION, 1, Width::Long, "JDBC URL"),
    ConfigKey::new("connection.user", Kind::String, "The user to log in as.")
        .importance(Importance::High)
        .form(CONNECTION, 2, Width::Medium, "JDBC User"),
    ConfigKey::new("connection.password", Kind::Password, "The user's password.")
        .importance(Importance::High)
        .form(CONNECTION, 3, Width::Medium, "JDBC Password"),
    ConfigKey::new(
        "dialect.name",
        Kind::String,
        "The dialect; the one that the URL is for when it is not given, and no other.",
    )
    .default("")
    .form(CONNECTION, 4, Width::Long, "Database Dialect"),
    ConfigKey::new("connection.attempts", Kind::Int, "Taken for compatibility: a lost connection is always made anew.")
        .default("3")
        .form(CONNECTION, 5, Width::Short, "JDBC connection attempts"),
    ConfigKey::new("connection.backoff.ms", Kind::Long, "Taken for compatibility.")
        .default("10000")
        .form(CONNECTION, 6, Width::Short, "JDBC connection backoff in milliseconds"),
    ConfigKey::new(
        "insert.mode",
        Kind::String,
        "How rows are written: insert, upsert (insert, or update where the key exists), or update.",
    )
    .default("insert")
    .valid(Validator::OneOf(&["insert", "upsert", "update"]))
    .importance(Importance::High)
    .form(WRITES, 1, Width::Medium, "Insert Mode"),
    ConfigKey::new(
        "batch.size",
        Kind::Int,
        "Taken for compatibility: all records of one poll of the consumer are one transaction, so \
         consumer.override.max.poll.records decides.",
    )
    .default("3000")
    .importance(Importance::Medium)
    .form(WRITES, 2, Width::Short, "Batch Size"),
    ConfigKey::new(
        "delete.enabled",
        Kind::Boolean,
        "Whether null values delete rows; needs pk.mode=record_key. Otherwise a null value is an error.",
    )
    .default("false")
    .importance(Importance::Medium)
    .form(WRITES, 3, Width::Short, "Enable deletes"),
    ConfigKey::new("table.types", Kind::List, "Which kinds of tables are written: TABLE, PARTITIONED TABLE, VIEW.")
        .default("TABLE")
        .importance(Importance::Low)
        .form(WRITES, 4, Width::Medium, "Table Types"),
    ConfigKey::new("table.name.format", Kind::String, "The table's name; ${topic} stands for the topic.")
        .default("${topic}")
        .importance(Importance::Medium)
        .form(MAPPING, 1, Width::Long, "Table Name Format"),
    ConfigKey::new(
        "pk.mode",
        Kind::String,
        "Where the columns of the primary key come from: none, kafka (topic, partition, offset), record_key or \
         record_value.",
    )
    .default("none")
    .valid(Validator::OneOf(&["none", "kafka", "record_key", "record_value"]))
    .importance(Importance::High)
    .form(MAPPING, 2, Width::Medium, "Primary Key Mode"),
    ConfigKey::new(
        "pk.fields",
        Kind::List,
        "The key's fields: with kafka the names of its three columns; with record_key and record_value all fields when \
         none is given; of a key that is no struct, the name of its one column.",
    )
    .default("")
    .importance(Importance::Medium)
    .form(MAPPING, 3, Width::Long, "Primary Key Fields"),
    ConfigKey::new("fields.whitelist", Kind::List, "The value's fields to write; all when none is given.")
        .default("")
        .importance(Importance::Medium)
        .form(MAPPING, 4, Width::Long, "Fields Whitelist"),
    ConfigKey::new(
        "db.timezone",
        Kind::String,
        "The session's time zone: in it, times with a zone are written to columns without one, and the other way round.",
    )
    .default("UTC")
    .importance(Importance::Medium)
    .form(MAPPING, 5, Width::Medium, "DB Time Zone"),
    ConfigKey::new("date.timezone", Kind::String, "Taken for compatibility: a date is the same day in every zone.")
        .default("DB_TIMEZONE")
        .importance(Importance::Medium)
        .form(MAPPING, 6, Width::Medium, "Date Time Zone"),
    ConfigKey::new(
        "replace.null.with.default",
        Kind::Boolean,
        "Whether a field's default is written where its value is null.",
    )
    .default("true")
    .importance(Importance::Low)
    .form(MAPPING, 7, Width::Short, "Replace null with default"),
    ConfigKey::new("auto.create", Kind::Boolean, "Whether missing tables are created.")
        .default("false")
        .importance(Importance::Medium)
        .form(DDL, 1, Width::Short, "Auto-Create"),
    ConfigKey::new("auto.evolve", Kind::Boolean, "Whether missing columns are added.")
        .default("false")
        .importance(Importance::Medium)
        .form(DDL, 2, Width::Short, "Auto-Evolve"),
    ConfigKey::new(
        "quote.sql.identifiers",
        Kind::String,
        "always: names keep their case. never: they are written as the database folds names that are not quoted.",
    )
    .default("always")
    .valid(Validator::OneOf(&["always", "never"]))
    .importance(Importance::Medium)
    .form(DDL, 3, Width::Medium, "Quote Identifiers"),
    ConfigKey::new("mssql.use.merge.holdlock", Kind::Boolean, "Without effect: SQL Server is not supported.")
        .default("true")
        .importance(Importance::Low)
        .form(DDL, 4, Width::Medium, "SQL Server - Use HOLDLOCK in MERGE"),
    ConfigKey::new(
        "max.retries",
        Kind::Int,
        "How often a batch is tried again within one put, after a lost connection, a lock timeout or the like.",
    )
    .default("10")
    .importance(Importance::Medium)
    .form(RETRIES, 1, Width::Short, "Maximum Retries"),
    ConfigKey::new("retry.backoff.ms", Kind::Int, "How long to wait before such a try.")
        .default("3000")
        .importance(Importance::Medium)
        .form(RETRIES, 2, Width::Short, "Retry Backoff (millis)"),
    EXACTLY_ONCE.form(WRITES, 5, Width::Short, "Exactly once"),
    EXACTLY_ONCE_TABLE.form(WRITES, 6, Width::Medium, "Table of offsets"),
]);

/// Reads a configuration.
///
/// # Errors
/// A config error that names the option.
pub(crate) fn read(config: &Config) -> Result<Options> {
    let parsed = CONFIG.parse(config)?;
    let url = parsed.required("connection.url")?.to_owned();
    let one_of = |name: &str| {
        let text = parsed.required(name)?;
        Ok::<_, Error>((
            text.to_owned(),
            format!("Invalid value {text} for configuration {name}"),
        ))
    };
    let (mode, bad_mode) = one_of("insert.mode")?;
    let (key_mode, bad_key_mode) = one_of("pk.mode")?;
    let (once, bad_once) = one_of("exactly.once")?;
    let keep = parsed.required("quote.sql.identifiers")? == "always" || !dialect::folds(&url);
    let options = Options {
        vocabulary: Vocabulary::Confluent,
        user: config.get("connection.user").unwrap_or_default().to_owned(),
        password: parsed.secret("connection.password").cloned(),
        insert_mode: InsertMode::of(&mode).ok_or_else(|| Error::config(bad_mode))?,
        delete: parsed.boolean("delete.enabled")?,
        truncate: false,
        naming: Naming::new(parsed.required("table.name.format")?, true, keep)?,
        key_mode: KeyMode::of(&key_mode).ok_or_else(|| Error::config(bad_key_mode))?,
        key_fields: config.list("pk.fields"),
        evolving: Evolving {
            create: parsed.boolean("auto.create")?,
            alter: parsed.boolean("auto.evolve")?,
            vocabulary: Vocabulary::Confluent,
        },
        fields: FieldFilter::new(parsed.list("fields.whitelist"), &[])?,
        time_zone: parsed.required("db.timezone")?.to_owned(),
        postgis_schema: "public".to_owned(),
        retries: parsed.count("max.retries")?,
        retry_delay: Duration::from_millis(u64::try_from(parsed.count("retry.backoff.ms")?).unwrap_or(3000)),
        cloud_events: Pattern::new("cloud.events.schema.name.pattern", "\\b\\B")?,
        placeholder: envelope::UNAVAILABLE_VALUE.to_owned(),
        exactly_once: ExactlyOnce::of(&once).ok_or_else(|| Error::config(bad_once))?,
        offsets_table: Naming::new(parsed.required("exactly.once.table")?, true, true)?
            .table("", std::iter::empty())?,
        replace_null: parsed.boolean("replace.null.with.default")?,
        table_types: Some(config.list("table.types"))
            .filter(|types| !types.is_empty())
            .unwrap_or_else(|| vec!["TABLE".to_owned()]),
        url,
    };
    check(&options, parsed.required("dialect.name").unwrap_or_default())?;
    Ok(options)
}

fn check(options: &Options, dialect_name: &str) -> Result<()> {
    let scheme = dialect::scheme(&options.url);
    let fits = match dialect_name.trim() {
        "" => true,
        "PostgreSqlDatabaseDialect" => scheme.starts_with("postgres"),
        "MySqlDatabaseDialect" => matches!(scheme, "mysql" | "mariadb"),
        "SqliteDatabaseDialect" => scheme == "sqlite",
        _ => false,
    };
    if !fits {
        return Err(Error::config(format!(
            "Invalid value {dialect_name} for configuration dialect.name: it is not the one of connection.url; leave it out"
        )));
    }
    if options.delete && options.key_mode != KeyMode::RecordKey {
        return Err(Error::config(
            "Invalid value true for configuration delete.enabled: Deletes are only supported for pk.mode record_key",
        ));
    }
    if options.insert_mode != InsertMode::Insert && options.key_mode == KeyMode::None {
        return Err(Error::config(
            "Invalid value none for configuration pk.mode: insert.mode upsert and update need a key",
        ));
    }
    if options.key_mode == KeyMode::Kafka && !matches!(options.key_fields.len(), 0 | 3) {
        return Err(Error::config(
            "Invalid value for configuration pk.fields: with pk.mode=kafka it must name three columns, or none",
        ));
    }
    Ok(())
}

/// A field's schema as this connector sees it: without Debezium's semantic names. A decimal's precision is not known to it,
/// so the column takes as many digits as there may be.
pub(crate) fn plain(schema: &SchemaRef) -> SchemaRef {
    let name = schema.name().map(|name| &**name);
    match name {
        Some(logical::DECIMAL) => schema
            .to_builder()
            .parameter("connect.decimal.precision", "1000")
            .build(),
        Some(logical::DATE | logical::TIME | logical::TIMESTAMP) | None => schema.clone(),
        Some(_) => {
            let builder = match schema.kind() {
                Type::Array | Type::Map | Type::Struct => return schema.clone(),
                kind => Schema::of(kind),
            };
            let builder = builder.set_optional(schema.is_optional());
            match schema.default() {
                Some(value) => builder.default(value.clone()).build(),
                None => builder.build(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(more: &[(&str, &str)]) -> std::result::Result<Options, String> {
        let base = [("connection.url", "jdbc:postgresql://h/d")];
        let config: Config = base.iter().chain(more).copied().collect();
        read(&config).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_vocabulary_comes_to_the_same_options() {
        let options = read_with(&[
            ("insert.mode", "upsert"),
            ("pk.mode", "record_value"),
            ("pk.fields", "a, b"),
            ("auto.create", "true"),
            ("fields.whitelist", "a,b,c"),
        ])
        .unwrap();
        assert_eq!(options.key_fields, ["a", "b"]);
        assert!(options.evolving.create && !options.evolving.alter);
        assert!(options.fields.passes("t", "c") && !options.fields.passes("t", "d"));
        assert_eq!(
            (options.retries, options.retry_delay),
            (10, Duration::from_secs(3))
        );
        let table = options.naming.table("db.Orders", std::iter::empty()).unwrap();
        assert_eq!(table.to_string(), "db.Orders");
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        for (more, named) in [
            (&[("delete.enabled", "true")][..], "delete.enabled"),
            (&[("insert.mode", "upsert")][..], "pk.mode"),
            (&[("pk.mode", "kafka"), ("pk.fields", "a")][..], "pk.fields"),
            (&[("dialect.name", "MySqlDatabaseDialect")][..], "dialect.name"),
            (&[("exactly.once", "perhaps")][..], "exactly.once"),
        ] {
            let error = read_with(more).map(|_| ()).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn debeziums_names_mean_nothing_here() {
        let schema = Schema::int64()
            .name("io.debezium.time.MicroTimestamp")
            .optional()
            .build();
        let plain = plain(&schema);
        assert_eq!(
            (plain.name(), plain.kind(), plain.is_optional()),
            (None, Type::Int64, true)
        );
    }
}
