//! `/admin/loggers` (KIP-495, KIP-976).

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::answer::{Answer, Error, empty, ok};
use super::request::{Body, LevelRequest, Names, Parameters};

pub(super) async fn list(State(app): State<App>) -> Answer {
    ok(&app.loggers.all())
}

pub(super) async fn read(State(app): State<App>, Names(name): Names<String>) -> Answer {
    match app.loggers.one(&name) {
        Some(logger) => ok(&logger),
        None => Err(Error::not_found(format!("Logger {name} not found."))),
    }
}

/// This worker is the cluster, so that both scopes do the same; only the answers differ.
pub(super) async fn set(
    State(app): State<App>,
    Names(name): Names<String>,
    parameters: Parameters,
    Body(request): Body<LevelRequest>,
) -> Answer {
    let Some(level) = request.level else {
        return Err(Error::bad_request(
            "Desired 'level' parameter was not specified in request.",
        ));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or_default();
    match app.loggers.set(&name, &level, now) {
        None => Err(Error::not_found(format!("invalid log level '{level}'."))),
        Some(Err(error)) => Err(Error::new(500, error)),
        Some(Ok(_))
            if parameters
                .all("scope")
                .any(|scope| scope.eq_ignore_ascii_case("cluster")) =>
        {
            empty(StatusCode::NO_CONTENT)
        }
        Some(Ok(names)) => ok(&names),
    }
}
