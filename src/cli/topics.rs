//! `tapline topics`: what lies in a Kafka cluster, the embedded broker's or another.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use tapline_api::config::Config;
use tapline_api::topic_log::TopicLog;
use tapline_api::{Error, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::record::{Style, render};
use super::{connector_file, print, print_json, table};
use crate::kafka::admin::Admin;
use crate::kafka::clients::Clients;
use crate::kafka::describe::{TopicDescription, describe};
use crate::kafka::log::Logs;
use crate::kafka::producer::Producer;

const NAME: &str = "tapline-topics";
const CONNECT: Duration = Duration::from_secs(5);

/// `tapline topics …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// A Kafka cluster
    #[arg(
        long,
        global = true,
        default_value = "localhost:9092",
        value_name = "HOST:PORT,…"
    )]
    bootstrap_server: String,
    /// Client options in Java's names (TLS, SASL), in a properties file
    #[arg(long, global = true, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All topics
    List {
        /// Those that Kafka keeps for itself too
        #[arg(long)]
        internal: bool,
    },
    /// A topic's partitions, where they begin and end, and its settings
    Describe {
        /// The topic
        topic: String,
    },
    /// Prints records as they come
    Tail {
        /// The topic
        topic: String,
        /// Those that are there first
        #[arg(long)]
        from_beginning: bool,
        /// Ends after so many records
        #[arg(short = 'n', long, value_name = "N")]
        max_messages: Option<u64>,
        /// Shows the schema that JsonConverter wraps around a value, on a terminal
        #[arg(long)]
        schemas: bool,
    },
}

pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let options = match &args.command_config {
        Some(file) => connector_file::properties(file)?,
        None => Config::new(),
    };
    reachable(&args.bootstrap_server).await?;
    let clients = Clients::new(&options, args.bootstrap_server);
    let admin = Admin::new(clients.admin(NAME, &Config::new()));
    match args.command {
        Command::List { internal } => list(&admin, internal, args.json).await?,
        Command::Describe { topic } => {
            let found = describe(&clients.admin(NAME, &Config::new()), &topic).await?;
            let found = found.ok_or_else(|| unknown(&topic))?;
            if args.json {
                print_json(&found)?;
            } else {
                print(&report(&found))?;
            }
        }
        Command::Tail {
            topic,
            from_beginning,
            max_messages,
            schemas,
        } => {
            let partitions = admin
                .topic(&topic)
                .await?
                .ok_or_else(|| unknown(&topic))?
                .partitions;
            let style = match (args.json, std::io::stdout().is_terminal()) {
                (true, _) => Style::Json,
                (false, true) => Style::People { schemas },
                (false, false) => Style::Line,
            };
            let from = if from_beginning {
                (0..partitions).map(|partition| (partition, 0)).collect()
            } else {
                Vec::new()
            };
            tail(&clients, &topic, from, max_messages, style).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether anybody listens at one of the addresses: Kafka's library would wait for that rather than say so.
async fn reachable(servers: &str) -> Result<()> {
    let mut why = String::new();
    for server in servers.split(',').map(str::trim) {
        match timeout(CONNECT, TcpStream::connect(server)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = "timed out".to_owned(),
        }
    }
    Err(
        Error::retriable(format!("no Kafka answers at {servers}: {why}")).hint(
            "say where it is with --bootstrap-server; the embedded broker's address is in the worker's log",
        ),
    )
}

fn unknown(topic: &str) -> Error {
    Error::config(format!("there is no topic {topic}")).hint("`tapline topics list` lists them")
}

async fn list(admin: &Admin, internal: bool, as_json: bool) -> Result<()> {
    let mut topics = admin.topics().await?;
    topics.retain(|topic| internal || !topic.name.starts_with("__"));
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    if as_json {
        let all: Vec<_> = topics
            .iter()
            .map(|topic| json!({ "topic": topic.name, "partitions": topic.partitions }))
            .collect();
        return print_json(&all);
    }
    let rows: Vec<_> = topics
        .into_iter()
        .map(|topic| vec![topic.name, topic.partitions.to_string()])
        .collect();
    print(&table::render(&["TOPIC", "PARTITIONS"], &rows))
}

fn report(topic: &TopicDescription) -> String {
    let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let rows: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| {
            vec![
                partition.partition.to_string(),
                partition.earliest.to_string(),
                partition.latest.to_string(),
                (partition.latest - partition.earliest).to_string(),
                partition.leader.to_string(),
                list(&partition.replicas),
                list(&partition.in_sync),
            ]
        })
        .collect();
    let head = [
        "PARTITION",
        "EARLIEST",
        "LATEST",
        "RECORDS ≤",
        "LEADER",
        "REPLICAS",
        "IN SYNC",
    ];
    let settings: Vec<_> = topic
        .settings
        .iter()
        .map(|(name, value)| vec![name.clone(), value.clone()])
        .collect();
    let mut out = format!("{}\n\n{}", topic.topic, table::render(&head, &rows));
    if !settings.is_empty() {
        out.push('\n');
        out.push_str(&table::render(&["SETTING", "VALUE"], &settings));
    }
    out
}

/// Prints records until there are enough of them, or for ever.
async fn tail(
    clients: &Clients,
    topic: &str,
    from: Vec<(i32, i64)>,
    most: Option<u64>,
    style: Style,
) -> Result<()> {
    let producer = Arc::new(Producer::new(&clients.internal_producer(NAME, &Config::new()))?);
    let log = Logs::new(clients.clone(), producer, NAME)
        .log(topic, &Config::new(), None)
        .await?;
    let mut records = log.tail(&from).await?;
    let mut left = most.unwrap_or(u64::MAX);
    while left > 0 {
        let chunk = records.next().await?;
        let take = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let text: String = chunk
            .iter()
            .take(take)
            .map(|record| render(topic, record, style))
            .collect();
        print(&text)?;
        left = left.saturating_sub(take as u64);
    }
    Ok(())
}
