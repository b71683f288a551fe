//! A small HTTP client for a worker's REST API.

use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tapline_api::{Error, Result};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT: Duration = Duration::from_secs(10);
/// A little more than a worker takes for a request.
const ANSWER: Duration = Duration::from_secs(100);

/// Where the worker is.
#[derive(Debug, Args)]
pub(super) struct Client {
    /// The worker's REST address
    #[arg(
        long,
        global = true,
        default_value = "http://localhost:8083",
        value_name = "URL"
    )]
    url: String,
    /// Prints JSON as the worker gave it
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Client {
    pub(super) async fn get(&self, path: &str) -> Result<Json> {
        self.call(Method::GET, path, None).await
    }

    pub(super) async fn put(&self, path: &str, body: Option<&Json>) -> Result<Json> {
        self.call(Method::PUT, path, body).await
    }

    pub(super) async fn post(&self, path: &str, body: Option<&Json>) -> Result<Json> {
        self.call(Method::POST, path, body).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Json) -> Result<Json> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Json> {
        self.call(Method::DELETE, path, None).await
    }

    /// The answer's body; null when it has none. An error carries the worker's own words.
    async fn call(&self, method: Method, path: &str, body: Option<&Json>) -> Result<Json> {
        let (status, bytes) = timeout(ANSWER, self.exchange(method, path, body))
            .await
            .map_err(|_| Error::retriable(format!("{} did not answer in time", self.url)))??;
        let json: Json = if bytes.is_empty() {
            Json::Null
        } else {
            serde_json::from_slice(&bytes)
                .map_err(|_| Error::fatal(format!("{} is not a worker: it answered {status}", self.url)))?
        };
        if status.is_success() {
            return Ok(json);
        }
        let message = json.get("message").and_then(Json::as_str).unwrap_or_default();
        Err(Error::fatal(format!("{message} ({status})")))
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Json>) -> Result<(StatusCode, Bytes)> {
        let (authority, base) = parse(&self.url)?;
        let unreachable = |error: &dyn std::fmt::Display| {
            Error::retriable(format!("no worker answers at {}: {error}", self.url))
                .hint("start one with `tapline worker`, or say where it is with --url")
        };
        let stream = timeout(CONNECT, TcpStream::connect(authority))
            .await
            .map_err(|_| unreachable(&"timed out"))?
            .map_err(|error| unreachable(&error))?;
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        // It ends with the sender, or with the server; the request then says why.
        let connection = tokio::spawn(connection);
        let body = body.map(Json::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(HOST, authority)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Error::config(format!("--url {}: {error}", self.url)))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|error| unreachable(&error))?
            .to_bytes();
        connection.abort();
        Ok((status, bytes))
    }
}

/// `host:port` and the path before the API's, of `http://host[:port][/path]`.
fn parse(url: &str) -> Result<(&str, &str)> {
    let Some(rest) = url.strip_prefix("http://") else {
        let what = if url.starts_with("https://") {
            "asks for TLS, which this command does not speak"
        } else {
            "is not of the form http://host:port"
        };
        return Err(Error::config(format!("--url {url} {what}")));
    };
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && !port.contains(']'));
    if !has_port {
        return Err(Error::config(format!("--url {url} names no port")).hint("such as http://localhost:8083"));
    }
    Ok((authority, base.trim_end_matches('/')))
}

/// `/connectors/NAME` and what follows.
pub(super) fn connector(name: &str, rest: &str) -> String {
    format!("/connectors/{}{rest}", crate::rest::escaped(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_authority_and_a_path() {
        let parsed = |url| parse(url).map_err(|error| error.message().to_owned());
        assert_eq!(parsed("http://localhost:8083"), Ok(("localhost:8083", "")));
        assert_eq!(parsed("http://[::1]:80/connect/"), Ok(("[::1]:80", "/connect")));
        assert!(parsed("http://[::1]").unwrap_err().contains("names no port"));
        assert!(parsed("https://localhost:8083").unwrap_err().contains("TLS"));
        assert!(parsed("localhost:8083").is_err());
    }
}
