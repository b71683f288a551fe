//! Where to cut a table: by the index that its rows lie in, while it is read.
//!
//! A chunk is a range of the clustered key, which means the same rows' places whenever it is read, so a killed snapshot
//! goes on at a chunk. Bounds are found one by one, as readers come to them. Of a single integer the server reckons how
//! many rows lie between two numbers, which costs it two looks into the index; other keys it steps along, which costs it
//! the chunk's rows once more.

use tapline_api::Result;
use tapline_cdc::snapshot::{Chunks, Key, KeyOrder};
use tapline_databases::mysql::{identifier, literal, qualified};

use crate::schema::{Column, Kind, Table};
use crate::wire::Connection;

/// A row of an answer.
type Row = Vec<Option<String>>;

/// Bounds are stored with every chunk's end: a huge table has larger chunks, not more.
const MOST_CHUNKS: u64 = 1024;

/// Bytes of a row, where nothing is known of them.
const SMALL_ROW: u64 = 128;

/// The index that a table is cut by: the one that its rows lie in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    name: String,
    pub(crate) columns: Vec<Column>,
}

/// How a table is cut.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut {
    /// Rows of a chunk, roughly.
    pub(crate) rows: u64,
    /// The width of the last chunk, where the key is one integer.
    pub(crate) step: i128,
    /// The greatest number then.
    pub(crate) maximum: i128,
    /// Whether the server can't reckon: it does not know yet how large the table is.
    pub(crate) steps: bool,
}

impl Index {
    /// Finds it. `None` where ranges of the key are not ranges of the rows, or the server sorts values in one way and
    /// compares them in another (ENUM, SET).
    pub(crate) async fn find(connection: &mut Connection, table: &Table) -> Result<Option<Self>> {
        let name = qualified(&table.id.database, &table.id.table);
        let rows = connection.query(&format!("SHOW INDEX FROM {name}")).await?;
        Ok(Self::of(&rows, table))
    }

    fn of(rows: &[Row], table: &Table) -> Option<Self> {
        let field = |row: &Row, index: usize| row.get(index).cloned().flatten();
        let fits = |wanted: &str| -> Option<Self> {
            let parts: Vec<&Row> = rows
                .iter()
                .filter(|row| field(row, 2).as_deref() == Some(wanted))
                .collect();
            // Ascending, and whole values.
            let plain = |row: &&Row| {
                field(row, 1).as_deref() == Some("0")
                    && field(row, 5).as_deref() == Some("A")
                    && field(row, 7).is_none()
            };
            if parts.len() != table.key.len() || !parts.iter().all(plain) {
                return None;
            }
            let columns: Option<Vec<Column>> = parts
                .iter()
                .zip(&table.key)
                .map(|(row, key)| {
                    let column = table.column(key).filter(|column| is_ordered(column.kind))?;
                    let same = field(row, 4)?.eq_ignore_ascii_case(key);
                    (same && !column.optional).then(|| column.clone())
                })
                .collect();
            Some(Self {
                name: wanted.to_owned(),
                columns: columns.filter(|columns| !columns.is_empty())?,
            })
        };
        let names: Vec<String> = rows.iter().filter_map(|row| field(row, 2)).collect();
        match names.iter().any(|name| name == "PRIMARY") {
            true => fits("PRIMARY"),
            // Rows lie in the first unique index of columns that allow no null.
            false => names.iter().find_map(|name| fits(name)),
        }
    }

