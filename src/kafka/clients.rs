//! Which settings each client gets, from the worker's properties down to a connector's overrides.
//!
//! As in Kafka Connect: a connector's producer gets `bootstrap.servers`, Connect's own defaults, the worker's
//! `producer.*` and the connector's `producer.override.*`, each over the one before; consumers and admin clients
//! likewise. The worker's own clients, for its topics, get the client options among its properties.
//!
//! Two of our defaults differ. Producers are idempotent, which keeps order and drops repeats with five requests in
//! flight, where Connect has one; a configuration that rules it out (`acks=1`) turns it off. And buffers are small:
//! what a queue holds is memory. A producer's holds what may be in flight and no more (`bound_queue`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tapline_api::config::Config;

use super::options::{Role, Translated, translate};

/// Where the cluster is and what the worker's properties say of clients. Cheap to clone.
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    bootstrap: String,
    worker: Config,
    reported: Mutex<BTreeSet<String>>,
}

/// What all clients get.
const COMMON: &[(&str, &str)] = &[
    ("enable.metrics.push", "false"),
    ("log.connection.close", "false"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.keepalive.enable", "true"),
    ("topic.metadata.refresh.fast.interval.ms", "20"),
];

/// What producers get: Connect's own defaults, and small queues.
const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("delivery.timeout.ms", "2147483647"),
    ("linger.ms", "1"),
    ("max.in.flight.requests.per.connection", "5"),
    ("message.max.bytes", "1048576"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.messages", "45000"),
];

/// What is asked of a partition at once, at most; Java's default is twice that. An answer is decompressed whole, and ten
/// times as large then where every message repeats its schema.
const FETCH: u64 = 512 << 10;

/// What consumers get.
const CONSUMER: &[(&str, &str)] = &[
    ("auto.offset.reset", "earliest"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("fetch.error.backoff.ms", "100"),
    ("fetch.max.bytes", "4194304"),
    // The default of a second makes a small queue a slow one.
    ("fetch.queue.backoff.ms", "5"),
    ("isolation.level", "read_uncommitted"),
    ("queued.max.messages.kbytes", "4096"),
    // A killed worker's partitions wait for its session to end; Java's default is 45 s.
    ("session.timeout.ms", "10000"),
    // How soon a new topic is found.
    ("topic.metadata.refresh.interval.ms", "5000"),
];

/// Worker properties that its own clients share, besides `ssl.*` and `sasl.*`.
const SHARED: &[&str] = &[
    "client.dns.lookup",
    "connections.max.idle.ms",
    "metadata.max.age.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "security.protocol",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.ms",
];

impl Clients {
    /// Of a worker's properties and the cluster's addresses.
    pub fn new(worker: &Config, bootstrap: String) -> Self {
        Self(Arc::new(Inner {
            bootstrap,
            worker: worker.clone(),
            reported: Mutex::default(),
        }))
    }

    /// `host:port,…`.
    pub fn bootstrap(&self) -> &str {
        &self.0.bootstrap
    }

    /// A connector's producer: `client.id`, then the worker's `producer.*`, then `overrides`.
    pub fn producer(&self, client_id: &str, overrides: &Config) -> ClientConfig {
        self.build(
            Role::Producer,
            client_id,
            &[&self.0.worker.prefixed("producer."), overrides],
        )
    }

    /// A connector's consumer in `group`: the worker's `consumer.*`, then `overrides`.
    pub fn consumer(&self, client_id: &str, group: &str, overrides: &Config) -> ClientConfig {
        let group = Config::from_iter([("group.id", group)]);
        self.build(
            Role::Consumer,
            client_id,
            &[&group, &self.0.worker.prefixed("consumer."), overrides],
        )
    }

    /// A connector's admin client: the worker's own options, its `admin.*`, then `overrides`.
    pub fn admin(&self, client_id: &str, overrides: &Config) -> ClientConfig {
        self.build(
            Role::Admin,
            client_id,
            &[&self.shared(), &self.0.worker.prefixed("admin."), overrides],
        )
    }

    /// The worker's own producer, for its topics.
    pub fn internal_producer(&self, client_id: &str, overrides: &Config) -> ClientConfig {
        self.build(Role::Producer, client_id, &[&self.shared(), overrides])
    }

    /// The worker's own consumer, for its topics; it joins no group.
    pub fn internal_consumer(&self, client_id: &str, overrides: &Config) -> ClientConfig {
        let group = Config::from_iter([("group.id", client_id)]);
        self.build(Role::Consumer, client_id, &[&group, &self.shared(), overrides])
    }

    fn shared(&self) -> Config {
        self.0
            .worker
            .iter()
            .filter(|(name, _)| {
                name.starts_with("ssl.") || name.starts_with("sasl.") || SHARED.contains(name)
            })
            .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .collect()
    }

    fn build(&self, role: Role, client_id: &str, layers: &[&Config]) -> ClientConfig {
        let mut options = Config::from_iter([
            ("bootstrap.servers", &*self.0.bootstrap),
            ("client.id", client_id),
        ]);
        for layer in layers {
            for (name, value) in layer.iter() {
                options.set_nullable(name, value.map(str::to_owned));
            }
        }
        let translated = translate(&options, role);
        for (name, why) in &translated.ignored {
            self.report(name, why);
        }
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        let defaults: &[&[(&str, &str)]] = match role {
            Role::Producer => &[COMMON, PRODUCER],
            Role::Consumer => &[COMMON, CONSUMER],
            Role::Admin => &[COMMON, &[("allow.auto.create.topics", "false")]],
        };
        for (name, value) in defaults.iter().copied().flatten() {
            config.set(*name, *value);
        }
        for (name, value) in &translated.settings {
            if self.accepts(name, value) {
                config.set(name, value);
            }
        }
        settle(&mut config, role, &translated);
        config
    }

    /// Whether librdkafka knows the option and takes the value.
    fn accepts(&self, name: &str, value: &str) -> bool {
        match ClientConfig::new().set(name, value).create_native_config() {
            Err(KafkaError::ClientConfig(_, why, ..)) => {
                self.report(name, &why);
                false
            }
            _ => true,
        }
    }

    /// Says once that an option has no effect.
    fn report(&self, name: &str, why: &str) {
        let mut reported = self.0.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.insert(name.to_owned()) {
            tracing::warn!("Kafka client option {name} has no effect: {why}");
        }
    }
}

/// What follows from other settings.
fn settle(config: &mut ClientConfig, role: Role, translated: &Translated) {
    let given = |name: &str| translated.settings.iter().any(|(n, _)| n == name);
    match role {
        Role::Producer => {
            if !given("enable.idempotence") {
                let all = matches!(config.get("acks"), Some("all" | "-1"));
                let few = number(config, "max.in.flight.requests.per.connection").is_some_and(|n| n <= 5);
                let retries = number(config, "retries") != Some(0);
                config.set("enable.idempotence", (all && few && retries).to_string());
            }
            bound_queue(config);
        }
        Role::Consumer => {
            // librdkafka decompresses all of a partition's answer at once, and JSON with schemas is fifteen times its
            // compressed size: what is asked for is bounded, or memory is not. A larger record comes all the
            // same (KIP-74).
            let partition = number(config, "max.partition.fetch.bytes")
                .unwrap_or(FETCH)
                .min(FETCH);
            config.set("max.partition.fetch.bytes", partition.to_string());
            // More than a partition may give would be waited for in vain.
            if let Some(least) = number(config, "fetch.min.bytes") {
                config.set("fetch.min.bytes", least.min(partition / 2).max(1).to_string());
            }
            // A response holds what may be fetched at once, and its framing.
            let fetch = number(config, "fetch.max.bytes").unwrap_or(4 << 20);
            if !given("receive.message.max.bytes") {
                let receive = fetch
                    .max(partition)
                    .saturating_add(1 << 20)
                    .clamp(100_000_000, 2_147_483_647);
                config.set("receive.message.max.bytes", receive.to_string());
            }
        }
        _ => {}
    }
}

/// Bounds a producer's queue by what may be in flight, or by `buffer.memory` where that is less.
///
/// Memory is one reason. The other: while all requests that may be in flight are, and another batch is ready,
/// librdkafka's thread does not sleep but asks again and again, and takes a core from whoever it waits for. So the
/// queue ends half a batch before that. What librdkafka counts as queued includes what is in flight.
fn bound_queue(config: &mut ClientConfig) {
    let batch = number(config, "batch.size").unwrap_or(1_000_000);
    let in_flight = number(config, "max.in.flight.requests.per.connection").unwrap_or(5);
    let in_flight = in_flight.clamp(2, 64);
    // One record as large as is allowed must fit, with its overhead.
    let largest = number(config, "message.max.bytes").unwrap_or(1 << 20) + (1 << 16);
    let bound = (in_flight * batch - batch / 2).max(largest).div_ceil(1024);
    let given = number(config, "queue.buffering.max.kbytes").unwrap_or(u64::MAX);
    config.set("queue.buffering.max.kbytes", bound.min(given).to_string());
}

fn number(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.parse().ok()
}

/// librdkafka's log lines and errors go to ours, with the client's name.
pub(super) fn log(client: &str, level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::warn!(target: "librdkafka", client, "{facility} {message}");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(target: "librdkafka", client, "{facility} {message}");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", client, "{facility} {message}");
        }
    }
}

