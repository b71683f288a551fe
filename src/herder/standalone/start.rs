//! Starting: the broker, the worker's topics, what they hold, and then the connectors.
//!
//! What does not depend on one another is done at the same time, and nothing waits a fixed time.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tapline_api::config::Config;
use tapline_api::metrics::Registry;
use tapline_api::topic_log::{NewTopic, TopicLog};
use tapline_api::{Error, Kind, Result};
use tapline_broker::Broker;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reconcile::Restart;
use super::{ConfigState, Standalone};
use crate::kafka::admin::Admin;
use crate::kafka::clients::Clients;
use crate::kafka::log::Logs;
use crate::kafka::producer::Producer;
use crate::worker::Worker;
use crate::worker::backoff::Backoff;
use crate::worker::config::WorkerConfig;
use crate::worker::offsets::OffsetStore;
use crate::worker::overrides::Policy;
use crate::worker::providers::Providers;
use crate::worker::status::{StatusStore, TaskId};

/// How long the cluster has to tell its id.
const CLUSTER: Duration = Duration::from_secs(60);

/// What a worker is started with.
pub(in crate::herder) struct Startup {
    pub(in crate::herder) config: WorkerConfig,
    pub(in crate::herder) worker_id: String,
    pub(in crate::herder) metrics: Registry,
    pub(in crate::herder) cancel: CancellationToken,
}

/// Starts a worker. Lost brokers are waited for; what a person must mend is an error.
pub(in crate::herder) async fn start(startup: Startup) -> Result<Arc<Standalone>> {
    let config = startup.config;
    let providers = Providers::new(&config.raw)?;
    let policy = Policy::new(
        config.text("connector.client.config.override.policy"),
        config.parsed.list("connector.client.config.override.allowlist"),
    )?;
    let (broker, bootstrap) = match config.bootstrap() {
        Some(bootstrap) => (None, bootstrap),
        None => {
            let broker = embedded(&config).await?;
            let address = broker.address().to_string();
            (Some(broker), address)
        }
    };
    let clients = Clients::new(&config.raw, bootstrap);
    let producer = Arc::new(Producer::new(
        &clients.internal_producer("tapline-internal", &internal()),
    )?);
    let logs = Logs::new(clients.clone(), producer.clone(), "tapline-internal");
    let asked = producer.clone();
    let cluster_id = tokio::task::spawn_blocking(move || asked.cluster_id(CLUSTER));
    create_topics(&config, &clients).await?;
    let none = Config::new();
    let topic = |option| logs.log(config.text(option), &none, None);
    let (configs, offsets, states) = tokio::try_join!(
        topic("config.storage.topic"),
        topic("offset.storage.topic"),
        topic("status.storage.topic"),
    )?;
    let read = async {
        let mut state = ConfigState::default();
        configs
            .read_to_end(&mut |record| {
                state.apply(&record);
                Ok(())
            })
            .await?;
        Ok(state)
    };
    let (state, offsets, status, cluster_id) = tokio::try_join!(
        read,
        OffsetStore::load(Arc::new(offsets)),
        StatusStore::load(Arc::new(states)),
        async { Ok(cluster_id.await.unwrap_or_default()) },
    )?;
    let cluster_id = cluster_id.ok_or_else(|| Error::retriable("the Kafka cluster did not tell its id"))?;
    let worker = Arc::new(Worker {
        id: startup.worker_id,
        config,
        clients,
        producer,
        offsets: Arc::new(offsets),
        status: Arc::new(status),
        cluster_id: cluster_id.into(),
        metrics: startup.metrics,
        policy,
        cancel: startup.cancel,
    });
    let writer = worker.status.clone();
    tokio::spawn(async move { writer.write().await });
    let herder = Arc::new(Standalone {
        worker,
        providers,
        log: Arc::new(configs),
        state: RwLock::new(state),
        change: tokio::sync::Mutex::new(()),
        slots: Mutex::default(),
        background: TaskTracker::new(),
        broker: Mutex::new(broker),
    });
    herder.forget_strangers();
    for name in herder.connectors() {
        herder.follow(&name, Restart::default());
    }
    Ok(herder)
}

