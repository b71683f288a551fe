//! SQL sessions by tokio-postgres, over the streams of [`super::dial`].

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::{Deref, DerefMut};

use tokio::task::JoinHandle;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{Client, Config, config as ssl};

use super::{Error, Settings, Stream, attempts, dial, worth_next_attempt};

/// A logged-in session; dropping it closes the connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The driver would end by itself once the client is gone, but only after a running statement has answered.
        self.driver.abort();
    }
}

/// Connects and logs in, trying what `sslmode` allows.
///
/// # Errors
/// See [`Error`]; the last attempt's, if there were two.
pub async fn connect(settings: &Settings) -> Result<Session, Error> {
    let mut ways = attempts(settings).iter().copied().peekable();
    loop {
        let Some(attempt) = ways.next() else {
            return Err(Error::Config("sslmode leaves no way to connect".to_owned()));
        };
        let failed = match dial(settings, attempt).await {
            Ok(stream) => match log_in(settings, stream).await {
                Ok(session) => return Ok(session),
                Err(e) => e,
            },
            Err(e) => e,
        };
        if ways.peek().is_none() || !worth_next_attempt(&failed) {
            return Err(failed);
        }
    }
}

async fn log_in(settings: &Settings, stream: Stream) -> Result<Session, Error> {
    let mut config = Config::new();
    // Encryption, if any, is already underneath, and the driver finds it done; it asks for the channel binding.
    if stream.is_encrypted() {
        config.ssl_mode(ssl::SslMode::Require);
        config.ssl_negotiation(ssl::SslNegotiation::Direct);
    } else {
        config.ssl_mode(ssl::SslMode::Disable);
    }
    config
        .user(&settings.user)
        .dbname(&settings.dbname)
        .application_name(&settings.application_name);
    if let Some(password) = &settings.password {
        config.password(password.reveal());
    }
    if !settings.parameters.is_empty() {
        config.options(options(&settings.parameters));
    }
    let limit = settings.connect_timeout;
    let (client, connection) = tokio::time::timeout(limit, config.connect_raw(stream, Done))
        .await
        .map_err(|_| {
            Error::Timeout(format!(
                "log-in at {} timed out after {} ms",
                settings.address(),
                limit.as_millis()
            ))
        })?
        .map_err(|e| refine(settings, e.into()))?;
    let driver = tokio::spawn(async move {
        // Whoever waits for an answer gets the error too.
        if let Err(e) = connection.await {
            tracing::debug!(error = %e, "postgres session ended");
        }
    });
    Ok(Session { client, driver })
}

/// The handshake that has been made before.
struct Done;

impl TlsConnect<Stream> for Done {
    type Stream = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(stream))
    }
}

fn refine(settings: &Settings, error: Error) -> Error {
    match error {
        Error::Protocol(text) if text.contains("password missing") => Error::Config(format!(
            "the server at {} asks for a password, but none is set for user '{}'",
            settings.address(),
            settings.user
        )),
        other => other,
    }
}

/// Run-time parameters as the startup message's `options`: `-c name=value`, blanks and backslashes escaped.
fn options(parameters: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in parameters {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str("-c ");
        for c in format!("{name}={value}").chars() {
            if c == ' ' || c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped_in_options() {
        let parameters = [
            ("datestyle".to_owned(), "ISO, MDY".to_owned()),
            ("a.b".to_owned(), r"x\y".to_owned()),
        ];
        assert_eq!(options(&parameters), r"-c datestyle=ISO,\ MDY -c a.b=x\\y");
    }
}
