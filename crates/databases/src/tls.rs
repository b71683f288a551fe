//! The rustls side of a database's TLS mode: which certificates are believed. Settings are named as the database names
//! them, so that an error says what to mend.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// What of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing.
    Nothing,
    /// That an authority signed it.
    Authority,
    /// That, and that it is for this host.
    AuthorityAndName,
}

/// The names of the settings, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) mode: &'static str,
    pub(crate) authority_only: &'static str,
    pub(crate) root_cert: &'static str,
    pub(crate) cert: &'static str,
    pub(crate) key: &'static str,
}

/// What is asked of TLS.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) check: Check,
    pub(crate) root_cert: Option<&'a Path>,
    /// Where to look when `root_cert` is not set.
    pub(crate) default_root_cert: Option<PathBuf>,
    pub(crate) cert: Option<&'a Path>,
    pub(crate) key: Option<&'a Path>,
    pub(crate) names: Names,
}

/// Why TLS can't be set up.
#[derive(Debug)]
pub(crate) enum Error {
    /// A file is missing, unreadable or holds something else; settings contradict each other.
    Config(String),
    /// The library refused.
    Tls(String),
}

/// The TLS configuration that is wanted.
///
/// # Errors
/// [`Error::Config`] when a file is missing, unreadable or holds something else.
pub(crate) fn client_config(wanted: &Wanted<'_>) -> Result<ClientConfig, Error> {
    let names = wanted.names;
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match wanted.check {
        Check::Nothing => Arc::new(AcceptAny(Arc::clone(&provider))),
        _ => Arc::new(Verifier::new(wanted, &provider)?),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(format!("TLS can't be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (wanted.cert, wanted.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(path)) => {
            let key = provider
                .key_provider
                .load_private_key(private_key(names.key, path)?)
                .map_err(|e| unreadable(names.key, path, &e))?;
            // Not looked at here: old tools make certificates of version 1, which the server may well accept.
            let certified = CertifiedKey::new(certificates(names.cert, cert)?, key);
            Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
        }
        (Some(_), None) => Err(Error::Config(format!(
            "{} is set, but {} is not",
            names.cert, names.key
        ))),
        (None, Some(_)) => Err(Error::Config(format!(
            "{} is set, but {} is not",
            names.key, names.cert
        ))),
    }
}

fn unreadable(setting: &str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Config(format!("{setting} '{}' can't be read: {why}", path.display()))
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(setting, path, &e))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|e| unreadable(setting, path, &e))?;
    if found.is_empty() {
        return Err(unreadable(setting, path, &"it holds no PEM certificate"));
    }
    Ok(found)
}

fn private_key(setting: &str, path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(setting, path, &e))?;
    if bytes.starts_with(b"-----BEGIN ENCRYPTED") || find(&bytes, b"Proc-Type: 4,ENCRYPTED") {
        return Err(unreadable(
            setting,
            path,
            &"an encrypted key is not supported yet",
        ));
    }
    if find(&bytes, b"-----BEGIN ") {
        return PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| unreadable(setting, path, &e));
    }
    // What pgjdbc documents: `openssl pkcs8 -topk8 -outform DER`.
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bytes)))
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Checks the authority, and perhaps the name.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    /// A self-signed server certificate is often given as its own authority; webpki refuses it as an end entity.
    pinned: Vec<CertificateDer<'static>>,
    check_name: bool,
}

impl Verifier {
    fn new(wanted: &Wanted<'_>, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let names = wanted.names;
        let check_name = wanted.check == Check::AuthorityAndName;
        let mut roots = RootCertStore::empty();
        let mut pinned = Vec::new();
        match wanted.root_cert.or(wanted.default_root_cert.as_deref()) {
            Some(path) => {
                pinned = certificates(names.root_cert, path)?;
                let (added, _) = roots.add_parsable_certificates(pinned.iter().cloned());
                if added == 0 {
                    return Err(unreadable(
                        names.root_cert,
                        path,
                        &"it holds no usable certificate",
                    ));
                }
            }
            // Without the host's name, any certificate of any public authority would do.
            None if !check_name => return Err(Error::Config(names.authority_only.to_owned())),
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|e| Error::Config(format!("{} is not usable: {e}", names.root_cert)))?;
        Ok(Self {
            inner,
            pinned,
            check_name,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.iter().any(|pin| pin.as_ref() == end_entity.as_ref()) {
            if self.check_name {
                let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match self
            .inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // The chain was checked before the name.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Encrypted against eavesdroppers, without knowing who is at the other end.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A handshake's failure: what happened, at `address`, and what the names of the settings have to do with it.
pub(crate) fn handshake_error(address: &str, mode: &str, names: Names, error: &io::Error) -> String {
    let hint = match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => format!(
            "; {} does not hold the authority that signed the server's certificate",
            names.root_cert
        ),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!(
            "; {}={mode} needs the host's name in the certificate's subjectAltName",
            names.mode
        ),
        _ => String::new(),
    };
    format!(
        "TLS handshake with {address} failed ({}={mode}): {error}{hint}",
        names.mode
    )
}
