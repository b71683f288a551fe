//! `org.apache.kafka.connect.transforms.Filter`: drops every record; with a predicate, those for which it holds.

use tapline_api::config::ConfigDef;
use tapline_api::connector::TransformPlugin;
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{KAFKA_VERSION, Record, Result};

/// No options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[]);

/// The plugin.
pub const PLUGIN: TransformPlugin = TransformPlugin {
    class: "org.apache.kafka.connect.transforms.Filter",
    version: KAFKA_VERSION,
    config: &CONFIG,
    new: |_| Ok(Box::new(Filter)),
};

/// The transformation.
pub struct Filter;

impl Transformation for Filter {
    fn apply(&mut self, _record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        Ok(None)
    }
}
