//! A real PostgreSQL server.

use crate::run::{folder, free_port, guard, run_script};
use crate::sql::Sql;
use std::path::{Path, PathBuf};

/// A server on loopback with `wal_level=logical`, superuser `postgres`, no password. Stopped when the run ends.
pub struct Postgres {
    version: Option<u8>,
    dir: PathBuf,
    port: u16,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a server of the newest installed version with these settings (`max_connections=50`) on top.
    pub fn start(settings: &[&str]) -> Postgres {
        Postgres::spawn(None, settings)
    }

    /// Starts a server of this major version: one that is installed, or 18, which has pgvector and PostGIS.
    pub fn start_version(version: u8, settings: &[&str]) -> Postgres {
        Postgres::spawn(Some(version), settings)
    }

    fn spawn(version: Option<u8>, settings: &[&str]) -> Postgres {
        let server = Postgres {
            version,
            dir: folder("postgres"),
            port: free_port(),
            settings: settings.iter().map(|&s| s.to_owned()).collect(),
        };
        server.restart();
        guard(&format!("stop {} postgres", server.dir.display()));
        server
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the data (`db`), the log and the Unix socket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and data.
    pub fn restart(&self) {
        let (dir, port) = (self.dir.display().to_string(), self.port.to_string());
        let version = self.version.map_or_else(String::new, |v| v.to_string());
        let mut args = vec!["start", &dir, &port, &version];
        args.extend(self.settings.iter().map(String::as_str));
        run_script("postgres.sh", &args);
    }

    /// SIGKILL to the server's first process; its children follow.
    pub fn kill(&self) {
        run_script("postgres.sh", &["kill", &self.dir.display().to_string()]);
    }

    /// A fast shutdown.
    pub fn stop(&self) {
        run_script("postgres.sh", &["stop", &self.dir.display().to_string()]);
    }

    /// The process id of the server's first process.
    ///
    /// # Panics
    /// When it is not running.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.dir.join("postgres.pid")).expect("it is running");
        pid.trim().parse().expect("a pid")
    }

    /// A session in `database`.
    pub fn sql(&self, database: &str) -> Sql {
        Sql::connect(self.port, database).expect("a session")
    }

    /// Makes the database `name` and gives a session in it.
    pub fn create_database(&self, name: &str) -> Sql {
        self.sql("postgres").execute(&format!("create database {name}"));
        self.sql(name)
    }

    /// A client program: `psql`, `pg_recvlogical`.
    pub fn program(&self, name: &str) -> PathBuf {
        Path::new(&run_script("postgres.sh", &["bin"])).join(name)
    }
}
