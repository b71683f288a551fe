//! The rustls side of a database's TLS mode: which certificates are believed. Settings are named as the database names
//! them, so that an error says what to mend.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tapline_api::config::Secret;

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
    pub(crate) key_password: &'static str,
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
    /// Opens `key`, where it is encrypted.
    pub(crate) key_password: Option<&'a Secret>,
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
                .load_private_key(private_key(names, path, wanted.key_password)?)
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

fn private_key(
    names: Names,
    path: &Path,
    password: Option<&Secret>,
) -> Result<PrivateKeyDer<'static>, Error> {
    let setting = names.key;
    let bytes = std::fs::read(path).map_err(|e| unreadable(setting, path, &e))?;
    if find(&bytes, b"Proc-Type: 4,ENCRYPTED") {
        let why =
            "it is encrypted in OpenSSL's old form; rewrite it with 'openssl pkcs8 -topk8 -v2 aes-256-cbc'";
        return Err(unreadable(setting, path, &why));
    }
    if find(&bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let text = String::from_utf8_lossy(&bytes);
        let (_, document) =
            SecretDocument::from_pem(text.trim()).map_err(|e| unreadable(setting, path, &e))?;
        return decrypted(names, path, document.as_bytes(), password);
    }
    if find(&bytes, b"-----BEGIN ") {
        return PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| unreadable(setting, path, &e));
    }
    // What pgjdbc documents: `openssl pkcs8 -topk8 -outform DER`, encrypted or not.
    if EncryptedPrivateKeyInfoRef::try_from(bytes.as_slice()).is_ok() {
        return decrypted(names, path, &bytes, password);
    }
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bytes)))
}

fn decrypted(
    names: Names,
    path: &Path,
    der: &[u8],
    password: Option<&Secret>,
) -> Result<PrivateKeyDer<'static>, Error> {
    let Some(password) = password else {
        let why = format!("it is encrypted, and {} is not set", names.key_password);
        return Err(unreadable(names.key, path, &why));
    };
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|e| unreadable(names.key, path, &e))?;
    let document = info.decrypt(password.reveal()).map_err(|e| {
        let why = format!(
            "it can't be decrypted: {e}; {} is wrong, or it is encrypted otherwise than 'openssl pkcs8 -topk8 -v2 \
             aes-256-cbc' does",
            names.key_password
        );
        unreadable(names.key, path, &why)
    })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        document.as_bytes().to_vec(),
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        mode: "sslmode",
        authority_only: "",
        root_cert: "sslrootcert",
        cert: "sslcert",
        key: "sslkey",
        key_password: "sslpassword",
    };

    /// `openssl genpkey -algorithm ed25519 | openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:pssst`
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
        MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjyPA9538TFcwICCAAw\n\
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEILeO6GbM0P3LoNSW4ectKwEQB/M\n\
        2lEvRkoOkC9NRJ8uNo19IgMz5/I3ldRpcemRmXgmdd6KuesOvk1M57AuA8z/6NzU\n\
        0VeljeltdTQYmU+wl88=\n\
        -----END ENCRYPTED PRIVATE KEY-----\n";

    #[test]
    fn an_encrypted_key_is_opened_by_its_password_alone() {
        let folder = std::env::temp_dir().join(format!("tapline-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("client.key");
        std::fs::write(&path, ENCRYPTED).unwrap();
        let open = |password: Option<&str>| {
            let password = password.map(Secret::new);
            private_key(NAMES, &path, password.as_ref())
        };
        let key = open(Some("pssst")).unwrap();
        assert!(
            ring::default_provider()
                .key_provider
                .load_private_key(key)
                .is_ok()
        );
        let why = |found: Result<PrivateKeyDer<'static>, Error>| match found {
            Err(Error::Config(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(why(open(Some("wrong"))).contains("sslpassword is wrong"));
        assert!(why(open(None)).contains("sslpassword is not set"));
        // The same in DER, which pgjdbc documents.
        let (_, document) = SecretDocument::from_pem(ENCRYPTED.trim()).unwrap();
        std::fs::write(&path, document.as_bytes()).unwrap();
        assert!(open(Some("pssst")).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
