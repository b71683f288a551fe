//! The worker's properties (`WorkerConfig`, `DistributedConfig`, `StandaloneConfig`), declared once.
//!
//! Names and defaults are Kafka Connect's. Where they differ, it is for a worker that should start with next to
//! nothing configured: converters default to JsonConverter, the three storage topics have names, their replication
//! is the cluster's, and without `bootstrap.servers` the embedded broker is started.

use std::path::PathBuf;
use std::time::Duration;

use tapline_api::Result;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind, Parsed, Validator};

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "bootstrap.servers",
        Kind::List,
        "Addresses of the Kafka cluster, `host:port`. Without it the embedded broker is started.",
    )
    .importance(Importance::High),
    ConfigKey::new(
        "broker.listeners",
        Kind::String,
        "Where the embedded broker listens, `PLAINTEXT://address:port`; port 0 takes a free one. Not an option of \
         Kafka Connect.",
    )
    .default("PLAINTEXT://127.0.0.1:9092")
    .importance(Importance::Medium),
    ConfigKey::new(
        "client.dns.lookup",
        Kind::String,
        "How clients use the addresses a name resolves to.",
    )
    .default("use_all_dns_ips")
    .importance(Importance::Medium),
    ConfigKey::new(
        "client.id",
        Kind::String,
        "The name under which clients appear in the brokers' logs.",
    )
    .default(""),
    ConfigKey::new(
        "group.id",
        Kind::String,
        "The name of the Connect cluster this worker belongs to.",
    )
    .importance(Importance::High),
    ConfigKey::new(
        "key.converter",
        Kind::Class,
        "Converts keys, unless a connector says otherwise.",
    )
    .default(JSON)
    .importance(Importance::High),
    ConfigKey::new(
        "value.converter",
        Kind::Class,
        "Converts values, unless a connector says otherwise.",
    )
    .default(JSON)
    .importance(Importance::High),
    ConfigKey::new(
        "header.converter",
        Kind::Class,
        "Converts headers, unless a connector says otherwise.",
    )
    .default("org.apache.kafka.connect.storage.SimpleHeaderConverter"),
    ConfigKey::new(
        "config.storage.topic",
        Kind::String,
        "The compacted topic of connector configurations.",
    )
    .default("connect-configs")
    .importance(Importance::High),
    ConfigKey::new(
        "config.storage.replication.factor",
        Kind::Short,
        "Replicas of that topic; -1 for the cluster's default.",
    )
    .default("-1")
    .valid(Validator::Custom(replication)),
    ConfigKey::new(
        "offset.storage.topic",
        Kind::String,
        "The compacted topic of source offsets.",
    )
    .default("connect-offsets")
    .importance(Importance::High),
    ConfigKey::new(
        "offset.storage.partitions",
        Kind::Int,
        "Partitions of that topic, when it is created.",
    )
    .default("25")
    .valid(Validator::Custom(partitions)),
    ConfigKey::new(
        "offset.storage.replication.factor",
        Kind::Short,
        "Replicas of that topic; -1 for the cluster's default.",
    )
    .default("-1")
    .valid(Validator::Custom(replication)),
    ConfigKey::new(
        "offset.storage.file.filename",
        Kind::String,
        "Where Kafka Connect's standalone mode kept offsets; not used: they live in `offset.storage.topic`.",
    ),
    ConfigKey::new(
        "status.storage.topic",
        Kind::String,
        "The compacted topic of states.",
    )
    .default("connect-status")
    .importance(Importance::High),
    ConfigKey::new(
        "status.storage.partitions",
        Kind::Int,
        "Partitions of that topic, when it is created.",
    )
    .default("5")
    .valid(Validator::Custom(partitions)),
    ConfigKey::new(
        "status.storage.replication.factor",
        Kind::Short,
        "Replicas of that topic; -1 for the cluster's default.",
    )
    .default("-1")
    .valid(Validator::Custom(replication)),
    ConfigKey::new(
        "offset.flush.interval.ms",
        Kind::Long,
        "How often offsets are stored.",
    )
    .default("60000"),
    ConfigKey::new(
        "offset.flush.timeout.ms",
        Kind::Long,
        "How long storing offsets may take.",
    )
    .default("5000"),
    ConfigKey::new(
        "task.shutdown.graceful.timeout.ms",
        Kind::Long,
        "How long tasks have to end by themselves when the worker stops.",
    )
    .default("5000"),
    ConfigKey::new("listeners", Kind::List, "Where REST listens, `http://host:port` or `https://host:port`.")
        .default("http://:8083"),
    ConfigKey::new(
        "listeners.https.ssl.keystore.type",
        Kind::String,
        "The kind of an https listener's key store: PEM alone is read. Without `listeners.https.` in front of any option, \
         those of clients (`ssl.*`) count here too.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.keystore.location",
        Kind::String,
        "A PEM file of an https listener's private key and certificates.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.keystore.key",
        Kind::Password,
        "The private key as PEM text, instead of a file.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.keystore.certificate.chain",
        Kind::Password,
        "The certificates as PEM text, instead of a file.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.client.auth",
        Kind::String,
        "Whether clients of an https listener show certificates: none, requested or required.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.truststore.type",
        Kind::String,
        "The kind of the store of authorities: PEM alone is read.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.truststore.location",
        Kind::String,
        "A PEM file of the authorities that clients' certificates must come from.",
    ),
    ConfigKey::new(
        "listeners.https.ssl.truststore.certificates",
        Kind::Password,
        "These authorities as PEM text, instead of a file.",
    ),
    ConfigKey::new(
        "rest.advertised.host.name",
        Kind::String,
        "The host name others reach this worker by.",
    ),
    ConfigKey::new(
        "rest.advertised.port",
        Kind::Int,
        "The port others reach this worker by.",
    ),
    ConfigKey::new(
        "rest.advertised.listener",
        Kind::String,
        "The protocol others reach this worker by.",
    ),
    ConfigKey::new(
        "admin.listeners",
        Kind::List,
        "Where the admin endpoints listen; with the others by default.",
    ),
    ConfigKey::new(
        "access.control.allow.origin",
        Kind::String,
        "Browsers of these origins may read answers: `*`, or regular expressions separated by commas.",
    )
    .default(""),
    ConfigKey::new(
        "access.control.allow.methods",
        Kind::String,
        "The methods they are told they may use; empty for GET, POST and HEAD.",
    )
    .default(""),
    ConfigKey::new(
        "response.http.headers.config",
        Kind::String,
        "Further headers of every answer: `set`, `add`, `setDate` or `addDate`, then `name:value`; separated by commas.",
    )
    .default(""),
    ConfigKey::new(
        "plugin.path",
        Kind::List,
        "Folders of Java plugins; not used: all plugins are in the binary.",
    ),
    ConfigKey::new(
        "config.providers",
        Kind::List,
        "Names of the config providers that resolve `${name:…}`.",
    )
    .default(""),
    ConfigKey::new(
        "connector.client.config.override.policy",
        Kind::String,
        "Which `producer.override.*`, `consumer.override.*` and `admin.override.*` connectors may use.",
    )
    .default("All")
    .importance(Importance::Medium),
    ConfigKey::new(
        "connector.client.config.override.allowlist",
        Kind::List,
        "The client options that the Allowlist policy lets through.",
    )
    .default(""),
    ConfigKey::new(
        "topic.creation.enable",
        Kind::Boolean,
        "Whether `topic.creation.*` of source connectors counts.",
    )
    .default("true"),
    ConfigKey::new(
        "topic.tracking.enable",
        Kind::Boolean,
        "Whether the topics a connector uses are recorded.",
    )
    .default("true"),
    ConfigKey::new(
        "topic.tracking.allow.reset",
        Kind::Boolean,
        "Whether that record may be reset by REST.",
    )
    .default("true"),
    ConfigKey::new(
        "metadata.max.age.ms",
        Kind::Long,
        "How long a client trusts what it knows of topics.",
    )
    .default("300000"),
    ConfigKey::new("security.protocol", Kind::String, "How clients speak to brokers.").default("PLAINTEXT"),
]);

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

