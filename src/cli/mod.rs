//! The `tapline` command.
//!
//! What is asked for goes to standard output, all else (logs, what went wrong) to standard error. Exit codes: 0 it
//! is done, 1 it failed or something was found wrong, 2 the command line can't be read.

mod client;
mod connector_file;
mod connectors;
mod doctor;
mod log;
mod markdown;
mod offsets;
mod plugins;
mod record;
mod table;
mod topics;
mod worker;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;
use tapline_api::{Error, Result};

/// Change data capture: Kafka Connect and Debezium in one binary.
#[derive(Debug, Parser)]
#[command(name = "tapline", version, arg_required_else_help = true)]
struct Cli {
    /// What is logged: a level or directives, such as `debug` or `info,tapline_source_postgres=debug`; before RUST_LOG
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a worker until SIGTERM or SIGINT
    Worker(worker::Args),
    /// Looks at topics
    Topics(topics::Args),
    /// Lists, creates, changes and deletes a worker's connectors
    Connectors(connectors::Args),
    /// Reads and changes where a connector stands
    Offsets(offsets::Args),
    /// Lists what this binary holds, or the options of one plugin
    Plugins(plugins::Args),
    /// Checks a connector's configuration against its live system and says how to mend it
    Doctor(doctor::Args),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let default = if matches!(cli.command, Command::Worker(_)) {
        "info"
    } else {
        // What Kafka's library says of brokers, the commands say in a sentence.
        "warn,librdkafka=off"
    };
    let done = log::init(cli.log.as_deref(), default).and_then(|loggers| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("tapline")
            .build()
            .map_err(|error| Error::fatal(format!("can't start threads: {error}")))?;
        let code = runtime.block_on(async {
            match cli.command {
                Command::Worker(args) => worker::run(args, loggers).await,
                Command::Topics(args) => topics::run(args).await,
                Command::Connectors(args) => connectors::run(args).await,
                Command::Offsets(args) => offsets::run(args).await,
                Command::Plugins(args) => plugins::run(&args),
                Command::Doctor(args) => doctor::run(args).await,
            }
        });
        runtime.shutdown_background();
        code
    });
    match done {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, what came before it, and what mends it.
fn tell(error: &Error) {
    let mut text = format!("tapline: {error}\n");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!("  because: {error}\n"));
        cause = error.source();
    }
    // Nobody is left to hear that standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes to standard output.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Error::fatal("can't write to standard output").cause(error))
}

/// Whether it failed because nobody reads on (`| head`).
fn is_closed_pipe(error: &Error) -> bool {
    let io = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes JSON to standard output: in lines for people, in one line for programs.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text = if std::io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    print(&format!(
        "{}\n",
        text.map_err(|error| Error::fatal(error.to_string()))?
    ))
}
