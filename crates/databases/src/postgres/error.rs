//! What went wrong between us and a Postgres server, in the server's own words where it spoke.

use std::fmt;
use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;
use tapline_api::Kind;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// From its text; anything that is not five ASCII characters becomes `XX000`.
    pub fn new(code: &str) -> Self {
        match <[u8; 5]>::try_from(code.as_bytes()) {
            Ok(bytes) if bytes.is_ascii() => Self(bytes),
            _ => Self(*b"XX000"),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }

    /// Whether the same request may succeed later, without anybody having changed a setting: the connection was lost or
    /// cut, the server is starting, stopping or out of slots, somebody holds a lock, a serialization failed.
    ///
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    pub fn is_retriable(&self) -> bool {
        let code = self.as_str();
        // 08: connection exceptions, 53: insufficient resources.
        code.starts_with("08")
            || code.starts_with("53")
            || matches!(
                code,
                "57P01" // admin_shutdown
                | "57P02" // crash_shutdown
                | "57P03" // cannot_connect_now
                | "57P05" // idle_session_timeout
                | "57014" // query_canceled, which statement_timeout raises
                | "40001" // serialization_failure
                | "40P01" // deadlock_detected
                | "55P03" // lock_not_available
                | "55006" // object_in_use: the slot's former walsender has not gone yet
                | "25P03" // idle_in_transaction_session_timeout
                | "25P04" // transaction_timeout
            )
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An ErrorResponse or NoticeResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// `ERROR`, `FATAL`, `PANIC`, or a notice's severity.
    pub severity: String,
    /// The SQLSTATE.
    pub code: SqlState,
    /// The primary message.
    pub message: String,
    /// The detail, if there is one.
    pub detail: Option<String>,
    /// The hint, if there is one.
    pub hint: Option<String>,
}

impl ServerError {
    /// From the fields of the message.
    pub fn from_fields(mut fields: ErrorFields<'_>) -> io::Result<Self> {
        let mut error = Self {
            severity: String::new(),
            code: SqlState::new(""),
            message: String::new(),
            detail: None,
            hint: None,
        };
        while let Some(field) = fields.next()? {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'S' if error.severity.is_empty() => error.severity = text,
                b'V' => error.severity = text,
                b'C' => error.code = SqlState::new(&text),
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        Ok(error)
    }
}

impl fmt::Display for ServerError {
    /// As psql and pgjdbc print it: message, then detail, then hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  Detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  Hint: {hint}")?;
        }
        write!(f, " (SQLSTATE {})", self.code.as_str())
    }
}

/// A failed connection, log-in or statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The connection could not be made, or broke.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the address.
        context: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// Nobody listens there; in pgjdbc's words, which people's runbooks know.
    #[error(
        "Connection to {0} refused. Check that the hostname and port are correct and that the postmaster is accepting \
         TCP/IP connections."
    )]
    Refused(String),
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

    /// The SQLSTATE, if the server answered.
    pub fn code(&self) -> Option<SqlState> {
        match self {
            Self::Server(error) => Some(error.code),
            _ => None,
        }
    }

    /// Whether the server answered with this SQLSTATE.
    pub fn is(&self, code: &str) -> bool {
        self.code().is_some_and(|found| found.as_str() == code)
    }

    /// Whether trying again later may help, with nobody having changed a setting.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Server(error) => error.code.is_retriable(),
            Self::Io { .. } | Self::Timeout(_) | Self::Refused(_) => true,
            Self::Tls(_) | Self::Config(_) | Self::Protocol(_) => false,
        }
    }

    /// Whether the user's settings are at fault: log-in refused, unknown database or role, TLS.
    pub fn is_config(&self) -> bool {
        match self {
            Self::Server(error) => {
                let code = error.code.as_str();
                code.starts_with("28") || matches!(code, "3D000" | "42501")
            }
            Self::Tls(_) | Self::Config(_) => true,
            _ => false,
        }
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use std::error::Error as _;
        if let Some(db) = error.as_db_error() {
            return ServerError {
                severity: db.severity().to_owned(),
                code: SqlState::new(db.code().code()),
                message: db.message().to_owned(),
                detail: db.detail().map(str::to_owned),
                hint: db.hint().map(str::to_owned),
            }
            .into();
        }
        if error.is_closed() {
            return Self::io(
                "connection to the Postgres server lost",
                io::ErrorKind::ConnectionAborted.into(),
            );
        }
        if let Some(source) = error.source().and_then(|s| s.downcast_ref::<io::Error>()) {
            let source = io::Error::new(source.kind(), source.to_string());
            return Self::io("connection to the Postgres server lost", source);
        }
        let detail = error.source().map(|s| format!(": {s}")).unwrap_or_default();
        Self::Protocol(format!("{error}{detail}"))
    }
}

impl From<Error> for tapline_api::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            e if e.is_retriable() => Kind::Retriable,
            e if e.is_config() => Kind::Config,
            _ => Kind::Fatal,
        };
        let hint = match &error {
            Error::Server(e) if e.code.as_str() == "53300" => {
                Some("raise max_connections or max_wal_senders, or end connections that are not needed")
            }
            Error::Server(e) if e.code.as_str() == "28P01" => Some("check user and password"),
            Error::Server(e) if e.code.as_str() == "28000" && e.message.contains("pg_hba.conf") => {
                Some("check pg_hba.conf, which must allow this user from this address")
            }
            Error::Server(e) if e.code.as_str() == "28000" => {
                Some("check the user, which must exist and have LOGIN")
            }
            Error::Server(e) if e.code.as_str() == "3D000" => Some("check the database's name"),
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

    fn server(code: &str) -> Error {
        ServerError {
            severity: "FATAL".into(),
            code: SqlState::new(code),
            message: "no".into(),
            detail: Some("why".into()),
            hint: None,
        }
        .into()
    }

    #[test]
    fn only_what_may_pass_by_itself_is_retried() {
        for code in ["08006", "57P01", "57P03", "53300", "40001", "55P03", "55006"] {
            assert_eq!(
                tapline_api::Error::from(server(code)).kind(),
                Kind::Retriable,
                "{code}"
            );
        }
        for code in ["28P01", "28000", "3D000", "42501"] {
            assert_eq!(
                tapline_api::Error::from(server(code)).kind(),
                Kind::Config,
                "{code}"
            );
        }
        for code in ["42704", "58P01", "XX000", "nonsense"] {
            assert_eq!(
                tapline_api::Error::from(server(code)).kind(),
                Kind::Fatal,
                "{code}"
            );
        }
        let lost = Error::io("x", io::ErrorKind::UnexpectedEof.into());
        assert_eq!(tapline_api::Error::from(lost).kind(), Kind::Retriable);
    }

    #[test]
    fn an_error_is_printed_as_message_detail_and_code() {
        assert_eq!(
            server("57P01").to_string(),
            "FATAL: no\n  Detail: why (SQLSTATE 57P01)"
        );
    }
}
