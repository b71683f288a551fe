//! The static lists of what this binary holds. To add a plugin is to add a line here.

use tapline_api::config::ConfigDef;
use tapline_api::connector::{
    ConnectorPlugin, ConnectorType, ConverterPlugin, PredicatePlugin, TransformPlugin,
};

/// Sources and sinks.
pub static CONNECTORS: &[ConnectorPlugin] = &[
    tapline_sink_file::PLUGIN,
    tapline_sink_mongodb::PLUGIN,
    tapline_sink_relational::PLUGIN,
    tapline_sink_relational::CONFLUENT,
    tapline_source_file::PLUGIN,
    tapline_source_mysql::MARIADB,
    tapline_source_mysql::MYSQL,
    tapline_source_postgres::PLUGIN,
];

/// Converters, those for headers among them.
pub static CONVERTERS: &[ConverterPlugin] = tapline_formats::PLUGINS;

/// Single message transformations.
pub static TRANSFORMATIONS: &[TransformPlugin] = tapline_transforms::PLUGINS;

/// Predicates.
pub static PREDICATES: &[PredicatePlugin] = tapline_transforms::PREDICATES;

/// The connector that `connector.class` names.
pub fn connector(class: &str) -> Option<&'static ConnectorPlugin> {
    CONNECTORS.iter().find(|plugin| plugin.is_named(class))
}

/// The converter of a class.
pub fn converter(class: &str) -> Option<&'static ConverterPlugin> {
    CONVERTERS.iter().find(|plugin| is_named(plugin.class, class))
}

/// The transformation of a class.
pub fn transformation(class: &str) -> Option<&'static TransformPlugin> {
    TRANSFORMATIONS
        .iter()
        .find(|plugin| is_named(plugin.class, class))
}

/// The predicate of a class.
pub fn predicate(class: &str) -> Option<&'static PredicatePlugin> {
    PREDICATES.iter().find(|plugin| is_named(plugin.class, class))
}

/// Whether `given` is the class, in full or by its simple name.
fn is_named(class: &str, given: &str) -> bool {
    class == given || class.rsplit('.').next() == Some(given)
}

/// Any plugin, as it is listed.
#[derive(Clone, Copy)]
pub struct Plugin {
    /// `sink`, `source`, `transformation`, `predicate`, `converter` or `header_converter`.
    pub kind: &'static str,
    /// The Java class name.
    pub class: &'static str,
    /// The version.
    pub version: &'static str,
    /// Its options.
    pub config: &'static ConfigDef,
}

impl Plugin {
    /// Whether `given` is its class, in full or by its simple name.
    pub fn is_named(&self, given: &str) -> bool {
        match connector(given) {
            Some(connector) => connector.class == self.class,
            None => is_named(self.class, given),
        }
    }
}

/// All plugins, by kind and class; a converter that is one for headers too is listed twice (KIP-769).
pub fn all() -> Vec<Plugin> {
    macro_rules! listed {
        ($kind:expr, $plugins:expr) => {
            $plugins.map(move |plugin| Plugin {
                kind: $kind,
                class: plugin.class,
                version: plugin.version,
                config: plugin.config,
            })
        };
    }
    let connectors = |kind: ConnectorType| {
        let of_kind = CONNECTORS.iter().filter(move |plugin| plugin.kind() == kind);
        listed!(kind.name(), of_kind)
    };
    let converters = CONVERTERS.iter();
    let kinds: [Vec<Plugin>; 6] = [
        connectors(ConnectorType::Sink).collect(),
        connectors(ConnectorType::Source).collect(),
        listed!("transformation", TRANSFORMATIONS.iter()).collect(),
        listed!("predicate", PREDICATES.iter()).collect(),
        listed!(
            "converter",
            converters.clone().filter(|plugin| plugin.new.is_some())
        )
        .collect(),
        listed!(
            "header_converter",
            converters.filter(|plugin| plugin.header.is_some())
        )
        .collect(),
    ];
    let mut all = Vec::new();
    for mut kind in kinds {
        kind.sort_unstable_by_key(|plugin| (plugin.class, plugin.version));
        all.append(&mut kind);
    }
    all
}
