//! FileStreamSink: records as lines of a file, or of the standard output.
//!
//! The same connector that ships with Kafka as a worked example. A line is the value as Java prints it or, with
//! `format=jsonl`, a JSON object of the whole record. Lines may come twice after a kill: a file has no keys.

mod connector;
mod java;
mod line;
mod output;
mod task;

use tapline_api::KAFKA_VERSION;
use tapline_api::config::{ConfigDef, ConfigKey, Importance, Kind, Validator};
use tapline_api::connector::{AnyConnector, ConnectorPlugin};

/// `org.apache.kafka.connect.file.FileStreamSinkConnector`.
pub const PLUGIN: ConnectorPlugin = ConnectorPlugin {
    class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
    task_class: "org.apache.kafka.connect.file.FileStreamSinkTask",
    version: KAFKA_VERSION,
    config: &CONFIG,
    connector: AnyConnector::Sink(&connector::Connector),
};

const FILE: &str = "file";
const FORMAT: &str = "format";

/// The options; `format` is our own.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        FILE,
        Kind::String,
        "The file to append to; the standard output when it is not given.",
    )
    .importance(Importance::High),
    ConfigKey::new(
        FORMAT,
        Kind::String,
        "What a line holds: text, the value as Java prints it, or jsonl, an object of topic, partition, offset, key, \
         value, headers and timestamp.",
    )
    .default("text")
    .valid(Validator::OneOf(&["text", "jsonl"])),
]);
