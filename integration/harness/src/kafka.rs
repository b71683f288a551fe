//! A real Apache Kafka broker.

use crate::eventually;
use crate::run::{folder, free_port, guard, run_script};
use crate::topic::broker_count;
use std::path::PathBuf;
use std::time::Duration;

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

    /// Starts a second broker of this one's cluster, with this id; its controller stays the first.
    ///
    /// # Panics
    /// When it does not come into the cluster.
    pub fn join(&self, id: u32) -> Kafka {
        let settings = std::fs::read_to_string(self.dir.join("server.properties")).expect("it was started");
        let voters = settings
            .lines()
            .find(|line| line.starts_with("controller.quorum.voters="));
        let joined = Kafka {
            dir: folder("kafka"),
            port: free_port(),
        };
        let (dir, port) = (joined.dir.display().to_string(), joined.port.to_string());
        let args = [
            "start",
            &dir,
            &port,
            "process.roles=broker",
            &format!("node.id={id}"),
            voters.expect("it has a controller"),
            &format!("listeners=PLAINTEXT://{}", joined.bootstrap()),
        ];
        run_script("kafka.sh", &args);
        guard(&format!("stop {dir} kafka"));
        eventually(
            "it is in the cluster",
            Duration::from_secs(60),
            || match broker_count(&self.bootstrap()) {
                2.. => Ok(()),
                count => Err(format!("{count} brokers")),
            },
        );
        joined
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
