//! The built binary, run as a user runs it: `tapline worker worker.properties …`.

use crate::eventually;
use crate::http::{Response, request};
use crate::run::{Process, folder, free_port};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// A worker and its data folder. Dropping it kills it; a failing test prints the end of its log.
pub struct Worker {
    binary: PathBuf,
    dir: PathBuf,
    settings: Vec<(String, String)>,
    connectors: Vec<PathBuf>,
    address: String,
    bootstrap: String,
    process: Option<Process>,
}

/// Renders settings as a Java properties file.
pub fn properties<K: AsRef<str>, V: AsRef<str>>(settings: &[(K, V)]) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n");
    settings
        .iter()
        .map(|(k, v)| format!("{}={}\n", escape(k.as_ref()), escape(v.as_ref())))
        .collect()
}

impl Worker {
    /// Starts `binary` with these worker settings and these connectors given on the command line (name and settings),
    /// on a REST port of its own, and waits until it is ready to serve. Without `bootstrap.servers` among the settings
    /// it runs the embedded broker, in a data folder that outlives [`kill`](Self::kill).
    pub fn start(binary: &str, settings: &[(&str, &str)], connectors: &[(&str, Value)]) -> Worker {
        let mut worker = Worker::prepare(binary, settings, connectors);
        worker.restart();
        worker
    }

    /// As [`start`](Self::start), without starting it. `$TAPLINE` stands in for the binary: with
    /// `integration/servers/connect-worker.sh` a scenario runs against Kafka Connect itself.
    pub fn prepare(binary: &str, settings: &[(&str, &str)], connectors: &[(&str, Value)]) -> Worker {
        let dir = folder("worker");
        let address = format!("127.0.0.1:{}", free_port());
        let mut all = vec![("listeners".to_owned(), format!("http://{address}"))];
        let given = settings.iter().find(|(key, _)| *key == "bootstrap.servers");
        let bootstrap = given.map_or_else(
            || format!("127.0.0.1:{}", free_port()),
            |(_, value)| (*value).to_owned(),
        );
        if given.is_none() {
            all.push(("broker.listeners".to_owned(), format!("PLAINTEXT://{bootstrap}")));
        }
        all.extend(settings.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())));
        let connectors = connectors
            .iter()
            .map(|(name, config)| {
                let file = dir.join(format!("{name}.json"));
                let text = serde_json::json!({ "name": name, "config": config }).to_string();
                fs::write(&file, text).expect("a connector file");
                file
            })
            .collect();
        Worker {
            binary: std::env::var_os("TAPLINE").map_or_else(|| binary.into(), PathBuf::from),
            dir,
            settings: all,
            connectors,
            address,
            bootstrap,
            process: None,
        }
    }

    /// Starts it (again), and waits until it is ready to serve.
    pub fn restart(&mut self) {
        self.spawn();
        let (address, process) = (&self.address, &mut self.process);
        eventually("the worker is ready to serve", Duration::from_secs(60), || {
            if let Some(status) = process.as_mut().and_then(Process::exited) {
                panic!("the worker ended with {status}");
            }
            let answer = request(address, "GET", "/health", None)?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(format!("{} {}", answer.status, answer.body))
            }
        });
    }

    /// Starts it (again), without waiting.
    pub fn spawn(&mut self) {
        let file = self.dir.join("worker.properties");
        fs::write(&file, properties(&self.settings)).expect("a properties file");
        let mut command = Command::new(&self.binary);
        command
            .arg("worker")
            .arg(&file)
            .args(&self.connectors)
            .arg("--data-dir")
            .arg(self.dir.join("data"));
        self.process = Some(Process::spawn(&mut command, &self.dir, "worker"));
    }

    /// `127.0.0.1:PORT` of the REST API.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `bootstrap.servers` of the Kafka it runs on, its own embedded broker when it was given none.
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// Its folder: `data`, `worker.log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process it runs as.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// SIGTERM: it drains, commits and ends.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process()
            .terminate(Duration::from_secs(60))
            .expect("it ends within a minute")
    }

    /// One request to its REST API; panics when there is no answer at all.
    pub fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let body = body.map(Value::to_string);
        request(&self.address, method, path, body.as_deref()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Creates the connector, or gives it this configuration.
    pub fn put_connector(&self, name: &str, config: &Value) {
        let answer = self.rest("PUT", &format!("/connectors/{name}/config"), Some(config));
        assert!(
            matches!(answer.status, 200 | 201),
            "{} {}",
            answer.status,
            answer.body
        );
    }

    /// Waits until the connector and all its tasks (at least one) are RUNNING.
    pub fn wait_running(&self, name: &str) {
        self.wait_state(name, "RUNNING");
    }

    /// Waits until every task of the connector (at least one) is in `state`; panics when one is FAILED instead.
    pub fn wait_state(&self, name: &str, state: &str) {
        eventually(&format!("{name} is {state}"), Duration::from_secs(60), || {
            let status = request(&self.address, "GET", &format!("/connectors/{name}/status"), None)?.json();
            let states: Vec<&str> = status["tasks"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|t| t["state"].as_str())
                .collect();
            assert!(state == "FAILED" || !states.contains(&"FAILED"), "{status:#}");
            let all = !states.is_empty() && states.iter().all(|&s| s == state);
            if all { Ok(()) } else { Err(status.to_string()) }
        });
    }
}
