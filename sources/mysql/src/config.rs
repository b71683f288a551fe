//! The connectors' configuration: declared in [`options`], checked in [`check`], typed here once for a task's life.

mod check;
mod options;

use std::path::PathBuf;
use std::time::Duration;

use tapline_api::adjust::Adjustment;
use tapline_api::config::{Config, Parsed};
use tapline_api::{Error, Result};
use tapline_cdc::channels::Channels;
use tapline_cdc::check::contradictions;
use tapline_cdc::filter::{Filters, KeyColumns, PatternList};
use tapline_cdc::mapper::ColumnMappers;
use tapline_cdc::naming::TopicNaming;
use tapline_cdc::notification::Notifier;
use tapline_cdc::options::{Guardrail, OnFailure, Overrides, Skipped, metric_tags};
use tapline_databases::mysql::{Settings, SslMode};

use crate::ddl::{Dialect, Flavor};
use crate::history::{DdlFilter, Kept};
use crate::schema::TableId;
use crate::types::{DecimalMode, TimeMode, TypeModes};
use crate::value::BinaryMode;
use crate::zero_date::ZeroDates;

pub(crate) use options::OPTIONS;

const NAMING: &str = "io.debezium.schema.DefaultTopicNamingStrategy";

/// `snapshot.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotMode {
    Initial,
    InitialOnly,
    Always,
    NoData,
    /// As initial, and again when what follows the stored offset has gone.
    WhenNeeded,
    /// No snapshot: the log from its beginning.
    Never,
    /// The schemas are read once more, and the history made anew; streaming goes on at the stored offset.
    Recovery,
    /// As `snapshot.mode.configuration.based.*` say.
    ConfigurationBased {
        data: bool,
        stream: bool,
        on_schema_error: bool,
        on_data_error: bool,
    },
}

impl SnapshotMode {
    /// Whether changes are streamed afterwards.
    pub(crate) fn streams(self) -> bool {
        match self {
            Self::InitialOnly => false,
            Self::ConfigurationBased { stream, .. } => stream,
            _ => true,
        }
    }

    /// Whether a snapshot reads rows.
    pub(crate) fn reads_rows(self) -> bool {
        match self {
            Self::NoData | Self::Recovery | Self::Never => false,
            Self::ConfigurationBased { data, .. } => data,
            _ => true,
        }
    }

    /// Whether a snapshot is taken though one was completed.
    pub(crate) fn repeats(self) -> bool {
        matches!(self, Self::Always | Self::ConfigurationBased { data: true, .. })
    }

    /// Whether a gap between the stored offset and the log makes it take a snapshot again.
    pub(crate) fn heals(self) -> bool {
        match self {
            Self::WhenNeeded => true,
            Self::ConfigurationBased { on_data_error, .. } => on_data_error,
            _ => false,
        }
    }

    /// Whether a lost schema history is made anew.
    pub(crate) fn heals_history(self) -> bool {
        match self {
            Self::Recovery => true,
            Self::ConfigurationBased { on_schema_error, .. } => on_schema_error,
            _ => false,
        }
    }
}

/// `snapshot.locking.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    Minimal,
    Extended,
    None,
}

