//! Answers to browsers of other origins (`access.control.allow.origin`, `.methods`), and `OPTIONS`.
//!
//! As Jetty's `CrossOriginHandler` does it in Kafka Connect: an origin is `*` or a regular expression that must match as a
//! whole, whatever its case; preflight requests are answered with their headers and then as any other `OPTIONS`, whatever
//! method they ask for: the browser is who refuses.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tapline_api::pattern::Pattern;
use tapline_api::{Error, Result};

use crate::worker::config::WorkerConfig;

const ORIGINS: &str = "access.control.allow.origin";
const METHODS: &str = "access.control.allow.methods";

/// Which origins may read answers.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    /// `None` for all of them.
    origins: Option<Vec<Pattern>>,
    methods: HeaderValue,
}

impl Cors {
    /// From the worker's properties; `None` without an origin.
    pub(super) fn new(config: &WorkerConfig) -> Result<Option<Self>> {
        let origins: Vec<&str> = items(config.text(ORIGINS)).collect();
        if origins.is_empty() {
            return Ok(None);
        }
        let patterns = || {
            let patterns = origins
                .iter()
                .map(|origin| Pattern::ignoring_case(ORIGINS, origin));
            patterns.collect::<Result<Vec<_>>>()
        };
        let any = origins.contains(&"*");
        let methods: Vec<&str> = items(config.text(METHODS)).collect();
        let methods = match methods.is_empty() {
            true => "GET,POST,HEAD".to_owned(),
            false => methods.join(","),
        };
        Ok(Some(Self {
            origins: if any { None } else { Some(patterns()?) },
            methods: HeaderValue::from_str(&methods)
                .map_err(|_| Error::config(format!("{METHODS} holds a character that no header may")))?,
        }))
    }

    /// What to add to the answer of a request with these headers.
    fn headers(&self, method: &Method, request: &HeaderMap) -> HeaderMap {
        let mut added = HeaderMap::from_iter([(VARY, HeaderValue::from_static("Origin"))]);
        let Some(origin) = request.get(ORIGIN) else {
            return added;
        };
        if !self.allows(origin.to_str().unwrap_or_default()) {
            return added;
        }
        added.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if method == Method::OPTIONS && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            added.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            added.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("Content-Type"),
            );
            added.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("60"));
        }
        added
    }

    fn allows(&self, origins: &str) -> bool {
        let mut origins = origins.split(' ').filter(|origin| !origin.is_empty());
        origins.any(|origin| match &self.origins {
            None => true,
            Some(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        })
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Adds the headers of [`Cors`].
pub(super) async fn answer(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let added = cors.headers(request.method(), request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().extend(added);
    response
}

/// The order in which a Java set of strings has them.
const ORDER: [&str; 7] = ["HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH"];

/// `OPTIONS` of a path that is there: the methods it takes, which the refusal of the method names.
pub(super) async fn options(request: Request, next: Next) -> Response {
    if request.method() != Method::OPTIONS {
        return next.run(request).await;
    }
    let accept = request.headers().get(ACCEPT).cloned();
    let refused = next.run(request).await;
    if refused.status() != StatusCode::METHOD_NOT_ALLOWED {
        return refused;
    }
    let taken = refused.headers().get(ALLOW).and_then(|allow| allow.to_str().ok());
    let allow = allowed(taken.unwrap_or_default());
    let json = accept.is_some_and(|accept| accept.to_str().is_ok_and(only_json));
    let (kind, body) = match json {
        true => ("application/json", String::new()),
        false => ("text/plain", allow.join(", ")),
    };
    let headers = [(CONTENT_TYPE, kind.to_owned()), (ALLOW, allow.join(","))];
    (StatusCode::OK, headers, body).into_response()
}

fn only_json(accept: &str) -> bool {
    accept.contains("application/json") && !accept.contains("*/*") && !accept.contains("text/")
}

fn allowed(taken: &str) -> Vec<&'static str> {
    let taken: Vec<&str> = items(taken).collect();
    ORDER
        .into_iter()
        .filter(|method| *method == "OPTIONS" || taken.contains(method))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tapline_api::config::Config;

    use super::*;

    fn cors(options: &[(&str, &str)]) -> Option<Cors> {
        let config = WorkerConfig::new(Config::from_iter(options.iter().copied()), PathBuf::new()).unwrap();
        Cors::new(&config).unwrap()
    }

    fn asked(cors: &Cors, method: Method, headers: &[(&'static str, &'static str)]) -> String {
        let request = headers.iter().map(|(name, value)| {
            (
                name.parse::<axum::http::HeaderName>().unwrap(),
                HeaderValue::from_static(value),
            )
        });
        let added = cors.headers(&method, &request.collect());
        let lines = added
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_origin_is_a_whole_pattern_and_a_preflight_hears_more() {
        assert!(cors(&[]).is_none());
        let some = cors(&[
            (ORIGINS, "http://a.example, https?://.*\\.b\\.example"),
            (METHODS, "GET,PUT"),
        ])
        .unwrap();
        assert_eq!(
            asked(&some, Method::GET, &[("origin", "http://evil.example")]),
            "vary: Origin"
        );
        assert_eq!(
            asked(&some, Method::GET, &[("origin", "HTTPS://x.b.example")]),
            "vary: Origin\naccess-control-allow-origin: HTTPS://x.b.example"
        );
        assert_eq!(
            asked(
                &some,
                Method::OPTIONS,
                &[
                    ("origin", "http://a.example"),
                    ("access-control-request-method", "DELETE")
                ]
            ),
            "vary: Origin\naccess-control-allow-origin: http://a.example\naccess-control-allow-methods: GET,PUT\n\
             access-control-allow-headers: Content-Type\naccess-control-max-age: 60"
        );
    }

    #[test]
    fn a_star_is_every_origin_and_methods_have_a_default() {
        let all = cors(&[(ORIGINS, "*")]).unwrap();
        assert!(all.allows("http://anyone.example"));
        assert_eq!(all.methods, "GET,POST,HEAD");
    }

    #[test]
    fn methods_stand_in_the_order_of_a_java_set() {
        assert_eq!(
            allowed("GET,HEAD,PUT,PATCH,DELETE"),
            ["HEAD", "DELETE", "GET", "OPTIONS", "PUT", "PATCH"]
        );
    }
}
