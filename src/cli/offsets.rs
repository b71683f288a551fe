//! `tapline offsets`, by REST. A connector must be stopped for its offsets to be changed.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value as Json, json};
use tapline_api::{Error, Result};

use super::client::{Client, connector};
use super::{print, print_json, table};

/// `tapline offsets …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    client: Client,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Where a connector stands
    Get {
        /// The connector
        name: String,
    },
    /// Sets where a stopped connector goes on
    Set {
        /// The connector
        name: String,
        /// JSON as `get --json` prints it; `-` for standard input
        #[arg(required_unless_present = "partition", conflicts_with = "partition")]
        file: Option<PathBuf>,
        /// One partition, as JSON
        #[arg(long, value_name = "JSON", requires = "offset")]
        partition: Option<String>,
        /// Its offset, as JSON; `null` forgets it
        #[arg(long, value_name = "JSON", requires = "partition")]
        offset: Option<String>,
    },
    /// Forgets where a stopped connector stands
    Reset {
        /// The connector
        name: String,
    },
}

pub(super) async fn run(Args { client, command }: Args) -> Result<ExitCode> {
    let answer = match command {
        Command::Get { name } => {
            let offsets = client.get(&connector(&name, "/offsets")).await?;
            if client.json {
                print_json(&offsets)?;
            } else {
                let offsets = offsets.get("offsets").and_then(Json::as_array);
                let offsets = offsets.into_iter().flatten();
                let rows: Vec<_> = offsets
                    .map(|one| vec![one["partition"].to_string(), one["offset"].to_string()])
                    .collect();
                print(&table::render(&["PARTITION", "OFFSET"], &rows))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Set {
            name,
            file,
            partition,
            offset,
        } => {
            let body = match (file, partition, offset) {
                (Some(file), ..) => read(&file)?,
                (None, Some(partition), Some(offset)) => json!({ "offsets": [{
                    "partition": parse("--partition", &partition)?,
                    "offset": parse("--offset", &offset)?,
                }]}),
                _ => {
                    return Err(Error::config(
                        "say which offsets: a file, or --partition and --offset",
                    ));
                }
            };
            client
                .patch(&connector(&name, "/offsets"), &body)
                .await
                .map_err(|error| still_running(&name, error))?
        }
        Command::Reset { name } => client
            .delete(&connector(&name, "/offsets"))
            .await
            .map_err(|error| still_running(&name, error))?,
    };
    if client.json {
        print_json(&answer)?;
    } else {
        print(&format!(
            "{}\n",
            answer.get("message").and_then(Json::as_str).unwrap_or_default()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The worker says which request stops a connector; here it is a command.
fn still_running(name: &str, error: Error) -> Error {
    if error.message().contains("must be in the STOPPED state") {
        return error.hint(format!("`tapline connectors stop {name}`, then again"));
    }
    error
}

fn read(file: &PathBuf) -> Result<Json> {
    let mut text = String::new();
    let done = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    let name = file.display().to_string();
    done.map_err(|error| Error::config(format!("{name}: {error}")))?;
    parse(&name, &text)
}

fn parse(what: &str, text: &str) -> Result<Json> {
    serde_json::from_str(text).map_err(|error| Error::config(format!("{what}: {error}")))
}
