//! `/connectors/{connector}/offsets` (KIP-875).

use axum::extract::State;
use serde_json::json;

use super::App;
use super::answer::{Answer, Error, ok};
use super::request::{AlterRequest, Body, Names, OffsetBody};

pub(super) async fn read(State(app): State<App>, Names(name): Names<String>) -> Answer {
    let offsets = app.herder.offsets(&name).await?;
    ok(&json!({ "offsets": offsets }))
}

pub(super) async fn alter(
    State(app): State<App>,
    Names(name): Names<String>,
    Body(request): Body<AlterRequest>,
) -> Answer {
    let offsets = request.offsets.unwrap_or_default();
    if offsets.is_empty() {
        return Err(Error::bad_request(
            "Partitions / offsets need to be provided for an alter offsets request",
        ));
    }
    let offsets = offsets.into_iter().map(OffsetBody::offset).collect();
    let message = app.herder.alter_offsets(&name, offsets).await?;
    ok(&json!({ "message": message }))
}

pub(super) async fn reset(State(app): State<App>, Names(name): Names<String>) -> Answer {
    let message = app.herder.reset_offsets(&name).await?;
    ok(&json!({ "message": message }))
}
