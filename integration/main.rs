//! Scenarios that drive the built binary from outside, as a user would, on real servers.
//!
//! The servers are started once, when the first scenario asks for them, and shared: a scenario takes a database, a
//! slot and a topic prefix named after itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code stops at the first surprise"
)]

mod scenarios;

/// The binary under test.
const TAPLINE: &str = env!("CARGO_BIN_EXE_tapline");
