//! `tapline connectors`, by REST.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value as Json, json};
use tapline_api::config::Config;
use tapline_api::{Error, Result};

use super::client::{Client, connector};
use super::{connector_file, print, print_json, table};

/// `tapline connectors …`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    client: Client,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All connectors with their states
    List,
    /// A connector's state and its tasks'; exit code 1 when anything has failed
    Status {
        /// The connector
        name: String,
    },
    /// Creates the connector that a file describes (.json or .properties)
    Create {
        /// The file
        file: PathBuf,
        /// Gives an existing connector this configuration
        #[arg(long)]
        replace: bool,
    },
    /// Deletes connectors; their offsets stay
    Delete(Names),
    /// Lets the tasks wait
    Pause(Names),
    /// Goes on after a pause or a stop
    Resume(Names),
    /// Takes the tasks away; offsets can then be changed
    Stop(Names),
    /// Starts the connector again
    Restart {
        /// The connector
        name: String,
        /// Its tasks too
        #[arg(long)]
        tasks: bool,
        /// Only what has failed, tasks among them
        #[arg(long)]
        only_failed: bool,
        /// Only this task
        #[arg(long, value_name = "N", conflicts_with_all = ["tasks", "only_failed"])]
        task: Option<u32>,
    },
    /// Prints a connector's configuration, or changes options of it
    Config {
        /// The connector
        name: String,
        /// Sets an option
        #[arg(long, value_name = "OPTION=VALUE")]
        set: Vec<String>,
        /// Removes an option
        #[arg(long, value_name = "OPTION")]
        unset: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
struct Names {
    /// The connectors
    #[arg(required = true)]
    names: Vec<String>,
}

pub(super) async fn run(Args { client, command }: Args) -> Result<ExitCode> {
    match command {
        Command::List => list(&client).await?,
        Command::Status { name } => return status(&client, &name).await,
        Command::Create { file, replace } => {
            let file = connector_file::read(&file)?;
            let config = object(&file.config);
            let answer = if replace {
                client
                    .put(&connector(&file.name, "/config"), Some(&config))
                    .await?
            } else {
                let mut body = json!({ "name": file.name, "config": config });
                if let (Some(body), Some(state)) = (body.as_object_mut(), file.initial_state) {
                    body.insert("initial_state".to_owned(), Json::String(state));
                }
                client.post("/connectors", Some(&body)).await?
            };
            done(&client, &answer, &format!("{} is created\n", file.name))?;
        }
        Command::Delete(Names { names }) => {
            for name in names {
                client.delete(&connector(&name, "")).await?;
                print(&format!("{name} is deleted\n"))?;
            }
        }
        Command::Pause(Names { names }) => ask(&client, &names, "/pause", "is to pause").await?,
        Command::Resume(Names { names }) => ask(&client, &names, "/resume", "is to go on").await?,
        Command::Stop(Names { names }) => ask(&client, &names, "/stop", "is to stop").await?,
        Command::Restart {
            name,
            tasks,
            only_failed,
            task,
        } => {
            let path = match task {
                Some(task) => format!("/tasks/{task}/restart"),
                None => format!(
                    "/restart?includeTasks={}&onlyFailed={only_failed}",
                    tasks || only_failed
                ),
            };
            let answer = client.post(&connector(&name, &path), None).await?;
            done(&client, &answer, &format!("{name} is to start again\n"))?;
        }
        Command::Config { name, set, unset } => config(&client, &name, &set, unset).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client) -> Result<()> {
    let all = client.get("/connectors?expand=status&expand=info").await?;
    if client.json {
        return print_json(&all);
    }
    let entries = all.as_object().into_iter().flatten();
    let rows: Vec<_> = entries.map(|(name, both)| row(name, both)).collect();
    print(&table::render(
        &["NAME", "TYPE", "STATE", "TASKS", "CLASS"],
        &rows,
    ))
}

/// A connector in the list: how many of its tasks run, and what the others do.
fn row(name: &str, both: &Json) -> Vec<String> {
    let text = |pointer: &str| {
        both.pointer(pointer)
            .and_then(Json::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    let tasks = both.pointer("/status/tasks").and_then(Json::as_array);
    let states: Vec<_> = tasks
        .into_iter()
        .flatten()
        .filter_map(|task| task["state"].as_str())
        .collect();
    let running = states.iter().filter(|state| **state == "RUNNING").count();
    let mut others: Vec<_> = states
        .iter()
        .filter(|state| **state != "RUNNING")
        .copied()
        .collect();
    others.sort_unstable();
    others.dedup();
    let mut tasks = format!("{running}/{}", states.len());
    if !others.is_empty() {
        tasks.push_str(&format!(" ({})", others.join(", ")));
    }
    vec![
        name.to_owned(),
        text("/status/type"),
        text("/status/connector/state"),
        tasks,
        text("/info/config/connector.class"),
    ]
}

async fn status(client: &Client, name: &str) -> Result<ExitCode> {
    let status = client.get(&connector(name, "/status")).await?;
    let whole = status.get("connector");
    let tasks = status.get("tasks").and_then(Json::as_array);
    let tasks = tasks.map_or(&[][..], Vec::as_slice);
    if client.json {
        print_json(&status)?;
    } else {
        let mut rows: Vec<_> = whole.iter().map(|one| state("connector", one)).collect();
        for task in tasks {
            rows.push(state(&format!("task {}", task["id"]), task));
        }
        print(&table::render(&["", "STATE", "WORKER", "TRACE"], &rows))?;
    }
    let failed = tasks
        .iter()
        .chain(whole)
        .any(|one| one.get("state").and_then(Json::as_str) == Some("FAILED"));
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn state(what: &str, one: &Json) -> Vec<String> {
    let text = |name: &str| {
        one[name]
            .as_str()
            .unwrap_or_default()
            .trim_end()
            .replace('\t', "  ")
    };
    vec![what.to_owned(), text("state"), text("worker_id"), text("trace")]
}

async fn ask(client: &Client, names: &[String], what: &str, said: &str) -> Result<()> {
    for name in names {
        client.put(&connector(name, what), None).await?;
        print(&format!("{name} {said}\n"))?;
    }
    Ok(())
}

async fn config(client: &Client, name: &str, set: &[String], unset: Vec<String>) -> Result<()> {
    let path = connector(name, "/config");
    if set.is_empty() && unset.is_empty() {
        let config = client.get(&path).await?;
        if client.json {
            return print_json(&config);
        }
        let options = config.as_object().into_iter().flatten();
        let lines =
            options.map(|(option, value)| format!("{option}={}\n", value.as_str().unwrap_or_default()));
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        return print(&lines.concat());
    }
    let mut patch = Map::new();
    for option in set {
        let Some((option, value)) = option.split_once('=') else {
            return Err(Error::config(format!(
                "--set {option} is not of the form OPTION=VALUE"
            )));
        };
        patch.insert(option.to_owned(), value.into());
    }
    patch.extend(unset.into_iter().map(|option| (option, Json::Null)));
    let answer = client.patch(&path, &Json::Object(patch)).await?;
    done(client, &answer, &format!("{name} has its new configuration\n"))
}

fn done(client: &Client, answer: &Json, said: &str) -> Result<()> {
    if client.json && !answer.is_null() {
        print_json(answer)
    } else {
        print(said)
    }
}

fn object(config: &Config) -> Json {
    config
        .iter()
        .map(|(name, value)| (name.to_owned(), value.map_or(Json::Null, Json::from)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_many_tasks_run_and_what_the_others_do() {
        let both = json!({
            "status": {"type": "source", "connector": {"state": "RUNNING"}, "tasks": [
                {"state": "RUNNING"}, {"state": "FAILED"}, {"state": "FAILED"}, {"state": "PAUSED"}]},
            "info": {"config": {"connector.class": "C"}}
        });
        assert_eq!(
            row("a", &both),
            ["a", "source", "RUNNING", "1/4 (FAILED, PAUSED)", "C"]
        );
        assert_eq!(row("a", &json!({})), ["a", "-", "-", "0/0", "-"]);
    }
}
