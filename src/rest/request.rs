//! Reading requests: names in paths, flags in queries, bodies.
//!
//! Values of a configuration are texts; a number or a boolean is taken as it is written, as Jackson does.

use std::fmt;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use tapline_api::config::Config;

use super::answer::Error;
use crate::herder::ConnectorOffset;

/// The longest body; a configuration has some kilobytes, an offset of a long GTID set some hundred.
pub(super) const BODY_LIMIT: usize = 8 << 20;

/// Names in a path, unescaped. One that does not fit its type is a path that does not exist.
pub(super) struct Names<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Names<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Path(names) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::no_such_path())?;
        Ok(Self(names))
    }
}

/// The query's parameters.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Whether a parameter is `true`; `default` when it is not there. Anything else is false, as in Java.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.all(name)
            .last()
            .map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(pairs) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::bad_request(format!("the query can't be read: {error}")))?;
        Ok(Self(pairs))
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_json = kind.is_none_or(|kind| kind.to_str().is_ok_and(is_json));
        let bytes = to_bytes(request.into_body(), BODY_LIMIT).await.map_err(|_| {
            Error::new(
                413,
                format!("the request body is longer than {BODY_LIMIT} bytes, or was cut off"),
            )
        })?;
        if !is_json {
            return Err(Error::new(415, "HTTP 415 Unsupported Media Type"));
        }
        parse(&bytes).map(Self)
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.trim_ascii().is_empty() {
        return Err(Error::bad_request("the request has no body"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let what = if error.is_data() {
            "is not what this request takes"
        } else {
            "is not valid JSON"
        };
        Error::bad_request(format!("the request body {what}: {error}"))
    })
}

/// A configuration: an object of texts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ConfigBody(pub(super) Config);

impl<'de> Deserialize<'de> for ConfigBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = ConfigBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of options")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConfigBody, A::Error> {
        let mut config = Config::new();
        while let Some((name, raw)) = map.next_entry::<String, Box<RawValue>>()? {
            let raw = raw.get();
            let value = match raw.as_bytes().first() {
                Some(b'n') => None,
                Some(b'"') => Some(serde_json::from_str(raw).map_err(A::Error::custom)?),
                Some(b'{' | b'[') => {
                    return Err(A::Error::custom(format!(
                        "the value of \"{name}\" is neither a text nor a number nor a boolean"
                    )));
                }
                _ => Some(raw.to_owned()),
            };
            config.set_nullable(name, value);
        }
        Ok(ConfigBody(config))
    }
}

/// The body of a request to create a connector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRequest {
    pub(super) name: Option<String>,
    pub(super) config: Option<ConfigBody>,
    /// KIP-980.
    pub(super) initial_state: Option<String>,
    /// KIP-995: as a request to alter offsets, or the list in it.
    pub(super) initial_offsets: Option<InitialOffsets>,
}

/// Offsets that a connector starts with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum InitialOffsets {
    List(Vec<OffsetBody>),
    Request(AlterRequest),
}

impl InitialOffsets {
    pub(super) fn list(self) -> Vec<ConnectorOffset> {
        let list = match self {
            Self::List(list) => list,
            Self::Request(request) => request.offsets.unwrap_or_default(),
        };
        list.into_iter().map(OffsetBody::offset).collect()
    }
}

/// The body of a request to alter offsets (KIP-875).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlterRequest {
    pub(super) offsets: Option<Vec<OffsetBody>>,
}

/// One position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OffsetBody {
    partition: Map<String, Json>,
    #[serde(default)]
    offset: Option<Map<String, Json>>,
}

impl OffsetBody {
    pub(super) fn offset(self) -> ConnectorOffset {
        ConnectorOffset {
            partition: self.partition,
            offset: self.offset,
        }
    }
}

/// The body of a request to set a logger's level.
#[derive(Debug, Deserialize)]
pub(super) struct LevelRequest {
    pub(super) level: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: DeserializeOwned + fmt::Debug>(body: &str) -> String {
        serde_json::to_value(parse::<T>(body.as_bytes()).unwrap_err()).unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn numbers_and_booleans_are_taken_as_written() {
        let ConfigBody(config) =
            parse(br#"{"a": 50, "b": 1.50e3, "c": true, "d": null, "e": "x\ny"}"#).unwrap();
        let values: Vec<_> = config.iter().collect();
        assert_eq!(
            values,
            [
                ("a", Some("50")),
                ("b", Some("1.50e3")),
                ("c", Some("true")),
                ("d", None),
                ("e", Some("x\ny"))
            ]
        );
    }

    #[test]
    fn a_body_that_does_not_fit_is_told_what_is_wrong() {
        assert_eq!(refused::<CreateRequest>(" "), "the request has no body");
        assert_eq!(
            refused::<CreateRequest>("{nope"),
            "the request body is not valid JSON: key must be a string at line 1 column 2"
        );
        assert_eq!(
            refused::<CreateRequest>(r#"{"name": "x", "extra": 1}"#),
            "the request body is not what this request takes: unknown field `extra`, expected one of `name`, \
             `config`, `initial_state`, `initial_offsets` at line 1 column 21"
        );
        assert!(refused::<AlterRequest>("[]").starts_with("the request body is not what this request takes"));
        assert!(
            refused::<ConfigBody>(r#"{"a": {"b": 1}}"#)
                .contains("the value of \"a\" is neither a text nor a number nor a boolean")
        );
    }

    #[test]
    fn initial_offsets_are_a_list_or_a_request_to_alter_offsets() {
        let offsets = r#"[{"partition": {"filename": "f"}, "offset": {"position": 4}}]"#;
        let of = |json: &str| parse::<InitialOffsets>(json.as_bytes()).unwrap().list();
        assert_eq!(of(offsets), of(&format!(r#"{{"offsets": {offsets}}}"#)));
        assert_eq!(of(offsets).len(), 1);
    }

    #[test]
    fn a_content_type_may_bear_a_charset() {
        assert!(is_json("application/json; charset=utf-8") && is_json("Application/JSON"));
        assert!(!is_json("text/plain") && !is_json("application/x-www-form-urlencoded"));
    }
}
