//! A tour of the command line against a running worker: what each command prints, and how it ends.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tapline_harness::{Worker, eventually, folder, pipeline};

use crate::{TAPLINE, postgres};

/// What a command printed (its errors, when it failed), and whether it succeeded.
fn tapline(args: &[&str]) -> (bool, String) {
    let output = Command::new(TAPLINE)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let well = output.status.success();
    let bytes = if well || !output.stdout.is_empty() {
        output.stdout
    } else {
        output.stderr
    };
    (well, String::from_utf8(bytes).unwrap())
}

struct Tour {
    url: String,
    bootstrap: String,
}

impl Tour {
    /// `tapline connectors …` or `tapline offsets …`, which must succeed.
    fn ask(&self, command: &str, args: &[&str]) -> String {
        let (well, text) = self.try_ask(command, args);
        assert!(well, "{command} {args:?}: {text}");
        text
    }

    fn try_ask(&self, command: &str, args: &[&str]) -> (bool, String) {
        tapline(&[&[command, "--url", &self.url], args].concat())
    }

    fn topics(&self, args: &[&str]) -> (bool, String) {
        tapline(&[&["topics", "--bootstrap-server", &self.bootstrap], args].concat())
    }

    /// Until the connector's tasks are in this state.
    fn becomes(&self, name: &str, state: &str) {
        eventually(&format!("{name} is {state}"), Duration::from_secs(30), || {
            let (_, text) = self.try_ask("connectors", &["--json", "status", name]);
            let status: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            let tasks = status["tasks"].as_array().ok_or("no tasks")?;
            let there = match state {
                "STOPPED" => tasks.is_empty() && status["connector"]["state"] == "STOPPED",
                _ => !tasks.is_empty() && tasks.iter().all(|task| task["state"] == state),
            };
            if there { Ok(()) } else { Err(text) }
        });
    }
}

