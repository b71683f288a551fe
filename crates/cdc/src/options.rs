//! Small options that every change source has: skipped operations, what to do on failures, guardrails, metric tags.

mod shared;

use tapline_api::config::{Config, Parsed};
use tapline_api::{Error, Result};

pub use shared::Shared;

/// Operations left out by `skipped.operations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// `c`
    pub creates: bool,
    /// `u`
    pub updates: bool,
    /// `d`
    pub deletes: bool,
    /// `t`
    pub truncates: bool,
    /// `r`
    pub reads: bool,
    /// Whether the user said so: a source whose server can leave them out asks it to.
    pub given: bool,
}

impl Skipped {
    /// From a parsed `skipped.operations`; `config` is what the user gave.
    pub fn new(config: &Config, parsed: &Parsed) -> Self {
        const OPTION: &str = "skipped.operations";
        let has = |operation: &str| parsed.list(OPTION).iter().any(|item| item == operation);
        Self {
            creates: has("c"),
            updates: has("u"),
            deletes: has("d"),
            truncates: has("t"),
            reads: has("r"),
            given: config.get(OPTION).is_some(),
        }
    }
}

/// `event.processing.failure.handling.mode`, `event.converting.failure.handling.mode` and their like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The task fails.
    Fail,
    /// It is logged, and left out.
    Warn,
    /// It is left out.
    Skip,
}

impl OnFailure {
    /// The mode of this name; `ignore` is Debezium's old word for skip.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "fail" => Self::Fail,
            "warn" => Self::Warn,
            "skip" | "ignore" => Self::Skip,
            _ => return None,
        })
    }
}

/// `guardrail.collections.max` and `guardrail.collections.limit.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guardrail {
    /// Most tables to capture; 0 for no limit.
    pub limit: usize,
    /// Whether more are an error, not only a warning.
    pub fails: bool,
}

impl Guardrail {
    /// From the parsed options.
    pub fn new(parsed: &Parsed) -> Result<Self> {
        let action = parsed
            .text("guardrail.collections.limit.action")
            .unwrap_or_default();
        Ok(Self {
            limit: parsed.count("guardrail.collections.max")?,
            fails: action.trim().eq_ignore_ascii_case("fail"),
        })
    }

    /// Looks at the number of captured tables.
    ///
    /// # Errors
    /// A config error where the action is `fail`.
    pub fn check(self, tables: usize) -> Result<()> {
        if self.limit == 0 || tables <= self.limit {
            return Ok(());
        }
        let text = format!(
            "{tables} tables are captured, more than guardrail.collections.max ({})",
            self.limit
        );
        if self.fails {
            return Err(
                Error::config(text).hint("narrow table.include.list, or raise guardrail.collections.max")
            );
        }
        tracing::warn!("{text}");
        Ok(())
    }
}

/// `custom.metric.tags`: labels of a connector's figures, `name=value` pairs.
///
/// # Errors
/// A config error for a pair without an equals sign, or a name that Prometheus does not allow.
pub fn metric_tags(items: &[String]) -> Result<Vec<(String, String)>> {
    let mut tags = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| !item.trim().is_empty()) {
        let pair = item
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()));
        let legal = |name: &str| {
            let mut chars = name.chars();
            chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match pair {
            Some((name, value)) if legal(name) => tags.push((name.to_owned(), value.to_owned())),
            _ => {
                return Err(Error::config(format!(
                    "The 'custom.metric.tags' value is invalid: '{item}' is no pair of a label's name and its value \
                     (name=value)"
                )));
            }
        }
    }
    Ok(tags)
}

/// `snapshot.select.statement.overrides`: queries of one's own for tables of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(Vec<(String, String)>);

impl Overrides {
    /// Reads the tables, and the query of each.
    ///
    /// # Errors
    /// A config error for a table without a query.
    pub fn new(config: &Config) -> Result<Self> {
        const OPTION: &str = "snapshot.select.statement.overrides";
        let tables = config.get(OPTION).unwrap_or_default().split(',').map(str::trim);
        let queries = tables.filter(|table| !table.is_empty()).map(|table| {
            let query = config.get(&format!("{OPTION}.{table}")).unwrap_or_default();
            let query = query.trim().trim_end_matches(';').trim();
            if query.is_empty() {
                return Err(Error::config(format!(
                    "The '{OPTION}' value is invalid: there is no query for table {table}, which {OPTION}.{table} has \
                     to give"
                )));
            }
            Ok((table.to_owned(), query.to_owned()))
        });
        queries.collect::<Result<_>>().map(Self)
    }

    /// The query for a table, named as in the option.
    pub fn of(&self, table: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == table);
        found.map(|(_, query)| query.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_pairs() {
        let tags = metric_tags(&["env=prod".to_owned(), " team = a=b ".to_owned()]).unwrap();
        assert_eq!(
            tags,
            [
                ("env".to_owned(), "prod".to_owned()),
                ("team".to_owned(), "a=b".to_owned())
            ]
        );
        assert!(metric_tags(&["env".to_owned()]).is_err());
        assert!(metric_tags(&["a b=c".to_owned()]).is_err());
    }

    #[test]
    fn a_guardrail_warns_or_fails() {
        let fails = Guardrail {
            limit: 2,
            fails: true,
        };
        assert!(fails.check(2).is_ok());
        assert!(fails.check(3).unwrap_err().message().contains("3 tables"));
        assert!(
            Guardrail {
                limit: 2,
                fails: false
            }
            .check(3)
            .is_ok()
        );
        assert!(Guardrail::default().check(1_000_000).is_ok());
    }

    #[test]
    fn modes_have_an_old_name() {
        assert_eq!(OnFailure::named("IGNORE"), Some(OnFailure::Skip));
        assert_eq!(OnFailure::named("x"), None);
    }
}
