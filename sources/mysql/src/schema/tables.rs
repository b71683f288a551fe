//! All tables of a server, as they are at one position of its log.

use std::collections::HashMap;
use std::sync::Arc;

use super::table::{Table, TableId};

/// The tables, and the character sets that tables inherit.
///
/// A clone shares the tables: a version is kept by keeping a clone, and one table by keeping its `Arc`.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    tables: HashMap<TableId, Arc<Table>>,
    charsets: HashMap<Arc<str>, Arc<str>>,
    server_charset: Option<Arc<str>>,
    ignore_case: bool,
}

impl Tables {
    /// None yet. `ignore_case` where names of tables don't heed it (`lower_case_table_names` is not 0).
    pub fn new(ignore_case: bool) -> Self {
        Self {
            ignore_case,
            ..Self::default()
        }
    }

    fn key(&self, id: &TableId) -> TableId {
        if self.ignore_case {
            TableId::new(id.database.to_lowercase(), id.table.to_lowercase())
        } else {
            id.clone()
        }
    }

    /// The table of a name.
    pub fn get(&self, id: &TableId) -> Option<&Arc<Table>> {
        if self.ignore_case {
            self.tables.get(&self.key(id))
        } else {
            self.tables.get(id)
        }
    }

    /// Puts a table in, in the place of the one that has its name.
    pub fn put(&mut self, table: impl Into<Arc<Table>>) -> Arc<Table> {
        let table = table.into();
        self.tables.insert(self.key(&table.id), Arc::clone(&table));
        table
    }

    /// Takes a table out.
    pub fn remove(&mut self, id: &TableId) -> Option<Arc<Table>> {
        self.tables.remove(&self.key(id))
    }

    /// Gives a table another name; `None` if there is none to rename.
    pub fn rename(&mut self, id: &TableId, to: &TableId) -> Option<Arc<Table>> {
        let table = self.remove(id)?;
        let mut table = Arc::unwrap_or_clone(table);
        table.id = to.clone();
        Some(self.put(table))
    }

    /// Takes a database's tables out, and its character set.
    pub fn remove_database(&mut self, database: &str) {
        let ignore_case = self.ignore_case;
        let same =
            |name: &str| name == database || (ignore_case && name.to_lowercase() == database.to_lowercase());
        self.tables.retain(|id, _| !same(&id.database));
        self.charsets.retain(|name, _| !same(name));
    }

    /// All tables, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The character set of the server (`character_set_server`), which databases inherit.
    pub fn set_server_charset(&mut self, charset: &str) {
        self.server_charset = Some(charset.into());
    }

    /// The server's character set, if it was said.
    pub fn server_charset(&self) -> Option<&Arc<str>> {
        self.server_charset.as_ref()
    }

    /// The character set that a database's tables inherit; `None` takes the server's.
    pub fn set_database_charset(&mut self, database: &str, charset: Option<&str>) {
        match charset {
            Some(charset) => {
                self.charsets.insert(database.into(), charset.into());
            }
            None => {
                self.charsets.remove(database);
            }
        }
    }

    /// What a new table of this database inherits.
    pub fn charset_of(&self, database: &str) -> Option<Arc<str>> {
        self.charsets
            .get(database)
            .or(self.server_charset.as_ref())
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_its_identity_until_it_is_changed() {
        let mut tables = Tables::new(false);
        let id = TableId::new("d", "t");
        let first = tables.put(Table::new(id.clone()));
        let version = tables.clone();
        tables.put(Table::new(id.clone()));
        assert!(version.get(&id).is_some_and(|table| Arc::ptr_eq(table, &first)));
        assert!(tables.get(&id).is_some_and(|table| !Arc::ptr_eq(table, &first)));
    }

    #[test]
    fn names_heed_case_where_the_server_does() {
        for (ignore_case, found) in [(false, false), (true, true)] {
            let mut tables = Tables::new(ignore_case);
            tables.put(Table::new(TableId::new("D", "T")));
            assert_eq!(tables.get(&TableId::new("d", "t")).is_some(), found);
        }
    }

    #[test]
    fn a_dropped_database_takes_its_tables_along() {
        let mut tables = Tables::new(false);
        tables.set_server_charset("utf8mb4");
        tables.set_database_charset("a", Some("latin1"));
        tables.put(Table::new(TableId::new("a", "t")));
        tables.put(Table::new(TableId::new("b", "t")));
        assert_eq!(tables.charset_of("a").as_deref(), Some("latin1"));
        tables.remove_database("a");
        assert_eq!(tables.len(), 1);
        assert_eq!(tables.charset_of("a").as_deref(), Some("utf8mb4"));
    }
}
