//! Logs, to standard error.

use std::io::IsTerminal;
use std::sync::Arc;

use tapline_api::{Error, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::rest::Loggers;

/// Starts logging by `--log`, else by `RUST_LOG`, else by `default`; the levels can be changed while it runs.
pub(super) fn init(given: Option<&str>, default: &str) -> Result<Arc<Loggers>> {
    let filter = match given {
        Some(directives) => EnvFilter::try_new(directives)
            .map_err(|error| Error::config(format!("--log {directives}: {error}")))?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default)),
    };
    let base = filter.to_string();
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry()
        .with(filter)
        .with(
            fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal()),
        )
        .try_init()
        .map_err(|error| Error::fatal(error.to_string()))?;
    let apply = move |directives: &str| {
        let filter = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    };
    Ok(Arc::new(Loggers::new(base, Box::new(apply))))
}
