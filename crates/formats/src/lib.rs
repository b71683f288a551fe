//! Converters between Connect values and bytes.

mod java;
pub mod json;
pub mod number;

use tapline_api::KAFKA_VERSION;
use tapline_api::config::{Config, ConfigKey, Kind, Validator};
use tapline_api::connector::ConverterPlugin;

/// What every converter of Kafka Connect asks for and the worker sets.
pub(crate) const CONVERTER_TYPE: ConfigKey = ConfigKey::new(
    "converter.type",
    Kind::String,
    "What the converter is for: key, value or header. The worker sets it.",
)
.required()
.valid(Validator::OneOf(&["key", "value", "header"]));

/// All converters.
pub static PLUGINS: &[ConverterPlugin] = &[ConverterPlugin {
    class: "org.apache.kafka.connect.json.JsonConverter",
    version: KAFKA_VERSION,
    config: &json::CONFIG,
    new: |config: &Config, _| Ok(Box::new(json::Converter::new(config)?)),
    header: None,
}];
