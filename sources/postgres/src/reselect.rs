//! `ReselectColumnsPostProcessor`: what a change does not say of its row is asked of the table.
//!
//! An unchanged TOASTed value is not in the log, so an event has a placeholder for it. Asked for, the row's value of the
//! moment takes its place, and that of nulls too; so an event may say what a later change has written.
//!
//! Source: Debezium 3.6, `io.debezium.processors.reselect.ReselectColumnsPostProcessor`.

use tapline_api::config::Config;
use tapline_api::{Error, Result};
use tapline_cdc::filter::Selection;
use tapline_databases::postgres::{self, identifier, literal, qualified};

use crate::config::Options;
use crate::table::Table;
use crate::wire::{Connection, Role};

const OPTION: &str = "post.processors";
const CLASS: &str = "io.debezium.processors.reselect.ReselectColumnsPostProcessor";

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Reselect {
    pub(crate) unavailable: bool,
    pub(crate) nulls: bool,
    /// Of columns, as `schema.table:column`.
    pub(crate) columns: Selection,
    /// Whether rows are found by the event's key instead of the table's.
    pub(crate) by_event_key: bool,
    /// Whether a row that can't be found is an error.
    pub(crate) strict: bool,
}

/// A column of a key and its value's text.
pub(crate) type Key = Vec<(String, Option<String>)>;

impl Reselect {
    /// From `post.processors` and what belongs to it.
    ///
    /// # Errors
    /// A config error for a processor of another class, or an option that can't be read.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>> {
        let names = config.list(OPTION);
        let invalid = |what: &str| Error::config(format!("The '{OPTION}' value is invalid: {what}"));
        let name = match names.as_slice() {
            [] => return Ok(None),
            [name] => name,
            _ => return Err(invalid("one post processor can run, not several")),
        };
        let own = config.prefixed(&format!("{name}."));
        let class = own.get("type").map(str::trim).unwrap_or_default();
        if class != CLASS {
            return Err(invalid(&format!(
                "'{name}.type' is '{class}', a Java class, which can't be run; {CLASS} can"
            )));
        }
        let flag = |option: &str, default: bool| match own.get(option).map(str::trim) {
            None | Some("") => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(invalid(&format!(
                "'{name}.{option}' is '{text}', not true or false"
            ))),
        };
        let mode = own
            .get("reselect.error.handling.mode")
            .unwrap_or("WARN")
            .trim()
            .to_uppercase();
        if mode != "WARN" && mode != "FAIL" {
            return Err(invalid(&format!(
                "'{name}.reselect.error.handling.mode' is '{mode}', not WARN or FAIL"
            )));
        }
        Ok(Some(Self {
            unavailable: flag("reselect.unavailable.values", true)?,
            nulls: flag("reselect.null.values", true)?,
            columns: Selection::new(
                &own,
                "reselect.columns.include.list",
                "reselect.columns.exclude.list",
            )?,
            by_event_key: flag("reselect.use.event.key", false)?,
            strict: mode == "FAIL",
        }))
    }

    /// What is to be done when a row could not be read again.
    ///
    /// # Errors
    /// That, where it is strict.
    pub(crate) fn failed(&self, text: String) -> Result<()> {
        if self.strict {
            return Err(Error::fatal(text).exception("io.debezium.DebeziumException"));
        }
        tracing::warn!("{text}");
        Ok(())
    }
}

/// A session to read rows with.
pub(crate) async fn open(options: &Options) -> Result<Connection, postgres::Error> {
    let mut settings = options.settings.clone();
    settings.application_name = "tapline reselect".to_owned();
    let mut connection = Connection::open(&settings, Role::Sql).await?;
    for statement in &options.initial_statements {
        connection.query(statement).await?;
    }
    Ok(connection)
}

/// Reads these columns of the row with this key.
pub(crate) fn statement(table: &Table, columns: &[&str], key: &Key) -> String {
    let columns: Vec<String> = columns.iter().map(|name| identifier(name)).collect();
    let conditions: Vec<String> = key
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{} = {}", identifier(name), literal(value)),
            None => format!("{} IS NULL", identifier(name)),
        })
        .collect();
    format!(
        "SELECT {} FROM {} WHERE {}",
        columns.join(", "),
        qualified(&table.schema, &table.name),
        conditions.join(" AND ")
    )
}

/// As a message shows it.
pub(crate) fn shown(key: &Key) -> String {
    let names: Vec<&str> = key.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&'static str, &'static str)]) -> Result<Option<Reselect>> {
        Reselect::new(&options.iter().copied().collect())
    }

    #[test]
    fn the_one_post_processor_is_read_and_others_are_refused() {
        assert!(read(&[]).unwrap().is_none());
        let reselect = read(&[
            (OPTION, "rs"),
            ("rs.type", CLASS),
            ("rs.reselect.null.values", "false"),
            ("rs.reselect.columns.include.list", "fx.t:big"),
            ("rs.reselect.error.handling.mode", "fail"),
        ]);
        let reselect = reselect.unwrap().unwrap();
        assert!(reselect.unavailable && !reselect.nulls && reselect.strict);
        assert!(reselect.columns.contains("fx.t:big") && !reselect.columns.contains("fx.t:v"));
        for wrong in [
            &[(OPTION, "a,b")][..],
            &[(OPTION, "a"), ("a.type", "com.example.Mine")],
            &[
                (OPTION, "a"),
                ("a.type", CLASS),
                ("a.reselect.null.values", "maybe"),
            ],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_row_is_found_by_its_key() {
        let table = Table {
            schema: "fx".to_owned(),
            name: "T".to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            plain: true,
        };
        let key = vec![
            ("id".to_owned(), Some("1".to_owned())),
            ("b".to_owned(), Some("it's".to_owned())),
        ];
        assert_eq!(
            statement(&table, &["v"], &key),
            "SELECT \"v\" FROM \"fx\".\"T\" WHERE \"id\" = '1' AND \"b\" = 'it''s'"
        );
    }
}
