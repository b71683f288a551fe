//! The static lists of what this binary holds. To add a plugin is to add a line here.

use tapline_api::connector::{ConnectorPlugin, ConverterPlugin, PredicatePlugin, TransformPlugin};

/// Sources and sinks.
pub static CONNECTORS: &[ConnectorPlugin] = &[tapline_sink_file::PLUGIN, tapline_source_file::PLUGIN];

/// Converters, those for headers among them.
pub static CONVERTERS: &[ConverterPlugin] = &[];

/// Single message transformations.
pub static TRANSFORMATIONS: &[TransformPlugin] = &[];

/// Predicates.
pub static PREDICATES: &[PredicatePlugin] = &[];

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
