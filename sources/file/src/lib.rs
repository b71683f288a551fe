//! FileStreamSource: lines of a file, or of the standard input, into a topic.
//!
//! The same connector that ships with Kafka as a worked example, so that a worker can be tried and tested without a
//! database. It reads a file as it grows, as `tail -f` does.
//!
//! One thing differs from Java: a position counts bytes of the file. Java counts UTF-16 units but skips bytes, so
//! that after a restart it goes on at the wrong place once a line was not plain ASCII.

mod connector;
mod input;
mod lines;
mod task;

use tapline_api::KAFKA_VERSION;
use tapline_api::config::{ConfigDef, ConfigKey, Importance, Kind, Validator};
use tapline_api::connector::{AnyConnector, ConnectorPlugin};

/// `org.apache.kafka.connect.file.FileStreamSourceConnector`.
pub const PLUGIN: ConnectorPlugin = ConnectorPlugin {
    class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
    task_class: "org.apache.kafka.connect.file.FileStreamSourceTask",
    version: KAFKA_VERSION,
    config: &CONFIG,
    connector: AnyConnector::Source(&connector::Connector),
};

const FILE: &str = "file";
const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        FILE,
        Kind::String,
        "The file to read; the standard input when it is not given.",
    )
    .importance(Importance::High),
    ConfigKey::new(TOPIC, Kind::String, "The topic to write the lines to.")
        .required()
        .valid(Validator::NonEmpty)
        .importance(Importance::High),
    ConfigKey::new(BATCH_SIZE, Kind::Int, "How many lines one poll returns at most.").default("2000"),
]);
