//! Converters between Connect values and bytes.
//!
//! One module per class of Kafka Connect's; [`PLUGINS`] lists them. They hold no topic and no socket: bytes in, values
//! out, with what was compiled for a schema kept by the schema's identity.

pub mod byte_array;
pub mod calendar;
pub mod cloud_events;
mod header;
mod java;
pub mod json;
pub mod number;
pub mod primitive;
pub mod simple_header;
pub mod string;
pub mod values;

use tapline_api::config::{Config, ConfigKey, Kind, Validator};
use tapline_api::connector::ConverterPlugin;
use tapline_api::{DEBEZIUM_VERSION, KAFKA_VERSION, Type};

use header::AsHeader;

/// What every converter of Kafka Connect asks for and the worker sets.
pub(crate) const CONVERTER_TYPE: ConfigKey = ConfigKey::new(
    "converter.type",
    Kind::String,
    "What the converter is for: key, value or header. The worker sets it.",
)
.required()
.valid(Validator::OneOf(&["key", "value", "header"]));

macro_rules! primitive {
    ($class:literal, $kind:ident) => {
        ConverterPlugin {
            class: $class,
            version: KAFKA_VERSION,
            config: &primitive::CONFIG,
            new: Some(|_, _| Ok(Box::new(primitive::Converter::new(Type::$kind)))),
            header: Some(|_| Ok(Box::new(AsHeader(primitive::Converter::new(Type::$kind))))),
        }
    };
}

/// All converters, in the order in which REST lists them.
pub static PLUGINS: &[ConverterPlugin] = &[
    ConverterPlugin {
        class: "io.debezium.converters.CloudEventsConverter",
        version: DEBEZIUM_VERSION,
        config: &cloud_events::CONFIG,
        new: Some(|config: &Config, _| Ok(Box::new(cloud_events::Converter::new(config)?))),
        header: None,
    },
    primitive!("org.apache.kafka.connect.converters.BooleanConverter", Boolean),
    ConverterPlugin {
        class: "org.apache.kafka.connect.converters.ByteArrayConverter",
        version: KAFKA_VERSION,
        config: &byte_array::CONFIG,
        new: Some(|_, _| Ok(Box::new(byte_array::Converter::new()))),
        header: Some(|_| Ok(Box::new(AsHeader(byte_array::Converter::new())))),
    },
    primitive!("org.apache.kafka.connect.converters.DoubleConverter", Float64),
    primitive!("org.apache.kafka.connect.converters.FloatConverter", Float32),
    primitive!("org.apache.kafka.connect.converters.IntegerConverter", Int32),
    primitive!("org.apache.kafka.connect.converters.LongConverter", Int64),
    primitive!("org.apache.kafka.connect.converters.ShortConverter", Int16),
    ConverterPlugin {
        class: "org.apache.kafka.connect.json.JsonConverter",
        version: KAFKA_VERSION,
        config: &json::CONFIG,
        new: Some(|config: &Config, _| Ok(Box::new(json::Converter::new(config)?))),
        header: Some(|config: &Config| Ok(Box::new(AsHeader(json::Converter::new(config)?)))),
    },
    ConverterPlugin {
        class: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        version: KAFKA_VERSION,
        config: &simple_header::CONFIG,
        new: None,
        header: Some(|_| Ok(Box::new(simple_header::Converter::new()))),
    },
    ConverterPlugin {
        class: "org.apache.kafka.connect.storage.StringConverter",
        version: KAFKA_VERSION,
        config: &string::CONFIG,
        new: Some(|config: &Config, _| Ok(Box::new(string::Converter::new(config)?))),
        header: Some(|config: &Config| Ok(Box::new(AsHeader(string::Converter::new(config)?)))),
    },
];