/// The worker's own producer has little to buffer.
fn internal() -> Config {
    Config::from_iter([("buffer.memory", "4194304"), ("linger.ms", "0")])
}

/// Opens the embedded broker in the data folder, where `broker.listeners` says.
async fn embedded(config: &WorkerConfig) -> Result<Broker> {
    let mut settings = tapline_broker::Config::new(&config.data_dir);
    let listener = config.text("broker.listeners").trim();
    let address = listener.strip_prefix("PLAINTEXT://").unwrap_or(listener);
    // An empty host is every address, as in Kafka.
    let address = match address.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => address.replacen("localhost:", "127.0.0.1:", 1),
    };
    settings.listen = address.parse().map_err(|_| {
        Error::config(format!(
            "Invalid value {listener} for configuration broker.listeners: it must be PLAINTEXT://address:port"
        ))
    })?;
    Broker::open(settings).await.map_err(|error| {
        Error::fatal(format!("could not open the embedded broker: {error}"))
            .hint("bootstrap.servers names a Kafka cluster to use instead; broker.listeners another port")
            .cause(error)
    })
}

/// Creates the three topics that are missing, in one request. Who may not create topics must have them.
async fn create_topics(config: &WorkerConfig, clients: &Clients) -> Result<()> {
    let count = |option: &str, default: i64| config.parsed.integer(option).unwrap_or(default);
    let new = |prefix: &str, partitions: i64| {
        let name = config.text(&format!("{prefix}.storage.topic")).to_owned();
        let replicas = count(&format!("{prefix}.storage.replication.factor"), -1);
        let mut settings = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
        // Further settings of the topic, as distributed workers take them.
        let options = config.raw.prefixed(&format!("{prefix}.storage."));
        for (name, value) in options.iter() {
            let own = [
                "topic",
                "partitions",
                "replication.factor",
                "file.filename",
                "cleanup.policy",
            ]
            .contains(&name);
            if let (false, Some(value)) = (own, value) {
                settings.push((name.to_owned(), value.to_owned()));
            }
        }
        let topic = NewTopic {
            partitions: i32::try_from(partitions).unwrap_or(1),
            replication_factor: i32::try_from(replicas).unwrap_or(-1),
            settings,
        };
        (name, topic)
    };
    let topics = [
        new("config", 1),
        new("offset", count("offset.storage.partitions", 25)),
        new("status", count("status.storage.partitions", 5)),
    ];
    let admin = Admin::new(clients.admin("tapline-internal", &Config::new()));
    let mut backoff = Backoff::new(Duration::from_secs(5));
    loop {
        let failed = match admin.create(&topics).await {
            Ok(made) => made.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        match failed {
            None => return Ok(()),
            Some(error) if error.kind() == Kind::Retriable => {
                tracing::warn!("waiting for Kafka at {}: {error}", clients.bootstrap());
                tokio::time::sleep(backoff.wait()).await;
            }
            Some(error) if error.exception_class().ends_with("AuthorizationException") => {
                tracing::info!("topics can't be created, and are expected to be there: {error}");
                return Ok(());
            }
            Some(error) => return Err(error),
        }
    }
}

impl Standalone {
    /// States of connectors that are no more.
    fn forget_strangers(&self) {
        let known = self.connectors();
        let (connectors, tasks) = self.worker.status.names();
        for name in connectors.iter().filter(|name| !known.contains(name)) {
            self.worker.status.set_connector(name, None);
        }
        let strange = |id: &&TaskId| !known.contains(&id.connector);
        for id in tasks.iter().filter(strange) {
            self.worker.status.set_task(id, None);
        }
    }
}
