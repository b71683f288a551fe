//! The connector's configuration: declared in [`options`], checked in [`check`], typed here once for a task's life.

mod check;
mod options;

use std::time::Duration;

use tapline_api::Result;
use tapline_api::adjust::Adjustment;
use tapline_api::config::{Config, ConfigDef, Parsed};
use tapline_cdc::channels::Channels;
use tapline_cdc::check::contradictions;
use tapline_cdc::filter::{Filters, KeyColumns, PatternList, Selection};
use tapline_cdc::mapper::ColumnMappers;
use tapline_cdc::naming::TopicNaming;
use tapline_cdc::notification::Notifier;
use tapline_cdc::options::{Guardrail, OnFailure, Overrides, Skipped, metric_tags};
use tapline_databases::postgres::{Settings, SslMode};

use crate::replica_identity::{self, Identities};
use crate::reselect::Reselect;
use crate::types::{Placeholder, TypeModes};
use crate::value::BinaryMode;

pub(crate) use options::OPTIONS;

/// `snapshot.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotMode {
    Initial,
    InitialOnly,
    Always,
    NoData,
    /// As initial, and again when the changes since the stored offset have gone.
    WhenNeeded,
    /// As `snapshot.mode.configuration.based.*` say.
    ConfigurationBased {
        data: bool,
        stream: bool,
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

    /// Whether a gap between the stored offset and the slot makes it read the tables again.
    pub(crate) fn heals(self) -> bool {
        match self {
            Self::WhenNeeded => true,
            Self::ConfigurationBased { on_data_error, .. } => on_data_error,
            _ => false,
        }
    }
}

/// `publication.autocreate.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Autocreate {
    AllTables,
    Disabled,
    Filtered,
    NoTables,
}

/// `offset.mismatch.strategy`; not set is stricter than any of Debezium's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    Refuse,
    NoValidation,
    TrustOffset,
    TrustSlot,
    TrustGreaterLsn,
}

/// `decimal.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalMode {
    Precise,
    Double,
    String,
}

/// `time.precision.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeMode {
    Adaptive,
    AdaptiveMicros,
    Connect,
    Iso,
    Micros,
    Nanos,
}

/// All that a task reads of its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) settings: Settings,
    pub(crate) initial_statements: Vec<String>,
    pub(crate) query_timeout: Duration,
    pub(crate) validation_timeout: Duration,
    pub(crate) naming: TopicNaming,
    pub(crate) filters: Filters,
    pub(crate) snapshot_tables: PatternList,
    /// `snapshot.select.statement.overrides`, by `schema.table`.
    pub(crate) overrides: Overrides,
    /// `snapshot.tables.order.by.row.count`; `None` for the usual order.
    pub(crate) small_tables_first: Option<bool>,
    pub(crate) key_columns: KeyColumns,
    pub(crate) types: TypeModes,
    pub(crate) mappers: ColumnMappers,
    pub(crate) schema_names: Adjustment,
    pub(crate) field_names: Adjustment,
    /// `event.converting.failure.handling.mode`
    pub(crate) on_bad_value: OnFailure,
    /// `event.processing.failure.handling.mode`
    pub(crate) on_bad_event: OnFailure,
    /// `provide.transaction.metadata`
    pub(crate) transactions: bool,
    /// Prefixes of logical decoding messages; `None` when none is wanted.
    pub(crate) messages: Option<Selection>,
    /// `xmin.fetch.interval.ms`; zero for never.
    pub(crate) xmin_interval: Duration,
    pub(crate) skipped: Skipped,
    pub(crate) slot: String,
    pub(crate) slot_failover: bool,
    /// `slot.max.retained.bytes`; zero for no limit.
    pub(crate) slot_budget: i64,
    pub(crate) identities: Identities,
    pub(crate) read_only: bool,
    /// `lsn.flush.timeout.ms` and what to do then.
    pub(crate) flush_timeout: Duration,
    pub(crate) on_flush_timeout: OnFailure,
    pub(crate) metric_tags: Vec<(String, String)>,
    /// `max.queue.size`, which is only told.
    pub(crate) queue_records: usize,
    pub(crate) slot_drop_on_stop: bool,
    pub(crate) stream_parameters: Vec<(String, String)>,
    pub(crate) create_slot_timeout: Duration,
    pub(crate) slot_retries: u32,
    pub(crate) slot_retry_delay: Duration,
    pub(crate) publication: String,
    pub(crate) autocreate: Autocreate,
    pub(crate) publish_via_root: bool,
    pub(crate) mismatch: Mismatch,
    pub(crate) position_check: bool,
    pub(crate) status_interval: Duration,
    pub(crate) confirms: bool,
    pub(crate) snapshot_mode: SnapshotMode,
    pub(crate) snapshot_delay: Duration,
    pub(crate) streaming_delay: Duration,
    pub(crate) snapshot_shared_lock: bool,
    /// `signal.data.collection`.
    pub(crate) signal_table: Option<(String, String)>,
    pub(crate) channels: Channels,
    pub(crate) notifier: Notifier,
    /// Rows of an incremental snapshot's chunk.
    pub(crate) chunk_size: usize,
    /// Whether a window is closed by deleting what opened it.
    pub(crate) watermark_deletes: bool,
    /// How many sessions read a snapshot.
    pub(crate) snapshot_threads: usize,
    /// About how many bytes of a table make a chunk.
    pub(crate) snapshot_chunk_bytes: u64,
    pub(crate) lock_timeout: Duration,
    pub(crate) tombstones: bool,
    pub(crate) skip_unchanged: bool,
    pub(crate) extended_headers: bool,
    pub(crate) heartbeat: Duration,
    pub(crate) heartbeat_query: Option<String>,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) guardrail: Guardrail,
    /// `post.processors`.
    pub(crate) reselect: Option<Reselect>,
}

