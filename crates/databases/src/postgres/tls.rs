//! The rustls side of `sslmode`.

use std::io;
use std::path::PathBuf;

use rustls::ClientConfig;

use super::{Error, Settings, SslMode};
use crate::tls::{self, Check, Names, Wanted};

const NAMES: Names = Names {
    mode: "sslmode",
    authority_only: "sslmode is verify-ca, but sslrootcert is not set and ~/.postgresql/root.crt does not exist",
    root_cert: "sslrootcert",
    cert: "sslcert",
    key: "sslkey",
    key_password: "sslpassword",
};

/// The TLS configuration that `settings` ask for.
///
/// # Errors
/// [`Error::Config`] when a file is missing, unreadable or holds something else.
pub(super) fn client_config(settings: &Settings) -> Result<ClientConfig, Error> {
    let wanted = Wanted {
        check: match settings.ssl_mode {
            SslMode::VerifyCa => Check::Authority,
            SslMode::VerifyFull => Check::AuthorityAndName,
            _ => Check::Nothing,
        },
        root_cert: settings.ssl_root_cert.as_deref(),
        default_root_cert: default_root_cert(),
        cert: settings.ssl_cert.as_deref(),
        key: settings.ssl_key.as_deref(),
        key_password: settings.ssl_key_password.as_ref(),
        names: NAMES,
    };
    tls::client_config(&wanted).map_err(|error| match error {
        tls::Error::Config(text) => Error::Config(text),
        tls::Error::Tls(text) => Error::Tls(text),
    })
}

/// A handshake's failure, in words that name the setting.
pub(super) fn handshake_error(settings: &Settings, error: &io::Error) -> Error {
    let mode = settings.ssl_mode.as_str();
    Error::Tls(tls::handshake_error(&settings.address(), mode, NAMES, error))
}

/// Where libpq and pgjdbc look when `sslrootcert` is not set.
fn default_root_cert() -> Option<PathBuf> {
    let path = std::env::home_dir()?.join(".postgresql/root.crt");
    path.exists().then_some(path)
}
