//! The statements, as text: each writes one row, with a numbered parameter a column.

use tapline_api::{Error, Result, Value};

use super::value::{Form, column_type};
use crate::digits;
use crate::layout::{Column, Layout};
use crate::names::TableId;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};

/// `name` in double quotes.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name, with that of its (attached) database where there is one.
pub(super) fn table_name(table: &TableId) -> String {
    match &table.schema {
        Some(database) => format!("{}.{}", identifier(database), identifier(&table.name)),
        None => identifier(&table.name),
    }
}

fn join(names: &[&str], first: usize, separator: &str, each: impl Fn(&str, usize) -> String) -> String {
    let parts = names.iter().enumerate();
    let parts = parts.map(|(i, name)| each(&identifier(name), first + i + 1));
    parts.collect::<Vec<_>>().join(separator)
}

pub(super) fn insert(table: &str, columns: &[&str]) -> String {
    format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        join(columns, 0, ",", |name, _| name.to_owned()),
        join(columns, 0, ",", |_, i| format!("?{i}"))
    )
}

pub(super) fn upsert(table: &str, columns: &[&str], keys: usize) -> String {
    let (key, rest) = columns.split_at_checked(keys).unwrap_or((columns, &[]));
    let action = if rest.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!(
            "UPDATE SET {}",
            join(rest, keys, ",", |name, _| format!("{name}=excluded.{name}"))
        )
    };
    format!(
        "{} ON CONFLICT({}) DO {action}",
        insert(table, columns),
        join(key, 0, ",", |name, _| name.to_owned())
    )
}

/// `None` if only the key is given.
pub(super) fn update(table: &str, columns: &[&str], keys: usize) -> Option<String> {
    let (key, rest) = columns.split_at_checked(keys)?;
    if rest.is_empty() {
        return None;
    }
    Some(format!(
        "UPDATE {table} SET {} WHERE {}",
        join(rest, keys, ",", |name, i| format!("{name}=?{i}")),
        matching(key)
    ))
}

pub(super) fn delete(table: &str, key: &[&str]) -> String {
    format!("DELETE FROM {table} WHERE {}", matching(key))
}

fn matching(key: &[&str]) -> String {
    join(key, 0, " AND ", |name, i| format!("{name}=?{i}"))
}

pub(super) fn create_table(layout: &Layout) -> Result<String> {
    let mut parts = Vec::with_capacity(layout.columns.len() + 1);
    for column in &layout.columns {
        parts.push(definition(column, column.key)?);
    }
    let key = layout.columns.iter().take(layout.keys);
    let key: Vec<_> = key.map(|column| identifier(&column.name)).collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY({})", key.join(", ")));
    }
    Ok(format!(
        "CREATE TABLE {} ({})",
        table_name(&layout.table),
        parts.join(", ")
    ))
}

/// SQLite adds one column a statement.
pub(super) fn add_columns(table: &str, columns: &[&Column]) -> Result<String> {
    let statements = columns.iter().map(|column| {
        let definition = definition(column, false)?;
        Ok(format!("ALTER TABLE {table} ADD COLUMN {definition}"))
    });
    Ok(statements.collect::<Result<Vec<_>>>()?.join("; "))
}

fn definition(column: &Column, key: bool) -> Result<String> {
    let name = column_type(&column.schema)?;
    let default = match column.schema.default() {
        Some(value) if !value.is_null() => default(column, value)?,
        _ => String::new(),
    };
    let null = if key || !column.schema.is_optional() {
        "NOT NULL"
    } else {
        "NULL"
    };
    Ok(format!("{} {name}{default} {null}", identifier(&column.name)))
}

fn default(column: &Column, value: &Value) -> Result<String> {
    let misfit = || {
        Error::data(format!(
            "the default of field '{}' does not fit its schema",
            column.field
        ))
    };
    let literal = match Form::of(&column.schema).bind(value).map_err(|_| misfit())? {
        ToSqlOutput::Owned(Owned::Integer(n)) => n.to_string(),
        ToSqlOutput::Owned(Owned::Real(n)) => format!("{n:e}"),
        ToSqlOutput::Owned(Owned::Text(text)) => literal(&text),
        ToSqlOutput::Borrowed(ValueRef::Text(text)) => literal(&String::from_utf8_lossy(text)),
        ToSqlOutput::Borrowed(ValueRef::Blob(bytes)) => {
            let mut out = "x'".to_owned();
            digits::hex(bytes, &mut out);
            out + "'"
        }
        _ => return Err(misfit()),
    };
    Ok(format!(" DEFAULT {literal}"))
}

/// `text` as a string literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layouts;
    use tapline_api::Schema;

    #[test]
    fn statements_name_their_parameters_by_the_columns_places() {
        let columns = ["id", "a\"b"];
        assert_eq!(
            upsert("t", &columns, 1),
            "INSERT INTO t (\"id\",\"a\"\"b\") VALUES (?1,?2) ON CONFLICT(\"id\") DO UPDATE SET \
             \"a\"\"b\"=excluded.\"a\"\"b\""
        );
        assert!(upsert("t", &columns[..1], 1).ends_with("ON CONFLICT(\"id\") DO NOTHING"));
        assert_eq!(
            update("t", &columns, 1).unwrap(),
            "UPDATE t SET \"a\"\"b\"=?2 WHERE \"id\"=?1"
        );
        assert_eq!(delete("t", &columns[..1]), "DELETE FROM t WHERE \"id\"=?1");
    }

    #[test]
    fn a_table_is_created_with_nullability_defaults_and_key() {
        let fields = [
            ("id", Schema::int64()),
            ("s", Schema::string().default("it's".into())),
            ("n", Schema::int32().optional()),
        ];
        let columns = fields.into_iter().enumerate().map(|(i, (name, schema))| Column {
            name: name.into(),
            field: name.into(),
            schema: schema.build(),
            key: i == 0,
            stand_in: None,
        });
        let table = TableId {
            schema: None,
            name: "t".into(),
        };
        let layout = Layouts::default().intern(&table, columns.collect(), 1);
        assert_eq!(
            create_table(&layout).unwrap(),
            "CREATE TABLE \"t\" (\"id\" INTEGER NOT NULL, \"s\" TEXT DEFAULT 'it''s' NOT NULL, \"n\" INTEGER NULL, \
             PRIMARY KEY(\"id\"))"
        );
        let added: Vec<_> = layout.columns.iter().skip(1).collect();
        assert_eq!(
            add_columns("\"t\"", &added).unwrap(),
            "ALTER TABLE \"t\" ADD COLUMN \"s\" TEXT DEFAULT 'it''s' NOT NULL; ALTER TABLE \"t\" ADD COLUMN \"n\" INTEGER \
             NULL"
        );
    }
}
