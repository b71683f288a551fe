//! Statements by their first words.

use std::sync::Arc;

use super::cursor::{Cursor, inside};
use super::error::Error;
use super::statement::{Action, Charset, Name, Statement};
use super::token::{Kind, Token};

type Result<T> = std::result::Result<T, Error>;

/// A statement, and the bytes it stands in.
pub(super) struct Parsed {
    pub(super) statement: Statement,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Cursor<'_> {
    /// All statements of a text.
    pub(super) fn statements(&mut self) -> Result<Vec<Parsed>> {
        let mut found = Vec::new();
        loop {
            while self.accept_sign(';') {}
            if self.done() {
                return Ok(found);
            }
            let start = self.offset();
            let statement = self.statement()?;
            if statement == Statement::Other {
                // Bodies of routines hold semicolons: nothing behind one is looked at.
                return Ok(found);
            }
            if !self.done() && !self.is_sign(';') {
                return Err(self.error("more than a statement"));
            }
            let end = self.end_before();
            found.push(Parsed {
                statement,
                start,
                end,
            });
        }
    }

    pub(super) fn skip_statement(&mut self) {
        while !self.done() && !self.is_sign(';') {
            self.at += 1;
        }
    }

    fn statement(&mut self) -> Result<Statement> {
        if self.is("SET") && self.is_at(1, "STATEMENT") {
            self.set_statement()?;
        }
        let Some(first) = self.next() else {
            return Ok(Statement::Other);
        };
        match first.text.to_ascii_uppercase().as_str() {
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "RENAME" if self.accept_any(&["TABLE", "TABLES"]) => self.rename(),
            "TRUNCATE" => {
                self.accept("TABLE");
                let name = self.table_name()?;
                self.wait();
                Ok(Statement::Truncate(name))
            }
            "USE" => Ok(Statement::Use(self.name()?)),
            "SET" => self.set(),
            _ => Ok(Statement::Other),
        }
    }

    /// MariaDB's `SET STATEMENT x=1 FOR …`, up to the statement.
    fn set_statement(&mut self) -> Result<()> {
        while !self.accept("FOR") {
            if self.done() {
                return Err(self.error("FOR is missing"));
            }
            self.skip_one()?;
        }
        Ok(())
    }

    fn create(&mut self) -> Result<Statement> {
        self.accept_all(&["OR", "REPLACE"]);
        let temporary = self.accept("TEMPORARY");
        if self.accept("TABLE") {
            return Ok(Statement::CreateTable(self.create_table(temporary)?));
        }
        if self.accept_any(&["DATABASE", "SCHEMA"]) {
            self.if_not_exists();
            let name = self.name()?;
            let charset = self.database_options()?;
            return Ok(Statement::CreateDatabase { name, charset });
        }
        self.accept_any(&["ONLINE", "OFFLINE"]);
        let unique = self.accept("UNIQUE");
        self.accept_any(&["FULLTEXT", "SPATIAL", "VECTOR"]);
        if self.accept("INDEX") || unique && self.accept("KEY") {
            self.if_not_exists();
            while !self.accept("ON") {
                if self.done() {
                    return Err(self.error("ON is missing"));
                }
                self.at += 1;
            }
            let table = self.table_name()?;
            let columns = self.key_columns()?;
            self.skip_statement();
            return Ok(Statement::CreateIndex {
                table,
                unique,
                columns,
            });
        }
        Ok(Statement::Other)
    }

    /// The character set of a database.
    fn database_options(&mut self) -> Result<Charset> {
        let mut charset = Charset::default();
        while !self.done() && !self.is_sign(';') {
            if !self.charset_option(&mut charset)? {
                self.at += 1;
            }
        }
        Ok(charset)
    }

    fn alter(&mut self) -> Result<Statement> {
        self.accept_any(&["ONLINE", "OFFLINE"]);
        self.accept("IGNORE");
        if self.accept("TABLE") {
            return self.alter_table();
        }
        if self.accept_any(&["DATABASE", "SCHEMA"]) {
            let options = [
                "DEFAULT",
                "CHARACTER",
                "CHARSET",
                "COLLATE",
                "ENCRYPTION",
                "READ",
                "COMMENT",
            ];
            let name = match options.iter().any(|word| self.is(word)) {
                true => None,
                false => Some(self.name()?),
            };
            let charset = self.database_options()?;
            return Ok(Statement::AlterDatabase { name, charset });
        }
        Ok(Statement::Other)
    }

