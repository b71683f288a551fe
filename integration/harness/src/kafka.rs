//! A real Apache Kafka broker.

use crate::run::{folder, free_port, guard, run_script};
use std::path::PathBuf;

/// One broker on loopback, its own controller. Stopped when the run ends.
pub struct Kafka {
    dir: PathBuf,
    port: u16,
}

impl Kafka {
    /// Starts a broker with these settings on top (`num.partitions=3`).
    pub fn start(settings: &[&str]) -> Kafka {
        let kafka = Kafka {
            dir: folder("kafka"),
            port: free_port(),
        };
        let (dir, port) = (kafka.dir.display().to_string(), kafka.port.to_string());
        run_script("kafka.sh", &[&["start", &dir, &port], settings].concat());
        guard(&format!("stop {dir} kafka"));
        kafka
    }

    /// For `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&self) {
        run_script("kafka.sh", &["kill", &self.dir.display().to_string()]);
    }

    /// Starts it again, on the same port and data.
    pub fn restart(&self) {
        run_script(
            "kafka.sh",
            &["start", &self.dir.display().to_string(), &self.port.to_string()],
        );
    }

    /// The broker's process id.
    ///
    /// # Panics
    /// When it is not running.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.dir.join("kafka.pid")).expect("it is running");
        pid.trim().parse().expect("a pid")
    }

    /// Runs one of Kafka's own tools (`org.apache.kafka.tools.TopicCommand`) and gives what it printed.
    pub fn tool(class: &str, args: &[&str]) -> String {
        run_script("kafka.sh", &[&["tool", class], args].concat())
    }
}
