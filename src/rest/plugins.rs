//! `/connector-plugins`.

use axum::extract::State;
use serde_json::{Value as Json, json};
use tapline_api::config::ConfigDef;
use tapline_api::connector::ConnectorType;

use super::App;
use super::answer::{Answer, Error, ok};
use super::request::{Body, ConfigBody, Names, Parameters};
use crate::herder::validate::{self, Definition};
use crate::plugins;

/// The connectors; with `connectorsOnly=false` everything (KIP-769).
pub(super) async fn list(parameters: Parameters) -> Answer {
    ok(&listed(parameters.flag("connectorsOnly", true)))
}

fn listed(connectors_only: bool) -> Vec<Json> {
    let of = |kind: ConnectorType| {
        let of_kind = plugins::CONNECTORS
            .iter()
            .filter(move |plugin| plugin.kind() == kind);
        of_kind
            .map(|plugin| (plugin.class, plugin.version))
            .collect::<Vec<_>>()
    };
    let mut kinds = vec![
        ("sink", of(ConnectorType::Sink)),
        ("source", of(ConnectorType::Source)),
    ];
    if !connectors_only {
        let converters = plugins::CONVERTERS.iter();
        kinds.extend([
            (
                "transformation",
                plugins::TRANSFORMATIONS
                    .iter()
                    .map(|p| (p.class, p.version))
                    .collect(),
            ),
            (
                "predicate",
                plugins::PREDICATES.iter().map(|p| (p.class, p.version)).collect(),
            ),
            (
                "converter",
                converters
                    .clone()
                    .filter(|p| p.new.is_some())
                    .map(|p| (p.class, p.version))
                    .collect(),
            ),
            (
                "header_converter",
                converters
                    .filter(|p| p.header.is_some())
                    .map(|p| (p.class, p.version))
                    .collect(),
            ),
        ]);
    }
    let mut all = Vec::new();
    for (kind, mut of_kind) in kinds {
        of_kind.sort_unstable();
        all.extend(
            of_kind
                .into_iter()
                .map(|(class, version)| json!({ "class": class, "type": kind, "version": version })),
        );
    }
    all
}

/// A plugin's options.
pub(super) async fn config(Names(class): Names<String>) -> Answer {
    match definitions(&class) {
        Some(definitions) => ok(&definitions),
        None => Err(Error::not_found(format!("Unknown plugin {class}."))),
    }
}

fn definitions(class: &str) -> Option<Vec<Definition>> {
    if let Some(plugin) = plugins::connector(class) {
        return Some(validate::definitions(plugin));
    }
    let of = |def: &ConfigDef| def.keys().iter().map(Definition::of).collect();
    plugins::transformation(class)
        .map(|plugin| of(plugin.config))
        .or_else(|| plugins::predicate(class).map(|plugin| of(plugin.config)))
        .or_else(|| plugins::converter(class).map(|plugin| of(plugin.config)))
}

/// What there is to say against a configuration; 200 even if it is a lot.
pub(super) async fn validate(
    State(app): State<App>,
    Names(requested): Names<String>,
    Body(ConfigBody(config)): Body<ConfigBody>,
) -> Answer {
    if let Some(included) = config.get("connector.class")
        && !simple(included).ends_with(simple(&requested))
    {
        return Err(Error::bad_request(format!(
            "Included connector type {included} does not match request type {requested}"
        )));
    }
    ok(&validate::validate(&app.herder, &config).await?)
}

/// A class name without `Connector` at its end.
fn simple(class: &str) -> &str {
    match class.strip_suffix("Connector") {
        Some(rest) if !rest.is_empty() => rest,
        _ => class,
    }
}
