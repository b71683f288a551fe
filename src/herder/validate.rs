//! Is a connector's configuration valid? (`AbstractHerder.validateConnectorConfig`)
//!
//! First what the declarations say: the options of every connector, those of its transformations and predicates
//! under their prefixes, the connector's own, those of its converters, and whether the worker lets it override
//! client settings. Then, if nothing is wrong with the connector's own, the connector asks the live system.
//! Order, groups and texts are Kafka Connect's, because forms and scripts read them.

mod options;
mod report;
mod stages;

use std::time::Duration;

use tapline_api::config::{Config, ConfigDef, ConfigInfo};
use tapline_api::connector::{AnyConnector, ConnectorPlugin, ConnectorType, ConverterPlugin};
use tapline_api::pattern::Pattern;

pub use report::{ConfigInfos, Definition, Entry, Value};

use super::{Error, Herder, Result};
use crate::plugins;
use crate::worker::config::WorkerConfig;
use crate::worker::overrides::Policy;

/// How long a connector may ask its system; Debezium's `connection.validation.timeout.ms`.
const LIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Validates a configuration as written, and refuses it with all findings if there are any.
pub async fn check(herder: &Herder, config: &Config) -> Result<()> {
    match validate(herder, config).await?.refusal() {
        Some(text) => Err(Error::BadRequest(text)),
        None => Ok(()),
    }
}

/// Validates a configuration as written: references to config providers are resolved first.
pub async fn validate(herder: &Herder, config: &Config) -> Result<ConfigInfos> {
    let config = herder.resolve(config).await?;
    let plugin = plugin(&config)?;
    let infos = declared(herder.worker_config(), plugin, &config);
    Ok(live(infos, plugin, &config).await)
}

/// The connector that a configuration names.
pub fn plugin(config: &Config) -> Result<&'static ConnectorPlugin> {
    let Some(class) = config.get("connector.class") else {
        return Err(Error::BadRequest(format!(
            "Connector config {} contains no connector type",
            shown(config)
        )));
    };
    plugins::connector(class).ok_or_else(|| {
        let mut known: Vec<_> = plugins::CONNECTORS.iter().collect();
        known.sort_by_key(|plugin| plugin.class);
        let known: Vec<_> = known
            .into_iter()
            .map(|plugin| {
                let ConnectorPlugin { class, version, .. } = plugin;
                let kind = plugin.kind().name();
                format!(
                    "PluginDesc{{klass=class {class}, name='{class}', version='{version}', \
                     encodedVersion={version}, type={kind}, typeName='{kind}', location='tapline'}}"
                )
            })
            .collect();
        Error::BadRequest(format!(
            "Failed to find any class that implements Connector and which name matches {class}, available \
             connectors are: {}",
            known.join(", ")
        ))
    })
}

/// The options of a connector as REST lists them: its own, then those that every connector has.
pub fn definitions(plugin: &ConnectorPlugin) -> Vec<Definition> {
    let mut all: Vec<_> = plugin.config.keys().iter().map(Definition::of).collect();
    for def in [&options::COMMON, every(plugin.kind())] {
        for key in def.keys() {
            let mut definition = Definition::of(key);
            if key.name == "connector.plugin.version" {
                definition.default_value = Some(plugin.version.to_owned());
            }
            all.push(definition);
        }
    }
    all
}

/// The options that connectors have, whichever they are, with a title for each part.
pub fn every_connector() -> [(&'static str, &'static ConfigDef); 4] {
    [
        ("Every connector", &options::COMMON),
        ("Every source", &options::SOURCE),
        ("Every sink", &options::SINK),
        ("Every transformation, under `transforms.NAME.`", &options::STAGE),
    ]
}

/// What the declarations say. Pure.
pub fn declared(worker: &WorkerConfig, plugin: &ConnectorPlugin, config: &Config) -> ConfigInfos {
    let class = config.get("connector.class").unwrap_or(plugin.class);
    let mut infos = ConfigInfos::new(class);
    infos.extend(options::COMMON.validate(config).into_iter().map(Entry::of));
    infos.extend(every(plugin.kind()).validate(config).into_iter().map(Entry::of));
    version(
        &mut infos,
        "connector.plugin.version",
        Some(plugin.version),
        config,
    );
    let converters = converters(&mut infos, worker, config);
    stages::embed(&mut infos, config);
    match plugin.kind() {
        ConnectorType::Source => exactly_once(&mut infos, config),
        ConnectorType::Sink => topics(&mut infos, config),
    }
    infos.extend(own(plugin, config));
    for (name, converter) in converters {
        infos.extend(of_converter(converter.config, name, config));
    }
    overrides(&mut infos, worker, config);
    infos.counted()
}

