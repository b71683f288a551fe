//! SQL sessions by mysql_async.

use std::time::Duration;

use mysql_async::{ClientIdentity, Conn, OptsBuilder, SslOpts};

use super::{Error, Settings, SslMode};

/// Connects and logs in. The session's character set is utf8mb4. `setup` are statements to run at once, such as
/// `SET time_zone='+00:00'`.
///
/// # Errors
/// See [`Error`].
pub async fn connect(settings: &Settings, setup: &[String]) -> Result<Conn, Error> {
    let encrypted = settings.ssl_mode != SslMode::Disabled && settings.unix_socket().is_none();
    let first = log_in(settings, setup, encrypted).await;
    match first {
        // The server can't, and it was only preferred.
        Err(Error::Tls(_)) if settings.ssl_mode == SslMode::Preferred => log_in(settings, setup, false).await,
        first => first,
    }
}

async fn log_in(settings: &Settings, setup: &[String], encrypted: bool) -> Result<Conn, Error> {
    let mut options = OptsBuilder::default()
        .user(Some(settings.user.as_str()))
        .pass(
            settings
                .password
                .as_ref()
                .map(|password| password.reveal().to_owned()),
        )
        .db_name(settings.database.as_deref())
        .prefer_socket(false)
        .setup(setup.to_vec())
        .tcp_keepalive(settings.tcp_keep_alive.then_some(Duration::from_secs(60)));
    options = match settings.unix_socket() {
        Some(path) => options.socket(Some(path)),
        None => options.ip_or_hostname(&settings.host).tcp_port(settings.port),
    };
    if encrypted {
        options = options.ssl_opts(tls(settings));
    }
    let limit = settings.connect_timeout;
    tokio::time::timeout(limit, Conn::new(options))
        .await
        .map_err(|_| {
            Error::Timeout(format!(
                "connection to {} timed out after {} ms",
                settings.address(),
                limit.as_millis()
            ))
        })?
        .map_err(|error| match Error::from(error) {
            Error::Io { source, .. } => Error::io(
                format!(
                    "connection to {} failed; check host name and port, and that the server runs",
                    settings.address()
                ),
                source,
            ),
            other => other,
        })
}

fn tls(settings: &Settings) -> SslOpts {
    let checks = matches!(settings.ssl_mode, SslMode::VerifyCa | SslMode::VerifyIdentity);
    let identity = match (&settings.ssl_cert, &settings.ssl_key) {
        (Some(cert), Some(key)) => Some(ClientIdentity::new(cert.clone().into(), key.clone().into())),
        _ => None,
    };
    SslOpts::default()
        .with_root_certs(
            settings
                .ssl_ca
                .iter()
                .filter(|_| checks)
                .map(|path| path.clone().into())
                .collect(),
        )
        .with_disable_built_in_roots(checks && settings.ssl_ca.is_some())
        .with_danger_accept_invalid_certs(!checks)
        .with_danger_skip_domain_validation(settings.ssl_mode != SslMode::VerifyIdentity)
        .with_client_identity(identity)
}
