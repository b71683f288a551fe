//! The connectors' configuration: declared in [`options`], checked in [`check`], typed here once for a task's life.

mod check;
mod modes;
mod options;

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use tapline_api::config::{Config, Parsed};
use tapline_api::{Error, Result};
use tapline_cdc::channels::Channels;
use tapline_cdc::check::contradictions;
use tapline_cdc::filter::{Filters, PatternList};
use tapline_cdc::naming::TopicNaming;
use tapline_cdc::notification::Notifier;
use tapline_cdc::options::{OnFailure, Overrides, Shared, metric_tags};
use tapline_databases::mysql::{Settings, SslMode};

use crate::ddl::{Dialect, Flavor};
use crate::history::{DdlFilter, Kept};
use crate::schema::TableId;
use crate::types::{DecimalMode, TimeMode, TypeModes};
use crate::value::BinaryMode;
use crate::zero_date::ZeroDates;

pub(crate) use modes::{Locking, SnapshotMode};
pub(crate) use options::OPTIONS;

const NAMING: &str = "io.debezium.schema.DefaultTopicNamingStrategy";

/// All that a task reads of its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// What every change source has; its fields are these options', too.
    pub(crate) shared: Shared,
    pub(crate) flavor: Flavor,
    /// As the user gave it, for the schema history's clients.
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) server_id: u32,
    /// `None` when the stream's connection is not watched.
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) naming: TopicNaming,
    pub(crate) filters: Filters,
    pub(crate) types: TypeModes,
    /// `None`, which is not to be had in Debezium: the table is held until its schema is known.
    pub(crate) on_unknown_schema: Option<OnFailure>,
    /// An event that can't be read.
    pub(crate) on_unreadable: OnFailure,
    pub(crate) snapshot_mode: SnapshotMode,
    pub(crate) locking: Locking,
    pub(crate) sources_included: PatternList,
    pub(crate) sources_excluded: PatternList,
    pub(crate) filter_by_source: bool,
    pub(crate) ignore_gtids: bool,
    pub(crate) include_query: bool,
    pub(crate) schema_changes: bool,
    pub(crate) comments: bool,
    pub(crate) ddl_filter: DdlFilter,
    pub(crate) kept: Kept,
    pub(crate) prefer_ddl: bool,
    /// `signal.data.collection`.
    pub(crate) signal_table: Option<TableId>,
}

