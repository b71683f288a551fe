//! The converters of a task: those of its connector, or else of the worker.

use std::sync::Arc;

use rdkafka::message::{Header as NativeHeader, OwnedHeaders};
use tapline_api::config::Config;
use tapline_api::connector::{ConverterPlugin, NewConverter};
use tapline_api::convert::{Converter, Encoded, HeaderConverter};
use tapline_api::record::{Header, Headers};
use tapline_api::{Error, Result};
use tapline_transforms::TransformationChain;

use crate::kafka::wire;
use crate::plugins;

/// A task's converters.
pub struct Converters {
    /// Keys.
    pub key: Box<dyn Converter>,
    /// The class for keys, for messages.
    pub key_class: &'static str,
    /// Values.
    pub value: Box<dyn Converter>,
    /// The class for values, for messages.
    pub value_class: &'static str,
    /// Headers.
    pub header: Box<dyn HeaderConverter>,
    /// The class for headers, for messages.
    pub header_class: &'static str,
}

impl Converters {
    /// As a connector's configuration and the worker's properties say.
    pub fn new(connector: &Config, worker: &Config) -> Result<Self> {
        let (key, options) = chosen("key.converter", connector, worker, JSON)?;
        let key_class = key.class;
        let key = made(key, "key.converter")?(&options, true)?;
        let (value, options) = chosen("value.converter", connector, worker, JSON)?;
        let value_class = value.class;
        let value = made(value, "value.converter")?(&options, false)?;
        let (header, options) = chosen("header.converter", connector, worker, SIMPLE)?;
        let new = header.header.ok_or_else(|| {
            Error::config(format!(
                "Invalid value {} for configuration header.converter: it converts no headers",
                header.class
            ))
        })?;
        Ok(Self {
            key,
            key_class,
            value,
            value_class,
            header: new(&options)?,
            header_class: header.class,
        })
    }
}

/// The transformations of a connector.
pub fn transformations(connector: &Config) -> Result<TransformationChain> {
    TransformationChain::new(connector, plugins::transformation, plugins::predicate)
}

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const SIMPLE: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

fn made(plugin: &ConverterPlugin, option: &str) -> Result<NewConverter> {
    plugin.new.ok_or_else(|| {
        Error::config(format!(
            "Invalid value {} for configuration {option}: it converts headers only",
            plugin.class
        ))
    })
}

/// The class and its options: both the connector's, or both the worker's.
fn chosen(
    option: &str,
    connector: &Config,
    worker: &Config,
    default: &str,
) -> Result<(&'static ConverterPlugin, Config)> {
    let from = if connector.get(option).is_some() {
        connector
    } else {
        worker
    };
    let class = from.get(option).unwrap_or(default);
    let plugin = plugins::converter(class).ok_or_else(|| {
        Error::config(format!(
            "Invalid value {class} for configuration {option}: Class {class} could not be found."
        ))
    })?;
    Ok((plugin, from.prefixed(&format!("{option}."))))
}

/// Headers as a producer wants them.
pub trait Rendered: Sized {
    /// Of so many headers.
    fn of(count: usize) -> Self;
    /// One more.
    fn with(self, key: &str, value: Option<&[u8]>) -> Self;
}

impl Rendered for OwnedHeaders {
    fn of(count: usize) -> Self {
        Self::new_with_capacity(count)
    }

    fn with(self, key: &str, value: Option<&[u8]>) -> Self {
        self.insert(NativeHeader { key, value })
    }
}

impl Rendered for wire::Headers {
    fn of(count: usize) -> Self {
        Self::new(count)
    }

    fn with(mut self, key: &str, value: Option<&[u8]>) -> Self {
        self.push(key, value);
        self
    }
}

/// Renders headers; what was made for one record serves the next that shares them.
pub struct HeaderEncoder<H> {
    last: Option<(Headers, Arc<str>, Option<H>)>,
}

impl<H> Default for HeaderEncoder<H> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<H: Rendered> HeaderEncoder<H> {
    /// Converts a record's headers.
    pub fn encode(
        &mut self,
        converter: &mut dyn HeaderConverter,
        topic: &Arc<str>,
        headers: &Headers,
    ) -> Result<Option<&H>> {
        let known =
            matches!(&self.last, Some((last, of, _)) if last.id() == headers.id() && Arc::ptr_eq(of, topic));
        if !known {
            let made = if headers.is_empty() {
                None
            } else {
                Some(render(converter, topic, headers)?)
            };
            // Holding the headers keeps their address theirs.
            self.last = Some((headers.clone(), topic.clone(), made));
        }
        Ok(self.last.as_ref().and_then(|(_, _, made)| made.as_ref()))
    }
}

fn render<H: Rendered>(
    converter: &mut dyn HeaderConverter,
    topic: &Arc<str>,
    headers: &Headers,
) -> Result<H> {
    let mut made = H::of(headers.len());
    let mut buffer = bytes::BytesMut::new();
    for Header { key, schema, value } in headers {
        buffer.clear();
        let encoded = converter.encode(topic, key, schema.as_ref(), value, &mut buffer)?;
        made = made.with(key, (encoded == Encoded::Bytes).then_some(&*buffer));
    }
    Ok(made)
}
