//! FileStreamSink: records as lines of a file, or of the standard output.
//!
//! The same connector that ships with Kafka as a worked example. A line is the value as Java prints it or, with
//! `format=jsonl`, a JSON object of the whole record, or CSV. Files may be rotated by size and time. Lines may come twice after a kill: a file has no keys.

mod connector;
mod csv;
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
const ROTATE_BYTES: &str = "rotate.bytes";
const ROTATE_INTERVAL: &str = "rotate.interval.ms";

/// The options; all but `file` are our own.
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
        "What a line holds: text, the value as Java prints it; jsonl, an object of topic, partition, offset, key, value, \
         headers and timestamp; or csv, the fields of the value under a header line.",
    )
    .default("text")
    .valid(Validator::OneOf(&["text", "jsonl", "csv"])),
    ConfigKey::new(
        ROTATE_BYTES,
        Kind::Long,
        "From this size on the file is closed as FILE.000001, FILE.000002 and so on, and a new one begun; 0 for never. A \
         sink that rotates has one task.",
    )
    .default("0"),
    ConfigKey::new(
        ROTATE_INTERVAL,
        Kind::Long,
        "The same, by the file's age: the first write after that many milliseconds goes into a new file; 0 for never.",
    )
    .default("0"),
]);
