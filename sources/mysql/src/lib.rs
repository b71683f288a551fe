//! The MySQL and MariaDB change source, `io.debezium.connector.mysql.MySqlConnector` and
//! `io.debezium.connector.mariadb.MariaDbConnector`: snapshot, binlog and schema history.

#[allow(dead_code, reason = "the stream that reads it is being built")]
mod binlog;
pub mod ddl;
pub mod history;
pub mod schema;
#[allow(dead_code, unused_imports, reason = "the stream that reads it is being built")]
mod value;
#[allow(dead_code, unused_imports, reason = "the stream that reads it is being built")]
mod wire;
