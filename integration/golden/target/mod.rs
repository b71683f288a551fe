//! The servers that fixtures run on, prepared as they were for the recording.

mod mysql;
mod postgres;

use super::recording::Recording;
use tapline_harness::mysql::Kind;

/// A database server for one lane of replays.
pub trait Target: Send {
    /// Makes the database as it was before the fixture.
    fn reset(&mut self);
    /// Runs SQL statement by statement, past the ones that fail, as the recording's client did.
    fn sql(&self, text: &str);
    /// The same, in one session from the first call after a reset on: what an event tells of its session stays the same.
    fn sql_in_session(&self, text: &str) {
        self.sql(text);
    }
    /// Adapts what a setting says about where servers are.
    fn setting(&self, name: &str, value: &str) -> String;
    /// Whether the connector has done its snapshot and streams. `records` counts a topic's records.
    fn streaming(&self, records: &dyn Fn(&str) -> i64) -> bool;
    /// Writes the row that closes every fixture.
    fn end(&self);
}

/// Starts the server of a target, by its name.
pub type Start = fn(&str) -> Box<dyn Target>;

/// The folder of the fixtures of a target, and the means to start its server. `None` for an unknown one.
pub fn find(name: &str) -> Option<(&'static str, Start)> {
    match name {
        "pg15" | "pg18" => Some(("pg", |name| {
            Box::new(postgres::Pg::start(name[2..].parse().unwrap()))
        })),
        "mysql" => Some(("mysql", |_| Box::new(mysql::My::start(Kind::MySql)))),
        "mariadb" => Some(("mysql", |_| Box::new(mysql::My::start(Kind::MariaDb)))),
        _ => None,
    }
}

/// The topic of the row that closes every fixture, and how many records it has then: a row of the snapshot counts.
pub fn end_topic(recording: &Recording) -> (String, i64) {
    let topic = format!("{}.fx.zz_end", recording.setting("topic.prefix").unwrap_or("g"));
    let count = recording
        .outcome
        .events
        .iter()
        .filter(|e| e.topic == topic)
        .count();
    (topic, i64::try_from(count).unwrap())
}
