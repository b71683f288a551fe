//! `tapline worker`: the herder and REST, until a signal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use tapline_api::config::Config;
use tapline_api::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connector_file::{self, Connector};
use crate::herder::{self, Herder, TargetState, validate};
use crate::rest::{self, Listeners, Loggers, Manners};
use crate::worker::config::WorkerConfig;
use crate::worker::providers::Providers;

/// How long requests that run have to be answered when the worker stops.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// `tapline worker`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The worker's properties, as Kafka Connect takes them; without, all are at their defaults
    properties: Option<PathBuf>,
    /// Connectors to create, or to give this configuration (.json or .properties)
    connectors: Vec<PathBuf>,
    /// Where the embedded broker keeps its topics, when there is no bootstrap.servers
    #[arg(long, value_name = "DIR", default_value = "tapline-data")]
    data_dir: PathBuf,
}

pub(super) async fn run(args: Args, loggers: Arc<Loggers>) -> Result<ExitCode> {
    let properties = match &args.properties {
        Some(file) => connector_file::properties(file)?,
        None => Config::new(),
    };
    // References in them are resolved by the providers that they name.
    let properties = Providers::new(&properties)?.resolve(&properties)?;
    let config = WorkerConfig::new(properties, args.data_dir)?;
    let connectors: Vec<_> = args
        .connectors
        .iter()
        .map(|file| connector_file::read(file))
        .collect::<Result<_>>()?;
    let mut signals = Signals::new()?;
    let listeners = Listeners::bind(&config).await?;
    let manners = Manners::new(&config)?;
    let herder = Herder::start(config, listeners.advertised.clone());
    let cancel = CancellationToken::new();
    let mut servers = JoinSet::new();
    for socket in listeners.sockets {
        tracing::info!(address = socket.describe(), paths = ?socket.paths, "REST listens");
        let router = rest::router(herder.clone(), loggers.clone(), socket.paths, &manners);
        servers.spawn(rest::serve(socket, router, cancel.clone()));
    }
    let ended = tokio::select! {
        ended = serve(&herder, connectors) => ended,
        name = signals.next() => {
            tracing::info!("{name}: stopping");
            Ok(())
        }
    };
    let stopping = async {
        herder.stop().await;
        cancel.cancel();
        // What is still asked was asked of a herder that has stopped.
        let _ = timeout(LAST_ANSWERS, servers.join_all()).await;
    };
    tokio::select! {
        () = stopping => ended.map(|()| ExitCode::SUCCESS),
        name = signals.next() => Err(Error::fatal(format!("{name} again: ended before all was stored"))),
    }
}

/// Starts, creates the connectors given, and goes on for ever; returns only when that fails.
async fn serve(herder: &Herder, connectors: Vec<Connector>) -> Result<()> {
    let failed = |error: herder::Error| Error::fatal(error.to_string());
    herder.started().await.map_err(failed)?;
    tracing::info!(worker = herder.worker_id(), "the worker has started");
    for connector in connectors {
        let name = connector.name.clone();
        create(herder, connector)
            .await
            .map_err(|error| Error::config(format!("connector {name}: {error}")))?;
    }
    std::future::pending().await
}

/// A connector's file wins over what is stored, as in Kafka Connect's standalone mode, where nothing is stored.
async fn create(herder: &Herder, connector: Connector) -> herder::Result<()> {
    let Connector {
        name,
        config,
        initial_state,
    } = connector;
    let state = initial_state.as_deref().map(TargetState::initial).transpose()?;
    validate::check(herder, &config).await?;
    let put = herder.put_connector(&name, config, state, true).await?;
    let what = if put.created {
        "created"
    } else {
        "given its configuration"
    };
    tracing::info!(connector = name, "the connector is {what}");
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::fatal(format!("can't hear signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
