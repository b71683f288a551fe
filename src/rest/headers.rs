//! `response.http.headers.config`: further headers of every answer, as Jetty's `HeaderFilter` sets them.
//!
//! A list of `[action] [name]:[value]`, each in double quotes if it holds a comma. The actions are `set`, `add`, `setDate`
//! and `addDate`; a date's value is milliseconds from now. What a handler sets itself stays.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tapline_api::{Error, Result};

use crate::worker::config::WorkerConfig;

const OPTION: &str = "response.http.headers.config";

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(HeaderValue),
    /// From now.
    Date(Duration),
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    add: bool,
    name: HeaderName,
    content: Content,
}

/// The rules, in their order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Headers(Vec<Rule>);

impl Headers {
    /// From the worker's properties; `None` without a rule.
    pub(super) fn new(config: &WorkerConfig) -> Result<Option<Self>> {
        let rules: Vec<Rule> = split(config.text(OPTION))
            .iter()
            .map(|rule| parse(rule))
            .collect::<Result<_>>()?;
        Ok((!rules.is_empty()).then_some(Self(rules)))
    }
}

/// Adds the headers of the rules.
pub(super) async fn answer(State(headers): State<Arc<Headers>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let present = response.headers_mut();
    let by_handler = present.clone();
    for rule in &headers.0 {
        let value = match &rule.content {
            Content::Text(text) => text.clone(),
            Content::Date(after) => match date(*after) {
                Some(value) => value,
                None => continue,
            },
        };
        if rule.add {
            present.append(rule.name.clone(), value);
        } else if !by_handler.contains_key(&rule.name) {
            present.insert(rule.name.clone(), value);
        }
    }
    response
}

fn date(after: Duration) -> Option<HeaderValue> {
    let at = Timestamp::now().checked_add(after).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()?;
    HeaderValue::from_str(&text).ok()
}

/// At commas outside double quotes, which are dropped.
fn split(text: &str) -> Vec<String> {
    let mut rules = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => rules.push(String::new()),
            c => {
                if let Some(rule) = rules.last_mut() {
                    rule.push(c);
                }
            }
        }
    }
    rules.retain(|rule| !rule.trim().is_empty());
    rules
}

fn parse(rule: &str) -> Result<Rule> {
    let wrong = |what: String| {
        Err(Error::config(format!(
            "Invalid value {rule} for configuration {OPTION}: {what}"
        )))
    };
    let rule = rule.trim();
    let Some((action, header)) = rule.split_once(char::is_whitespace) else {
        return wrong(format!(
            "Invalid format of header config '{rule}'. Expected: '[action] [header name]:[header value]'"
        ));
    };
    let (add, dated) = match action {
        "set" => (false, false),
        "add" => (true, false),
        "setDate" => (false, true),
        "addDate" => (true, true),
        _ => {
            return wrong(format!(
                "Invalid header config action: '{action}'. Expected one of [set, add, setDate, addDate]"
            ));
        }
    };
    let Some((name, value)) = header.split_once(':') else {
        return wrong(format!(
            "Invalid format of header name and header value pair '{header}'. Expected: '[header name]:[header value]'"
        ));
    };
    let (name, value) = (name.trim(), value.trim());
    let Ok(name) = name.parse::<HeaderName>() else {
        return wrong(format!(
            "Invalid header name '{name}'. The '[header name]' cannot contain whitespace"
        ));
    };
    let content = if dated {
        value
            .parse()
            .ok()
            .map(|millis| Content::Date(Duration::from_millis(millis)))
    } else {
        HeaderValue::from_str(value).ok().map(Content::Text)
    };
    match content {
        Some(content) => Ok(Rule { add, name, content }),
        None => wrong(format!("Invalid header value '{value}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_kafka_documents_them() {
        let rules = split(r#"add Cache-Control: no-cache, no-store"#);
        assert_eq!(rules, ["add Cache-Control: no-cache", " no-store"]);
        let rules = split(
            r#""add Cache-Control: no-cache, no-store", add X-XSS-Protection: 1; mode=block, setDate Expires: 1000"#,
        );
        let parsed: Vec<Rule> = rules.iter().map(|rule| parse(rule).unwrap()).collect();
        assert_eq!(parsed.len(), 3);
        assert_eq!(
            parsed[0].content,
            Content::Text(HeaderValue::from_static("no-cache, no-store"))
        );
        assert!(parsed[1].add && parsed[1].name == "x-xss-protection");
        assert_eq!(parsed[2].content, Content::Date(Duration::from_secs(1)));
    }

    #[test]
    fn a_wrong_rule_is_named() {
        for (rule, words) in [
            ("set", "Expected: '[action] [header name]:[header value]'"),
            ("put X: 1", "Invalid header config action: 'put'"),
            ("set X", "Expected: '[header name]:[header value]'"),
            ("set X Y: 1", "cannot contain whitespace"),
            ("setDate X: soon", "Invalid header value 'soon'"),
        ] {
            let error = parse(rule).unwrap_err();
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[test]
    fn a_date_is_as_http_has_it() {
        let date = date(Duration::ZERO).unwrap();
        assert!(date.to_str().unwrap().ends_with(" GMT"), "{date:?}");
    }
}
