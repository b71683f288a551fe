//! The connector's configuration: declared in [`options`], checked in [`check`], typed here once for a task's life.

mod check;
mod modes;
mod options;

use std::ops::Deref;
use std::time::Duration;

use tapline_api::Result;
use tapline_api::config::{Config, ConfigDef, Parsed};
use tapline_cdc::check::contradictions;
use tapline_cdc::filter::{Filters, Selection};
use tapline_cdc::mapper::ColumnMappers;
use tapline_cdc::naming::TopicNaming;
use tapline_cdc::options::{OnFailure, Overrides, Shared, metric_tags};
use tapline_databases::postgres::{Settings, SslMode};

use crate::replica_identity::{self, Identities};
use crate::reselect::Reselect;
use crate::types::{Placeholder, TypeModes};
use crate::value::BinaryMode;

pub(crate) use modes::{Autocreate, DecimalMode, Mismatch, SnapshotMode, TimeMode};
pub(crate) use options::OPTIONS;

/// All that a task reads of its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// What every change source has; its fields are these options', too.
    pub(crate) shared: Shared,
    pub(crate) settings: Settings,
    pub(crate) naming: TopicNaming,
    pub(crate) filters: Filters,
    pub(crate) types: TypeModes,
    /// `event.processing.failure.handling.mode`
    pub(crate) on_bad_event: OnFailure,
    /// Prefixes of logical decoding messages; `None` when none is wanted.
    pub(crate) messages: Option<Selection>,
    /// `xmin.fetch.interval.ms`; zero for never.
    pub(crate) xmin_interval: Duration,
    pub(crate) slot: String,
    pub(crate) slot_failover: bool,
    /// `slot.max.retained.bytes`; zero for no limit.
    pub(crate) slot_budget: i64,
    pub(crate) identities: Identities,
    /// `lsn.flush.timeout.ms` and what to do then.
    pub(crate) flush_timeout: Duration,
    pub(crate) on_flush_timeout: OnFailure,
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
    pub(crate) snapshot_shared_lock: bool,
    /// `signal.data.collection`.
    pub(crate) signal_table: Option<(String, String)>,
    /// `post.processors`.
    pub(crate) reselect: Option<Reselect>,
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
        let all = listed.clone().with(unlisted.clone());
        Ok(Self {
            shared: Shared::new(config, &all)?,
            reselect: Reselect::new(config)?,
            settings: settings(&listed)?,
            naming: naming(config)?,
            filters: Filters::new(config, listed.boolean("table.ignore.builtin")?)?,
            types: type_modes(&listed, &unlisted)?,
            on_bad_event: on_failure(&listed, "event.processing.failure.handling.mode", OnFailure::Fail),
            messages: messages(config)?,
            xmin_interval: listed.millis("xmin.fetch.interval.ms")?,
            slot: listed.required("slot.name")?.to_owned(),
            slot_failover: listed.boolean("slot.failover")?,
            slot_budget: unlisted.integer("slot.max.retained.bytes")?,
            identities: Identities::new(listed.text(replica_identity::OPTION).unwrap_or_default())?,
            flush_timeout: listed.millis("lsn.flush.timeout.ms")?,
            on_flush_timeout: on_failure(&listed, "lsn.flush.timeout.action", OnFailure::Fail),
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
            snapshot_shared_lock: lower(&listed, "snapshot.locking.mode") == "shared",
            signal_table: signal_table(&listed)?,
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
mod tests;
