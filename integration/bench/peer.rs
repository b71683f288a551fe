//! Kafka Connect with Debezium, one worker for the whole run.

use std::process::{Command, Stdio};
use std::time::Instant;
use tapline_harness::{Kafka, folder, free_port, guard, script};

pub struct Peer {
    address: String,
    pid: u32,
    started_in: f64,
}

impl Peer {
    pub fn start(kafka: &Kafka) -> Peer {
        let (dir, port) = (folder("connect"), free_port());
        let kafka_port = kafka.bootstrap().rsplit(':').next().unwrap().to_owned();
        let install = Command::new(script("connect.sh")).arg("install").status();
        assert!(install.is_ok_and(|status| status.success()), "no Kafka Connect");
        let start = Instant::now();
        let started = Command::new(script("connect.sh"))
            .args(["start", &dir.display().to_string()])
            .args([&port.to_string(), &kafka_port])
            .stdout(Stdio::null())
            .status()
            .expect("bash runs");
        assert!(started.success(), "Kafka Connect does not start");
        let started_in = start.elapsed().as_secs_f64();
        guard(&format!("stop {} connect", dir.display()));
        let pid = std::fs::read_to_string(dir.join("connect.pid")).unwrap();
        Peer {
            address: format!("127.0.0.1:{port}"),
            pid: pid.trim().parse().unwrap(),
            started_in,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Seconds from its start to its first REST answer.
    pub fn started_in(&self) -> f64 {
        self.started_in
    }
}
