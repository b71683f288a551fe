//! Where a Postgres server is and how to reach it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tapline_api::config::Secret;

/// How a connection is encrypted and what is checked of the server's certificate.
///
/// The six values of libpq and pgjdbc; like pgjdbc, `require` checks nothing of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Plain first; encrypted if the server refuses that.
    Allow,
    /// Encrypted if the server can, else plain.
    #[default]
    Prefer,
    /// Encrypted or not at all.
    Require,
    /// Encrypted, and the certificate is signed by `sslrootcert`.
    VerifyCa,
    /// As [`SslMode::VerifyCa`], and the certificate is for this host.
    VerifyFull,
}

impl SslMode {
    /// The value as it is written in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = String;

    /// Upper case is taken too, as Debezium takes it.
    fn from_str(s: &str) -> Result<Self, String> {
        Ok(match s.trim().to_ascii_lowercase().as_str() {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                return Err(format!(
                    "Value must be one of disable, allow, prefer, require, verify-ca, verify-full, but is '{s}'"
                ));
            }
        })
    }
}

/// Everything needed to open a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Host name, address, or (when it begins with `/`) the folder of the server's Unix socket.
    pub host: String,
    /// TCP port; with a Unix socket, the number in the socket's name.
    pub port: u16,
    /// Role to log in as.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<Secret>,
    /// Database to connect to.
    pub dbname: String,
    /// Encryption; without meaning on a Unix socket, as in libpq.
    pub ssl_mode: SslMode,
    /// PEM file of the authorities that `verify-ca` and `verify-full` trust.
    pub ssl_root_cert: Option<PathBuf>,
    /// PEM file of our own certificate (chain).
    pub ssl_cert: Option<PathBuf>,
    /// Private key of `ssl_cert`: PEM, or PKCS #8 in DER as pgjdbc wants it.
    pub ssl_key: Option<PathBuf>,
    /// Opens `ssl_key` where that is encrypted (PKCS #8, PBES2).
    pub ssl_key_password: Option<Secret>,
    /// What `pg_stat_activity` shows.
    pub application_name: String,
    /// Limit for name resolution, TCP, TLS and log-in together.
    pub connect_timeout: Duration,
    /// Whether the kernel probes an idle TCP connection.
    pub tcp_keep_alive: bool,
    /// The kernel's receive buffer in bytes, if not its default.
    pub receive_buffer: Option<usize>,
    /// Run-time parameters sent with the startup message, such as `statement_timeout`.
    pub parameters: Vec<(String, String)>,
}

impl Settings {
    /// Settings for `host`, all else at its default (port 5432, `sslmode=prefer`, 10 s to connect).
    pub fn new(host: impl Into<String>, user: impl Into<String>, dbname: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 5432,
            user: user.into(),
            password: None,
            dbname: dbname.into(),
            ssl_mode: SslMode::default(),
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
            ssl_key_password: None,
            application_name: "tapline".to_owned(),
            connect_timeout: Duration::from_secs(10),
            tcp_keep_alive: true,
            receive_buffer: None,
            parameters: Vec::new(),
        }
    }

    /// The path of the server's Unix socket, if `host` is a folder.
    pub fn unix_socket(&self) -> Option<PathBuf> {
        self.host
            .starts_with('/')
            .then(|| PathBuf::from(format!("{}/.s.PGSQL.{}", self.host, self.port)))
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        match self.unix_socket() {
            Some(path) => path.display().to_string(),
            None if self.host.contains(':') => format!("[{}]:{}", self.host, self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let mut settings = Settings::new("h", "u", "d");
        settings.password = Some(Secret::new("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_host_that_is_a_path_is_a_socket_folder() {
        let mut settings = Settings::new("/run/postgresql", "u", "d");
        settings.port = 5433;
        assert_eq!(settings.address(), "/run/postgresql/.s.PGSQL.5433");
        assert_eq!(Settings::new("db", "u", "d").unix_socket(), None);
        assert_eq!(Settings::new("::1", "u", "d").address(), "[::1]:5432");
    }

    #[test]
    fn every_sslmode_reads_back_as_written() {
        for text in [
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
        ] {
            assert_eq!(text.parse::<SslMode>().map(SslMode::as_str), Ok(text));
        }
        assert!("verify_full".parse::<SslMode>().is_err());
    }
}
