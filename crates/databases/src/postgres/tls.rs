//! The rustls side of `sslmode`: which certificates are believed.

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

use super::{Error, Settings, SslMode};

/// The TLS configuration that `settings` ask for.
///
/// # Errors
/// [`Error::Config`] when a file is missing, unreadable or holds something else.
pub(super) fn client_config(settings: &Settings) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match settings.ssl_mode {
        SslMode::VerifyCa | SslMode::VerifyFull => Arc::new(Verifier::new(settings, &provider)?),
        _ => Arc::new(AcceptAny(Arc::clone(&provider))),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(format!("TLS can't be set up: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&settings.ssl_cert, &settings.ssl_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(path)) => {
            let key = provider
                .key_provider
                .load_private_key(private_key(path)?)
                .map_err(|e| unreadable("sslkey", path, &e))?;
            // Not looked at here: old tools make certificates of version 1, which the server may well accept.
            let certified = CertifiedKey::new(certificates("sslcert", cert)?, key);
            Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
        }
        (Some(_), None) => Err(Error::Config("sslcert is set, but sslkey is not".to_owned())),
        (None, Some(_)) => Err(Error::Config("sslkey is set, but sslcert is not".to_owned())),
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

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = std::fs::read(path).map_err(|e| unreadable("sslkey", path, &e))?;
    if bytes.starts_with(b"-----BEGIN ENCRYPTED") || find(&bytes, b"Proc-Type: 4,ENCRYPTED") {
        return Err(unreadable(
            "sslkey",
            path,
            &"an encrypted key is not supported yet",
        ));
    }
    if find(&bytes, b"-----BEGIN ") {
        return PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| unreadable("sslkey", path, &e));
    }
    // What pgjdbc documents: `openssl pkcs8 -topk8 -outform DER`.
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bytes)))
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Where libpq and pgjdbc look when `sslrootcert` is not set.
fn default_root_cert() -> Option<PathBuf> {
    let path = std::env::home_dir()?.join(".postgresql/root.crt");
    path.exists().then_some(path)
}

/// `verify-ca` and `verify-full`.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    /// A self-signed server certificate is often given as its own authority; webpki refuses it as an end entity.
    pinned: Vec<CertificateDer<'static>>,
    check_name: bool,
}

impl Verifier {
    fn new(settings: &Settings, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let check_name = settings.ssl_mode == SslMode::VerifyFull;
        let mut roots = RootCertStore::empty();
        let mut pinned = Vec::new();
        match settings.ssl_root_cert.clone().or_else(default_root_cert) {
            Some(path) => {
                pinned = certificates("sslrootcert", &path)?;
                let (added, _) = roots.add_parsable_certificates(pinned.iter().cloned());
                if added == 0 {
                    return Err(unreadable(
                        "sslrootcert",
                        &path,
                        &"it holds no usable certificate",
                    ));
                }
            }
            // Without the host's name, any certificate of any public authority would do.
            None if !check_name => {
                return Err(Error::Config(
                    "sslmode is verify-ca, but sslrootcert is not set and ~/.postgresql/root.crt does not exist"
                        .to_owned(),
                ));
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|e| Error::Config(format!("sslrootcert is not usable: {e}")))?;
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

/// `allow`, `prefer` and `require`: encrypted against eavesdroppers, without knowing who is at the other end.
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

/// A handshake's failure, in words that name the setting.
pub(super) fn handshake_error(settings: &Settings, error: &io::Error) -> Error {
    let hint = match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; sslrootcert does not hold the authority that signed the server's certificate"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => "; sslmode=verify-full needs the host's name in the certificate's subjectAltName",
        _ => "",
    };
    Error::Tls(format!(
        "TLS handshake with {} failed (sslmode={}): {error}{hint}",
        settings.address(),
        settings.ssl_mode.as_str()
    ))
}
