//! What differs from one database to the next.
//!
//! A dialect knows its database's catalog, types and SQL, and writes a batch in one transaction. Everything before that
//! (shapes, keys, reduction, when to create what) is shared. To add a database: one folder like `postgres/`, one arm
//! in [`open`].

use async_trait::async_trait;
use tapline_api::{Error, Kind, Result};

use crate::batch::Batch;
use crate::layout::Layout;
use crate::names::TableId;
use crate::offsets::Syntax;
use crate::options::Options;
use crate::{mysql, postgres, sqlite};

/// A connection to a database, made when it is first needed.
#[async_trait]
pub(crate) trait Dialect: Send {
    /// Connects, unless there is a connection that works; whether it is a new one, with nothing known of the catalog.
    async fn connect(&mut self) -> Result<bool>;

    /// Drops the connection and what belongs to it.
    fn disconnect(&mut self);

    /// The names of a table's columns, from the catalog or from memory; `None` if there is no such table.
    async fn columns(&mut self, table: &TableId) -> Result<Option<Vec<String>>>;

    /// Whether two names mean the same column.
    fn same_column(&self, a: &str, b: &str) -> bool {
        a == b
    }

    /// Forgets what is known of the catalog, because it has turned out to be outdated.
    fn forget(&mut self);

    /// The statement that creates a layout's table.
    fn create_table(&self, layout: &Layout) -> Result<String>;

    /// The statement that adds columns, given by their positions in the layout.
    fn add_columns(&self, layout: &Layout, missing: &[usize]) -> Result<String>;

    /// How this database words what the table of offsets needs.
    fn syntax(&self) -> Syntax;

    /// A text as a literal.
    fn literal(&self, text: &str) -> String;

    /// A table's name in SQL.
    fn qualified(&self, table: &TableId) -> String;

    /// Executes one statement and gives its rows as text.
    async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>>;

    /// Executes a statement by itself, and forgets what is known of the table.
    async fn alter(&mut self, table: &TableId, sql: &str) -> Result<()>;

    /// Executes a batch's [`advance`](Batch::advance) and steps, in order, in one transaction; nothing of it is there after
    /// an error.
    async fn write(&mut self, batch: &Batch<'_>) -> Result<(), Failure>;
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What may help.
    pub(crate) remedy: Remedy,
    /// The step that failed, where known.
    pub(crate) step: Option<usize>,
    /// In the database's words.
    pub(crate) error: Error,
}

impl Failure {
    /// Our own error.
    pub(crate) fn own(error: Error, step: Option<usize>) -> Self {
        let remedy = match error.kind() {
            Kind::Retriable => Remedy::Reconnect,
            _ => Remedy::None,
        };
        Self { remedy, step, error }
    }

    /// The database's error, in Debezium's words.
    pub(crate) fn of(
        remedy: Remedy,
        step: Option<usize>,
        table: Option<&TableId>,
        hint: Option<&str>,
        cause: Error,
    ) -> Self {
        let kind = match remedy {
            Remedy::Reconnect | Remedy::Retry => Kind::Retriable,
            Remedy::OneByOne => Kind::Data,
            Remedy::None | Remedy::Reread => cause.kind(),
        };
        let mut error = Error::fatal(match table {
            Some(table) => format!("Failed to flush records for table '{}'", table.name),
            None => "Failed to flush records".to_owned(),
        });
        if kind == Kind::Retriable {
            error = error.exception("org.apache.kafka.connect.errors.RetriableException");
        }
        if let Some(hint) = hint {
            error = error.hint(hint);
        }
        Self {
            remedy,
            step,
            error: error.with_kind(kind).cause(cause),
        }
    }
}

/// What may help against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing.
    None,
    /// Connect and try again.
    Reconnect,
    /// Try again later: a deadlock, a lock, a serialization failure.
    Retry,
    /// Read the catalog again: a table or column is not as it was.
    Reread,
    /// Write the records one by one, to find the one that can't be written.
    OneByOne,
}

/// Which database a JDBC URL is for.
pub(crate) fn scheme(url: &str) -> &str {
    let url = url.trim();
    let rest = url.strip_prefix("jdbc:").unwrap_or(url);
    rest.split_once(':').map_or(rest, |(scheme, _)| scheme)
}

/// Whether the URL's database folds names that are not quoted to lower case.
pub(crate) fn folds(url: &str) -> bool {
    scheme(url).starts_with("postgres")
}

/// The dialect for `connection.url`.
///
/// # Errors
/// A config error for a database that is not supported.
pub(crate) fn open(options: &Options) -> Result<Box<dyn Dialect>> {
    match scheme(&options.url) {
        "postgresql" | "postgres" => Ok(Box::new(postgres::Dialect::new(options)?)),
        "mysql" | "mariadb" => Ok(Box::new(mysql::Dialect::new(options)?)),
        "sqlite" => Ok(Box::new(sqlite::Dialect::new(options)?)),
        other => Err(Error::config(format!(
            "Invalid value for configuration connection.url: the database '{other}' is not supported; use \
             jdbc:postgresql://…, jdbc:mysql://…, jdbc:mariadb://… or jdbc:sqlite:FILE"
        ))),
    }
}
