//! Why a statement could not be understood, and where.

use std::fmt;

use tapline_api::Error as ApiError;

use crate::schema::TableId;

/// A statement that could not be understood, or that does not fit the tables as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
    line: usize,
    column: usize,
    near: String,
    table: Option<TableId>,
}

impl Error {
    /// A failure at a byte of the statement.
    pub(super) fn at(statement: &str, at: usize, message: impl Into<String>) -> Self {
        let before = statement.get(..at).unwrap_or(statement);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        let near = statement.get(at..).unwrap_or_default().chars().take(40).collect();
        Self {
            message: message.into(),
            line,
            column,
            near,
            table: None,
        }
    }

    /// Names the table that the statement changes.
    #[must_use]
    pub(super) fn of_table(mut self, table: TableId) -> Self {
        self.table.get_or_insert(table);
        self
    }

    /// The table that the statement changes, where it could be read. Its schema is not known from here on.
    pub fn table(&self) -> Option<&TableId> {
        self.table.as_ref()
    }

    /// As the error that fails the task, with the statement, as Debezium words it.
    pub fn into_api(self, statement: &str) -> ApiError {
        ApiError::fatal(format!("DDL statement couldn't be parsed: '{statement}': {self}"))
            .exception("io.debezium.text.ParsingException")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, at line {}, column {}",
            self.message, self.line, self.column
        )?;
        if !self.near.is_empty() {
            write!(f, ", near {:?}", self.near)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