fn replication(name: &str, value: &tapline_api::config::ConfigValue) -> Option<String> {
    minus_one_or_more(name, value, "Replication factor must be -1, or at least 1")
}

fn partitions(name: &str, value: &tapline_api::config::ConfigValue) -> Option<String> {
    minus_one_or_more(name, value, "Number of partitions must be -1, or at least 1")
}

fn minus_one_or_more(name: &str, value: &tapline_api::config::ConfigValue, what: &str) -> Option<String> {
    match value {
        tapline_api::config::ConfigValue::Integer(n) if *n != -1 && *n < 1 => {
            Some(format!("Invalid value {n} for configuration {name}: {what}"))
        }
        _ => None,
    }
}

/// The worker's properties, parsed.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// All of them as written, config providers resolved: converters and clients find their own by prefix.
    pub raw: Config,
    /// The declared ones.
    pub parsed: Parsed,
    /// Where the embedded broker keeps its data (`--data-dir`).
    pub data_dir: PathBuf,
}

impl WorkerConfig {
    /// Parses properties; a wrong one is a [config error](tapline_api::Kind::Config).
    pub fn new(raw: Config, data_dir: PathBuf) -> Result<Self> {
        let parsed = CONFIG.parse(&raw)?;
        Ok(Self {
            raw,
            parsed,
            data_dir,
        })
    }

    /// `bootstrap.servers`, or `None` for the embedded broker.
    pub fn bootstrap(&self) -> Option<String> {
        let servers = self.parsed.list("bootstrap.servers");
        (!servers.is_empty()).then(|| servers.join(","))
    }

    /// A declared duration; zero when it is not one.
    pub fn millis(&self, name: &str) -> Duration {
        self.parsed.millis(name).unwrap_or_default()
    }

    /// A declared boolean; false when it is not one.
    pub fn flag(&self, name: &str) -> bool {
        self.parsed.boolean(name).unwrap_or_default()
    }

    /// A declared text; empty when it is not one.
    pub fn text(&self, name: &str) -> &str {
        self.parsed.text(name).unwrap_or_default()
    }
}
