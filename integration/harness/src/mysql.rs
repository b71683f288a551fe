//! A real MySQL or MariaDB server.

use crate::run::{folder, free_port, guard, run_script, script};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MySQL 9.
    MySql,
    /// MariaDB 10.11.
    MariaDb,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::MySql => "mysql",
            Kind::MariaDb => "mariadb",
        }
    }
}

/// A server on loopback with a row binlog and GTIDs; user `tapline`, password `tapline`, with every right. Stopped when
/// the run ends.
pub struct Mysql {
    kind: Kind,
    dir: PathBuf,
    port: u16,
    settings: Vec<String>,
}

impl Mysql {
    /// Starts a server with these settings (`max_connections=50`) on top.
    pub fn start(kind: Kind, settings: &[&str]) -> Mysql {
        let server = Mysql {
            kind,
            dir: folder(kind.name()),
            port: free_port(),
            settings: settings.iter().map(|&s| s.to_owned()).collect(),
        };
        server.restart();
        guard(&format!("stop {} mysql TERM", server.dir.display()));
        server
    }

    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.dir.join("mysql.pid")).expect("it was started");
        text.trim().parse().expect("a pid")
    }

    /// The folder of the data (`db`), the log and the Unix socket (`socket`).
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and data.
    pub fn restart(&self) {
        let (dir, port) = (self.dir.display().to_string(), self.port.to_string());
        let mut args = vec!["start", &dir, &port, self.kind.name()];
        args.extend(self.settings.iter().map(String::as_str));
        run_script("mysql.sh", &args);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        run_script("mysql.sh", &["kill", &self.dir.display().to_string()]);
    }

    /// A clean shutdown.
    pub fn stop(&self) {
        run_script("mysql.sh", &["stop", &self.dir.display().to_string()]);
    }

    /// Runs statements as root, in a session of their own; panics with the server's message when one fails.
    pub fn execute(&self, sql: &str) {
        self.rows(sql);
    }

    /// Runs statements as root, in a session of their own, and gives all their rows as text; NULL is `None`, and so is
    /// the text `NULL`. Panics when a statement fails.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_rows(sql)
            .unwrap_or_else(|message| panic!("{} says:\n{message}", self.kind.name()))
    }

    /// As [`rows`](Self::rows); the server's message when a statement fails.
    ///
    /// # Errors
    /// That message.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let mut client = Command::new(script("mysql.sh"))
            .args(["sql", &self.dir.display().to_string()])
            .args([
                "--batch",
                "--skip-column-names",
                "--default-character-set=utf8mb4",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let mut input = client.stdin.take().expect("a pipe");
        let sql = sql.to_owned();
        let write = std::thread::spawn(move || input.write_all(sql.as_bytes()));
        let output = client.wait_with_output().expect("a child of ours");
        let written = write.join().expect("the writer ends");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        written.expect("the client reads to the end");
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .map(|line| line.split('\t').map(field).collect())
            .collect())
    }

    /// The first column of the first row as a number; `None` when the statement fails.
    pub fn try_count(&self, sql: &str) -> Option<u64> {
        let rows = self.try_rows(sql).ok()?;
        rows.first()?.first()?.as_ref()?.parse().ok()
    }

    /// The first column of the first row: empty when there is none, or it is NULL.
    pub fn value(&self, sql: &str) -> String {
        self.rows(sql)
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .unwrap_or_default()
    }

    /// The first column of the first row as a number; 0 when there is none.
    pub fn count(&self, sql: &str) -> u64 {
        self.value(sql).parse().unwrap_or(0)
    }
}

/// One field of `--batch`, which escapes tab, newline, NUL and backslash.
fn field(text: &str) -> Option<String> {
    if text == "NULL" {
        return None;
    }
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        value.push(match chars.next() {
            Some('t') => '\t',
            Some('n') => '\n',
            Some('0') => '\0',
            Some(other) => other,
            None => '\\',
        });
    }
    Some(value)
}
