//! Tables and columns in MySQL's terms, as DDL makes them and as the schema history keeps them. Pure.
//!
//! A [`Table`] is immutable once it stands in [`Tables`], behind an `Arc`: what builds on it (event schemas, row plans)
//! keeps the `Arc` and compares by identity. A statement that changes a table puts a new one in its place.

mod column;
mod kind;
mod table;
mod tables;

pub use column::Column;
pub(crate) use column::unescaped;
pub use kind::{Kind, jdbc};
pub use table::{Table, TableId};
pub use tables::Tables;