/// What there is to say against options that no single check sees: two lists of one kind, and what is not supported.
pub(crate) fn findings(config: &Config) -> Vec<(String, String)> {
    let mut found = check::unsupported(config);
    found.extend(contradictions(config, &["schema", "table", "column"]));
    let mut check = |option: &str, checked: Result<()>| {
        if let Err(error) = checked {
            found.push((option.to_owned(), error.to_string()));
        }
    };
    check("column.mask.with.N.chars", ColumnMappers::new(config).map(drop));
    if config.contains("topic.prefix") {
        check("topic.naming.strategy", naming(config).map(drop));
    }
    check(
        "snapshot.select.statement.overrides",
        Overrides::new(config).map(drop),
    );
    check("post.processors", Reselect::new(config).map(drop));
    let tags = config.get("custom.metric.tags").unwrap_or_default();
    let tags: Vec<String> = tags.split(',').map(str::to_owned).collect();
    check("custom.metric.tags", metric_tags(&tags).map(drop));
    let identities = config.get(replica_identity::OPTION).unwrap_or_default();
    check(replica_identity::OPTION, Identities::new(identities).map(drop));
    for info in options::UNLISTED.validate(config) {
        found.extend(info.errors.into_iter().map(|error| (info.name.clone(), error)));
    }
    found
}

impl Options {
    /// Whether signals are read from this table.
    pub(crate) fn is_signal_table(&self, schema: &str, table: &str) -> bool {
        self.channels.source
            && self
                .signal_table
                .as_ref()
                .is_some_and(|(s, t)| s == schema && t == table)
    }

    /// Whether anything is to be done for signals.
    pub(crate) fn has_signals(&self) -> bool {
        self.channels.has_outside() || self.channels.source && self.signal_table.is_some()
    }

