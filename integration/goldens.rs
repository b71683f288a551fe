//! `make golden TARGET=pg15|pg18|mysql|mariadb`: what a real Debezium wrote for the same SQL, compared field by field.
//!
//! `FIXTURES=folder` takes another folder of the layout of `integration/golden`, `ONLY=fixture[/variant][,…]` picks,
//! `RECORD=1` makes the recordings of a folder's fixtures instead, with Debezium on Kafka Connect.
//! `LANES=3` says how many servers and workers run at a time, `FULL=1` prints values in full length.
#![allow(unreachable_pub, reason = "a program has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code stops at the first surprise; its settings are the environment's"
)]

mod golden;

use std::process::ExitCode;

fn main() -> ExitCode {
    let setting = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let options = golden::Options {
        binary: env!("CARGO_BIN_EXE_tapline").to_owned(),
        target: setting("TARGET").unwrap_or_else(|| "pg15".to_owned()),
        folder: setting("FIXTURES").map(Into::into),
        only: setting("ONLY").unwrap_or_default(),
        lanes: setting("LANES").map_or(3, |lanes| lanes.parse().expect("LANES is a number")),
    };
    if setting("RECORD").is_some() {
        golden::record::run(&options);
        return ExitCode::SUCCESS;
    }
    if golden::run(&options).is_some_and(|sum| sum.good) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
