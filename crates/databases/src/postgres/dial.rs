//! From settings to a byte stream: Unix socket, TCP or TLS over TCP, before the startup message.
//!
//! `allow` and `prefer` are two attempts, because the server decides by `pg_hba.conf` only when it has seen the startup
//! message. So whoever logs in walks through [`attempts`], and asks [`worth_next_attempt`] after a failure.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{Error, Settings, SslMode, tls};
use crate::net::{self, Socket, Stream, Unreachable};

/// One way to try it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Not encrypted.
    Plain,
    /// Encrypted, or plain if the server says it can't.
    TlsIfOffered,
    /// Encrypted.
    Tls,
}

/// The ways to try, in order.
pub fn attempts(settings: &Settings) -> &'static [Attempt] {
    if settings.unix_socket().is_some() {
        return &[Attempt::Plain];
    }
    match settings.ssl_mode {
        SslMode::Disable => &[Attempt::Plain],
        SslMode::Allow => &[Attempt::Plain, Attempt::Tls],
        SslMode::Prefer => &[Attempt::TlsIfOffered, Attempt::Plain],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Attempt::Tls],
    }
}

/// Whether `error` may come from having chosen the wrong encryption: no `pg_hba.conf` line fits, or TLS itself failed.
pub fn worth_next_attempt(error: &Error) -> bool {
    error.is("28000") || matches!(error, Error::Tls(_))
}

/// Connects, and encrypts as `attempt` says. Within `settings.connect_timeout` for each of the two.
///
/// # Errors
/// [`Error::Io`] or [`Error::Timeout`] when nobody answers, [`Error::Tls`] when encryption fails, [`Error::Config`] when
/// the settings can't be used.
pub async fn dial(settings: &Settings, attempt: Attempt) -> Result<Stream, Error> {
    let limit = settings.connect_timeout;
    match tokio::time::timeout(limit, open(settings, attempt)).await {
        Ok(result) => result,
        Err(_) => Err(Error::Timeout(format!(
            "connection to {} timed out after {} ms",
            settings.address(),
            limit.as_millis()
        ))),
    }
}

async fn open(settings: &Settings, attempt: Attempt) -> Result<Stream, Error> {
    if let Some(path) = settings.unix_socket() {
        let stream = UnixStream::connect(&path)
            .await
            .map_err(|e| refused(settings, e))?;
        return Ok(Stream::Unix(Socket::new(stream)));
    }
    let mut tcp = open_tcp(settings).await?;
    if attempt == Attempt::Plain {
        return Ok(Stream::Tcp(Socket::new(tcp)));
    }
    if !asks_for_tls(&mut tcp).await.map_err(|e| refused(settings, e))? {
        return match attempt {
            Attempt::Tls => Err(Error::Tls(format!(
                "the server at {} does not support SSL, but sslmode is {}",
                settings.address(),
                settings.ssl_mode.as_str()
            ))),
            _ => Ok(Stream::Tcp(Socket::new(tcp))),
        };
    }
    let config = tls::client_config(settings)?;
    let name = ServerName::try_from(settings.host.clone())
        .map_err(|e| Error::Config(format!("host '{}' is no host name: {e}", settings.host)))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, Socket::new(tcp))
        .await
        .map_err(|e| tls::handshake_error(settings, &e))?;
    Ok(Stream::Tls(Box::new(stream)))
}

fn refused(settings: &Settings, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::ConnectionRefused && settings.unix_socket().is_none() {
        return Error::Refused(settings.address());
    }
    Error::io(
        format!(
            "connection to {} failed; check host name and port, and that the server runs",
            settings.address()
        ),
        source,
    )
}

async fn open_tcp(settings: &Settings) -> Result<TcpStream, Error> {
    net::open_tcp(
        &settings.host,
        settings.port,
        settings.tcp_keep_alive,
        settings.receive_buffer,
    )
    .await
    .map_err(|error| match error {
        Unreachable::Host(e) => Error::io(format!("host name '{}' can't be resolved", settings.host), e),
        Unreachable::Peer(e) => refused(settings, e),
    })
}

/// SSLRequest: eight bytes, answered by one.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
async fn asks_for_tls(tcp: &mut TcpStream) -> io::Result<bool> {
    let mut request = [0u8; 8];
    request[..4].copy_from_slice(&8u32.to_be_bytes());
    request[4..].copy_from_slice(&80_877_103u32.to_be_bytes());
    tcp.write_all(&request).await?;
    // One byte exactly: anything after it would be a man in the middle's plain text (CVE-2021-23222).
    let mut answer = [0u8; 1];
    tcp.read_exact(&mut answer).await?;
    match answer {
        [b'S'] => Ok(true),
        // 'E' is a server from before SSL, which then closes the connection.
        [b'N'] => Ok(false),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer to SSLRequest is neither S nor N",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefer_falls_back_to_plain_and_allow_to_tls() {
        let mut settings = Settings::new("db", "u", "d");
        assert_eq!(attempts(&settings), [Attempt::TlsIfOffered, Attempt::Plain]);
        settings.ssl_mode = SslMode::Allow;
        assert_eq!(attempts(&settings), [Attempt::Plain, Attempt::Tls]);
        settings.ssl_mode = SslMode::VerifyFull;
        assert_eq!(attempts(&settings), [Attempt::Tls]);
    }

    #[test]
    fn a_unix_socket_is_never_encrypted() {
        let mut settings = Settings::new("/tmp", "u", "d");
        settings.ssl_mode = SslMode::Require;
        assert_eq!(attempts(&settings), [Attempt::Plain]);
    }
}
