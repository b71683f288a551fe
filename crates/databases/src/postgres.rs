//! Postgres: [`Settings`] say where and how, [`dial`] gives an (encrypted) byte stream that has not yet sent its startup
//! message, [`connect`] a SQL session over it. The replication client of the change source starts from [`dial`] too, so
//! both know the same six `sslmode`s.

mod binding;
mod dial;
mod error;
mod quote;
mod session;
mod settings;
mod tls;
mod url;

pub use crate::net::{Pace, Socket, Stream, Watched};
pub use binding::server_end_point;
pub use dial::{Attempt, attempts, dial, worth_next_attempt};
pub use error::{Error, ServerError, SqlState};
pub use quote::{identifier, literal, qualified};
pub use session::{Session, connect};
pub use settings::{Settings, SslMode};
pub use tapline_api::config::Secret;
