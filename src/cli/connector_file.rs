//! Files that hold properties or a connector.
//!
//! A connector's file is a Java properties file with its `name`, or JSON: `{"name", "config", "initial_state"}` as
//! REST takes it, or one object of options with `name` among them (`ConnectStandalone`).

use std::path::Path;

use serde_json::{Map, Value as Json};
use tapline_api::config::Config;
use tapline_api::{Error, Result};

/// A connector as a file describes it.
#[derive(Debug, PartialEq)]
pub(super) struct Connector {
    pub(super) name: String,
    /// With `name` in it.
    pub(super) config: Config,
    /// RUNNING, PAUSED or STOPPED, for a connector that is new.
    pub(super) initial_state: Option<String>,
}

/// Reads a Java properties file.
pub(super) fn properties(path: &Path) -> Result<Config> {
    parse_properties(&text(path)?).map_err(|what| in_file(path, &what))
}

/// Reads a connector's file.
pub(super) fn read(path: &Path) -> Result<Connector> {
    let text = text(path)?;
    let connector = if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text)
            .map_err(|error| error.to_string())
            .and_then(parse_json)
    } else {
        parse_properties(&text).and_then(|config| connector(config, None, None))
    };
    connector.map_err(|what| in_file(path, &what))
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| in_file(path, &error.to_string()))
}

fn in_file(path: &Path, what: &str) -> Error {
    Error::config(format!("{}: {what}", path.display()))
}

fn parse_properties(text: &str) -> Result<Config, String> {
    let mut config = Config::new();
    java_properties::PropertiesIter::new(text.as_bytes())
        .read_into(|name, value| config.set(name, value))
        .map_err(|error| error.to_string())?;
    Ok(config)
}

fn parse_json(mut object: Map<String, Json>) -> Result<Connector, String> {
    let is_request = matches!(object.get("config"), Some(Json::Object(_)));
    if !is_request {
        return connector(options(object)?, None, None);
    }
    let mut name = None;
    let mut state = None;
    let mut config = Config::new();
    for (field, value) in std::mem::take(&mut object) {
        match (field.as_str(), value) {
            ("name", Json::String(text)) => name = Some(text),
            ("initial_state", Json::String(text)) => state = Some(text),
            ("config", Json::Object(entries)) => config = options(entries)?,
            (field, _) => {
                return Err(format!(
                    "\"{field}\" is none of \"name\", \"config\", \"initial_state\""
                ));
            }
        }
    }
    connector(config, name, state)
}

fn options(object: Map<String, Json>) -> Result<Config, String> {
    object
        .into_iter()
        .map(|(name, value)| match value {
            Json::String(text) => Ok((name, Some(text))),
            Json::Null => Ok((name, None)),
            Json::Number(_) | Json::Bool(_) => Ok((name, Some(value.to_string()))),
            Json::Array(_) | Json::Object(_) => Err(format!(
                "the value of \"{name}\" is neither a text nor a number nor a boolean"
            )),
        })
        .collect()
}

fn connector(
    mut config: Config,
    name: Option<String>,
    initial_state: Option<String>,
) -> Result<Connector, String> {
    let inner = config.get("name").map(str::to_owned);
    let name = match (name, inner) {
        (Some(outer), Some(inner)) if outer != inner => {
            return Err(format!(
                "the connector is called \"{outer}\", and \"{inner}\" in its \"config\""
            ));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Err("the connector has no \"name\"".to_owned()),
    };
    if !config.contains("name") {
        config.set("name", &name);
    }
    Ok(Connector {
        name,
        config,
        initial_state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Connector, String> {
        parse_json(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_connector_is_properties_or_json_flat_or_as_rest_takes_it() {
        let expected = Connector {
            name: "a".into(),
            config: Config::from_iter([("name", "a"), ("tasks.max", "2"), ("topic", "t")]),
            initial_state: None,
        };
        let sorted = |connector: Connector| {
            let mut entries: Vec<_> = connector.config.iter().collect();
            entries.sort_unstable();
            format!("{} {entries:?}", connector.name)
        };
        let text = "# a comment\nname=a\ntasks.max : 2\ntopic=\\\n  t\n";
        let from_properties = parse_properties(text).and_then(|config| connector(config, None, None));
        assert_eq!(from_properties.unwrap(), expected);
        let flat = json(r#"{"name": "a", "tasks.max": 2, "topic": "t"}"#).unwrap();
        assert_eq!(flat, expected);
        let request = json(r#"{"name": "a", "config": {"tasks.max": "2", "topic": "t"}}"#).unwrap();
        assert_eq!(sorted(request), sorted(expected));
    }

    #[test]
    fn a_connector_has_one_name() {
        assert_eq!(
            json(r#"{"topic": "t"}"#).unwrap_err(),
            "the connector has no \"name\""
        );
        assert!(json(r#"{"name": "a", "config": {"name": "b"}}"#).is_err());
        assert!(json(r#"{"name": "a", "config": {}, "tasks": 1}"#).is_err());
    }
}
