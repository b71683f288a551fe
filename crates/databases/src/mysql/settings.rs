//! Where a MySQL or MariaDB server is and how to reach it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tapline_api::config::Secret;

/// How a connection is encrypted and what is checked of the server's certificate: MySQL's five values, and MariaDB's four,
/// which mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never encrypted (MariaDB: `disable`).
    Disabled,
    /// Encrypted if the server can, else plain.
    #[default]
    Preferred,
    /// Encrypted or not at all (MariaDB: `trust`).
    Required,
    /// Encrypted, and the certificate is signed by a trusted authority (MariaDB: `verify-ca`).
    VerifyCa,
    /// As [`SslMode::VerifyCa`], and the certificate is for this host (MariaDB: `verify-full`).
    VerifyIdentity,
}

impl SslMode {
    /// MySQL's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify_ca",
            Self::VerifyIdentity => "verify_identity",
        }
    }
}

impl FromStr for SslMode {
    type Err = String;

    /// Both servers' names, in any case.
    fn from_str(s: &str) -> Result<Self, String> {
        Ok(match s.trim().to_ascii_lowercase().as_str() {
            "disabled" | "disable" => Self::Disabled,
            "preferred" => Self::Preferred,
            "required" | "trust" => Self::Required,
            "verify_ca" | "verify-ca" => Self::VerifyCa,
            "verify_identity" | "verify-full" => Self::VerifyIdentity,
            _ => {
                return Err(format!(
                    "Value must be one of disabled, preferred, required, verify_ca, verify_identity (MariaDB: disable, \
                     trust, verify-ca, verify-full), but is '{s}'"
                ));
            }
        })
    }
}

/// Everything needed to open a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Host name, address, or (when it begins with `/`) the path of the server's Unix socket.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<Secret>,
    /// Database to select, if any.
    pub database: Option<String>,
    /// Encryption; without meaning on a Unix socket.
    pub ssl_mode: SslMode,
    /// PEM file of the authorities that are trusted.
    pub ssl_ca: Option<PathBuf>,
    /// PEM file of our own certificate (chain).
    pub ssl_cert: Option<PathBuf>,
    /// PEM file of its private key, not encrypted.
    pub ssl_key: Option<PathBuf>,
    /// Limit for name resolution, TCP, TLS and log-in together.
    pub connect_timeout: Duration,
    /// Whether the kernel probes an idle TCP connection.
    pub tcp_keep_alive: bool,
    /// The kernel's receive buffer in bytes, if not its default.
    pub receive_buffer: Option<usize>,
}

impl Settings {
    /// Settings for `host`, all else at its default (port 3306, `preferred` TLS, 30 s to connect).
    pub fn new(host: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 3306,
            user: user.into(),
            password: None,
            database: None,
            ssl_mode: SslMode::default(),
            ssl_ca: None,
            ssl_cert: None,
            ssl_key: None,
            connect_timeout: Duration::from_secs(30),
            tcp_keep_alive: true,
            receive_buffer: None,
        }
    }

    /// The path of the server's Unix socket, if `host` is one.
    pub fn unix_socket(&self) -> Option<&str> {
        self.host.starts_with('/').then_some(self.host.as_str())
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        match self.unix_socket() {
            Some(path) => path.to_owned(),
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
        let mut settings = Settings::new("h", "u");
        settings.password = Some(Secret::new("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn both_servers_names_of_a_tls_mode_are_known() {
        for (mysql, mariadb) in [
            ("disabled", "disable"),
            ("required", "trust"),
            ("verify_ca", "verify-ca"),
            ("verify_identity", "verify-full"),
        ] {
            assert_eq!(mysql.parse::<SslMode>().map(SslMode::as_str), Ok(mysql));
            assert_eq!(mysql.parse::<SslMode>(), mariadb.parse::<SslMode>());
        }
        assert_eq!("PREFERRED".parse::<SslMode>(), Ok(SslMode::Preferred));
        assert!("prefer".parse::<SslMode>().is_err());
    }
}
