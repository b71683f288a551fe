//! One suite for every sink: [`scenarios`] says what must happen, and each sink runs all of it on a real target.
//!
//! Files keep every record, so of the suite only what they have in [`file`] applies to them.

mod confluent;
pub mod file;
pub mod records;
mod relational;
mod scenarios;
mod subject;
mod types;
