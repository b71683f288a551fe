//! The Postgres change source: snapshot and logical replication.