    /// What chunks mean something for: the same columns, sorted in the same way.
    pub(crate) fn signature(&self) -> Vec<String> {
        signature(self.columns.iter())
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|c| identifier(&c.name)).collect();
        names.join(", ")
    }

    fn texts(&self) -> String {
        let texts: Vec<String> = self.columns.iter().map(text_of).collect();
        texts.join(", ")
    }

    /// `table FORCE INDEX (…)`.
    pub(crate) fn table(&self, table: &Table) -> String {
        format!(
            "{} FORCE INDEX ({})",
            qualified(&table.id.database, &table.id.table),
            identifier(&self.name)
        )
    }

    /// The condition of a chunk, for a WHERE clause; `None` for all rows.
    pub(crate) fn condition(&self, chunks: &Chunks, chunk: u32) -> Option<String> {
        let (lower, upper) = chunks.range(chunk);
        let parts: Vec<String> = [
            lower.map(|key| self.compared('>', key, true)),
            upper.map(|key| self.compared('<', key, false)),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// `(a > 1 OR (a = 1 AND b >= 2))`, which the index serves, where a comparison of tuples reads all rows.
    fn compared(&self, operator: char, key: &Key, or_equal: bool) -> String {
        let mut text = String::new();
        for (column, value) in self.columns.iter().zip(key).rev() {
            let (name, value) = (identifier(&column.name), literal_of(column, value));
            text = match text.is_empty() {
                true if or_equal => format!("{name} {operator}= {value}"),
                true => format!("{name} {operator} {value}"),
                false => format!("({name} {operator} {value} OR ({name} = {value} AND {text}))"),
            };
        }
        text
    }

    /// Whether the key is one integer.
    fn is_number(&self) -> bool {
        matches!(self.columns.as_slice(), [column] if is_integer(column.kind))
    }

    /// How to begin cutting a table of so many rows and bytes into chunks of about `chunk` bytes; `None` if it is too small.
    pub(crate) async fn begin(
        &self,
        connection: &mut Connection,
        table: &Table,
        rows: u64,
        bytes: u64,
        chunk: u64,
    ) -> Result<Option<Cut>> {
        let wanted = (bytes / chunk.max(1)).min(MOST_CHUNKS);
        if wanted < 2 {
            return Ok(None);
        }
        let mut cut = Cut {
            rows: (rows / wanted).max(1),
            ..Cut::default()
        };
        if self.is_number() {
            let sql = format!(
                "SELECT MIN({0}), MAX({0}) FROM {1}",
                self.names(),
                self.table(table)
            );
            let found = connection.query(&sql).await?;
            let number = |index| number(found.first()?, index);
            let (Some(minimum), Some(maximum)) = (number(0), number(1)) else {
                return Ok(None);
            };
            cut.maximum = maximum;
            cut.step = ((maximum - minimum) / i128::from(wanted)).max(1);
        }
        Ok(Some(cut))
    }

    /// Where a chunk ends that begins at the last bound of `chunks`; `None` when it is the last one.
    pub(crate) async fn bound(
        &self,
        connection: &mut Connection,
        table: &Table,
        cut: &mut Cut,
        chunks: &Chunks,
    ) -> Result<Option<Key>> {
        match self.is_number() && !cut.steps {
            true => self.number_bound(connection, table, cut, chunks).await,
            false => self.step_along(connection, table, cut, chunks).await,
        }
    }

    async fn number_bound(
        &self,
        connection: &mut Connection,
        table: &Table,
        cut: &mut Cut,
        chunks: &Chunks,
    ) -> Result<Option<Key>> {
        let behind = chunks.bounds().last().map(|key| self.compared('>', key, true));
        let condition = behind.map_or_else(String::new, |behind| format!(" WHERE {behind}"));
        // A gap is stepped over.
        let sql = format!(
            "SELECT MIN({}) FROM {}{condition}",
            self.names(),
            self.table(table)
        );
        let found = connection.query(&sql).await?;
        let Some(first) = found.first().and_then(|row| number(row, 0)) else {
            return Ok(None);
        };
        let (most, mut halved) = (cut.rows.saturating_mul(2), false);
        loop {
            let bound = first.saturating_add(cut.step).min(cut.maximum + 1);
            let rows = self.reckon(connection, table, first, bound).await?;
            if rows > most && bound - first > 1 {
                cut.step = (bound - first) / 2;
                halved = true;
            } else if bound > cut.maximum {
                return Ok(None);
            } else if rows.saturating_mul(2) < cut.rows && !halved {
                cut.step = cut.step.saturating_mul(2);
            } else {
                return Ok(Some(vec![bound.to_string()]));
            }
        }
    }

    /// How many rows lie between two numbers, as the server reckons without reading them.
    async fn reckon(&self, connection: &mut Connection, table: &Table, from: i128, to: i128) -> Result<u64> {
        let name = self.names();
        let sql = format!(
            "EXPLAIN FORMAT=TRADITIONAL SELECT {name} FROM {} WHERE {name} >= {from} AND {name} < {to}",
            self.table(table)
        );
        let found = connection.query(&sql).await?;
        // MySQL has a column `filtered` behind `rows`.
        let rows = found.first().and_then(|row| match row.len() {
            12 => row.get(9)?.as_deref(),
            length => row.get(length.checked_sub(2)?)?.as_deref(),
        });
        Ok(rows.and_then(|rows| rows.parse().ok()).unwrap_or(0))
    }

    async fn step_along(
        &self,
        connection: &mut Connection,
        table: &Table,
        cut: &Cut,
        chunks: &Chunks,
    ) -> Result<Option<Key>> {
        let behind = chunks.bounds().last().map(|key| self.compared('>', key, true));
        let condition = behind.map_or_else(String::new, |behind| format!(" WHERE {behind}"));
        let sql = format!(
            "SELECT {} FROM {}{condition} ORDER BY {} LIMIT 1 OFFSET {}",
            self.texts(),
            self.table(table),
            self.names(),
            cut.rows
        );
        let found = connection.query(&sql).await?;
        Ok(found.into_iter().next().and_then(|row| row.into_iter().collect()))
    }
}

/// Whether a table that is said to be small has more rows than a chunk of so many bytes, as far as can be told without
/// its rows: what the server knows of sizes may be old, after a load or a change of structure. Gives the chunk's rows.
pub(crate) async fn is_larger(connection: &mut Connection, table: &Table, chunk: u64) -> Result<Option<u64>> {
    let rows = (chunk / SMALL_ROW).max(1);
    let name = qualified(&table.id.database, &table.id.table);
    let sql = format!("SELECT 1 FROM {name} LIMIT 1 OFFSET {rows}");
    let found = connection.query(&sql).await?;
    Ok((!found.is_empty()).then_some(rows))
}

/// What makes two keys the same to chunks: names, types and character sets.
pub(crate) fn signature<'a>(columns: impl Iterator<Item = &'a Column>) -> Vec<String> {
    columns
        .map(|column| match &column.charset {
            Some(charset) => format!("{} {} {charset}", column.name, column.type_name),
            None => format!("{} {}", column.name, column.type_name),
        })
        .collect()
}