    /// Reads a configuration, or says the first thing that is wrong with it.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let listed = OPTIONS.parse(config)?;
        let unlisted = options::UNLISTED.parse(config)?;
        if let Some((_, text)) = findings(config).into_iter().next() {
            return Err(tapline_api::Error::config(text));
        }
        let lower = |parsed: &Parsed, name: &str| parsed.text(name).unwrap_or_default().to_lowercase();
        let query_timeout = listed.millis("database.query.timeout.ms")?;
        Ok(Self {
            reselect: Reselect::new(config)?,
            settings: settings(&listed)?,
            initial_statements: statements(listed.text("database.initial.statements").unwrap_or_default()),
            query_timeout: if query_timeout.is_zero() {
                Duration::from_secs(86_400)
            } else {
                query_timeout
            },
            validation_timeout: listed.millis("connection.validation.timeout.ms")?,
            naming: naming(config)?,
            filters: Filters::new(config, listed.boolean("table.ignore.builtin")?)?,
            snapshot_tables: PatternList::new(
                "snapshot.include.collection.list",
                config.get("snapshot.include.collection.list").unwrap_or_default(),
            )?,
            overrides: Overrides::new(config)?,
            small_tables_first: match lower(&listed, "snapshot.tables.order.by.row.count").as_str() {
                "ascending" => Some(true),
                "descending" => Some(false),
                _ => None,
            },
            key_columns: KeyColumns::new(listed.text("message.key.columns").unwrap_or_default())?,
            types: type_modes(&listed, &unlisted)?,
            mappers: ColumnMappers::new(config)?,
            schema_names: adjustment(&listed, "schema.name.adjustment.mode"),
            field_names: adjustment(&unlisted, "field.name.adjustment.mode"),
            on_bad_value: on_failure(
                &unlisted,
                "event.converting.failure.handling.mode",
                OnFailure::Warn,
            ),
            on_bad_event: on_failure(&listed, "event.processing.failure.handling.mode", OnFailure::Fail),
            transactions: listed.boolean("provide.transaction.metadata")?,
            messages: messages(config)?,
            xmin_interval: listed.millis("xmin.fetch.interval.ms")?,
            skipped: Skipped::new(config, &listed),
            slot: listed.required("slot.name")?.to_owned(),
            slot_failover: listed.boolean("slot.failover")?,
            slot_budget: unlisted.integer("slot.max.retained.bytes")?,
            identities: Identities::new(listed.text(replica_identity::OPTION).unwrap_or_default())?,
            read_only: unlisted.boolean("read.only")?,
            flush_timeout: listed.millis("lsn.flush.timeout.ms")?,
            on_flush_timeout: on_failure(&listed, "lsn.flush.timeout.action", OnFailure::Fail),
            metric_tags: metric_tags(listed.list("custom.metric.tags"))?,
            queue_records: listed.count("max.queue.size")?,
            slot_drop_on_stop: listed.boolean("slot.drop.on.stop")?,
            stream_parameters: stream_parameters(listed.text("slot.stream.params").unwrap_or_default()),
            create_slot_timeout: Duration::from_secs(
                unlisted
                    .count("internal.create.slot.command.timeout")?
                    .try_into()
                    .unwrap_or(90),
            ),
            slot_retries: listed.count("slot.max.retries")?.try_into().unwrap_or(u32::MAX),
            slot_retry_delay: listed.millis("slot.retry.delay.ms")?,
            publication: listed.required("publication.name")?.to_owned(),
            autocreate: match lower(&listed, "publication.autocreate.mode").as_str() {
                "disabled" => Autocreate::Disabled,
                "filtered" => Autocreate::Filtered,
                "no_tables" => Autocreate::NoTables,
                _ => Autocreate::AllTables,
            },
            publish_via_root: listed.boolean("publish.via.partition.root")?,
            mismatch: match lower(&unlisted, "offset.mismatch.strategy").as_str() {
                "no_validation" => Mismatch::NoValidation,
                "trust_offset" => Mismatch::TrustOffset,
                "trust_slot" => Mismatch::TrustSlot,
                "trust_greater_lsn" => Mismatch::TrustGreaterLsn,
                _ => Mismatch::Refuse,
            },
            position_check: listed.boolean("internal.log.position.check.enable")?,
            status_interval: listed.millis("status.update.interval.ms")?,
            confirms: listed.boolean("flush.lsn.source")? && lower(&listed, "lsn.flush.mode") != "manual",
            snapshot_mode: match lower(&listed, "snapshot.mode").as_str() {
                "initial_only" => SnapshotMode::InitialOnly,
                "always" => SnapshotMode::Always,
                "no_data" => SnapshotMode::NoData,
                "when_needed" => SnapshotMode::WhenNeeded,
                "configuration_based" => {
                    let flag =
                        |name: &str| listed.boolean(&format!("snapshot.mode.configuration.based.{name}"));
                    SnapshotMode::ConfigurationBased {
                        data: flag("snapshot.data")?,
                        stream: flag("start.stream")?,
                        on_data_error: flag("snapshot.on.data.error")?,
                    }
                }
                _ => SnapshotMode::Initial,
            },
            snapshot_delay: listed.millis("snapshot.delay.ms")?,
            streaming_delay: listed.millis("streaming.delay.ms")?,
            snapshot_shared_lock: lower(&listed, "snapshot.locking.mode") == "shared",
            signal_table: signal_table(&listed)?,
            channels: Channels::new(
                config,
                listed.required("topic.prefix")?,
                listed.millis("signal.poll.interval.ms")?,
            )?,
            notifier: Notifier::new(
                listed.required("topic.prefix")?,
                listed.list("notification.enabled.channels"),
                listed.text("notification.sink.topic.name"),
            )?,
            chunk_size: listed.count("incremental.snapshot.chunk.size")?.clamp(1, 1 << 20),
            watermark_deletes: lower(&listed, "incremental.snapshot.watermarking.strategy")
                == "insert_delete",
            snapshot_threads: listed.count("snapshot.max.threads")?.clamp(1, 64),
            snapshot_chunk_bytes: unlisted.count("internal.snapshot.chunk.bytes")?.max(1) as u64,
            lock_timeout: listed.millis("snapshot.lock.timeout.ms")?,
            tombstones: listed.boolean("tombstones.on.delete")?,
            skip_unchanged: unlisted.boolean("skip.messages.without.change")?,
            extended_headers: listed.boolean("extended.headers.enabled")?,
            heartbeat: listed.millis("heartbeat.interval.ms")?,
            heartbeat_query: listed
                .text("heartbeat.action.query")
                .filter(|q| !q.is_empty())
                .map(str::to_owned),
            batch_records: listed.count("max.batch.size")?.clamp(1, 65_536),
            batch_bytes: match listed.count("max.queue.size.in.bytes")? {
                0 => 1 << 20,
                // Two batches wait and one is being built.
                limit => (limit / 3).clamp(16 * 1024, 16 << 20),
            },
            guardrail: Guardrail::new(&listed)?,
        })
    }
}

