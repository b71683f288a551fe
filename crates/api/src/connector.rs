//! Plugins: what the static lists in `src/plugins.rs` hold.
//!
//! A plugin is a Java class name, as it stands in people's configurations, with the definition of its options and
//! the means to make one. `connector.class` may also be the simple name, with or without `Connector`.

use crate::config::{Config, ConfigDef};
use crate::convert::{Converter, HeaderConverter};
use crate::error::Result;
use crate::sink::SinkConnector;
use crate::source::SourceConnector;
use crate::transform::{Predicate, Transformation};

/// The direction of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectorType {
    /// Into topics.
    Source,
    /// Out of topics.
    Sink,
}

impl ConnectorType {
    /// `source` or `sink`, as REST prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
        }
    }
}

/// A connector as a plugin.
#[derive(Clone, Copy)]
pub struct ConnectorPlugin {
    /// The Java class name.
    pub class: &'static str,
    /// The Java class name of its tasks, which stands in task configurations as `task.class`.
    pub task_class: &'static str,
    /// The version that REST shows.
    pub version: &'static str,
    /// Its options, without those that every connector has.
    pub config: &'static ConfigDef,
    /// The connector.
    pub connector: AnyConnector,
}

impl ConnectorPlugin {
    /// The direction.
    pub fn kind(&self) -> ConnectorType {
        match self.connector {
            AnyConnector::Source(_) => ConnectorType::Source,
            AnyConnector::Sink(_) => ConnectorType::Sink,
        }
    }

    /// Whether `connector.class` names it: in full, or by its simple name with or without `Connector`.
    pub fn is_named(&self, class: &str) -> bool {
        let simple = self.class.rsplit('.').next().unwrap_or(self.class);
        class == self.class || class == simple || simple.strip_suffix("Connector") == Some(class)
    }
}

/// A source or a sink.
#[derive(Clone, Copy)]
pub enum AnyConnector {
    /// A source.
    Source(&'static dyn SourceConnector),
    /// A sink.
    Sink(&'static dyn SinkConnector),
}

/// Makes a converter from its options (without their prefix), for keys or for values.
pub type NewConverter = fn(&Config, is_key: bool) -> Result<Box<dyn Converter>>;

/// Makes a header converter from its options (without their prefix).
pub type NewHeaderConverter = fn(&Config) -> Result<Box<dyn HeaderConverter>>;

/// A converter as a plugin.
#[derive(Clone, Copy)]
pub struct ConverterPlugin {
    /// The Java class name.
    pub class: &'static str,
    /// The version that REST shows.
    pub version: &'static str,
    /// Its options.
    pub config: &'static ConfigDef,
    /// Makes one from its options (without their prefix), for keys or for values; `SimpleHeaderConverter` can't.
    pub new: Option<NewConverter>,
    /// Makes one for headers, where the class can do that.
    pub header: Option<NewHeaderConverter>,
}

/// A transformation as a plugin.
#[derive(Clone, Copy)]
pub struct TransformPlugin {
    /// The Java class name, with `$Key` or `$Value` where it has them.
    pub class: &'static str,
    /// The version that REST shows.
    pub version: &'static str,
    /// Its options.
    pub config: &'static ConfigDef,
    /// Makes one from its options (without their prefix).
    pub new: fn(&Config) -> Result<Box<dyn Transformation>>,
}

/// A predicate as a plugin.
#[derive(Clone, Copy)]
pub struct PredicatePlugin {
    /// The Java class name.
    pub class: &'static str,
    /// The version that REST shows.
    pub version: &'static str,
    /// Its options.
    pub config: &'static ConfigDef,
    /// Makes one from its options (without their prefix).
    pub new: fn(&Config) -> Result<Box<dyn Predicate>>,
}