/// How a column's values are ordered, where we can order them as the server does.
pub(crate) fn order(column: &Column) -> Option<KeyOrder> {
    match column.kind {
        kind if is_integer(kind) => Some(KeyOrder::Integer),
        // In hexadecimal.
        Kind::Binary | Kind::VarBinary => Some(KeyOrder::Bytes),
        _ => None,
    }
}

fn is_integer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::TinyInt | Kind::SmallInt | Kind::MediumInt | Kind::Int | Kind::BigInt
    )
}

/// Whether values are sorted as they are compared with a literal.
fn is_ordered(kind: Kind) -> bool {
    is_integer(kind)
        || matches!(
            kind,
            Kind::Decimal
                | Kind::Char
                | Kind::VarChar
                | Kind::Binary
                | Kind::VarBinary
                | Kind::Date
                | Kind::DateTime
                | Kind::Timestamp
                | Kind::Uuid
        )
}

fn text_of(column: &Column) -> String {
    let name = identifier(&column.name);
    match column.kind {
        Kind::Binary | Kind::VarBinary => format!("HEX({name})"),
        _ => name,
    }
}

fn literal_of(column: &Column, value: &str) -> String {
    match column.kind {
        kind if is_integer(kind) => value.to_owned(),
        Kind::Binary | Kind::VarBinary => format!("UNHEX({})", literal(value)),
        _ => literal(value),
    }
}

fn number(row: &Row, index: usize) -> Option<i128> {
    row.get(index)?.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ddl::{self, Dialect};
    use crate::schema::Tables;

    fn table(sql: &str) -> Arc<Table> {
        let mut tables = Tables::new(false);
        ddl::apply(&mut tables, &Dialect::mysql(), "fx", sql).unwrap();
        tables.iter().next().unwrap().clone()
    }

    /// As `SHOW INDEX` has it: name, column, direction, length of a prefix.
    fn shown(parts: &[(&str, &str, &str, Option<&str>)]) -> Vec<Row> {
        parts
            .iter()
            .map(|(name, column, direction, prefix)| {
                let mut row = vec![None; 15];
                row[1] = Some("0".to_owned());
                row[2] = Some((*name).to_owned());
                row[4] = Some((*column).to_owned());
                row[5] = Some((*direction).to_owned());
                row[7] = prefix.map(str::to_owned);
                row
            })
            .collect()
    }

    fn chunks(bounds: &[&[&str]]) -> Chunks {
        let key = |key: &&[&str]| key.iter().map(|&text| text.to_owned()).collect();
        Chunks::new(bounds.iter().map(key).collect())
    }

    #[test]
    fn a_chunk_is_a_range_that_the_index_serves() {
        let table =
            table("create table t (a int unsigned, b varbinary(4), c varchar(9), primary key (a, b, c))");
        let rows = shown(&[
            ("PRIMARY", "a", "A", None),
            ("PRIMARY", "b", "A", None),
            ("PRIMARY", "c", "A", None),
        ]);
        let index = Index::of(&rows, &table).unwrap();
        let two = chunks(&[&["5", "FF00", "it's"], &["7", "00", ""]]);
        assert_eq!(
            index.condition(&two, 1).as_deref(),
            Some(
                "(`a` > 5 OR (`a` = 5 AND (`b` > UNHEX('FF00') OR (`b` = UNHEX('FF00') AND `c` >= 'it\\'s')))) AND \
                 (`a` < 7 OR (`a` = 7 AND (`b` < UNHEX('00') OR (`b` = UNHEX('00') AND `c` < ''))))"
            )
        );
        assert_eq!(index.condition(&Chunks::default(), 0), None);
        assert_eq!(index.texts(), "`a`, HEX(`b`), `c`");
        assert_eq!(index.table(&table), "`fx`.`t` FORCE INDEX (`PRIMARY`)");
        assert_eq!(index.signature(), ["a INT UNSIGNED", "b VARBINARY", "c VARCHAR"]);
    }

    #[test]
    fn a_key_that_is_not_sorted_as_it_is_compared_cuts_nothing() {
        let number = table("create table t (a int primary key)");
        let listed = table("create table t (a enum('z','b') primary key)");
        let text = table("create table t (a varchar(9) primary key)");
        let unique = table("create table t (a int not null, b int, unique key u (a))");
        let found = |table: &Table, name, direction, prefix| {
            Index::of(&shown(&[(name, "a", direction, prefix)]), table).is_some()
        };
        assert!(found(&number, "PRIMARY", "A", None) && found(&text, "PRIMARY", "A", None));
        assert!(found(&unique, "u", "A", None));
        assert!(!found(&listed, "PRIMARY", "A", None));
        assert!(!found(&number, "PRIMARY", "D", None));
        assert!(!found(&text, "PRIMARY", "A", Some("3")));
        assert_eq!(Index::of(&[], &number), None);
    }
}