/// `schema.table`; a database's name before it is left out.
fn signal_table(parsed: &Parsed) -> Result<Option<(String, String)>> {
    let given = parsed.list("signal.data.collection");
    let Some(first) = given.iter().find(|name| !name.trim().is_empty()) else {
        return Ok(None);
    };
    let mut parts = first.trim().rsplitn(3, '.');
    match (given.len(), parts.next(), parts.next()) {
        (1, Some(table), Some(schema)) => Ok(Some((schema.to_owned(), table.to_owned()))),
        _ => Err(tapline_api::Error::config(format!(
            "The 'signal.data.collection' value is invalid: one table is expected, schema.table, not {}",
            given.join(",")
        ))),
    }
}

fn settings(parsed: &Parsed) -> Result<Settings> {
    let mut settings = Settings::new(
        parsed.required("database.hostname")?,
        parsed.required("database.user")?,
        parsed.required("database.dbname")?,
    );
    settings.port = u16::try_from(parsed.integer("database.port")?).map_err(|_| {
        tapline_api::Error::config("The 'database.port' value is invalid: a port is at most 65535")
    })?;
    settings.password = parsed.secret("database.password").cloned();
    settings.ssl_mode = parsed
        .required("database.sslmode")?
        .parse::<SslMode>()
        .map_err(|error| {
            tapline_api::Error::config(format!("The 'database.sslmode' value is invalid: {error}"))
        })?;
    let file = |name: &str| parsed.text(name).filter(|path| !path.is_empty()).map(Into::into);
    settings.ssl_root_cert = file("database.sslrootcert");
    settings.ssl_cert = file("database.sslcert");
    settings.ssl_key = file("database.sslkey");
    settings.ssl_key_password = parsed.secret("database.sslpassword").cloned();
    settings.tcp_keep_alive = parsed.boolean("database.tcpKeepAlive")?;
    Ok(settings)
}

/// Debezium keeps the naming's options out of the connector's list; the legacy heartbeat prefix is in it.
fn naming(config: &Config) -> Result<TopicNaming> {
    let mut config = config.clone();
    if !config.contains("topic.heartbeat.prefix")
        && let Some(prefix) = config.get("heartbeat.topics.prefix").map(str::to_owned)
    {
        config.set("topic.heartbeat.prefix", prefix);
    }
    static NAMING: ConfigDef = ConfigDef::new(&[
        tapline_api::config::ConfigKey::new("topic.prefix", tapline_api::config::Kind::String, ""),
        tapline_api::config::ConfigKey::new("topic.delimiter", tapline_api::config::Kind::String, "")
            .default("."),
        tapline_api::config::ConfigKey::new("topic.heartbeat.prefix", tapline_api::config::Kind::String, "")
            .default("__debezium-heartbeat"),
        tapline_api::config::ConfigKey::new("topic.heartbeat.name", tapline_api::config::Kind::String, ""),
        tapline_api::config::ConfigKey::new("topic.transaction", tapline_api::config::Kind::String, "")
            .default("transaction"),
    ]);
    let class = config
        .get("topic.naming.strategy")
        .map(str::trim)
        .filter(|class| !class.is_empty());
    TopicNaming::new(&NAMING.parse(&config)?)?.with_strategy(class.unwrap_or(STRATEGY), &config)
}

/// Debezium's for databases with schemas.
const STRATEGY: &str = "io.debezium.schema.SchemaTopicNamingStrategy";

fn adjustment(parsed: &Parsed, option: &str) -> Adjustment {
    parsed
        .text(option)
        .and_then(Adjustment::named)
        .unwrap_or_default()
}

fn on_failure(parsed: &Parsed, option: &str, default: OnFailure) -> OnFailure {
    parsed.text(option).and_then(OnFailure::named).unwrap_or(default)
}

