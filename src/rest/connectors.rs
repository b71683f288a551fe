//! `/connectors`: reading, and asking for another state.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::App;
use super::answer::{Answer, Error, empty, json as answer, ok};
use super::request::{Names, Parameters};
use crate::herder;

/// The names; with `expand=status` and `expand=info` an object by name.
pub(super) async fn list(State(app): State<App>, parameters: Parameters) -> Answer {
    let names = app.herder.connectors().await?;
    let expand: Vec<_> = parameters.all("expand").collect();
    if expand.is_empty() {
        return ok(&names);
    }
    let mut all = Map::new();
    for name in names {
        match expanded(&app, &name, &expand).await {
            Ok(fields) => {
                all.insert(name, fields);
            }
            // Deleted in the meantime.
            Err(herder::Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    ok(&all)
}

async fn expanded(app: &App, name: &str, expand: &[&str]) -> herder::Result<Json> {
    let mut fields = Map::new();
    for &what in expand {
        let value = match what {
            "status" => json!(app.herder.status(name).await?),
            "info" => json!(app.herder.connector_info(name).await?),
            _ => {
                tracing::info!("expand={what} is none of status, info");
                continue;
            }
        };
        fields.insert(what.to_owned(), value);
    }
    Ok(Json::Object(fields))
}

pub(super) async fn read(State(app): State<App>, Names(name): Names<String>) -> Answer {
    ok(&app.herder.connector_info(&name).await?)
}

pub(super) async fn config(State(app): State<App>, Names(name): Names<String>) -> Answer {
    // The info serializes a configuration; so the two can't differ.
    let info = json!(app.herder.connector_info(&name).await?);
    ok(&info.get("config"))
}

pub(super) async fn status(State(app): State<App>, Names(name): Names<String>) -> Answer {
    ok(&app.herder.status(&name).await?)
}

pub(super) async fn tasks(State(app): State<App>, Names(name): Names<String>) -> Answer {
    ok(&app.herder.task_configs(&name).await?)
}

pub(super) async fn task_status(State(app): State<App>, Names((name, task)): Names<(String, u32)>) -> Answer {
    ok(&app.herder.task_status(&name, task).await?)
}

pub(super) async fn delete(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.herder.delete(&name).await?;
    empty(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.herder.pause(&name).await?;
    empty(StatusCode::ACCEPTED)
}

pub(super) async fn resume(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.herder.resume(&name).await?;
    empty(StatusCode::ACCEPTED)
}

pub(super) async fn stop(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.herder.stop_connector(&name).await?;
    empty(StatusCode::NO_CONTENT)
}

/// KIP-745: 202 with the plan when tasks or only the failed were asked for, else 204.
pub(super) async fn restart(
    State(app): State<App>,
    Names(name): Names<String>,
    parameters: Parameters,
) -> Answer {
    let tasks = parameters.flag("includeTasks", false);
    let failed = parameters.flag("onlyFailed", false);
    match app.herder.restart_connector(&name, tasks, failed).await? {
        Some(plan) => Ok(answer(StatusCode::ACCEPTED, &plan)),
        None => empty(StatusCode::NO_CONTENT),
    }
}

pub(super) async fn restart_task(
    State(app): State<App>,
    Names((name, task)): Names<(String, u32)>,
) -> Answer {
    app.herder.restart_task(&name, task).await?;
    empty(StatusCode::NO_CONTENT)
}

pub(super) async fn topics(State(app): State<App>, Names(name): Names<String>) -> Answer {
    let topics = app.herder.topics(&name).await?;
    ok(&json!({ name: { "topics": topics } }))
}

pub(super) async fn reset_topics(State(app): State<App>, Names(name): Names<String>) -> Answer {
    app.herder.reset_topics(&name).await?;
    empty(StatusCode::ACCEPTED)
}

/// What workers ask of their leader; ours is the only one.
pub(super) async fn internal() -> Error {
    Error::bad_request("Internal request missing required signature")
}
