//! From settings to a byte stream. TLS begins in the middle of MySQL's handshake, so it is a step of its own.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::{Error, Settings, SslMode};
use crate::net::{self, Socket, Stream, Unreachable};
use crate::tls::{self, Check, Names, Wanted};

const NAMES: Names = Names {
    mode: "ssl.mode",
    authority_only: "ssl.mode is verify_ca, but no authority is given to trust (a PEM file)",
    root_cert: "the file of trusted certificates",
    cert: "the client's certificate",
    key: "the client's key",
    key_password: "the password of the client's key",
};

/// Connects, in the clear. The caller sets the time limit, over the log-in too.
///
/// # Errors
/// [`Error::Io`] when nobody answers.
pub async fn dial(settings: &Settings) -> Result<Stream, Error> {
    let failed = |source: io::Error| {
        Error::io(
            format!(
                "connection to {} failed; check host name and port, and that the server runs",
                settings.address()
            ),
            source,
        )
    };
    if let Some(path) = settings.unix_socket() {
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        return Ok(Stream::Unix(Socket::new(stream)));
    }
    let tcp = net::open_tcp(
        &settings.host,
        settings.port,
        settings.tcp_keep_alive,
        settings.receive_buffer,
    )
    .await
    .map_err(|error| match error {
        Unreachable::Host(e) => Error::io(format!("host name '{}' can't be resolved", settings.host), e),
        Unreachable::Peer(e) => failed(e),
    })?;
    Ok(Stream::Tcp(Socket::new(tcp)))
}

/// Encrypts a TCP stream, after the SSLRequest packet was sent; anything else is returned as it is.
///
/// # Errors
/// [`Error::Tls`] when the handshake fails, [`Error::Config`] when a file can't be used.
pub async fn encrypt(settings: &Settings, stream: Stream) -> Result<Stream, Error> {
    let tcp = match stream {
        Stream::Tcp(tcp) => tcp,
        other => return Ok(other),
    };
    let wanted = Wanted {
        check: match settings.ssl_mode {
            SslMode::VerifyCa => Check::Authority,
            SslMode::VerifyIdentity => Check::AuthorityAndName,
            _ => Check::Nothing,
        },
        root_cert: settings.ssl_ca.as_deref(),
        default_root_cert: None,
        cert: settings.ssl_cert.as_deref(),
        key: settings.ssl_key.as_deref(),
        key_password: None,
        names: NAMES,
    };
    let config = tls::client_config(&wanted).map_err(|error| match error {
        tls::Error::Config(text) => Error::Config(text),
        tls::Error::Tls(text) => Error::Tls(text),
    })?;
    let name = ServerName::try_from(settings.host.clone())
        .map_err(|e| Error::Config(format!("host '{}' is no host name: {e}", settings.host)))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|e| {
            let mode = settings.ssl_mode.as_str();
            Error::Tls(tls::handshake_error(&settings.address(), mode, NAMES, &e))
        })?;
    Ok(Stream::Tls(Box::new(stream)))
}