impl Deref for Options {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// What there is to say against options that no single check sees: two lists of one kind, and what is not supported.
pub(crate) fn findings(config: &Config) -> Vec<(String, String)> {
    let mut found = check::unsupported(config);
    found.extend(contradictions(config, &["database", "table", "column"]));
    if let Err(error) = converters(config) {
        found.push(("converters".to_owned(), error.message().to_owned()));
    }
    let mut check = |option: &str, checked: Result<()>| {
        if let Err(error) = checked {
            found.push((option.to_owned(), error.message().to_owned()));
        }
    };
    check(
        "snapshot.select.statement.overrides",
        Overrides::new(config).map(drop),
    );
    check("signal.data.collection", signal_table(config).map(drop));
    check(
        "signal.enabled.channels",
        channels(config, Duration::ZERO).map(drop),
    );
    check("notification.enabled.channels", notifier(config).map(drop));
    let tags = config.get("custom.metric.tags").unwrap_or_default();
    let tags: Vec<String> = tags.split(',').map(str::to_owned).collect();
    check("custom.metric.tags", metric_tags(&tags).map(drop));
    for info in options::UNLISTED.validate(config) {
        found.extend(info.errors.into_iter().map(|error| (info.name.clone(), error)));
    }
    found
}

impl Options {
    /// Reads a configuration, or says the first thing that is wrong with it.
    pub(crate) fn new(config: &Config, flavor: Flavor) -> Result<Self> {
        let parsed = OPTIONS.parse(config)?.with(options::UNLISTED.parse(config)?);
        if let Some((_, text)) = findings(config).into_iter().next() {
            return Err(Error::config(text));
        }
        let lower = |name: &str| parsed.text(name).unwrap_or_default().trim().to_lowercase();
        let list = |name: &str| PatternList::new(name, config.get(name).unwrap_or_default());
        let failure = |name: &str| OnFailure::named(&lower(name)).unwrap_or(OnFailure::Fail);
        // What is listed as the default is that of other connectors; Debezium runs with this one.
        let strategy = given(config, "topic.naming.strategy").unwrap_or(NAMING);
        let (tiny_int_one, zero_dates) = converters(config)?;
        Ok(Self {
            shared: Shared::new(config, &parsed)?,
            flavor,
            config: config.clone(),
            settings: settings(config, &parsed, flavor)?,
            server_id: u32::try_from(parsed.integer("database.server.id")?).unwrap_or(u32::MAX),
            keep_alive: parsed
                .boolean("connect.keep.alive")?
                .then(|| parsed.millis("connect.keep.alive.interval.ms"))
                .transpose()?,
            naming: TopicNaming::new(&parsed)?.with_strategy(strategy, config)?,
            filters: filters(config, parsed.boolean("table.ignore.builtin")?)?,
            types: TypeModes {
                decimal: match lower("decimal.handling.mode").as_str() {
                    "double" => DecimalMode::Double,
                    "string" => DecimalMode::String,
                    _ => DecimalMode::Precise,
                },
                time: match lower("time.precision.mode").as_str() {
                    "connect" => TimeMode::Connect,
                    "isostring" => TimeMode::Iso,
                    "microseconds" => TimeMode::Micros,
                    "nanoseconds" => TimeMode::Nanos,
                    _ => TimeMode::AdaptiveMicros,
                },
                binary: match lower("binary.handling.mode").as_str() {
                    "base64" => BinaryMode::Base64,
                    "base64-url-safe" => BinaryMode::Base64UrlSafe,
                    "hex" => BinaryMode::Hex,
                    _ => BinaryMode::Bytes,
                },
                unsigned_precise: lower("bigint.unsigned.handling.mode") == "precise",
                adjust_years: parsed.boolean("enable.time.adjuster")?,
                tiny_int_one,
                zero_dates,
                json_is_text: flavor == Flavor::MariaDb,
            },
            on_unknown_schema: given(config, "inconsistent.schema.handling.mode").and_then(OnFailure::named),
            on_unreadable: match given(config, "event.deserialization.failure.handling.mode") {
                Some(_) => failure("event.deserialization.failure.handling.mode"),
                None => failure("event.processing.failure.handling.mode"),
            },
            snapshot_mode: match lower("snapshot.mode").as_str() {
                "initial_only" => SnapshotMode::InitialOnly,
                "always" => SnapshotMode::Always,
                "no_data" | "schema_only" => SnapshotMode::NoData,
                "when_needed" => SnapshotMode::WhenNeeded,
                "never" => SnapshotMode::Never,
                "recovery" | "schema_only_recovery" => SnapshotMode::Recovery,
                "configuration_based" => {
                    let flag =
                        |name: &str| parsed.boolean(&format!("snapshot.mode.configuration.based.{name}"));
                    SnapshotMode::ConfigurationBased {
                        data: flag("snapshot.data")?,
                        stream: flag("start.stream")?,
                        on_schema_error: flag("snapshot.on.schema.error")?,
                        on_data_error: flag("snapshot.on.data.error")?,
                    }
                }
                _ => SnapshotMode::Initial,
            },
            locking: match lower("snapshot.locking.mode").as_str() {
                "extended" => Locking::Extended,
                "none" => Locking::None,
                _ => Locking::Minimal,
            },
            sources_included: list("gtid.source.includes")?,
            sources_excluded: list("gtid.source.excludes")?,
            filter_by_source: parsed.boolean("gtid.source.filter.dml.events")?,
            ignore_gtids: parsed.boolean("gtid.ignore.on.recovery")?,
            include_query: parsed.boolean("include.query")?,
            schema_changes: parsed.boolean("include.schema.changes")?,
            comments: parsed.boolean("include.schema.comments")?,
            ddl_filter: DdlFilter::new(config)?,
            kept: Kept {
                only_captured_tables: parsed
                    .boolean("schema.history.internal.store.only.captured.tables.ddl")?,
                only_captured_databases: parsed
                    .boolean("schema.history.internal.store.only.captured.databases.ddl")?,
            },
            prefer_ddl: parsed.boolean("schema.history.internal.prefer.ddl")?,
            signal_table: signal_table(config)?,
        })
    }

    /// Whether anything is to be done for signals.
    pub(crate) fn has_signals(&self) -> bool {
        self.channels.has_outside() || self.channels.source && self.signal_table.is_some()
    }

    /// Whether signals are read from this table.
    pub(crate) fn is_signal_table(&self, id: &TableId) -> bool {
        self.channels.source && self.signal_table.as_ref() == Some(id)
    }

    /// Whether a table is captured.
    pub(crate) fn captures(&self, database: &str, table: &str) -> bool {
        self.filters.table(database, table, is_builtin(database))
    }

    /// The grammar of statements.
    pub(crate) fn dialect(&self) -> Dialect {
        let mut dialect = match self.flavor {
            Flavor::MySql => Dialect::mysql(),
            Flavor::MariaDb => Dialect::mariadb(),
        };
        // MariaDB's connector keeps them whatever is set.
        dialect.comments = self.comments || self.flavor == Flavor::MariaDb;
        dialect
    }

