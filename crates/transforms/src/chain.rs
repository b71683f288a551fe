//! The chain of transformations of one task, as `transforms` and `predicates` configure it.
//!
//! Every transformation may have a `predicate`, which decides whether the record passes through it or by it, and
//! `negate`, which turns that round (KIP-585). Validation of the options is the worker's, before a task is made; what is
//! wrong here all the same comes back as a config error.

use std::fmt;

use tapline_api::config::Config;
use tapline_api::connector::{PredicatePlugin, TransformPlugin};
use tapline_api::record::Origin;
use tapline_api::transform::{Predicate, Transformation};
use tapline_api::{Error, Record, Result};

/// A transformation with its predicate.
struct Stage {
    class: &'static str,
    transformation: Box<dyn Transformation>,
    predicate: Option<Box<dyn Predicate>>,
    negate: bool,
}

/// The transformations of one task, in order.
#[derive(Default)]
pub struct TransformationChain {
    stages: Vec<Stage>,
}

/// A transformation's failure, with the class that failed (for logs and dead letters).
#[derive(Debug)]
pub struct Failure {
    /// The Java class name.
    pub class: &'static str,
    /// What went wrong.
    pub error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.error)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl TransformationChain {
    /// From a connector's configuration; `transformation` and `predicate` find plugins by their class.
    pub fn new(
        config: &Config,
        transformation: impl Fn(&str) -> Option<&'static TransformPlugin>,
        predicate: impl Fn(&str) -> Option<&'static PredicatePlugin>,
    ) -> Result<Self> {
        let predicates = config.list("predicates");
        let stages = config
            .list("transforms")
            .iter()
            .map(|alias| {
                let options = config.prefixed(&format!("transforms.{alias}."));
                let plugin = plugin_of(&options, &format!("transforms.{alias}.type"), &transformation)?;
                let predicate = match options.get("predicate").map(str::trim) {
                    None | Some("") => None,
                    Some(name) if !predicates.iter().any(|known| known == name) => {
                        return Err(Error::config(format!(
                            "Unknown configuration 'predicates.{name}.type'"
                        )));
                    }
                    Some(name) => {
                        let options = config.prefixed(&format!("predicates.{name}."));
                        let plugin = plugin_of(&options, &format!("predicates.{name}.type"), &predicate)?;
                        Some((plugin.new)(&options)?)
                    }
                };
                Ok(Stage {
                    class: plugin.class,
                    transformation: (plugin.new)(&options)?,
                    predicate,
                    negate: options
                        .get("negate")
                        .is_some_and(|text| text.trim().eq_ignore_ascii_case("true")),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { stages })
    }

    /// Whether records pass unchanged, so that a caller may skip the chain.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// The record after all transformations, or `None` if one dropped it.
    pub fn apply(
        &mut self,
        mut record: Record,
        origin: Option<&Origin>,
    ) -> std::result::Result<Option<Record>, Failure> {
        for stage in &mut self.stages {
            let applied = stage.apply(record, origin).map_err(|error| Failure {
                class: stage.class,
                error,
            })?;
            match applied {
                Some(applied) => record = applied,
                None => return Ok(None),
            }
        }
        Ok(Some(record))
    }
}

impl Stage {
    fn apply(&mut self, record: Record, origin: Option<&Origin>) -> Result<Option<Record>> {
        if let Some(predicate) = &mut self.predicate
            && predicate.test(&record)? == self.negate
        {
            return Ok(Some(record));
        }
        self.transformation.apply(record, origin)
    }
}

/// The plugin that the option `type` names; `option` is that option's full name.
fn plugin_of<P>(
    options: &Config,
    option: &str,
    find: impl Fn(&str) -> Option<&'static P>,
) -> Result<&'static P> {
    let class = options.get("type").ok_or_else(|| {
        Error::config(format!(
            "Missing required configuration \"{option}\" which has no default value."
        ))
    })?;
    find(class.trim()).ok_or_else(|| {
        Error::config(format!(
            "Invalid value {class} for configuration {option}: Class {class} could not be found."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PLUGINS, PREDICATES};
    use tapline_api::Value;

    fn chain(options: &[(&str, &str)]) -> Result<TransformationChain> {
        TransformationChain::new(
            &options.iter().copied().collect(),
            |class| PLUGINS.iter().find(|plugin| plugin.class == class),
            |class| PREDICATES.iter().find(|plugin| plugin.class == class),
        )
    }

    const ROUTER: &str = "org.apache.kafka.connect.transforms.RegexRouter";
    const TOMBSTONE: &str = "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone";

    #[test]
    fn transformations_follow_one_another_and_predicates_let_records_by() {
        let options = [
            ("transforms", "a, b"),
            ("transforms.a.type", ROUTER),
            ("transforms.a.regex", "t(.*)"),
            ("transforms.a.replacement", "a$1"),
            ("transforms.b.type", ROUTER),
            ("transforms.b.regex", "a(.*)"),
            ("transforms.b.replacement", "b$1"),
            ("transforms.b.predicate", "dead"),
            ("predicates", "dead"),
            ("predicates.dead.type", TOMBSTONE),
        ];
        let route = |chain: &mut TransformationChain, value: Value| {
            let mut record = Record::new("t1");
            record.value = value;
            chain.apply(record, None).unwrap().unwrap().topic.to_string()
        };
        let mut plain = chain(&options).unwrap();
        assert_eq!(route(&mut plain, Value::Null), "b1");
        assert_eq!(route(&mut plain, Value::Int8(1)), "a1");
        let mut negated = options.to_vec();
        negated.push(("transforms.b.negate", "true"));
        let mut negated = chain(&negated).unwrap();
        assert_eq!(route(&mut negated, Value::Null), "a1");
        assert_eq!(route(&mut negated, Value::Int8(1)), "b1");
        assert!(chain(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = |options: &[(&str, &str)]| chain(options).map(drop).unwrap_err().to_string();
        assert_eq!(
            error(&[("transforms", "a")]),
            "Missing required configuration \"transforms.a.type\" which has no default value."
        );
        assert_eq!(
            error(&[("transforms", "a"), ("transforms.a.type", "no.Such")]),
            "Invalid value no.Such for configuration transforms.a.type: Class no.Such could not be found."
        );
        assert!(
            error(&[
                ("transforms", "a"),
                ("transforms.a.type", ROUTER),
                ("transforms.a.predicate", "p"),
            ])
            .contains("predicates.p.type")
        );
    }
}
