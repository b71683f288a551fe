//! What a request to the herder can end in, by the HTTP status REST answers with. Texts are Kafka Connect's.

/// A request that was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such connector, task or status.
    #[error("{0}")]
    NotFound(String),
    /// The request can't be met as it stands.
    #[error("{0}")]
    BadRequest(String),
    /// It exists already, or the worker is busy changing.
    #[error("{0}")]
    Conflict(String),
    /// The worker's configuration forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// The worker did not get to it in time: it is starting, or Kafka does not answer.
    #[error("{0}")]
    Timeout(String),
    /// The connector, its system or Kafka failed.
    #[error("{0}")]
    Internal(String),
}

/// This module's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::BadRequest(_) => 400,
            Self::Conflict(_) => 409,
            Self::Forbidden(_) => 403,
            Self::Timeout(_) => 503,
            Self::Internal(_) => 500,
        }
    }
}

impl From<tapline_api::Error> for Error {
    fn from(error: tapline_api::Error) -> Self {
        match error.kind() {
            tapline_api::Kind::Config => Self::BadRequest(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}
