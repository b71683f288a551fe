//! What the options come to, and which don't go together.

use std::time::Duration;

use tapline_api::config::{Config, Parsed, Secret};
use tapline_api::pattern::Pattern;
use tapline_api::{Error, Result, envelope};

use crate::config::{
    COLUMN_NAMING_DEFAULT, CONFIG, Evolution, ExactlyOnce, InsertMode, KeyMode, NAMING_DEFAULT,
    NAMING_PASSTHROUGH,
};
use crate::names::{FieldFilter, Naming, TableId};
use crate::{confluent, dialect};

/// Options of Debezium that its definition does not show, and our own.
const PLACEHOLDER: &str = "unavailable.value.placeholder";

/// Whose words a configuration is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// Debezium's JDBC sink.
    Debezium,
    /// Confluent's: see [`crate::confluent`].
    Confluent,
}

/// What may be made in the target, and how it is said that it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evolving {
    pub(crate) create: bool,
    pub(crate) alter: bool,
    pub(crate) vocabulary: Vocabulary,
}

/// What the options come to.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) insert_mode: InsertMode,
    pub(crate) delete: bool,
    pub(crate) truncate: bool,
    pub(crate) naming: Naming,
    pub(crate) key_mode: KeyMode,
    /// Empty for all fields.
    pub(crate) key_fields: Vec<String>,
    pub(crate) evolving: Evolving,
    pub(crate) fields: FieldFilter,
    pub(crate) time_zone: String,
    pub(crate) postgis_schema: String,
    pub(crate) retries: usize,
    pub(crate) retry_delay: Duration,
    pub(crate) cloud_events: Pattern,
    /// Stands for a value that the source did not send.
    pub(crate) placeholder: String,
    pub(crate) exactly_once: ExactlyOnce,
    pub(crate) offsets_table: TableId,
    /// Whether a default stands for null even where null is allowed.
    pub(crate) replace_null: bool,
    /// Kinds of tables that are looked for; empty for all.
    pub(crate) table_types: Vec<String>,
}

impl Options {
    /// Reads a configuration.
    ///
    /// # Errors
    /// A config error that names the option.
    pub(crate) fn read(vocabulary: Vocabulary, config: &Config) -> Result<Self> {
        match vocabulary {
            Vocabulary::Debezium => Self::debezium(config),
            Vocabulary::Confluent => confluent::read(config),
        }
    }

    fn debezium(config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        let basic = chosen(&parsed, "schema.evolution", Evolution::of)? == Evolution::Basic;
        let options = Self {
            vocabulary: Vocabulary::Debezium,
            replace_null: false,
            table_types: Vec::new(),
            url: parsed.required("connection.url")?.to_owned(),
            user: parsed.required("connection.username")?.to_owned(),
            password: parsed.secret("connection.password").cloned(),
            insert_mode: chosen(&parsed, "insert.mode", InsertMode::of)?,
            delete: parsed.boolean("delete.enabled")?,
            truncate: parsed.boolean("truncate.enabled")?,
            naming: naming(config, &parsed)?,
            key_mode: chosen(&parsed, "primary.key.mode", KeyMode::of)?,
            key_fields: config.list("primary.key.fields"),
            evolving: Evolving {
                create: basic,
                alter: basic,
                vocabulary: Vocabulary::Debezium,
            },
            fields: FieldFilter::new(
                parsed.list("field.include.list"),
                parsed.list("field.exclude.list"),
            )?,
            time_zone: renamed(config, &parsed, "use.time.zone", "database.time_zone")?,
            postgis_schema: parsed.required("dialect.postgres.postgis.schema")?.to_owned(),
            retries: parsed.count("flush.max.retries")?,
            retry_delay: parsed.millis("flush.retry.delay.ms")?,
            cloud_events: Pattern::new(
                "cloud.events.schema.name.pattern",
                parsed.required("cloud.events.schema.name.pattern")?,
            )?,
            placeholder: config
                .get(PLACEHOLDER)
                .unwrap_or(envelope::UNAVAILABLE_VALUE)
                .to_owned(),
            exactly_once: chosen(&parsed, "exactly.once", ExactlyOnce::of)?,
            offsets_table: Naming::new(parsed.required("exactly.once.table")?, true, true)?
                .table("", std::iter::empty())?,
        };
        match options.contradiction(config) {
            Some((_, message)) => Err(Error::config(message)),
            None => Ok(options),
        }
    }

