//! A table, and how statements change one.

use std::fmt;
use std::sync::Arc;

use super::column::Column;

/// Names a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    /// The database.
    pub database: Arc<str>,
    /// The table.
    pub table: Arc<str>,
}

impl TableId {
    /// From two names.
    pub fn new(database: impl Into<Arc<str>>, table: impl Into<Arc<str>>) -> Self {
        Self {
            database: database.into(),
            table: table.into(),
        }
    }

    /// `"db"."table"` with the given quote, doubled inside; Debezium's `toQuotedString`.
    pub fn quoted(&self, quote: char) -> String {
        let mut out = String::with_capacity(self.database.len() + self.table.len() + 5);
        for name in [&self.database, &self.table] {
            if name.is_empty() {
                continue;
            }
            if !out.is_empty() {
                out.push('.');
            }
            out.push(quote);
            for c in name.chars() {
                if c == quote {
                    out.push(quote);
                }
                out.push(c);
            }
            out.push(quote);
        }
        out
    }

    /// Reads what [`quoted`](Self::quoted) wrote with `"`. Unquoted parts are taken as they are.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = vec![String::new()];
        let mut quoted = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.next_if_eq(&'"').is_some() => parts.last_mut()?.push('"'),
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                c => parts.last_mut()?.push(c),
            }
        }
        match parts.as_slice() {
            [database, table] if !quoted && !table.is_empty() => Some(Self::new(&**database, &**table)),
            [table] if !quoted && !table.is_empty() => Some(Self::new("", &**table)),
            _ => None,
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.database.is_empty() {
            f.write_str(&self.table)
        } else {
            write!(f, "{}.{}", self.database, self.table)
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub id: TableId,
    /// The columns in order; positions count from 1.
    pub columns: Vec<Column>,
    /// The names of the key's columns, in the key's order: the primary key, or else the first unique key whose columns
    /// are all not null. Empty without either.
    pub key: Vec<Arc<str>>,
    /// The character set of columns that name none.
    pub charset: Option<Arc<str>>,
    /// The comment, where comments are kept.
    pub comment: Option<Arc<str>>,
}

impl Table {
    /// A table without columns.
    pub fn new(id: TableId) -> Self {
        Self {
            id,
            columns: Vec::new(),
            key: Vec::new(),
            charset: None,
            comment: None,
        }
    }

    /// A column by its name; case does not matter in MySQL.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.index(name).and_then(|index| self.columns.get(index))
    }

    /// A column to change.
    pub fn column_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.index(name).and_then(|index| self.columns.get_mut(index))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| same_name(&column.name, name))
    }

    /// Adds a column at the end, or puts it in the place of the one that has its name.
    pub fn put_column(&mut self, column: Column) {
        match self
            .index(&column.name)
            .and_then(|index| self.columns.get_mut(index))
        {
            Some(existing) => *existing = column,
            None => self.columns.push(column),
        }
        self.number();
    }

    /// Takes a column out, and out of the key.
    pub fn remove_column(&mut self, name: &str) -> bool {
        let Some(index) = self.index(name) else {
            return false;
        };
        let removed = self.columns.remove(index);
        self.key.retain(|key| !same_name(key, &removed.name));
        self.number();
        true
    }

    /// Gives a column another name, in the key too.
    pub fn rename_column(&mut self, name: &str, to: &Arc<str>) -> bool {
        let Some(column) = self.column_mut(name) else {
            return false;
        };
        column.name = Arc::clone(to);
        for key in &mut self.key {
            if same_name(key, name) {
                *key = Arc::clone(to);
            }
        }
        true
    }

    /// Moves a column behind another one, or to the front. Unknown names change nothing.
    pub fn move_column(&mut self, name: &str, after: Option<&str>) -> bool {
        let Some(index) = self.index(name) else {
            return false;
        };
        if after.is_some_and(|after| self.index(after).is_none()) {
            return false;
        }
        let column = self.columns.remove(index);
        let to = after
            .and_then(|after| self.index(after))
            .map_or(0, |found| found + 1);
        self.columns.insert(to.min(self.columns.len()), column);
        self.number();
        true
    }

    /// Makes these columns the primary key. They become not null, and lose the default null that being nullable gave them.
    pub fn set_primary_key(&mut self, names: &[Arc<str>]) {
        self.key = names
            .iter()
            .map(|name| match self.column_mut(name) {
                Some(column) => {
                    if column.optional {
                        column.optional = false;
                        column.has_default = column.default.is_some();
                    }
                    Arc::clone(&column.name)
                }
                None => Arc::clone(name),
            })
            .collect();
    }

    /// Makes the columns of a unique key the key, if there is none yet and all of them are known and not null.
    pub fn set_unique_key(&mut self, names: &[Arc<str>]) -> bool {
        if !self.key.is_empty() || names.is_empty() {
            return false;
        }
        let columns: Option<Vec<Arc<str>>> = names
            .iter()
            .map(|name| {
                let column = self.column(name).filter(|column| !column.optional)?;
                Some(Arc::clone(&column.name))
            })
            .collect();
        match columns {
            Some(key) => {
                self.key = key;
                true
            }
            None => false,
        }
    }

    fn number(&mut self) {
        for (column, position) in self.columns.iter_mut().zip(1..) {
            column.position = position;
        }
    }
}

/// Whether two column names are the same one.
fn same_name(one: &str, other: &str) -> bool {
    one == other
        || (one.eq_ignore_ascii_case(other))
        || (!one.is_ascii() && one.to_lowercase() == other.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table {
        let mut table = Table::new(TableId::new("d", "t"));
        for name in names {
            table.put_column(Column::named(*name));
        }
        table
    }

    fn names(table: &Table) -> Vec<(&str, i32)> {
        table
            .columns
            .iter()
            .map(|column| (&*column.name, column.position))
            .collect()
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for id in [
            TableId::new("fx", "d"),
            TableId::new("a.b", "c\"d"),
            TableId::new("", "t"),
        ] {
            assert_eq!(TableId::parse(&id.quoted('"')), Some(id));
        }
        assert_eq!(TableId::new("fx", "o`x").quoted('`'), "`fx`.`o``x`");
        assert_eq!(TableId::parse("\"a"), None);
    }

    #[test]
    fn columns_are_moved_and_numbered() {
        let mut table = table(&["a", "b", "c"]);
        assert!(table.move_column("C", None));
        assert_eq!(names(&table), [("c", 1), ("a", 2), ("b", 3)]);
        assert!(table.move_column("c", Some("b")));
        assert!(table.move_column("a", Some("b")));
        assert_eq!(names(&table), [("b", 1), ("a", 2), ("c", 3)]);
        assert!(!table.move_column("a", Some("nowhere")));
    }

    #[test]
    fn a_key_follows_its_columns() {
        let mut table = table(&["a", "b"]);
        table.set_primary_key(&["B".into(), "a".into()]);
        assert_eq!(table.key, ["b".into(), "a".into()]);
        assert!(!table.columns.iter().any(|column| column.optional));
        table.rename_column("b", &"bb".into());
        table.remove_column("a");
        assert_eq!(table.key, ["bb".into()]);
    }

    #[test]
    fn a_unique_key_serves_when_its_columns_are_not_null_and_there_is_no_other() {
        let mut table = table(&["a", "b"]);
        assert!(!table.set_unique_key(&["a".into()]));
        if let Some(column) = table.column_mut("b") {
            column.optional = false;
        }
        assert!(table.set_unique_key(&["b".into()]));
        assert!(!table.set_unique_key(&["b".into()]));
    }
}
