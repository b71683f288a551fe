//! `CREATE TABLE` and `ALTER TABLE`.

use std::sync::Arc;

use super::cursor::Cursor;
use super::error::Error;
use super::statement::{Action, Charset, CreateTable, DefaultValue, Element, Options, Place, Statement};
use super::token::Kind as Token;

type Result<T> = std::result::Result<T, Error>;

impl Cursor<'_> {
    /// What follows `CREATE [TEMPORARY] TABLE`.
    pub(super) fn create_table(&mut self, temporary: bool) -> Result<CreateTable> {
        let if_not_exists = self.if_not_exists();
        let mut table = CreateTable {
            name: self.table_name()?,
            temporary,
            if_not_exists,
            elements: Vec::new(),
            like: None,
            options: Options::default(),
            select: false,
        };
        if self.accept("LIKE") {
            table.like = Some(self.table_name()?);
            return Ok(table);
        }
        if self.is_sign('(') && !self.query_at(1) {
            self.at += 1;
            if self.accept("LIKE") {
                table.like = Some(self.table_name()?);
                self.expect_sign(')')?;
                return Ok(table);
            }
            self.elements(&mut table)?;
        }
        while !self.done() && !self.is_sign(';') {
            if self.query_at(0) || self.is("AS") || self.is_sign('(') && self.query_at(1) {
                table.select = true;
                self.skip_statement();
            } else {
                self.table_option(&mut table.options)?;
            }
        }
        Ok(table)
    }

    /// Whether a query begins so many tokens ahead.
    fn query_at(&self, ahead: usize) -> bool {
        let mut ahead = ahead;
        while self.peek_at(ahead).is_some_and(|token| token.is_sign('(')) {
            ahead += 1;
        }
        self.is_at(ahead, "SELECT")
            || self.is_at(ahead, "VALUES")
            || self.is_at(ahead, "TABLE") && self.peek_at(ahead + 1).is_some_and(super::token::Token::is_name)
            || self.is_at(ahead, "WITH") && !self.is_at(ahead + 1, "SYSTEM")
    }

    fn elements(&mut self, table: &mut CreateTable) -> Result<()> {
        loop {
            let element = self.element()?;
            table.elements.push(element);
            if self.accept_sign(')') {
                return Ok(());
            }
            self.expect_sign(',')?;
        }
    }

    /// A column, a key or a check.
    fn element(&mut self) -> Result<Element> {
        if let Some(element) = self.constraint()? {
            return Ok(element);
        }
        let name = self.column_name()?;
        Ok(Element::Column(self.definition(name)?))
    }

    /// Anything but a column, if next.
    fn constraint(&mut self) -> Result<Option<Element>> {
        if self.accept("CONSTRAINT") {
            self.if_not_exists();
            if !["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]
                .iter()
                .any(|word| self.is(word))
            {
                self.name()?;
            }
        }
        let element = if self.accept_all(&["PRIMARY", "KEY"]) {
            Element::Primary(self.key()?)
        } else if self.accept("UNIQUE") {
            self.accept_any(&["INDEX", "KEY"]);
            Element::Unique(self.key()?)
        } else if self.accept_any(&["INDEX", "KEY", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK"])
            || self.accept_all(&["VECTOR", "INDEX"])
            || self.accept_all(&["VECTOR", "KEY"])
            || self.accept_all(&["CLUSTERING", "KEY"])
            || self.accept_all(&["PERIOD", "FOR"])
        {
            self.skip_clause()?;
            Element::Other
        } else {
            return Ok(None);
        };
        Ok(Some(element))
    }

    /// `[name] [USING x] (columns) [options]`
    fn key(&mut self) -> Result<Option<Vec<Arc<str>>>> {
        self.if_not_exists();
        while !self.is_sign('(') {
            if self.clause_ends() {
                return Err(self.error("'(' is missing"));
            }
            self.at += 1;
        }
        let columns = self.key_columns()?;
        self.skip_clause()?;
        Ok(columns)
    }

    /// One option of a table, or one token of one that does not matter.
    fn table_option(&mut self, options: &mut Options) -> Result<()> {
        if self.charset_option(&mut options.charset)? {
            return Ok(());
        }
        if self.accept("COMMENT") {
            self.accept_sign('=');
            let comment = self.string()?;
            if self.dialect.comments {
                options.comment = Some(comment);
            }
            return Ok(());
        }
        self.skip_one()
    }

    /// What follows `ALTER TABLE`.
    pub(super) fn alter_table(&mut self) -> Result<Statement> {
        self.if_exists();
        let name = self.table_name()?;
        self.wait();
        let actions = self.actions()?;
        Ok(Statement::AlterTable { name, actions })
    }

    /// `WAIT 10`, `NOWAIT`, of MariaDB.
    pub(super) fn wait(&mut self) {
        if self.is("WAIT") && self.peek_at(1).is_some_and(|token| token.kind == Token::Number) {
            self.at += 2;
        } else {
            self.accept("NOWAIT");
        }
    }

    fn actions(&mut self) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        while !self.done() && !self.is_sign(';') {
            self.action(&mut actions)?;
            if !self.accept_sign(',') && !self.done() && !self.is_sign(';') {
                // Options and partitions follow without a comma.
                let before = self.at;
                self.action(&mut actions)?;
                if self.at == before {
                    return Err(self.error("unknown clause"));
                }
                self.accept_sign(',');
            }
        }
        Ok(actions)
    }

    fn action(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        if self.accept("ADD") {
            return self.add(actions);
        }
        if self.accept("CHANGE") {
            self.accept("COLUMN");
            let if_exists = self.if_exists();
            let name = self.column_name()?;
            let new = self.column_name()?;
            let definition = self.definition(new)?;
            let place = self.place()?;
            actions.push(Action::Change {
                name,
                definition,
                place,
                if_exists,
                modify: false,
            });
        } else if self.accept("MODIFY") {
            self.accept("COLUMN");
            let if_exists = self.if_exists();
            let name = self.column_name()?;
            let definition = self.definition(Arc::clone(&name))?;
            let place = self.place()?;
            actions.push(Action::Change {
                name,
                definition,
                place,
                if_exists,
                modify: true,
            });
        } else if self.accept("DROP") {
            self.drop_clause(actions)?;
        } else if self.accept("RENAME") {
            self.rename_clause(actions)?;
        } else if self.accept("ALTER") {
            self.alter_column(actions)?;
        } else if self.accept_all(&["CONVERT", "TO"]) {
            let mut charset = Charset::default();
            while self.charset_option(&mut charset)? {}
            actions.push(Action::Convert(charset));
        } else if self.accept_all(&["CONVERT", "PARTITION"]) {
            self.name()?;
            self.expect("TO")?;
            self.expect("TABLE")?;
            actions.push(Action::PartitionToTable(self.table_name()?));
            self.skip_clause()?;
        } else if self.accept_all(&["CONVERT", "TABLE"]) {
            actions.push(Action::TableToPartition(self.table_name()?));
            self.skip_clause()?;
        } else if self.accept_all(&["ORDER", "BY"]) {
            self.skip_clause()?;
        } else {
            self.option_clause(actions)?;
        }
        Ok(())
    }

    /// Options of the table, and clauses that change no column.
    fn option_clause(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        let mut options = Options::default();
        while !self.clause_ends() && !self.is_sign(';') {
            self.table_option(&mut options)?;
        }
        if self.is_sign(')') {
            return Err(self.error("unknown clause"));
        }
        if options != Options::default() {
            actions.push(Action::Options(options));
        }
        Ok(())
    }

    fn add(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        let column = self.accept("COLUMN");
        if !column {
            if self.is("PARTITION") || self.is("SYSTEM") && self.is_at(1, "VERSIONING") {
                return self.skip_clause();
            }
            if let Some(element) = self.constraint()? {
                actions.push(match element {
                    Element::Primary(columns) => Action::AddPrimary(columns),
                    Element::Unique(columns) => Action::AddUnique(columns),
                    _ => return Ok(()),
                });
                return Ok(());
            }
        }
        let if_not_exists = self.if_not_exists();
        if self.accept_sign('(') {
            loop {
                match self.element()? {
                    Element::Column(definition) => {
                        let place = Place::Stays;
                        actions.push(Action::AddColumn {
                            definition,
                            place,
                            if_not_exists,
                        });
                    }
                    Element::Primary(columns) => actions.push(Action::AddPrimary(columns)),
                    Element::Unique(columns) => actions.push(Action::AddUnique(columns)),
                    Element::Other => {}
                }
                if self.accept_sign(')') {
                    return Ok(());
                }
                self.expect_sign(',')?;
            }
        }
        let name = self.column_name()?;
        let definition = self.definition(name)?;
        let place = self.place()?;
        actions.push(Action::AddColumn {
            definition,
            place,
            if_not_exists,
        });
        Ok(())
    }

    fn place(&mut self) -> Result<Place> {
        if self.accept("FIRST") {
            return Ok(Place::First);
        }
        if self.accept("AFTER") {
            return Ok(Place::After(self.column_name()?));
        }
        Ok(Place::Stays)
    }

    fn drop_clause(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        if self.accept_all(&["PRIMARY", "KEY"]) {
            actions.push(Action::DropPrimary);
            return Ok(());
        }
        let other = ["INDEX", "KEY", "FOREIGN", "CHECK", "CONSTRAINT", "PARTITION"];
        if other.iter().any(|word| self.is(word))
            || self.is("SYSTEM") && self.is_at(1, "VERSIONING")
            || self.is("PERIOD") && self.is_at(1, "FOR")
        {
            if ["CONSTRAINT", "INDEX", "KEY"].iter().any(|word| self.is(word))
                && self
                    .peek_at(1)
                    .is_some_and(|token| token.text.eq_ignore_ascii_case("`primary`"))
            {
                actions.push(Action::DropPrimary);
            }
            return self.skip_clause();
        }
        self.accept("COLUMN");
        let if_exists = self.if_exists();
        let name = self.column_name()?;
        self.accept_any(&["RESTRICT", "CASCADE"]);
        actions.push(Action::DropColumn { name, if_exists });
        Ok(())
    }

    fn rename_clause(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        if self.accept_any(&["INDEX", "KEY"]) {
            return self.skip_clause();
        }
        if self.accept("COLUMN") {
            let if_exists = self.if_exists();
            let name = self.column_name()?;
            self.expect("TO")?;
            let to = self.column_name()?;
            actions.push(Action::RenameColumn { name, to, if_exists });
            return Ok(());
        }
        if !self.accept_any(&["TO", "AS"]) {
            self.accept_sign('=');
        }
        actions.push(Action::RenameTable(self.table_name()?));
        Ok(())
    }

    fn alter_column(&mut self, actions: &mut Vec<Action>) -> Result<()> {
        if ["INDEX", "KEY", "CHECK", "CONSTRAINT"]
            .iter()
            .any(|word| self.is(word))
        {
            return self.skip_clause();
        }
        self.accept("COLUMN");
        let if_exists = self.if_exists();
        let name = self.column_name()?;
        let default = if self.accept_all(&["SET", "DEFAULT"]) {
            match self.default_value()? {
                DefaultValue::Dropped => DefaultValue::Null,
                default => default,
            }
        } else if self.accept_all(&["DROP", "DEFAULT"]) {
            DefaultValue::Dropped
        } else {
            // SET VISIBLE, SET INVISIBLE.
            return self.skip_clause();
        };
        actions.push(Action::SetDefault {
            name,
            default,
            if_exists,
        });
        Ok(())
    }
}
