//! A real Kafka Connect with Debezium: who `tapline` changes places with.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use crate::eventually;
use crate::run::{folder, free_port, guard, run_script};

/// One distributed worker on an Apache Kafka. Stopped when the run ends.
pub struct Connect {
    dir: PathBuf,
    port: u16,
    kafka: String,
    settings: Vec<String>,
}

impl Connect {
    /// Prepares a worker on this Kafka (`127.0.0.1:PORT`) with these settings (`offset.flush.interval.ms=1000`) on top,
    /// without starting it.
    ///
    /// # Panics
    /// When the address has no port.
    pub fn prepare(bootstrap: &str, settings: &[&str]) -> Connect {
        let (_, port) = bootstrap.rsplit_once(':').expect("host:port");
        Connect {
            dir: folder("connect"),
            port: free_port(),
            kafka: port.to_owned(),
            settings: settings.iter().map(|&s| s.to_owned()).collect(),
        }
    }

    /// Starts it (again), and waits until it serves.
    pub fn start(&self) {
        let (dir, port) = (self.dir.display().to_string(), self.port.to_string());
        let mut args = vec!["start", &dir, &port, &self.kafka];
        args.extend(self.settings.iter().map(String::as_str));
        run_script("connect.sh", &args);
        guard(&format!("stop {dir} connect TERM"));
    }

    /// A clean shutdown.
    pub fn stop(&self) {
        run_script("connect.sh", &["stop", &self.dir.display().to_string()]);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        run_script("connect.sh", &["kill", &self.dir.display().to_string()]);
        // Its first thread may be gone before the others, which hold the port.
        eventually("its port is free", Duration::from_secs(30), || {
            TcpListener::bind(("127.0.0.1", self.port)).map_err(|e| e.to_string())
        });
    }

    /// The worker's properties, once it was started; a `tapline worker` takes the same.
    pub fn properties(&self) -> PathBuf {
        self.dir.join("worker.properties")
    }

    /// `127.0.0.1:PORT` of its REST API, and of whoever runs on its properties.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