    fn drop(&mut self) -> Result<Statement> {
        let temporary = self.accept("TEMPORARY");
        if self.accept_any(&["TABLE", "TABLES"]) {
            self.if_exists();
            let list = self.offset();
            let mut names = Vec::new();
            loop {
                names.push(self.table_name()?);
                if !self.accept_sign(',') {
                    break;
                }
            }
            self.wait();
            let behavior = ["RESTRICT", "CASCADE"].into_iter().find(|word| self.is(word));
            self.skip_statement();
            return Ok(Statement::DropTables {
                names,
                temporary,
                list,
                behavior,
            });
        }
        if self.accept_any(&["DATABASE", "SCHEMA"]) {
            self.if_exists();
            return Ok(Statement::DropDatabase(self.name()?));
        }
        self.accept_any(&["ONLINE", "OFFLINE"]);
        if self.accept("INDEX") {
            self.if_exists();
            let primary = self.name()?.eq_ignore_ascii_case("PRIMARY");
            self.expect("ON")?;
            let name = self.table_name()?;
            self.skip_statement();
            if primary {
                let actions = vec![Action::DropPrimary];
                return Ok(Statement::AlterTable { name, actions });
            }
        }
        Ok(Statement::Other)
    }

    fn rename(&mut self) -> Result<Statement> {
        self.if_exists();
        let mut pairs = Vec::new();
        loop {
            let start = self.offset();
            let from = self.table_name()?;
            self.wait();
            self.expect("TO")?;
            let to: Name = self.table_name()?;
            pairs.push((from, to, start, self.end_before()));
            if !self.accept_sign(',') {
                return Ok(Statement::RenameTables { pairs });
            }
        }
    }

    /// `SET a = 1, @@global.b = 2, NAMES utf8`: names of system variables, without scope, and their values.
    fn set(&mut self) -> Result<Statement> {
        let mut found = Vec::new();
        while !self.done() && !self.is_sign(';') {
            self.accept_any(&["GLOBAL", "SESSION", "LOCAL", "PERSIST", "PERSIST_ONLY"]);
            let mut name = String::new();
            while self
                .peek()
                .is_some_and(|token| token.is_name() || token.kind == Kind::Variable || token.is_sign('.'))
            {
                name = self.next().map(|token| token.text.to_owned()).unwrap_or_default();
            }
            self.accept_sign(':');
            if !self.accept_sign('=') {
                // NAMES, PASSWORD, ROLE, TRANSACTION: no variable.
                self.skip_clause()?;
                if self.is_sign(')') {
                    return Err(self.error("unknown value"));
                }
                self.accept_sign(',');
                continue;
            }
            let value = self.peek().map(value).unwrap_or_default();
            self.skip_clause()?;
            if self.is_sign(')') {
                return Err(self.error("unknown value"));
            }
            if !name.starts_with('@') || name.starts_with("@@") {
                let name = name.rsplit(['.', '@']).next().unwrap_or_default();
                found.push((name.to_ascii_lowercase(), value));
            }
            self.accept_sign(',');
        }
        Ok(match found.is_empty() {
            true => Statement::Other,
            false => Statement::Set(found),
        })
    }
}

fn value(token: &Token<'_>) -> String {
    match token.kind {
        Kind::Text | Kind::Name => inside(token.text).to_owned(),
        _ => token.text.to_owned(),
    }
}

/// The table that a statement is about, by its first words alone, where the rest can't be understood.
pub(super) fn target(cursor: &mut Cursor<'_>) -> Option<Name> {
    if cursor.is("SET") && cursor.is_at(1, "STATEMENT") {
        cursor.set_statement().ok()?;
    }
    let first = cursor.next()?;
    if !["CREATE", "ALTER", "TRUNCATE"].iter().any(|word| first.is(word)) {
        return None;
    }
    let words: [&str; 6] = ["OR", "REPLACE", "ONLINE", "OFFLINE", "IGNORE", "TEMPORARY"];
    while cursor.accept_any(&words) {}
    if !cursor.accept("TABLE") {
        return None;
    }
    let _: (bool, bool) = (cursor.if_not_exists(), cursor.if_exists());
    cursor.table_name().ok()
}

/// A name with its database.
pub(super) fn resolve(name: &Name, database: &str) -> crate::schema::TableId {
    let database: Arc<str> = name.database.clone().unwrap_or_else(|| database.into());
    crate::schema::TableId::new(database, Arc::clone(&name.table))
}