    /// `mysql` or `mariadb`.
    pub(crate) fn connector(&self) -> &'static str {
        match self.flavor {
            Flavor::MySql => "mysql",
            Flavor::MariaDb => "mariadb",
        }
    }
}

/// Whether the server brought a database along.
pub(crate) fn is_builtin(database: &str) -> bool {
    ["mysql", "performance_schema", "sys", "information_schema"]
        .iter()
        .any(|builtin| database.eq_ignore_ascii_case(builtin))
}

fn filters(config: &Config, ignore_builtin: bool) -> Result<Filters> {
    let mut config = config.clone();
    // What another database calls schemas.
    for kind in ["include", "exclude"] {
        config.remove(&format!("schema.{kind}.list"));
        if let Some(list) = config.get(&format!("database.{kind}.list")).map(str::to_owned) {
            config.set(format!("schema.{kind}.list"), list);
        }
    }
    Filters::new(&config, ignore_builtin)
}

fn given<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    config.get(name).map(str::trim).filter(|value| !value.is_empty())
}

/// `database.table`.
fn signal_table(config: &Config) -> Result<Option<TableId>> {
    let given = config.get("signal.data.collection").unwrap_or_default().trim();
    if given.is_empty() {
        return Ok(None);
    }
    match given.split_once('.') {
        Some((database, table)) if !given.contains(',') => Ok(Some(TableId::new(database, table))),
        _ => Err(Error::config(format!(
            "The 'signal.data.collection' value is invalid: one table is expected, database.table, not {given}"
        ))),
    }
}

fn channels(config: &Config, poll: Duration) -> Result<Channels> {
    Channels::new(config, config.get("topic.prefix").unwrap_or_default(), poll)
}

fn notifier(config: &Config) -> Result<Notifier> {
    let channels = config.get("notification.enabled.channels").unwrap_or_default();
    let channels: Vec<String> = channels.split(',').map(|name| name.trim().to_owned()).collect();
    Notifier::new(
        config.get("topic.prefix").unwrap_or_default(),
        &channels,
        config.get("notification.sink.topic.name"),
    )
}

fn settings(config: &Config, parsed: &Parsed, flavor: Flavor) -> Result<Settings> {
    let mut settings = Settings::new(
        parsed.required("database.hostname")?,
        parsed.required("database.user")?,
    );
    settings.port = u16::try_from(parsed.integer("database.port")?)
        .map_err(|_| Error::config("The 'database.port' value is invalid: a port is at most 65535"))?;
    settings.password = parsed.secret("database.password").cloned();
    settings.connect_timeout = parsed.millis("connect.timeout.ms")?;
    settings.ssl_mode = match given(config, "database.ssl.mode") {
        Some(mode) => mode
            .parse::<SslMode>()
            .map_err(|error| Error::config(format!("The 'database.ssl.mode' value is invalid: {error}")))?,
        None if flavor == Flavor::MariaDb => SslMode::Disabled,
        None => SslMode::Preferred,
    };
    let file = |name: &str| {
        let path = parsed.text(name).filter(|path| !path.is_empty())?;
        Some(PathBuf::from(path.strip_prefix("file:").unwrap_or(path)))
    };
    settings.ssl_ca = file("database.ssl.truststore");
    settings.ssl_cert = file("database.ssl.keystore");
    settings.ssl_key = file("database.ssl.keystore");
    Ok(settings)
}

/// `converters`: those that are built in. The columns of `TinyIntOneToBooleanConverter`, and what stands for zero dates.
fn converters(config: &Config) -> Result<(Option<PatternList>, Option<ZeroDates>)> {
    let (mut bits, mut dates) = (None, None);
    for name in config.list("converters") {
        let class = config.get(&format!("{name}.type")).unwrap_or_default().trim();
        match class.rsplit('.').next().unwrap_or_default() {
            "TinyIntOneToBooleanConverter" => {
                let selector = format!("{name}.selector");
                let patterns = config.get(&selector).unwrap_or_default();
                bits = Some(PatternList::new(&selector, patterns)?);
            }
            "ZeroDateFallbackConverter" => dates = Some(ZeroDates::new(config, &name)?),
            _ => {
                return Err(Error::config(format!(
                    "The 'converters' value is invalid: '{class}' of {name}.type is not supported; built in are \
                     TinyIntOneToBooleanConverter and ZeroDateFallbackConverter"
                )));
            }
        }
    }
    Ok((bits, dates))
}

#[cfg(test)]
pub(crate) fn test_options(extra: &[(&str, &str)]) -> Options {
    let mut config: Config = [
        ("topic.prefix", "g"),
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.server.id", "9001"),
    ]
    .into_iter()
    .collect();
    for (name, value) in extra {
        config.set(*name, *value);
    }
    Options::new(&config, Flavor::MySql).unwrap()
}

#[cfg(test)]
mod tests;
