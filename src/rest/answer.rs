//! What a request is answered with.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::herder;

/// What a handler returns.
pub(super) type Answer = Result<Response, Error>;

/// A failure: `{"error_code", "message"}`.
#[derive(Debug, Serialize)]
pub(super) struct Error {
    #[serde(rename = "error_code")]
    status: u16,
    message: String,
}

impl Error {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    pub(super) fn no_such_path() -> Self {
        Self::not_found("HTTP 404 Not Found")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(405, "HTTP 405 Method Not Allowed")
    }

    pub(super) fn timed_out() -> Self {
        Self::new(
            500,
            "Request timed out. The worker did not get to it within 90 seconds.",
        )
    }
}

impl From<herder::Error> for Error {
    fn from(error: herder::Error) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.status >= 500 {
            tracing::warn!(status = self.status, message = self.message, "request failed");
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json(status, &self)
    }
}

/// 200 with a body.
#[expect(clippy::unnecessary_wraps, reason = "the end of most handlers")]
pub(super) fn ok(body: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, body))
}

/// A status without a body.
#[expect(clippy::unnecessary_wraps, reason = "the end of most handlers")]
pub(super) fn empty(status: StatusCode) -> Answer {
    Ok(status.into_response())
}

/// A status with a body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