    /// Options that don't go together: the option and what is wrong.
    pub(crate) fn contradiction(&self, config: &Config) -> Option<(String, String)> {
        let found = |option: &str, message: String| Some((option.to_owned(), message));
        if self.insert_mode != InsertMode::Insert && !config.contains("primary.key.mode") {
            return found(
                "insert.mode",
                "When using UPSERT or UPDATE, please define 'primary.key.mode'.".to_owned(),
            );
        }
        if self.insert_mode != InsertMode::Insert && self.key_mode == KeyMode::None {
            return found(
                "primary.key.mode",
                "insert.mode upsert and update need a key: primary.key.mode must not be none.".to_owned(),
            );
        }
        if self.delete && self.key_mode != KeyMode::RecordKey {
            return found(
                "delete.enabled",
                "When 'delete.enabled' is set to 'true', the 'primary.key.mode' option must be set to 'record_key'."
                    .to_owned(),
            );
        }
        None
    }
}

fn chosen<T>(parsed: &Parsed, name: &str, of: fn(&str) -> Option<T>) -> Result<T> {
    let text = parsed.required(name)?;
    of(text).ok_or_else(|| Error::config(format!("Invalid value {text} for configuration {name}")))
}

/// An option under its name or, if only that is given, its former one.
fn renamed(config: &Config, parsed: &Parsed, name: &str, former: &str) -> Result<String> {
    let name = if config.contains(name) || !config.contains(former) {
        name
    } else {
        former
    };
    parsed.required(name).map(str::to_owned)
}

fn naming(config: &Config, parsed: &Parsed) -> Result<Naming> {
    let format = renamed(config, parsed, "collection.name.format", "table.name.format")?;
    let strategy = renamed(
        config,
        parsed,
        "collection.naming.strategy",
        "table.naming.strategy",
    )?;
    let passthrough = match strategy.as_str() {
        NAMING_DEFAULT | "io.debezium.connector.jdbc.naming.DefaultTableNamingStrategy" => false,
        NAMING_PASSTHROUGH => true,
        other => {
            return Err(Error::config(format!(
                "Invalid value {other} for configuration collection.naming.strategy: only {NAMING_DEFAULT} and \
                 {NAMING_PASSTHROUGH} are built in"
            )));
        }
    };
    let column = parsed.required("column.naming.strategy")?;
    if column != COLUMN_NAMING_DEFAULT && column != "io.debezium.sink.naming.DefaultColumnNamingStrategy" {
        return Err(Error::config(format!(
            "Invalid value {column} for configuration column.naming.strategy: only {COLUMN_NAMING_DEFAULT} is built in"
        )));
    }
    let url = parsed.required("connection.url")?;
    let keep = parsed.boolean("quote.identifiers")? || !dialect::folds(url);
    Naming::new(&format, passthrough, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extra: &[(&str, &str)]) -> Result<Options, String> {
        let base = [
            ("connection.url", "jdbc:postgresql://h/d"),
            ("connection.username", "u"),
        ];
        let config = base.iter().chain(extra).copied().collect();
        Options::read(Vocabulary::Debezium, &config).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn defaults_are_debeziums() {
        let options = read(&[]).unwrap();
        assert_eq!(options.insert_mode, InsertMode::Insert);
        assert_eq!(options.key_mode, KeyMode::None);
        assert!(!options.evolving.create && !options.evolving.alter);
        assert_eq!(
            (options.retries, options.retry_delay),
            (5, Duration::from_secs(1))
        );
    }

    #[test]
    fn former_names_count_where_the_new_ones_are_not_given() {
        assert_eq!(
            read(&[("database.time_zone", "Europe/Berlin")])
                .unwrap()
                .time_zone,
            "Europe/Berlin"
        );
        let both = [
            ("database.time_zone", "Europe/Berlin"),
            ("use.time.zone", "Asia/Tokyo"),
        ];
        assert_eq!(read(&both).unwrap().time_zone, "Asia/Tokyo");
    }

    #[test]
    fn what_does_not_go_together_or_is_unknown_is_refused_by_name() {
        let message = |extra: &[(&str, &str)]| read(extra).map(|_| ()).unwrap_err();
        assert_eq!(
            message(&[("insert.mode", "merge")]),
            "Invalid value merge for configuration insert.mode: Value must be one of insert, upsert, update"
        );
        assert!(message(&[("insert.mode", "upsert")]).contains("'primary.key.mode'"));
        assert!(
            message(&[("delete.enabled", "true"), ("primary.key.mode", "kafka")]).contains("'record_key'")
        );
        assert!(message(&[("column.naming.strategy", "my.Strategy")]).contains("my.Strategy"));
        assert!(message(&[("field.include.list", "a"), ("field.exclude.list", "b")]).contains("only one"));
    }
}
