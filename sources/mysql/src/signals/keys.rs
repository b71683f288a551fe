//! The columns that order a table, in SQL and as Debezium keeps them in offsets.

use tapline_cdc::incremental::KeyPart;
use tapline_databases::mysql::{identifier, literal};

use crate::schema::{Column, Kind, Table};

/// The columns that order a table's rows: its key, or one of the user's own.
pub(super) fn order(table: &Table, surrogate: &str) -> Option<Vec<Column>> {
    let key: Vec<&str> = match surrogate.is_empty() {
        true => table.key.iter().map(|name| &**name).collect(),
        false => vec![surrogate],
    };
    let columns: Option<Vec<Column>> = key.iter().map(|name| table.column(name).cloned()).collect();
    columns.filter(|columns| !columns.is_empty())
}

fn is_binary(column: &Column) -> bool {
    matches!(
        column.kind,
        Kind::Binary
            | Kind::VarBinary
            | Kind::TinyBlob
            | Kind::Blob
            | Kind::MediumBlob
            | Kind::LongBlob
            | Kind::Bit
    )
}

/// A key's column as text: what may be no text goes in hexadecimal.
pub(super) fn text_of(column: &Column) -> String {
    let name = identifier(&column.name);
    match is_binary(column) {
        true => format!("HEX({name})"),
        false => name,
    }
}

fn literal_of(column: &Column, part: &KeyPart) -> String {
    match (part, column.kind) {
        (KeyPart::Null, _) => "NULL".to_owned(),
        (KeyPart::Text(hex), Kind::Bit) => format!("CONV({}, 16, 10)+0", literal(hex)),
        (KeyPart::Text(hex), _) if is_binary(column) => format!("UNHEX({})", literal(hex)),
        (KeyPart::Text(text), _) => literal(text),
        (number, _) => number.to_string(),
    }
}

/// Rows behind a key: `(a > 1 OR (a = 1 AND (b > 2)))`, which an index serves, where a comparison of tuples is slow.
pub(super) fn behind(order: &[Column], key: &[KeyPart]) -> String {
    let mut text = String::new();
    for (column, part) in order.iter().zip(key).rev() {
        let (name, value) = (identifier(&column.name), literal_of(column, part));
        text = match text.is_empty() {
            true => format!("({name} > {value})"),
            false => format!("({name} > {value} OR ({name} = {value} AND {text}))"),
        };
    }
    text
}

/// A key's value with the type that Java would give it.
pub(super) fn part(text: Option<&str>, column: &Column) -> KeyPart {
    let Some(text) = text else { return KeyPart::Null };
    let unsigned = column.unsigned();
    let known = match column.kind {
        Kind::TinyInt | Kind::Boolean => text.parse().ok().map(KeyPart::Short),
        Kind::SmallInt if !unsigned => text.parse().ok().map(KeyPart::Short),
        Kind::SmallInt | Kind::MediumInt => text.parse().ok().map(KeyPart::Int),
        Kind::Int if !unsigned => text.parse().ok().map(KeyPart::Int),
        Kind::Int | Kind::BigInt => text.parse().ok().map(KeyPart::Long),
        _ => None,
    };
    known.unwrap_or_else(|| KeyPart::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::ddl::{self, Dialect};
    use crate::schema::Tables;

    fn table(sql: &str) -> Arc<Table> {
        let mut tables = Tables::new(false);
        ddl::apply(&mut tables, &Dialect::mysql(), "fx", sql).unwrap();
        tables.iter().next().unwrap().clone()
    }

    #[test]
    fn a_chunk_begins_behind_the_key_of_the_last_one() {
        let table =
            table("create table t (a int unsigned, b varbinary(4), c varchar(9), primary key (a, b, c))");
        let order = order(&table, "").unwrap();
        let key: Vec<KeyPart> = ["5", "FF00", "it's"]
            .iter()
            .zip(&order)
            .map(|(text, column)| part(Some(text), column))
            .collect();
        assert_eq!(key[0], KeyPart::Long(5));
        assert_eq!(
            behind(&order, &key),
            "(`a` > 5 OR (`a` = 5 AND (`b` > UNHEX('FF00') OR (`b` = UNHEX('FF00') AND (`c` > 'it\\'s')))))"
        );
        assert_eq!(text_of(&order[1]), "HEX(`b`)");
    }
}
