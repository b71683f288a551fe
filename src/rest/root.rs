//! `GET /` and `GET /health`.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;
use tapline_api::metrics::Sample;

use super::App;
use super::answer::{Answer, json as answer, ok};
use crate::herder::{Health, ServerInfo};

/// Kafka's version, what the binary was built from, and the cluster's id.
pub(super) async fn server_info(State(app): State<App>) -> Answer {
    ok(&ServerInfo {
        version: tapline_api::KAFKA_VERSION,
        commit: crate::COMMIT,
        kafka_cluster_id: app.herder.cluster_id().await?,
    })
}

/// What there is to say of slots that hold back more log than they may. The worker is well all the same: to restart it
/// would not help.
fn over_budget(samples: &[Sample]) -> String {
    let over = |sample: &&Sample| sample.name == "tapline_slot_over_budget" && sample.value != 0;
    let connectors = samples.iter().filter(over).filter_map(|sample| {
        let label = sample.labels.iter().find(|(name, _)| name == "connector");
        label.map(|(_, value)| value.as_str())
    });
    let connectors: Vec<&str> = connectors.collect();
    if connectors.is_empty() {
        return String::new();
    }
    format!(
        " Warning: the replication slot holds back more log than slot.max.retained.bytes: {}.",
        connectors.join(", ")
    )
}

/// 200 when the worker gets to its work, 503 while it starts, 500 when it does not (KIP-1017).
pub(super) async fn health(State(app): State<App>) -> Answer {
    let (code, status, message) = match app.herder.health() {
        Health::Healthy => (
            StatusCode::OK,
            "healthy",
            format!(
                "Worker has completed startup and is ready to handle requests.{}",
                over_budget(&app.herder.metrics().samples())
            ),
        ),
        Health::Starting => (
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            "Worker is still starting up.".to_owned(),
        ),
        Health::Unhealthy(why) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            format!(
                "Worker was unable to handle this request and may be unable to handle other requests. {why}"
            ),
        ),
    };
    Ok(answer(code, &json!({ "status": status, "message": message })))
}
