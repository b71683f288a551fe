//! The statements, as text: everything around the rows.

use tapline_api::{Error, Result, Value};
use tapline_databases::mysql::{identifier, qualified};

use super::bind::form;
use super::column::{column_type, takes_no_default};
use crate::layout::{Column, Layout};
use crate::names::TableId;

fn join<'a>(names: impl IntoIterator<Item = &'a &'a str>, each: impl Fn(&str) -> String) -> String {
    let names = names.into_iter().map(|name| each(name));
    names.collect::<Vec<_>>().join(",")
}

/// ``INSERT INTO `t` (`a`,`b`) VALUES ``
pub(super) fn insert(table: &str, columns: &[&str]) -> String {
    format!("INSERT INTO {table} ({}) VALUES ", join(columns, identifier))
}

/// What an upsert does where a row has the same key: behind the rows. MariaDB knows no alias of the new row.
pub(super) fn on_duplicate(columns: &[&str], keys: usize, alias: bool) -> String {
    let (key, rest) = columns.split_at_checked(keys).unwrap_or((columns, &[]));
    // With nothing to change the key is set to itself, as in Debezium.
    let set = join(if rest.is_empty() { key } else { rest }, |name| {
        let name = identifier(name);
        if alias {
            format!("{name}=`_new`.{name}")
        } else {
            format!("{name}=VALUES({name})")
        }
    });
    let alias = if alias { " AS `_new`" } else { "" };
    format!("{alias} ON DUPLICATE KEY UPDATE {set}")
}

/// A table's name where the table is not there yet.
pub(super) fn table_name(table: &TableId) -> String {
    match &table.schema {
        Some(database) => qualified(database, &table.name),
        None => identifier(&table.name),
    }
}

/// ``CREATE TABLE `t` (`a` integer NOT NULL, `b` longtext NULL, PRIMARY KEY(`a`))``
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

/// ``ALTER TABLE `t` ADD COLUMN (`c` longtext NULL, …)``
pub(super) fn add_columns(table: &str, columns: &[&Column]) -> Result<String> {
    let parts = columns.iter().map(|column| definition(column, false));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Ok(format!("ALTER TABLE {table} ADD COLUMN ({})", parts.join(", ")))
}

fn definition(column: &Column, key: bool) -> Result<String> {
    let name = column_type(&column.schema, key)?;
    let default = match column.schema.default() {
        Some(value) if !value.is_null() && !takes_no_default(&name) => default(column, value)?,
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
    let mut out = " DEFAULT ".to_owned();
    match form(&column.schema, None, None).push(value, &mut out) {
        Ok(()) => Ok(out),
        Err(_) => Err(Error::data(format!(
            "the default of field '{}' does not fit its schema",
            column.field
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layouts;
    use tapline_api::Schema;

    #[test]
    fn one_statement_writes_any_number_of_rows() {
        assert_eq!(
            insert("`t`", &["id", "a`b"]),
            "INSERT INTO `t` (`id`,`a``b`) VALUES "
        );
        assert_eq!(
            on_duplicate(&["id", "b"], 1, true),
            " AS `_new` ON DUPLICATE KEY UPDATE `b`=`_new`.`b`"
        );
        assert_eq!(
            on_duplicate(&["id"], 1, false),
            " ON DUPLICATE KEY UPDATE `id`=VALUES(`id`)"
        );
    }

    #[test]
    fn a_table_is_created_with_nullability_defaults_and_key() {
        let fields = [
            ("id", Schema::string()),
            ("n", Schema::int32().default(Value::Int32(7))),
            ("t", Schema::string().optional().default("x".into())),
        ];
        let columns = fields.into_iter().enumerate().map(|(i, (name, schema))| Column {
            name: name.into(),
            field: name.into(),
            schema: schema.build(),
            key: i == 0,
            stand_in: None,
        });
        let table = TableId {
            schema: Some("d".into()),
            name: "t".into(),
        };
        let layout = Layouts::default().intern(&table, columns.collect(), 1);
        assert_eq!(
            create_table(&layout).unwrap(),
            "CREATE TABLE `d`.`t` (`id` varchar(255) NOT NULL, `n` integer DEFAULT 7 NOT NULL, `t` longtext NULL, PRIMARY \
             KEY(`id`))"
        );
        let added: Vec<_> = layout.columns.iter().skip(2).collect();
        assert_eq!(
            add_columns("`t`", &added).unwrap(),
            "ALTER TABLE `t` ADD COLUMN (`t` longtext NULL)"
        );
    }
}
