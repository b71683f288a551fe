//! What a statement does to the tables, and what of it is told.

use std::sync::Arc;

use super::alter::{Work, settled};
use super::column::charset_of_collation;
use super::error::Error;
use super::parse::{Parsed, resolve};
use super::statement::{Action, Charset, CreateTable, Element, Options, Statement};
use super::{Change, ChangeKind};
use crate::schema::{Table, TableId, Tables};

/// Applies one statement.
pub(super) struct Applier<'a> {
    pub(super) tables: &'a mut Tables,
    /// The statements as they were given.
    pub(super) text: &'a str,
    /// The current database; `USE` changes it.
    pub(super) database: Arc<str>,
    pub(super) changes: Vec<Change>,
    pub(super) ansi_quotes: bool,
}

impl Applier<'_> {
    pub(super) fn apply(&mut self, parsed: &Parsed) -> Result<(), Error> {
        match &parsed.statement {
            Statement::CreateTable(create) => self.create_table(create, parsed),
            Statement::AlterTable { name, actions } => {
                let id = resolve(name, &self.database);
                self.alter_table(&id, actions, parsed)
                    .map_err(|error| error.of_table(id))
            }
            Statement::DropTables {
                names,
                temporary,
                list,
                behavior,
            } => {
                if *temporary {
                    return Ok(());
                }
                let prefix = self.statement(parsed.start, *list);
                for name in names {
                    let id = resolve(name, &self.database);
                    self.tables.remove(&id);
                    let behavior = behavior.map(|word| format!(" {word}")).unwrap_or_default();
                    let statement = format!("{prefix}{}{behavior}", id.quoted('`'));
                    self.tell(ChangeKind::Drop, id, None, statement);
                }
                Ok(())
            }
            Statement::RenameTables { pairs } => {
                let first = pairs.first().map_or(parsed.end, |(_, _, start, _)| *start);
                let prefix = self.statement(parsed.start, first);
                for (from, to, start, end) in pairs {
                    let from = resolve(from, &self.database);
                    let to = resolve(to, &self.database);
                    self.tables.rename(&from, &to);
                    let statement = format!("{prefix}{}", self.statement(*start, *end));
                    self.tell(ChangeKind::Alter, to, Some(from), statement);
                }
                Ok(())
            }
            Statement::Truncate(name) => {
                let id = resolve(name, &self.database);
                let statement = self.statement(parsed.start, parsed.end);
                self.tell(ChangeKind::Truncate, id, None, statement);
                Ok(())
            }
            Statement::CreateIndex {
                table,
                unique,
                columns,
            } => {
                let id = resolve(table, &self.database);
                if let (true, Some(columns), Some(table)) = (*unique, columns, self.tables.get(&id)) {
                    let mut table = Table::clone(table);
                    if table.set_unique_key(columns) {
                        self.tables.put(table);
                        let statement = self.statement(parsed.start, parsed.end);
                        self.tell(ChangeKind::Alter, id, None, statement);
                    }
                }
                Ok(())
            }
            Statement::CreateDatabase { name, charset } => {
                self.database_charset(name, charset);
                self.tell_database(Arc::clone(name), parsed);
                Ok(())
            }
            Statement::AlterDatabase { name, charset } => {
                let name = name.clone().unwrap_or_else(|| Arc::clone(&self.database));
                self.database_charset(&name, charset);
                Ok(())
            }
            Statement::DropDatabase(name) => {
                self.tables.remove_database(name);
                self.tell_database(Arc::clone(name), parsed);
                Ok(())
            }
            Statement::Use(name) => {
                self.database = Arc::clone(name);
                self.tell_database(Arc::clone(name), parsed);
                Ok(())
            }
            Statement::Set(variables) => {
                for (name, value) in variables {
                    match name.as_str() {
                        "character_set_server" => self.tables.set_server_charset(value),
                        "character_set_database" if !self.database.is_empty() => {
                            let database = Arc::clone(&self.database);
                            self.tables.set_database_charset(&database, Some(value));
                        }
                        _ => {}
                    }
                }
                self.tell_database(Arc::clone(&self.database), parsed);
                Ok(())
            }
            Statement::Other => Ok(()),
        }
    }

    /// The text between two bytes, as Debezium reports it: double-quoted strings have become single-quoted ones.
    fn statement(&self, start: usize, end: usize) -> String {
        let text = self.text.get(start..end).unwrap_or_default();
        if self.ansi_quotes || !text.contains('"') {
            return text.to_owned();
        }
        super::normalize::single_quoted(text)
    }

    fn tell(&mut self, kind: ChangeKind, id: TableId, previous: Option<TableId>, statement: String) {
        let after = match kind {
            ChangeKind::Create | ChangeKind::Alter => self.tables.get(&id).cloned(),
            _ => None,
        };
        self.changes.push(Change {
            kind,
            database: Arc::clone(&id.database),
            table: Some(id),
            previous,
            after,
            statement,
        });
    }

    fn tell_database(&mut self, database: Arc<str>, parsed: &Parsed) {
        let statement = self.statement(parsed.start, parsed.end);
        self.changes.push(Change::of_database(database, statement));
    }

    /// A charset, `default` being the one above.
    fn charset(&self, charset: &Charset, above: Option<Arc<str>>) -> Option<Arc<str>> {
        match (&charset.name, &charset.collation) {
            (Some(name), _) if name.eq_ignore_ascii_case("default") => above,
            (Some(name), _) => Some(Arc::clone(name)),
            (None, Some(collation)) => charset_of_collation(collation),
            (None, None) => None,
        }
    }

    fn database_charset(&mut self, name: &str, charset: &Charset) {
        let above = self.tables.server_charset().cloned();
        if let Some(charset) = self.charset(charset, above) {
            self.tables.set_database_charset(name, Some(&charset));
        }
    }

    fn create_table(&mut self, create: &CreateTable, parsed: &Parsed) -> Result<(), Error> {
        let id = resolve(&create.name, &self.database);
        let exists = self.tables.get(&id).is_some();
        if create.temporary || create.if_not_exists && exists {
            return Ok(());
        }
        if let Some(like) = &create.like {
            let like = resolve(like, &self.database);
            let Some(original) = self.tables.get(&like) else {
                return Ok(());
            };
            let mut table = Table::clone(original);
            table.id = id.clone();
            // Debezium's copy has none.
            table.comment = None;
            self.tables.put(table);
        } else if create.select {
            let message = "the columns come from a query";
            return Err(Error::at(self.text, parsed.start, message).of_table(id));
        } else {
            let table = self.new_table(id.clone(), create);
            self.tables.put(table);
        }
        let statement = self.statement(parsed.start, parsed.end);
        self.tell(ChangeKind::Create, id, None, statement);
        Ok(())
    }

    fn new_table(&self, id: TableId, create: &CreateTable) -> Table {
        let above = self.tables.charset_of(&id.database);
        let mut table = Table::new(id);
        table.charset = self.charset(&create.options.charset, above.clone()).or(above);
        table.comment.clone_from(&create.options.comment);
        for element in &create.elements {
            if let Element::Column(definition) = element {
                table.put_column(settled(definition, table.charset.as_ref()));
            }
        }
        let columns = create.elements.iter().filter_map(|element| match element {
            Element::Column(definition) => Some(definition),
            _ => None,
        });
        let primary = columns.clone().find(|definition| definition.primary);
        if let Some(definition) = primary {
            table.set_primary_key(&[Arc::clone(&definition.column.name)]);
        }
        for element in &create.elements {
            if let Element::Primary(Some(names)) = element {
                table.set_primary_key(names);
            }
        }
        for definition in columns.filter(|definition| definition.unique) {
            // A unique column serves even if it may be null, as Debezium has it.
            if table.key.is_empty() {
                table.key = vec![Arc::clone(&definition.column.name)];
            }
        }
        for element in &create.elements {
            if let Element::Unique(Some(names)) = element {
                table.set_unique_key(names);
            }
        }
        table
    }

    fn alter_table(&mut self, id: &TableId, actions: &[Action], parsed: &Parsed) -> Result<(), Error> {
        let Some(table) = self.tables.get(id) else {
            return Ok(());
        };
        let mut work = Work::of(Table::clone(table), actions);
        let mut renamed: Option<TableId> = None;
        // Wherever it stands, the table's character set is that of the columns which a statement adds.
        for action in actions {
            if let Action::Options(options) = action {
                self.options(&mut work, options, id);
            }
        }
        for action in actions {
            match action {
                Action::RenameTable(name) => renamed = Some(resolve(name, &self.database)),
                Action::Convert(_) | Action::Options(_) => {}
                action => work
                    .act(action)
                    .map_err(|message| Error::at(self.text, parsed.start, message))?,
            }
        }
        // It goes before those that added columns are given.
        for action in actions {
            if let Action::Convert(charset) = action {
                let above = self.tables.charset_of(&id.database);
                if let Some(charset) = self.charset(charset, above) {
                    work.convert(&charset);
                }
            }
        }
        let mut table = work.table();
        let after = match renamed {
            Some(to) => {
                self.tables.remove(id);
                table.id = to.clone();
                to
            }
            None => id.clone(),
        };
        let statement = self.statement(parsed.start, parsed.end);
        for action in actions {
            match action {
                Action::PartitionToTable(name) => {
                    let id = resolve(name, &self.database);
                    let mut apart = table.clone();
                    apart.id = id.clone();
                    self.tables.put(apart);
                    self.tell(ChangeKind::Create, id, None, statement.clone());
                }
                Action::TableToPartition(name) => {
                    let id = resolve(name, &self.database);
                    self.tables.remove(&id);
                    self.tell(ChangeKind::Drop, id, None, statement.clone());
                }
                _ => {}
            }
        }
        self.tables.put(table);
        self.tell(ChangeKind::Alter, after, None, statement);
        Ok(())
    }

    fn options(&self, work: &mut Work, options: &Options, id: &TableId) {
        let above = self.tables.charset_of(&id.database);
        if let Some(charset) = self.charset(&options.charset, above) {
            work.table.charset = Some(charset);
        }
        if options.comment.is_some() {
            work.table.comment.clone_from(&options.comment);
        }
    }
}
