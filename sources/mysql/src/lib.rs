//! The MySQL and MariaDB change source: snapshot, binlog and schema history.
//!
//! Pure: `binlog`, `value`, `ddl`, `schema`. What does I/O stands apart.

pub mod ddl;
pub mod history;
pub mod schema;
