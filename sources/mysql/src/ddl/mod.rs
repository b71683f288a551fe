//! The DDL parser: a statement in, the changes of tables out. Pure.
//!
//! A tokenizer, and a recursive descent that knows what matters (columns, keys, names, character sets) and steps over
//! the rest by commas and balanced parentheses. It has no recursion, so no statement is too deep; it never panics; an
//! error says where, and which table's schema is unknown from there on. A statement is applied whole or not at all.
//!
//! What Debezium puts into its schema history is what stands in the tables here: the words of a type as they were
//! written, defaults without outer quotes and otherwise raw, lengths that `SET` and `ENUM` get, and so on.

mod alter;
mod apply;
mod bits;
mod column;
mod cursor;
mod dialect;
mod error;
mod normalize;
mod parse;
mod statement;
mod table;
mod token;

use std::sync::Arc;

pub use self::dialect::{Dialect, Flavor};
pub use self::error::Error;

pub(crate) use self::bits::bytes_of;

use self::apply::Applier;
use self::cursor::Cursor;
use crate::schema::{Column, Table, TableId, Tables};

/// What kind of change a statement makes, as Debezium reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A table is made.
    Create,
    /// A table is changed or renamed.
    Alter,
    /// A table is gone.
    Drop,
    /// A table is emptied; its schema stays.
    Truncate,
    /// A database, or a variable.
    Database,
    /// Any other statement that changes no table's schema.
    Other,
}

/// One change that a statement makes.
#[derive(Clone, Debug)]
pub struct Change {
    /// What kind.
    pub kind: ChangeKind,
    /// The database it is told under; may be empty.
    pub database: Arc<str>,
    /// The table, unless it is [`ChangeKind::Database`] or [`ChangeKind::Other`].
    pub table: Option<TableId>,
    /// What `RENAME TABLE` renamed. `ALTER TABLE … RENAME` does not say, as in Debezium.
    pub previous: Option<TableId>,
    /// The table after a creation or an alteration; `None` if its schema is not known.
    pub after: Option<Arc<Table>>,
    /// The part of the statement that made it, as Debezium words it: without comments around it, one table each.
    pub statement: String,
}

impl Change {
    /// A change that concerns no table.
    pub fn of_database(database: impl Into<Arc<str>>, statement: impl Into<String>) -> Self {
        Self {
            kind: ChangeKind::Database,
            database: database.into(),
            table: None,
            previous: None,
            after: None,
            statement: statement.into(),
        }
    }
}

/// Applies a statement that ran in `database`, and tells what it changed. A statement that changes no table is told as
/// a change of its database, as Debezium has it, whatever it is.
///
/// On an error the tables are as before, and [`Error::table`] names the table whose schema is not known any more.
pub fn apply(
    tables: &mut Tables,
    dialect: &Dialect,
    database: &str,
    statement: &str,
) -> Result<Vec<Change>, Error> {
    let tokens = token::tokens(statement, dialect)?;
    let mut cursor = Cursor {
        text: statement,
        dialect,
        tokens: &tokens,
        at: 0,
    };
    let parsed = cursor.statements().map_err(|error| {
        cursor.at = 0;
        match parse::target(&mut cursor) {
            Some(name) => error.of_table(parse::resolve(&name, database)),
            None => error,
        }
    })?;
    let before = (parsed.len() > 1).then(|| tables.clone());
    let mut applier = Applier {
        tables,
        text: statement,
        database: database.into(),
        changes: Vec::new(),
        ansi_quotes: dialect.ansi_quotes,
    };
    for statement in &parsed {
        if let Err(error) = applier.apply(statement) {
            if let Some(before) = before {
                *tables = before;
            }
            return Err(error);
        }
    }
    let mut changes = applier.changes;
    if changes.is_empty() {
        changes.push(Change {
            kind: ChangeKind::Other,
            ..Change::of_database(database, statement.trim())
        });
    }
    // A table that is renamed once more is not told of by the name that it had in between.
    for change in &mut changes {
        let gone = |id: &TableId| applier.tables.get(id).is_none();
        if change.table.as_ref().is_some_and(gone) {
            change.after = None;
        }
    }
    Ok(changes)
}

/// Reads a column from what `information_schema` says of it: `column_type` is `int(10) unsigned`, `attributes` what
/// follows a type in a definition.
pub fn column(dialect: &Dialect, name: &str, column_type: &str, attributes: &str) -> Result<Column, Error> {
    let text = format!("{column_type} {attributes}");
    let tokens = token::tokens(&text, dialect)?;
    let mut cursor = Cursor {
        text: &text,
        dialect,
        tokens: &tokens,
        at: 0,
    };
    Ok(alter::settled(&cursor.definition(name.into())?, None))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
