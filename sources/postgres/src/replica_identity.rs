//! `replica.identity.autoset.values`: which tables get which REPLICA IDENTITY when the connector starts.
//!
//! `schema.table:FULL,schema.other:INDEX its_index`, the first part a regular expression. Setting one takes a lock that waits
//! for writers, so a table that has it already is left alone.

use tapline_api::pattern::Pattern;
use tapline_api::{Error, Result};
use tapline_databases::postgres::{identifier, qualified};

use crate::catalog::Catalog;

/// The option's name.
pub(crate) const OPTION: &str = "replica.identity.autoset.values";

/// What `ALTER TABLE … REPLICA IDENTITY` sets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    Default,
    Full,
    Nothing,
    Index(String),
}

/// The parsed option.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities(Vec<(Pattern, Identity)>);

impl Identities {
    /// # Errors
    /// A config error for an entry of another form.
    pub(crate) fn new(text: &str) -> Result<Self> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                let parsed = entry
                    .rsplit_once(':')
                    .and_then(|(table, identity)| Some((table.trim(), Identity::parse(identity.trim())?)));
                let (table, identity) = parsed.filter(|(table, _)| !table.is_empty()).ok_or_else(|| {
                    Error::config(format!(
                        "The '{OPTION}' value is invalid: '{entry}' has an invalid format (expecting \
                         '<schema>.<table>:DEFAULT|FULL|NOTHING|INDEX <index>')"
                    ))
                })?;
                Ok((Pattern::ignoring_case(OPTION, table)?, identity))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Whether there is nothing to set.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, schema: &str, table: &str) -> Option<&Identity> {
        let name = format!("{schema}.{table}");
        self.0
            .iter()
            .find(|(pattern, _)| pattern.matches(&name))
            .map(|(_, identity)| identity)
    }

    /// Brings the captured tables' identities up to date. A table of another owner is left as it is, with a warning, as
    /// Debezium does.
    ///
    /// # Errors
    /// What the server says, except that a right is missing.
    pub(crate) async fn apply(&self, catalog: &Catalog, tables: &[(String, String)]) -> Result<()> {
        for (schema, table) in tables {
            let Some(wanted) = self.of(schema, table) else {
                continue;
            };
            let (kind, index) = catalog.replica_identity_index(schema, table).await?;
            if wanted.is(&kind, index.as_deref()) {
                continue;
            }
            let statement = format!(
                "ALTER TABLE {} REPLICA IDENTITY {}",
                qualified(schema, table),
                wanted.sql()
            );
            match catalog.execute(&statement).await {
                Ok(()) => tracing::info!(statement, "replica identity is set"),
                Err(error) if error.is("42501") => {
                    tracing::warn!(%error, statement, "replica identity could not be updated because of lack of privileges");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Identity {
    fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        Some(match upper.as_str() {
            "DEFAULT" => Self::Default,
            "FULL" => Self::Full,
            "NOTHING" => Self::Nothing,
            _ => {
                let (word, index) = text.split_once(char::is_whitespace)?;
                let index = index.trim();
                if !word.eq_ignore_ascii_case("INDEX") || index.is_empty() {
                    return None;
                }
                Self::Index(index.to_owned())
            }
        })
    }

    fn sql(&self) -> String {
        match self {
            Self::Default => "DEFAULT".to_owned(),
            Self::Full => "FULL".to_owned(),
            Self::Nothing => "NOTHING".to_owned(),
            Self::Index(name) => format!("USING INDEX {}", identifier(name)),
        }
    }

    /// Whether this is what `pg_class.relreplident` and its index say.
    fn is(&self, kind: &str, index: Option<&str>) -> bool {
        match self {
            Self::Default => kind == "d",
            Self::Full => kind == "f",
            Self::Nothing => kind == "n",
            Self::Index(name) => kind == "i" && index == Some(name.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_by_patterns() {
        let all = Identities::new("public.orders:FULL, audit\\..*:NOTHING,x.y:INDEX y_key").unwrap();
        assert_eq!(all.of("public", "Orders"), Some(&Identity::Full));
        assert_eq!(all.of("audit", "log"), Some(&Identity::Nothing));
        let index = all.of("x", "y").unwrap();
        assert_eq!(index.sql(), "USING INDEX \"y_key\"");
        assert!(index.is("i", Some("y_key")) && !index.is("i", Some("other")));
        assert_eq!(all.of("public", "other"), None);
        assert!(Identities::new("").unwrap().is_empty());
    }

    #[test]
    fn another_form_is_refused_by_name() {
        for text in ["public.orders", "public.orders:ALL", ":FULL", "a.b:INDEX"] {
            let error = Identities::new(text).unwrap_err();
            assert!(error.message().contains(OPTION), "{error}");
        }
    }
}
