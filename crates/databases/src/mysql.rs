//! MySQL and MariaDB: [`Settings`] say where and how, [`connect`] gives a session of mysql_async, for sinks and `doctor`;
//! [`dial`] and [`encrypt`] give the byte stream under a protocol client of one's own, which is what the change source
//! needs. All know the same TLS modes.

mod dial;
mod error;
mod quote;
mod session;
mod settings;
mod url;

pub use crate::net::{Pace, Socket, Stream, Watched};
pub use dial::{dial, encrypt};
pub use error::{Error, ServerError};
pub use quote::{identifier, literal, qualified};
pub use session::connect;
pub use settings::{Settings, SslMode};
pub use tapline_api::config::Secret;