/// Which logical decoding messages are wanted. An exclude list that matches everything asks the server for none.
fn messages(config: &Config) -> Result<Option<Selection>> {
    const EXCLUDE: &str = "message.prefix.exclude.list";
    let all = config.get(EXCLUDE).is_some_and(|list| list.trim() == ".*");
    let selection = Selection::new(config, "message.prefix.include.list", EXCLUDE)?;
    Ok((!all || !matches!(selection, Selection::Exclude(_))).then_some(selection))
}

fn type_modes(listed: &Parsed, unlisted: &Parsed) -> Result<TypeModes> {
    let lower = |name: &str| listed.text(name).unwrap_or_default().to_lowercase();
    Ok(TypeModes {
        decimal: match lower("decimal.handling.mode").as_str() {
            "double" => DecimalMode::Double,
            "string" => DecimalMode::String,
            _ => DecimalMode::Precise,
        },
        time: match lower("time.precision.mode").as_str() {
            "adaptive_time_microseconds" => TimeMode::AdaptiveMicros,
            "connect" => TimeMode::Connect,
            "isostring" => TimeMode::Iso,
            "microseconds" => TimeMode::Micros,
            "nanoseconds" => TimeMode::Nanos,
            _ => TimeMode::Adaptive,
        },
        binary: match lower("binary.handling.mode").as_str() {
            "base64" => BinaryMode::Base64,
            "base64-url-safe" => BinaryMode::Base64UrlSafe,
            "hex" => BinaryMode::Hex,
            _ => BinaryMode::Bytes,
        },
        hstore_map: lower("hstore.handling.mode") == "map",
        interval_text: lower("interval.handling.mode") == "string",
        money_scale: u32::try_from(unlisted.integer("money.fraction.digits")?).unwrap_or(2),
        include_unknown: listed.boolean("include.unknown.datatypes")?,
        placeholder: Placeholder::new(listed.text("unavailable.value.placeholder").unwrap_or_default()),
    })
}

/// Splits at single semicolons; two stand for one.
fn statements(text: &str) -> Vec<String> {
    text.replace(";;", "\u{1}")
        .split(';')
        .map(|statement| statement.replace('\u{1}', ";").trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn stream_parameters(text: &str) -> Vec<(String, String)> {
    text.split(';')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
pub(crate) fn test_options(extra: &[(&str, &str)]) -> Options {
    let mut config: Config = [
        ("topic.prefix", "g"),
        ("database.hostname", "h"),
        ("database.user", "u"),
        ("database.dbname", "lab"),
    ]
    .into_iter()
    .collect();
    for (name, value) in extra {
        config.set(*name, *value);
    }
    Options::new(&config).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_debeziums() {
        let options = test_options(&[]);
        assert_eq!(
            (options.slot.as_str(), options.publication.as_str()),
            ("debezium", "dbz_publication")
        );
        assert_eq!(
            (options.autocreate, options.snapshot_mode),
            (Autocreate::AllTables, SnapshotMode::Initial)
        );
        assert_eq!(
            options.skipped,
            Skipped {
                truncates: true,
                ..Skipped::default()
            }
        );
        assert_eq!(options.settings.ssl_mode, SslMode::Prefer);
        assert_eq!(options.naming.heartbeat(), "__debezium-heartbeat.g");
        assert_eq!(options.types.placeholder.text, "__debezium_unavailable_value");
    }

    #[test]
    fn every_default_passes_its_own_check() {
        let mut config: Config = [
            ("topic.prefix", "g"),
            ("database.hostname", "h"),
            ("database.user", "u"),
            ("database.dbname", "d"),
        ]
        .into_iter()
        .collect();
        for key in OPTIONS.keys().iter().chain(options::UNLISTED.keys()) {
            if let tapline_api::config::Default::Value(value) = key.default {
                config.set(key.name, value);
            }
        }
        let errors: Vec<_> = OPTIONS
            .validate(&config)
            .into_iter()
            .flat_map(|info| info.errors)
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(findings(&config), []);
        assert!(Options::new(&config).is_ok());
    }

    #[test]
    fn two_lists_of_one_kind_contradict() {
        let config: Config = [("table.include.list", "a"), ("table.exclude.list", "b")]
            .into_iter()
            .collect();
        assert_eq!(
            findings(&config),
            [(
                "table.exclude.list".to_owned(),
                "The 'table.exclude.list' value is invalid: \"table.include.list\" is already specified"
                    .to_owned()
            )]
        );
    }

    #[test]
    fn two_semicolons_are_one() {
        assert_eq!(statements("set a=1; select ';;' ;"), ["set a=1", "select ';'"]);
    }
}
