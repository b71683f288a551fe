//! Binlog events, from their bytes. Pure.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html>,
//! <https://mariadb.com/docs/server/reference/clientserver-protocol/replication-protocol>

pub(crate) mod event;
pub(crate) mod gtid;
pub(crate) mod image;
pub(crate) mod payload;
pub(crate) mod reader;
pub(crate) mod table_map;

/// What is wrong with an event; the caller adds file and position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// It ends before its content does.
    #[error("{0} ends early")]
    Short(&'static str),
    /// A field holds what it can't.
    #[error("{0}")]
    Bad(String),
}

impl Malformed {
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::Bad(text.into())
    }
}
