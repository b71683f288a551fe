//! What a target table looks like.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tapline_databases::mysql::{Error, literal, qualified};

use crate::names::TableId;

/// A table of the target.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Its name as SQL, qualified by its database.
    pub(super) sql_name: String,
    pub(super) columns: Vec<Target>,
}

/// A column of the target.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) name: String,
    /// The type's name in lower case, without length.
    pub(super) data_type: String,
    pub(super) unsigned: bool,
    /// It takes no null and has no default.
    pub(super) demanding: bool,
}

impl Table {
    /// Names of columns have no case.
    pub(super) fn column(&self, name: &str) -> Option<&Target> {
        self.columns
            .iter()
            .find(|column| super::same_name(&column.name, name))
    }
}

/// Finds a table by name, in the session's database where the name has none.
pub(super) async fn read(conn: &mut Conn, id: &TableId) -> Result<Option<Table>, Error> {
    let database = id.schema.as_deref().map_or("DATABASE()".to_owned(), literal);
    let name = literal(&id.name);
    let found: Option<(String, String)> = conn
        .query_first(format!(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = {database} AND \
             table_name = {name}"
        ))
        .await?;
    let Some((database, name)) = found else {
        return Ok(None);
    };
    let columns: Vec<(String, String, String, bool)> = conn
        .query(format!(
            "SELECT column_name, LOWER(data_type), LOWER(column_type), is_nullable = 'NO' AND column_default IS NULL AND \
             LOWER(extra) NOT LIKE '%auto_increment%' AND LOWER(extra) NOT LIKE '%generated%' FROM \
             information_schema.columns WHERE table_schema = {} AND table_name = {} ORDER BY ordinal_position",
            literal(&database),
            literal(&name)
        ))
        .await?;
    Ok(Some(Table {
        sql_name: qualified(&database, &name),
        columns: columns
            .into_iter()
            .map(|(name, data_type, column_type, demanding)| Target {
                name,
                data_type,
                unsigned: column_type.contains("unsigned"),
                demanding,
            })
            .collect(),
    }))
}
