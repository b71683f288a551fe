//! What went wrong between us and a MySQL or MariaDB server, in the server's own words where it spoke.

use std::fmt;
use std::io;

use tapline_api::Kind;

/// An ERR packet.
/// <https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The error number, such as 1236.
    pub code: u16,
    /// The SQLSTATE.
    pub state: String,
    /// The message.
    pub message: String,
}

impl ServerError {
    /// Whether the same request may succeed later, without anybody having changed a setting.
    pub fn is_retriable(&self) -> bool {
        matches!(
            self.code,
            1040 // too many connections
            | 1053 // server shutdown in progress
            | 1077 | 1079 // normal and aborting shutdown
            | 1152 | 1158
                ..=1161 | 1184 // aborted connection, network errors
            | 1203 | 1226 // too many connections of this user, resource limits
            | 1205 // lock wait timeout
            | 1213 // deadlock
            | 1290 // read-only: a failover is under way
            | 1317 // query interrupted
            | 1836 | 1927 // read-only mode, connection killed (MariaDB)
            | 3024 | 3032 // max_execution_time, offline mode
            | 3169 | 4031 // session killed, idle too long
        )
    }

    /// Whether the user's settings are at fault: log-in refused, rights, unknown database.
    pub fn is_config(&self) -> bool {
        matches!(
            self.code,
            1044 | 1045
                | 1049
                | 1130
                | 1131
                | 1142
                | 1143
                | 1227
                | 1251
                | 1275
                | 1524
                | 1698
                | 1820
                | 3118
                | 4151
        )
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (error {}, SQLSTATE {})",
            self.message, self.code, self.state
        )
    }
}

/// A failed connection, log-in or statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error("{0}")]
    Server(ServerError),
    /// The connection could not be made, or broke.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the address.
        context: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// Nothing came back in time.
    #[error("{0}")]
    Timeout(String),
    /// Encryption was refused, or the certificate was.
    #[error("{0}")]
    Tls(String),
    /// The settings contradict themselves or name a file that can't be read.
    #[error("{0}")]
    Config(String),
    /// The peer does not speak the protocol as documented.
    #[error("{0}")]
    Protocol(String),
}

impl Error {
    /// An I/O error with what was being done.
    pub fn io(context: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            context: context.into(),
            source,
        }
    }

    /// The server's error number, if it answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Server(error) => Some(error.code),
            _ => None,
        }
    }

    /// Whether trying again later may help, with nobody having changed a setting.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Server(error) => error.is_retriable(),
            Self::Io { .. } | Self::Timeout(_) => true,
            Self::Tls(_) | Self::Config(_) | Self::Protocol(_) => false,
        }
    }

    /// Whether the user's settings are at fault.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Server(error) => error.is_config(),
            Self::Tls(_) | Self::Config(_) => true,
            _ => false,
        }
    }
}

impl From<mysql_async::Error> for Error {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::{DriverError, Error as Theirs, IoError};
        match error {
            Theirs::Server(error) => Self::Server(ServerError {
                code: error.code,
                state: error.state,
                message: error.message,
            }),
            Theirs::Io(IoError::Io(source)) => Self::io("connection to the MySQL server failed", source),
            Theirs::Io(IoError::Tls(error)) => {
                Self::Tls(format!("TLS with the MySQL server failed: {error}"))
            }
            Theirs::Driver(DriverError::ConnectionClosed | DriverError::PoolDisconnected) => Self::io(
                "connection to the MySQL server lost",
                io::ErrorKind::ConnectionAborted.into(),
            ),
            Theirs::Driver(DriverError::NoClientSslFlagFromServer) => {
                Self::Tls("the server does not support TLS, which is required".to_owned())
            }
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<Error> for tapline_api::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            e if e.is_retriable() => Kind::Retriable,
            e if e.is_config() => Kind::Config,
            _ => Kind::Fatal,
        };
        let hint = match error.code() {
            Some(1040 | 1203) => Some("raise max_connections, or end connections that are not needed"),
            Some(1045 | 1698) => Some("check user and password"),
            Some(1130) => Some("the server takes no connections from this host for this user"),
            Some(1227) => Some("grant the privilege that the message names"),
            _ => None,
        };
        let class = match kind {
            Kind::Retriable => "org.apache.kafka.connect.errors.RetriableException",
            Kind::Config | Kind::Data => "org.apache.kafka.connect.errors.ConnectException",
            Kind::Fatal => "io.debezium.DebeziumException",
        };
        let converted = tapline_api::Error::fatal(error.to_string())
            .with_kind(kind)
            .exception(class);
        match hint {
            Some(hint) => converted.hint(hint),
            None => converted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: u16) -> Kind {
        let error = ServerError {
            code,
            state: "HY000".into(),
            message: "no".into(),
        };
        tapline_api::Error::from(Error::Server(error)).kind()
    }

    #[test]
    fn only_what_may_pass_by_itself_is_retried() {
        for code in [1040, 1053, 1205, 1213, 1317] {
            assert_eq!(kind(code), Kind::Retriable, "{code}");
        }
        for code in [1045, 1227, 1049] {
            assert_eq!(kind(code), Kind::Config, "{code}");
        }
        for code in [1064, 1146, 1236] {
            assert_eq!(kind(code), Kind::Fatal, "{code}");
        }
        let lost = Error::io("x", io::ErrorKind::UnexpectedEof.into());
        assert_eq!(tapline_api::Error::from(lost).kind(), Kind::Retriable);
    }
}
