//! `https` listeners: the certificate of `listeners.https.ssl.*`, and handshakes that do not hold each other up.
//!
//! Names are Kafka Connect's. As there, either all of the options have the prefix `listeners.https.` or none has. Stores
//! are PEM: JKS and PKCS12 are refused by name.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tapline_api::{Error, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::worker::config::WorkerConfig;

const PREFIX: &str = "listeners.https.";
/// For a client that connects and says nothing.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Connections whose handshake is done and that wait for the server.
const WAITING: usize = 16;

/// The options of `ssl.*`, under whichever prefix they are.
struct Options<'a> {
    config: &'a WorkerConfig,
    prefix: &'static str,
}

impl Options<'_> {
    fn name(&self, option: &str) -> String {
        format!("{}{option}", self.prefix)
    }

    fn get(&self, option: &str) -> Option<&str> {
        let text = self.config.raw.get(&self.name(option))?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The PEM text of a store: in the option itself, or in the file of `location`.
    fn pem(&self, store: &str, inline: &str) -> Result<Option<(String, Vec<u8>)>> {
        if let Some(text) = self.get(inline) {
            return Ok(Some((self.name(inline), text.as_bytes().to_vec())));
        }
        let location = format!("ssl.{store}.location");
        let Some(file) = self.get(&location) else {
            return Ok(None);
        };
        let kind = self.get(&format!("ssl.{store}.type")).unwrap_or("JKS");
        if !kind.eq_ignore_ascii_case("PEM") {
            let option = self.name(&format!("ssl.{store}.type"));
            return Err(Error::config(format!("{option} is {kind}, but only PEM is read"))
                .hint("keytool and openssl pkcs12 convert a store to PEM"));
        }
        let bytes = std::fs::read(Path::new(file))
            .map_err(|error| unreadable(&self.name(&location), &error.to_string()))?;
        Ok(Some((self.name(&location), bytes)))
    }
}

fn unreadable(option: &str, why: &str) -> Error {
    Error::config(format!("{option} can't be read: {why}"))
}

/// What an `https` listener speaks.
///
/// # Errors
/// A config error that names the option.
pub(super) fn acceptor(config: &WorkerConfig) -> Result<TlsAcceptor> {
    let prefixed = config.raw.iter().any(|(name, _)| name.starts_with(PREFIX));
    let options = Options {
        config,
        prefix: if prefixed { PREFIX } else { "" },
    };
    let failed = |error: rustls::Error| Error::config(format!("listeners: TLS can't be set up: {error}"));
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match client_auth(&options)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = identity(&options)?;
    let mut server = builder.with_single_cert(chain, key).map_err(failed)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(options: &Options<'_>) -> Result<Identity> {
    let Some((chain_option, chain)) = options.pem("keystore", "ssl.keystore.certificate.chain")? else {
        let location = options.name("ssl.keystore.location");
        return Err(
            Error::config(format!("listeners has https, but {location} is not set"))
                .hint("with ssl.keystore.type=PEM it names a file of the private key and its certificates"),
        );
    };
    // A file holds both.
    let (key_option, key) = match options.get("ssl.keystore.key") {
        Some(text) => (options.name("ssl.keystore.key"), text.as_bytes().to_vec()),
        None => (chain_option.clone(), chain.clone()),
    };
    if key
        .windows(b"ENCRYPTED".len())
        .any(|window| window == b"ENCRYPTED")
    {
        return Err(unreadable(&key_option, "an encrypted key is not supported yet"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| unreadable(&key_option, &format!("no private key: {error}")))?;
    Ok((certificates(&chain_option, &chain)?, key))
}

fn certificates(option: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(option, &error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable(option, "it holds no certificate"));
    }
    Ok(found)
}

/// `ssl.client.auth`: none, requested or required.
fn client_auth(options: &Options<'_>) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>> {
    let name = options.name("ssl.client.auth");
    let required = match options
        .get("ssl.client.auth")
        .unwrap_or("none")
        .to_ascii_lowercase()
        .as_str()
    {
        "none" => return Ok(None),
        "requested" => false,
        "required" => true,
        other => {
            return Err(Error::config(format!(
                "Invalid value {other} for configuration {name}: must be one of none, requested, required"
            )));
        }
    };
    let Some((option, pem)) = options.pem("truststore", "ssl.truststore.certificates")? else {
        let location = options.name("ssl.truststore.location");
        return Err(Error::config(format!(
            "{name} asks for certificates, but {location} is not set"
        )));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&option, &pem)? {
        roots
            .add(certificate)
            .map_err(|error| unreadable(&option, &error.to_string()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let verifier = builder
        .build()
        .map_err(|error| unreadable(&option, &error.to_string()))?;
    Ok(Some(verifier))
}

/// Connections whose handshake is done.
pub(super) struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TlsListener {
    pub(super) fn new(mut socket: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let (done, ready) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(async move {
            loop {
                // axum's own accept, which waits when the process is out of files
                let (stream, peer) = Listener::accept(&mut socket).await;
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY");
                    }
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        // closed when the server stops
                        Ok(Ok(stream)) => drop(done.send((stream, peer)).await),
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                    }
                });
            }
        });
        Ok(Self {
            address,
            ready,
            accepting,
        })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // only when the accepting task is gone, with the runtime
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tapline_api::config::Config;

    use super::*;

    fn refused(options: &[(&str, &str)]) -> String {
        let config = WorkerConfig::new(Config::from_iter(options.iter().copied()), PathBuf::new()).unwrap();
        acceptor(&config).err().expect("refused").to_string()
    }

    #[test]
    fn what_can_not_be_used_is_named() {
        assert!(refused(&[]).contains("https, but ssl.keystore.location is not set"));
        let prefixed = "listeners.https.ssl.keystore.location";
        assert!(
            refused(&[(prefixed, "/k.jks")])
                .contains("listeners.https.ssl.keystore.type is JKS, but only PEM")
        );
        // unprefixed options do not count beside prefixed ones
        assert!(
            refused(&[
                ("listeners.https.ssl.client.auth", "none"),
                ("ssl.keystore.location", "/k")
            ])
            .contains("listeners.https.ssl.keystore.location is not set")
        );
        assert!(refused(&[("ssl.client.auth", "maybe")]).contains("none, requested, required"));
        assert!(
            refused(&[("ssl.keystore.certificate.chain", "x")])
                .contains("ssl.keystore.certificate.chain can't be read")
        );
    }
}
