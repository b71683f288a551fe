//! One suite for every sink: [`scenarios`] says what must happen, and each sink runs all of it on a real target.
//!
//! Documents have no columns, and files keep every record: what of the suite applies to them they have in [`mongodb`] and
//! [`file`].

mod confluent;
pub mod file;
mod mongodb;
pub mod records;
mod relational;
mod scenarios;
mod subject;
mod types;