/// All that a task reads of its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) flavor: Flavor,
    /// As the user gave it, for the schema history's clients.
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) initial_statements: Vec<String>,
    pub(crate) server_id: u32,
    pub(crate) query_timeout: Duration,
    pub(crate) validation_timeout: Duration,
    /// `None` when the stream's connection is not watched.
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) naming: TopicNaming,
    pub(crate) schema_names: Adjustment,
    pub(crate) field_names: Adjustment,
    pub(crate) filters: Filters,
    pub(crate) snapshot_tables: PatternList,
    /// `snapshot.select.statement.overrides`
    pub(crate) overrides: Overrides,
    /// `snapshot.tables.order.by.row.count`; `None` for the usual order.
    pub(crate) small_tables_first: Option<bool>,
    /// How many sessions read a snapshot.
    pub(crate) snapshot_threads: usize,
    /// About how many bytes of a table make a chunk.
    pub(crate) snapshot_chunk_bytes: u64,
    pub(crate) key_columns: KeyColumns,
    pub(crate) mappers: ColumnMappers,
    pub(crate) types: TypeModes,
    pub(crate) on_bad_value: OnFailure,
    /// `None`, which is not to be had in Debezium: the table is held until its schema is known.
    pub(crate) on_unknown_schema: Option<OnFailure>,
    /// An event that can't be read.
    pub(crate) on_unreadable: OnFailure,
    pub(crate) skipped: Skipped,
    pub(crate) skip_unchanged: bool,
    pub(crate) tombstones: bool,
    pub(crate) snapshot_mode: SnapshotMode,
    pub(crate) locking: Locking,
    pub(crate) lock_timeout: Duration,
    pub(crate) snapshot_delay: Duration,
    pub(crate) streaming_delay: Duration,
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
    pub(crate) transactions: bool,
    pub(crate) extended_headers: bool,
    pub(crate) heartbeat: Duration,
    pub(crate) heartbeat_query: Option<String>,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    /// `max.queue.size`, as figures tell it.
    pub(crate) queue_records: usize,
    /// `custom.metric.tags`.
    pub(crate) metric_tags: Vec<(String, String)>,
    pub(crate) guardrail: Guardrail,
    /// Nothing is written to the database: no watermarks.
    pub(crate) read_only: bool,
    /// `signal.data.collection`.
    pub(crate) signal_table: Option<TableId>,
    pub(crate) channels: Channels,
    pub(crate) notifier: Notifier,
    /// Rows of an incremental snapshot's chunk.
    pub(crate) chunk_size: usize,
    /// A window closes when its opening watermark is deleted.
    pub(crate) watermark_deletes: bool,
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
        let adjustment = |name: &str| Adjustment::named(&lower(name)).unwrap_or_default();
        let failure = |name: &str| OnFailure::named(&lower(name)).unwrap_or(OnFailure::Fail);
        let limited = |duration: Duration| match duration.is_zero() {
            true => Duration::from_secs(86_400),
            false => duration,
        };
        // What is listed as the default is that of other connectors; Debezium runs with this one.
        let strategy = given(config, "topic.naming.strategy").unwrap_or(NAMING);
        let (tiny_int_one, zero_dates) = converters(config)?;
        Ok(Self {
            flavor,
            config: config.clone(),
            settings: settings(config, &parsed, flavor)?,
            initial_statements: statements(parsed.text("database.initial.statements").unwrap_or_default()),
            server_id: u32::try_from(parsed.integer("database.server.id")?).unwrap_or(u32::MAX),
            query_timeout: limited(parsed.millis("database.query.timeout.ms")?),
            validation_timeout: parsed.millis("connection.validation.timeout.ms")?,
            keep_alive: parsed
                .boolean("connect.keep.alive")?
                .then(|| parsed.millis("connect.keep.alive.interval.ms"))
                .transpose()?,
            naming: TopicNaming::new(&parsed)?.with_strategy(strategy, config)?,
            schema_names: adjustment("schema.name.adjustment.mode"),
            field_names: adjustment("field.name.adjustment.mode"),
            filters: filters(config, parsed.boolean("table.ignore.builtin")?)?,
            snapshot_tables: list("snapshot.include.collection.list")?,
            overrides: Overrides::new(config)?,
            small_tables_first: match lower("snapshot.tables.order.by.row.count").as_str() {
                "ascending" => Some(true),
                "descending" => Some(false),
                _ => None,
            },
            snapshot_threads: parsed.count("snapshot.max.threads")?.clamp(1, 64),
            snapshot_chunk_bytes: parsed.count("internal.snapshot.chunk.bytes")?.max(1) as u64,
            key_columns: KeyColumns::new(parsed.text("message.key.columns").unwrap_or_default())?,
            mappers: ColumnMappers::new(config)?,
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
            on_bad_value: OnFailure::named(&lower("event.converting.failure.handling.mode"))
                .unwrap_or(OnFailure::Warn),
            on_unknown_schema: given(config, "inconsistent.schema.handling.mode").and_then(OnFailure::named),
            on_unreadable: match given(config, "event.deserialization.failure.handling.mode") {
                Some(_) => failure("event.deserialization.failure.handling.mode"),
                None => failure("event.processing.failure.handling.mode"),
            },
            skipped: Skipped::new(config, &parsed),
            skip_unchanged: parsed.boolean("skip.messages.without.change")?,
            tombstones: parsed.boolean("tombstones.on.delete")?,
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
            lock_timeout: parsed.millis("snapshot.lock.timeout.ms")?,
            snapshot_delay: parsed.millis("snapshot.delay.ms")?,
            streaming_delay: parsed.millis("streaming.delay.ms")?,
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
            transactions: parsed.boolean("provide.transaction.metadata")?,
            extended_headers: parsed.boolean("extended.headers.enabled")?,
            heartbeat: parsed.millis("heartbeat.interval.ms")?,
            heartbeat_query: parsed
                .text("heartbeat.action.query")
                .filter(|q| !q.is_empty())
                .map(str::to_owned),
            batch_records: parsed.count("max.batch.size")?.clamp(1, 65_536),
            batch_bytes: match parsed.count("max.queue.size.in.bytes")? {
                0 => 1 << 20,
                // Two batches wait and one is being built.
                limit => (limit / 3).clamp(16 * 1024, 16 << 20),
            },
            queue_records: parsed.count("max.queue.size")?,
            metric_tags: metric_tags(parsed.list("custom.metric.tags"))?,
            guardrail: Guardrail::new(&parsed)?,
            read_only: parsed.boolean("read.only")?,
            signal_table: signal_table(config)?,
            channels: channels(config, parsed.millis("signal.poll.interval.ms")?)?,
            notifier: notifier(config)?,
            chunk_size: parsed.count("incremental.snapshot.chunk.size")?.clamp(1, 1 << 20),
            watermark_deletes: lower("incremental.snapshot.watermarking.strategy") == "insert_delete",
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

/// Splits at single semicolons; two stand for one.
fn statements(text: &str) -> Vec<String> {
    text.replace(";;", "\u{1}")
        .split(';')
        .map(|statement| statement.replace('\u{1}', ";").trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
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
mod tests {
    use super::*;

    #[test]
    fn databases_are_what_others_call_schemas() {
        let options = test_options(&[("database.include.list", "fx"), ("table.exclude.list", "fx.no")]);
        assert!(
            options.captures("fx", "t") && !options.captures("fx", "no") && !options.captures("fx2", "t")
        );
        assert!(!test_options(&[]).captures("mysql", "user"));
    }

    #[test]
    fn what_to_do_with_bad_events_and_unknown_schemas_is_debeziums_once_it_is_set() {
        let options = test_options(&[]);
        assert_eq!(
            (options.on_unreadable, options.on_unknown_schema),
            (OnFailure::Fail, None)
        );
        let options = test_options(&[
            ("event.processing.failure.handling.mode", "skip"),
            ("inconsistent.schema.handling.mode", "fail"),
        ]);
        let expected = (OnFailure::Skip, Some(OnFailure::Fail));
        assert_eq!((options.on_unreadable, options.on_unknown_schema), expected);
        let options = test_options(&[
            ("event.processing.failure.handling.mode", "fail"),
            ("event.deserialization.failure.handling.mode", "warn"),
        ]);
        assert_eq!(options.on_unreadable, OnFailure::Warn);
    }

    #[test]
    fn the_built_in_converter_is_known_and_others_are_refused() {
        let class = "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter";
        let options = test_options(&[("converters", "t"), ("t.type", class)]);
        assert!(options.types.tiny_int_one.is_some_and(|only| only.is_empty()));
        let class = "io.debezium.connector.binlog.converters.ZeroDateFallbackConverter";
        let given = [
            ("converters", "z"),
            ("z.type", class),
            ("z.fallback.date", "2000-01-01"),
        ];
        assert!(test_options(&given).types.zero_dates.is_some());
        let config: Config = [("converters", "x"), ("x.type", "com.acme.X")]
            .into_iter()
            .collect();
        assert!(findings(&config).iter().any(|(name, _)| name == "converters"));
    }
}