#[test]
fn the_command_line_runs_a_connector_from_its_creation_to_its_end() {
    let sql = postgres().create_database("cli");
    sql.execute("create table t (id int primary key, name text); insert into t values (1, 'a'), (2, null)");
    let worker = Worker::start(TAPLINE, &[("offset.flush.interval.ms", "200")], &[]);
    let tour = Tour {
        url: format!("http://{}", worker.address()),
        bootstrap: worker.bootstrap(),
    };
    let config = pipeline::source(postgres(), "cli", "cli", "public.t");
    let file = folder("cli").join("cli.json");
    std::fs::write(&file, json!({ "name": "cli", "config": config }).to_string()).unwrap();
    let file = file.to_str().unwrap();

    let (well, found) = tapline(&["doctor", file]);
    assert!(
        well && found.contains("1 is captured") && found.ends_with("nothing is wrong\n"),
        "{found}"
    );

    assert_eq!(tour.ask("connectors", &["create", file]), "cli is created\n");
    let again = tour.try_ask("connectors", &["create", file]);
    assert_eq!(
        again,
        (
            false,
            "tapline: Connector cli already exists (409 Conflict)\n".to_owned()
        )
    );
    tour.becomes("cli", "RUNNING");
    let list = tour.ask("connectors", &["list"]);
    assert!(list.contains("cli   source  RUNNING  1/1"), "{list}");

    // topics
    let tail = eventually("the snapshot's records", Duration::from_secs(30), || {
        let (well, text) = tour.topics(&["tail", "cli.public.t", "--from-beginning", "-n", "2", "--json"]);
        if well { Ok(text) } else { Err(text) }
    });
    let records: Vec<Value> = tail
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2, "{tail}");
    let (well, topics) = tour.topics(&["list"]);
    assert!(well && topics.contains("cli.public.t     1"), "{topics}");
    let described: Value =
        serde_json::from_str(&tour.topics(&["--json", "describe", "cli.public.t"]).1).unwrap();
    assert_eq!(described["partitions"][0]["latest"], 2, "{described}");
    let missing = tour.topics(&["describe", "nope"]);
    assert!(
        !missing.0 && missing.1.contains("there is no topic nope"),
        "{missing:?}"
    );

    // states
    assert_eq!(tour.ask("connectors", &["pause", "cli"]), "cli is to pause\n");
    tour.becomes("cli", "PAUSED");
    assert_eq!(tour.ask("connectors", &["resume", "cli"]), "cli is to go on\n");
    tour.becomes("cli", "RUNNING");
    assert_eq!(
        tour.ask("connectors", &["restart", "--tasks", "cli"]),
        "cli is to start again\n"
    );
    tour.becomes("cli", "RUNNING");

    // offsets: read, refused while it runs, set back and forgotten once it is stopped
    let stored = eventually("an offset", Duration::from_secs(20), || {
        let text = tour.ask("offsets", &["get", "cli"]);
        if text.contains(r#"{"server":"cli"}"#) {
            Ok(text)
        } else {
            Err(text)
        }
    });
    assert!(stored.starts_with("PARTITION"), "{stored}");
    let (well, refused) = tour.try_ask("offsets", &["reset", "cli"]);
    assert!(
        !well && refused.contains("`tapline connectors stop cli`"),
        "{refused}"
    );
    tour.ask("connectors", &["stop", "cli"]);
    tour.becomes("cli", "STOPPED");
    let before = tour.ask("offsets", &["--json", "get", "cli"]);
    let saved = folder("cli").join("offsets.json");
    std::fs::write(&saved, &before).unwrap();
    tour.ask("offsets", &["reset", "cli"]);
    assert_eq!(tour.ask("offsets", &["get", "cli"]).lines().count(), 1);
    tour.ask("offsets", &["set", "cli", saved.to_str().unwrap()]);
    let after: Value = serde_json::from_str(&tour.ask("offsets", &["--json", "get", "cli"])).unwrap();
    assert_eq!(sorted(&after), sorted(&serde_json::from_str(&before).unwrap()));

    // it goes on where it was told to: no second snapshot
    sql.execute("insert into t values (3, 'c')");
    tour.ask("connectors", &["resume", "cli"]);
    tour.becomes("cli", "RUNNING");
    let tail = tour
        .topics(&["tail", "cli.public.t", "--from-beginning", "-n", "3", "--json"])
        .1;
    assert!(
        tail.lines().nth(2).is_some_and(|line| line.contains(r#""c""#)),
        "{tail}"
    );

    let changed = tour.ask("connectors", &["config", "cli", "--set", "tasks.max=1"]);
    assert!(
        tour.ask("connectors", &["config", "cli"])
            .contains("tasks.max=1\n"),
        "{changed}"
    );
    assert_eq!(tour.ask("connectors", &["delete", "cli"]), "cli is deleted\n");
    let gone = tour.try_ask("connectors", &["status", "cli"]);
    assert!(!gone.0, "{gone:?}");
    assert_eq!(tour.ask("connectors", &["list"]).lines().count(), 1);
}

fn sorted(offsets: &Value) -> Vec<String> {
    let list = offsets["offsets"].as_array().unwrap();
    let mut texts: Vec<String> = list.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

#[test]
fn without_a_worker_the_command_line_says_what_to_do() {
    let (well, text) = tapline(&["connectors", "--url", "http://127.0.0.1:1", "list"]);
    assert!(
        !well && text.contains("no worker answers at http://127.0.0.1:1"),
        "{text}"
    );
    let (well, text) = tapline(&["plugins", "Nope"]);
    assert!(!well && text.contains("there is no plugin Nope"), "{text}");
    let (well, text) = tapline(&["plugins", "RegexRouter"]);
    assert!(well && text.contains("replacement"), "{text}");
    let dir = folder("reference");
    let (well, text) = tapline(&["plugins", "--markdown", dir.to_str().unwrap()]);
    assert!(well, "{text}");
    assert!(dir.join("worker.md").is_file() && dir.join("README.md").is_file());
}
