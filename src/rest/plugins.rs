//! `/connector-plugins`.

use axum::extract::State;
use serde_json::json;

use super::App;
use super::answer::{Answer, Error, ok};
use super::request::{Body, ConfigBody, Names, Parameters};
use crate::herder::validate::{self, Definition};
use crate::plugins::{self, Plugin};

/// The connectors; with `connectorsOnly=false` everything (KIP-769).
pub(super) async fn list(parameters: Parameters) -> Answer {
    let connectors_only = parameters.flag("connectorsOnly", true);
    let listed = plugins::all().into_iter();
    let listed = listed.filter(|plugin| !connectors_only || matches!(plugin.kind, "sink" | "source"));
    let entry =
        |plugin: Plugin| json!({ "class": plugin.class, "type": plugin.kind, "version": plugin.version });
    ok(&listed.map(entry).collect::<Vec<_>>())
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
    let plugin = plugins::all().into_iter().find(|plugin| plugin.is_named(class))?;
    Some(plugin.config.keys().iter().map(Definition::of).collect())
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