/// A context that only logs.
pub(super) struct Quiet(pub(super) String);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.0, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            tracing::info!(target: "librdkafka", client = self.0, "{error}: {reason}");
        }
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(worker: &[(&str, &str)]) -> Clients {
        Clients::new(&worker.iter().copied().collect(), "kafka:9092".into())
    }

    #[test]
    fn a_connectors_override_wins_over_the_workers_which_wins_over_the_default() {
        let clients = clients(&[
            ("producer.linger.ms", "7"),
            ("producer.batch.size", "100000"),
            ("linger.ms", "9"),
        ]);
        let config = clients.producer("p", &Config::from_iter([("batch.size", "5000")]));
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("batch.size"), Some("5000"));
        assert_eq!(config.get("partitioner"), Some("murmur2_random"));
        assert_eq!(config.get("bootstrap.servers"), Some("kafka:9092"));
    }

    #[test]
    fn a_producer_is_idempotent_unless_its_settings_rule_it_out() {
        let idempotent = |options: &[(&str, &str)]| {
            let config = clients(&[]).producer("p", &options.iter().copied().collect());
            config.get("enable.idempotence").map(str::to_owned)
        };
        assert_eq!(idempotent(&[]).as_deref(), Some("true"));
        assert_eq!(idempotent(&[("acks", "1")]).as_deref(), Some("false"));
        assert_eq!(
            idempotent(&[("max.in.flight.requests.per.connection", "10")]).as_deref(),
            Some("false")
        );
        assert_eq!(
            idempotent(&[("enable.idempotence", "false")]).as_deref(),
            Some("false")
        );
    }

    #[test]
    fn a_producers_queue_holds_what_may_be_in_flight_but_for_half_a_batch() {
        let queue = |options: &[(&str, &str)]| {
            let config = clients(&[]).producer("p", &options.iter().copied().collect());
            config
                .get("queue.buffering.max.kbytes")
                .map(|kbytes| kbytes.parse::<u64>().unwrap())
        };
        assert_eq!(queue(&[]), Some(4_500_000 / 1024 + 1));
        let tuned = [("batch.size", "524288"), ("buffer.memory", "134217728")];
        assert_eq!(queue(&tuned), Some(9 * 256));
        assert_eq!(queue(&[("buffer.memory", "1048576")]), Some(1024));
        // a record of 20 MB fits
        let large = [("max.request.size", "20000000"), ("batch.size", "1000")];
        assert!(queue(&large) > Some(20_000_000 / 1024));
    }

    #[test]
    fn a_consumer_asks_a_partition_for_half_a_mebibyte_at_most() {
        let fetch = |options: &[(&str, &str)]| {
            let config = clients(&[]).consumer("c", "g", &options.iter().copied().collect());
            config.get("max.partition.fetch.bytes").map(str::to_owned)
        };
        assert_eq!(fetch(&[]).as_deref(), Some("524288"));
        assert_eq!(
            fetch(&[("max.partition.fetch.bytes", "10485760")]).as_deref(),
            Some("524288")
        );
        assert_eq!(
            fetch(&[("max.partition.fetch.bytes", "1000")]).as_deref(),
            Some("1000")
        );
        let eager = Config::from_iter([("fetch.min.bytes", "1000000")]);
        let config = clients(&[]).consumer("c", "g", &eager);
        assert_eq!(config.get("fetch.min.bytes"), Some("262144"));
    }

    #[test]
    fn the_workers_security_is_its_own_clients_and_not_its_connectors() {
        let clients = clients(&[("security.protocol", "SSL"), ("key.converter", "x")]);
        assert_eq!(
            clients
                .internal_producer("i", &Config::new())
                .get("security.protocol"),
            Some("ssl")
        );
        assert_eq!(
            clients.admin("a", &Config::new()).get("security.protocol"),
            Some("ssl")
        );
        assert_eq!(
            clients.producer("p", &Config::new()).get("security.protocol"),
            None
        );
    }

    #[test]
    fn an_option_that_librdkafka_does_not_know_is_left_out() {
        let config = clients(&[]).producer(
            "p",
            &Config::from_iter([("no.such.option", "1"), ("linger.ms", "many")]),
        );
        assert_eq!(config.get("no.such.option"), None);
        assert_eq!(config.get("linger.ms"), Some("1"));
    }
}