/// What the live system says, unless something is wrong with the connector's own options already.
async fn live(mut infos: ConfigInfos, plugin: &ConnectorPlugin, config: &Config) -> ConfigInfos {
    let own_errors = own(plugin, config).any(|entry| !entry.value.errors.is_empty());
    if own_errors {
        return infos;
    }
    let asked = async {
        match plugin.connector {
            AnyConnector::Source(source) => source.validate(config).await,
            AnyConnector::Sink(sink) => sink.validate(config).await,
        }
    };
    let found = tokio::time::timeout(LIVE_TIMEOUT, asked)
        .await
        .unwrap_or_else(|_| {
            let text = format!(
                "The connector's system did not answer within {} seconds",
                LIVE_TIMEOUT.as_secs()
            );
            vec![("connector.class".to_owned(), text)]
        });
    for (name, error) in found {
        infos.object(&name, error);
    }
    infos.counted()
}

fn every(kind: ConnectorType) -> &'static ConfigDef {
    match kind {
        ConnectorType::Source => &options::SOURCE,
        ConnectorType::Sink => &options::SINK,
    }
}

/// The connector's own options. Debezium's sources tell their findings but not their values; a former name has the
/// place of the option it stands for.
fn own(plugin: &ConnectorPlugin, config: &Config) -> impl Iterator<Item = Entry> {
    let hides = plugin.kind() == ConnectorType::Source && plugin.class.starts_with("io.debezium.");
    let mut last = None;
    plugin.config.validate(config).into_iter().map(move |info| {
        let place = info.key.group.map(|group| (group, info.key.order));
        let mut entry = Entry::of(info);
        if hides {
            entry.value.value = None;
            entry.value.is_former = place.is_some() && place == last;
        }
        last = place;
        entry
    })
}

/// Options of a converter, which sees them without the prefix, and what it is for.
fn of_converter(def: &ConfigDef, name: &str, config: &Config) -> Vec<Entry> {
    let prefix = format!("{name}.");
    let mut own = config.prefixed(&prefix);
    if let (Some(role), false) = (name.strip_suffix(".converter"), own.contains("converter.type")) {
        own.set("converter.type", role);
    }
    let named = |mut info: ConfigInfo| {
        info.name.insert_str(0, &prefix);
        Entry::of(info)
    };
    def.validate(&own).into_iter().map(named).collect()
}

/// Fills in what the worker says about converters; returns the connector's own ones, whose options are to be
/// looked at.
fn converters(
    infos: &mut ConfigInfos,
    worker: &WorkerConfig,
    config: &Config,
) -> Vec<(&'static str, &'static ConverterPlugin)> {
    let mut own = Vec::new();
    for (name, is_header) in [
        ("header.converter", true),
        ("key.converter", false),
        ("value.converter", false),
    ] {
        let fits = |plugin: &&ConverterPlugin| {
            if is_header {
                plugin.header.is_some()
            } else {
                plugin.new.is_some()
            }
        };
        let of_worker = plugins::converter(worker.text(name)).filter(fits);
        let given = config.get(name).map(str::trim);
        let used = given.map_or(of_worker, |class| plugins::converter(class).filter(fits));
        if let Some(entry) = infos.entry(name) {
            if let Some(definition) = &mut entry.definition {
                definition.default_value = of_worker.map(|plugin| plugin.class.to_owned());
            }
            entry.value.recommended_values = sorted(plugins::CONVERTERS.iter().filter(fits).map(|p| p.class));
            entry.value.value = used.map(|plugin| plugin.class.to_owned());
            if let (Some(class), None) = (given, used) {
                entry.value.errors.push(class_not_found(name, class));
            }
        }
        version(
            infos,
            &format!("{name}.plugin.version"),
            used.map(|plugin| plugin.version),
            config,
        );
        if let (Some(_), Some(plugin)) = (given, used) {
            own.push((name, plugin));
        }
    }
    own
}

