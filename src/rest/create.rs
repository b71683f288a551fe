//! Creating connectors and giving them another configuration.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use tapline_api::config::Config;

use super::App;
use super::answer::{Answer, Error, json, ok};
use super::request::{Body, ConfigBody, CreateRequest, Names};
use crate::herder::validate::check;
use crate::herder::{ConnectorInfo, ConnectorOffset, Put, TargetState};

/// `POST /connectors`.
pub(super) async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    Body(request): Body<CreateRequest>,
) -> Answer {
    let name = request.name.as_deref().unwrap_or_default().trim();
    let Some(ConfigBody(config)) = request.config else {
        return Err(Error::bad_request("the request has no \"config\""));
    };
    let state = request
        .initial_state
        .as_deref()
        .map(TargetState::initial)
        .transpose()?;
    let config = named(name, config)?;
    check(&app.herder, &config).await?;
    let Some(offsets) = request.initial_offsets else {
        let put = app.herder.put_connector(name, config, state, false).await?;
        return Ok(created(&headers, &put.info));
    };
    let put = app
        .herder
        .put_connector(name, config, Some(TargetState::Stopped), false)
        .await?;
    if let Err(error) = start_at(&app, name, offsets.list(), state).await {
        // Nobody should find a connector that would start elsewhere.
        app.herder.delete(name).await?;
        return Err(error);
    }
    Ok(created(&headers, &put.info))
}

/// KIP-995: a new connector, still stopped, forgets what one of its name has left, and starts at these offsets.
async fn start_at(
    app: &App,
    name: &str,
    offsets: Vec<ConnectorOffset>,
    state: Option<TargetState>,
) -> Result<(), Error> {
    app.herder.reset_offsets(name).await?;
    if !offsets.is_empty() {
        app.herder.alter_offsets(name, offsets).await?;
    }
    match state.unwrap_or_default() {
        TargetState::Started => app.herder.resume(name).await?,
        TargetState::Paused => app.herder.pause(name).await?,
        TargetState::Stopped => {}
    }
    Ok(())
}

/// `PUT /connectors/{connector}/config`.
pub(super) async fn put_config(
    State(app): State<App>,
    Names(name): Names<String>,
    headers: HeaderMap,
    Body(ConfigBody(config)): Body<ConfigBody>,
) -> Answer {
    replace(&app, &name, config, &headers).await
}

/// `PATCH /connectors/{connector}/config`: a null removes an option (KIP-477).
pub(super) async fn patch_config(
    State(app): State<App>,
    Names(name): Names<String>,
    headers: HeaderMap,
    Body(ConfigBody(patch)): Body<ConfigBody>,
) -> Answer {
    let config = app.herder.patch_config(&name, &patch).await?;
    replace(&app, &name, config, &headers).await
}

async fn replace(app: &App, name: &str, config: Config, headers: &HeaderMap) -> Answer {
    let config = named(name, config)?;
    check(&app.herder, &config).await?;
    let Put { created: new, info } = app.herder.put_connector(name, config, None, true).await?;
    if new {
        Ok(created(headers, &info))
    } else {
        ok(&info)
    }
}

/// The configuration with the connector's name in it.
fn named(name: &str, mut config: Config) -> Result<Config, Error> {
    match config.get("name") {
        Some(given) if given != name => Err(Error::bad_request(format!(
            "Connector name configuration ({given}) doesn't match connector name in the URL ({name})"
        ))),
        Some(_) => Ok(config),
        None => {
            config.set("name", name);
            Ok(config)
        }
    }
}

/// 201, with where the connector is now to be found.
fn created(headers: &HeaderMap, info: &ConnectorInfo) -> Response {
    let mut response = json(StatusCode::CREATED, info);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let path = format!("/connectors/{}", escaped(&info.name));
    let location = host.map_or_else(|| path.clone(), |host| format!("http://{host}{path}"));
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A name as one segment of a path.
pub(crate) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_the_location() {
        assert_eq!(escaped("tour bad/name"), "tour%20bad%2Fname");
        assert_eq!(escaped("shop.orders-1"), "shop.orders-1");
        assert_eq!(escaped("ü"), "%C3%BC");
    }

    #[test]
    fn a_configuration_bears_its_connectors_name() {
        let config = named("a", Config::from_iter([("topic", "t")])).unwrap();
        assert_eq!(config.get("name"), Some("a"));
        assert!(named("a", Config::from_iter([("name", "b")])).is_err());
    }
}