/// The one version there is of a plugin.
fn version(infos: &mut ConfigInfos, name: &str, version: Option<&str>, config: &Config) {
    let Some(entry) = infos.entry(name) else { return };
    let version = version.map(str::to_owned);
    if let Some(definition) = &mut entry.definition {
        definition.default_value.clone_from(&version);
    }
    entry.value.recommended_values = version.iter().cloned().collect();
    if !config.contains(name) {
        entry.value.value = version;
    }
}

fn class_not_found(name: &str, class: &str) -> String {
    format!("Invalid value {class} for configuration {name}: Class {class} could not be found.")
}

fn sorted(classes: impl Iterator<Item = &'static str>) -> Vec<String> {
    let mut classes: Vec<_> = classes.map(str::to_owned).collect();
    classes.sort();
    classes
}

/// `SinkConnectorConfig.validate`: topics or a pattern, and not the dead letter queue among them.
fn topics(infos: &mut ConfigInfos, config: &Config) {
    let given = |name| config.get(name).map(str::trim).filter(|text| !text.is_empty());
    let both = |infos: &mut ConfigInfos, error: &str| {
        infos.object("topics", error.to_owned());
        infos.object("topics.regex", error.to_owned());
    };
    let (list, regex) = (given("topics"), given("topics.regex"));
    match (list, regex) {
        (Some(_), Some(_)) => both(
            infos,
            "topics and topics.regex are mutually exclusive options, but both are set.",
        ),
        (None, None) => both(infos, "Must configure one of topics or topics.regex"),
        _ => {}
    }
    let Some(dead) = given("errors.deadletterqueue.topic.name") else {
        return;
    };
    let topics = config.list("topics");
    if topics.iter().any(|topic| topic == dead) {
        infos.object(
            "topics",
            format!(
                "The DLQ topic '{dead}' may not be included in the list of topics ('topics=[{}]') consumed by the \
                 connector",
                topics.join(", ")
            ),
        );
    }
    if let Some(regex) = regex
        && Pattern::new("topics.regex", regex).is_ok_and(|pattern| pattern.matches(dead))
    {
        infos.object(
            "topics.regex",
            format!(
                "The DLQ topic '{dead}' may not be included in the regex matching the topics \
                 ('topics.regex={regex}') consumed by the connector"
            ),
        );
    }
}

/// What needs transactions is refused until the worker has them.
fn exactly_once(infos: &mut ConfigInfos, config: &Config) {
    let required = config
        .get("exactly.once.support")
        .is_some_and(|level| level.trim().eq_ignore_ascii_case("required"));
    if required {
        infos.object(
            "exactly.once.support",
            "This worker does not have exactly-once source support enabled.".to_owned(),
        );
    }
}

/// `connector.client.config.override.policy`.
fn overrides(infos: &mut ConfigInfos, worker: &WorkerConfig, config: &Config) {
    let name = worker.text("connector.client.config.override.policy");
    let list = worker.parsed.list("connector.client.config.override.allowlist");
    // A worker with another policy does not start.
    let policy = Policy::new(name, list).unwrap_or(Policy::None);
    for (name, _) in config.iter() {
        let option = ["producer.override.", "consumer.override.", "admin.override."]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        if let Some(option) = option
            && !policy.allows(option)
        {
            infos.object(
                name,
                format!(
                    "The '{}' policy does not allow '{option}' to be overridden in the connector configuration.",
                    policy.name()
                ),
            );
        }
    }
}

/// A configuration as Java prints a map. It has no class, so nobody says which options are secrets: anything that
/// looks like one is hidden.
fn shown(config: &Config) -> String {
    const SECRET: [&str; 6] = ["password", "secret", "token", "jaas", "credential", "key"];
    let mut entries: Vec<_> = config
        .iter()
        .map(|(name, value)| {
            let lower = name.to_ascii_lowercase();
            let value = if SECRET.iter().any(|word| lower.contains(word)) {
                "[hidden]"
            } else {
                value.unwrap_or("null")
            };
            format!("{name}={value}")
        })
        .collect();
    entries.sort();
    format!("{{{}}}", entries.join(", "))
}

#[cfg(test)]
mod tests;
