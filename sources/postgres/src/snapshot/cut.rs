//! Where to cut a table, found without reading it: the key's quantiles in a sample of its blocks.
//!
//! A chunk is a range of the key, which means the same rows' places whenever it is read, so a killed snapshot goes on at a
//! chunk. A table without such a key is cut by blocks, so that several connections can read it; rows move between
//! blocks, so such a table counts only as a whole.

use tapline_api::{Error, Result};
use tapline_cdc::snapshot::{Chunks, Key, KeyOrder};
use tapline_databases::postgres::{identifier, literal, qualified};

use crate::table::Table;
use crate::types::oid;
use crate::wire::{Connection, Row};

/// Bounds are stored with every chunk's end: a huge table has larger chunks, not more.
const MOST_CHUNKS: u64 = 1024;
/// Blocks to look into per chunk.
const SAMPLE: u64 = 16;
/// Above this size a table whose rows don't lie in the key's order is cut by blocks: a range of keys would touch them all.
const SCATTERED: u64 = 4 << 30;

/// How a table is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The columns that chunks are ranges of; none for blocks.
    pub(crate) key: Vec<String>,
    pub(crate) chunks: Chunks,
    /// Bytes of the table.
    pub(crate) bytes: u64,
}

/// What the server says of a table's size and form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    bytes: u64,
    blocks: u64,
    /// One heap: neither partitions nor children.
    single: bool,
    /// Some part of it is elsewhere and can't be sampled.
    foreign: bool,
}

/// Cuts `table` into chunks of about `chunk` bytes.
pub(crate) async fn cut(
    connection: &mut Connection,
    version: u32,
    table: &Table,
    key: &[String],
    chunk: u64,
) -> Result<Cut> {
    let size = size(connection, table).await?;
    let wanted = (size.bytes / chunk.max(1)).min(MOST_CHUNKS);
    let whole = Cut {
        key: Vec::new(),
        chunks: Chunks::default(),
        bytes: size.bytes,
    };
    if wanted < 2 || size.foreign {
        return Ok(whole);
    }
    let scattered = size.bytes > SCATTERED && size.single && is_scattered(connection, table, key).await?;
    if !key.is_empty() && !scattered {
        let bounds = sample(connection, table, key, size, wanted).await?;
        return Ok(Cut {
            key: key.to_vec(),
            chunks: Chunks::new(bounds),
            bytes: size.bytes,
        });
    }
    // Ranges of blocks are a plan of their own since 14; before, each would read all.
    if size.single && version >= 140_000 {
        let bounds = (1..wanted).map(|n| vec![(size.blocks * n / wanted).to_string()]);
        return Ok(Cut {
            chunks: Chunks::new(bounds.collect()),
            ..whole
        });
    }
    Ok(whole)
}

/// The key to cut by: columns that are never null.
pub(crate) fn cutting_key(table: &Table) -> Vec<String> {
    let columns: Vec<_> = table
        .key
        .iter()
        .filter_map(|index| table.columns.get(*index))
        .collect();
    if columns.len() != table.key.len() || columns.iter().any(|column| column.optional) {
        return Vec::new();
    }
    columns.iter().map(|column| column.name.clone()).collect()
}

/// The condition of a chunk, for a WHERE clause; `None` for all rows.
pub(crate) fn condition(key: &[String], chunks: &Chunks, chunk: u32) -> Option<String> {
    let (lower, upper) = chunks.range(chunk);
    let left = if key.is_empty() {
        "ctid".to_owned()
    } else {
        row(key.iter().map(|name| identifier(name)))
    };
    let right = |bound: &Key| {
        if key.is_empty() {
            let block = bound.first().map_or("0", String::as_str);
            literal(&format!("({block},0)"))
        } else {
            row(bound.iter().map(|value| literal(value)))
        }
    };
    let parts: Vec<String> = [(lower, ">="), (upper, "<")]
        .iter()
        .filter_map(|(bound, operator)| bound.map(|bound| format!("{left} {operator} {}", right(bound))))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

fn row(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.len() == 1 {
        parts.concat()
    } else {
        format!("({})", parts.join(", "))
    }
}

/// How the key's values are ordered, where we can order them as the server does.
pub(crate) async fn orders(
    connection: &mut Connection,
    schema: &str,
    table: &str,
    key: &[String],
) -> Result<Option<Vec<KeyOrder>>> {
    let sql = format!(
        "SELECT a.attname, a.atttypid::int8, a.attcollation = 0 OR COALESCE((SELECT c.collname IN ('C', 'POSIX') \
         OR (c.collname = 'default' AND EXISTS (SELECT FROM pg_database d WHERE d.datname = current_database() \
         AND d.datcollate IN ('C', 'POSIX') AND COALESCE(to_jsonb(d)->>'datlocprovider', 'c') = 'c')) \
         FROM pg_collation c WHERE c.oid = a.attcollation), false) \
         FROM pg_attribute a WHERE a.attrelid = {}::regclass AND a.attnum > 0 AND NOT a.attisdropped",
        literal(&qualified(schema, table))
    );
    let rows = connection.query(&sql).await?;
    let order = |name: &String| {
        let found = rows.iter().find(|row| text(row, 0) == Some(name))?;
        let of = text(found, 1)?.parse().ok()?;
        order_of(of, text(found, 2) == Some("t"))
    };
    Ok(key.iter().map(order).collect())
}

fn order_of(of: u32, binary: bool) -> Option<KeyOrder> {
    match of {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => Some(KeyOrder::Integer),
        oid::UUID | oid::BYTEA => Some(KeyOrder::Bytes),
        oid::TEXT | oid::VARCHAR if binary => Some(KeyOrder::Bytes),
        oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ => Some(KeyOrder::Time),
        _ => None,
    }
}

async fn size(connection: &mut Connection, table: &Table) -> Result<Size> {
    let sql = format!(
        "SELECT CASE c.relkind WHEN 'p' THEN (SELECT COALESCE(sum(pg_table_size(p.relid)), 0)::int8 \
         FROM pg_partition_tree(c.oid) p) ELSE pg_table_size(c.oid) END, \
         CASE c.relkind WHEN 'p' THEN 0 ELSE pg_relation_size(c.oid) END / current_setting('block_size')::int8, \
         c.relkind = 'r' AND NOT c.relhassubclass, \
         EXISTS (WITH RECURSIVE parts AS (SELECT c.oid AS id UNION SELECT i.inhrelid FROM pg_inherits i \
         JOIN parts ON i.inhparent = parts.id) SELECT FROM parts JOIN pg_class f ON f.oid = parts.id \
         WHERE f.relkind = 'f') FROM pg_class c WHERE c.oid = {}::regclass",
        literal(&qualified(&table.schema, &table.name))
    );
    let rows = connection.query(&sql).await?;
    let unreadable = || Error::fatal("the server's answer about a table's size is unreadable");
    let row = rows.first().ok_or_else(unreadable)?;
    let number = |index| {
        text(row, index)
            .and_then(|text| text.parse().ok())
            .ok_or_else(unreadable)
    };
    Ok(Size {
        bytes: number(0)?,
        blocks: number(1)?,
        single: text(row, 2) == Some("t"),
        foreign: text(row, 3) == Some("t"),
    })
}

async fn is_scattered(connection: &mut Connection, table: &Table, key: &[String]) -> Result<bool> {
    let Some(first) = key.first() else {
        return Ok(false);
    };
    let sql = format!(
        "SELECT abs(correlation) < 0.5 FROM pg_stats WHERE schemaname = {} AND tablename = {} AND attname = {} \
         AND NOT inherited",
        literal(&table.schema),
        literal(&table.name),
        literal(first)
    );
    let rows = connection.query(&sql).await?;
    Ok(rows.first().and_then(|row| text(row, 0)) == Some("t"))
}

async fn sample(
    connection: &mut Connection,
    table: &Table,
    key: &[String],
    size: Size,
    wanted: u64,
) -> Result<Vec<Key>> {
    let blocks = size.blocks.max(size.bytes / 8192).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a percentage need not be exact")]
    let percent = ((wanted * SAMPLE) as f64 / blocks as f64 * 100.0).clamp(0.000_1, 100.0);
    let names: Vec<String> = key.iter().map(|name| identifier(name)).collect();
    let names = names.join(", ");
    let texts: Vec<String> = key
        .iter()
        .map(|name| format!("{}::text", identifier(name)))
        .collect();
    let sql = format!(
        "SELECT {} FROM (SELECT {names}, row_number() OVER (ORDER BY {names}) AS tapline_n, \
         count(*) OVER () AS tapline_of FROM {} TABLESAMPLE SYSTEM ({percent})) s \
         WHERE tapline_n * {wanted} / tapline_of > (tapline_n - 1) * {wanted} / tapline_of \
         AND tapline_n < tapline_of ORDER BY tapline_n",
        texts.join(", "),
        qualified(&table.schema, &table.name)
    );
    let rows = connection.query(&sql).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().collect())
        .collect())
}

fn text(row: &Row, index: usize) -> Option<&str> {
    row.get(index)?.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(bounds: &[&[&str]]) -> Chunks {
        Chunks::new(
            bounds
                .iter()
                .map(|key| key.iter().map(|&text| text.to_owned()).collect())
                .collect(),
        )
    }

    #[test]
    fn a_chunk_is_a_range_of_the_key_or_of_blocks() {
        let (one, two) = (chunks(&[&["5"], &["it's"]]), chunks(&[&["1", "2"]]));
        let id = ["id".to_owned()];
        let both = ["a".to_owned(), "B".to_owned()];
        assert_eq!(condition(&id, &one, 0).as_deref(), Some("\"id\" < '5'"));
        assert_eq!(
            condition(&id, &one, 1).as_deref(),
            Some("\"id\" >= '5' AND \"id\" < 'it''s'")
        );
        assert_eq!(
            condition(&both, &two, 1).as_deref(),
            Some("(\"a\", \"B\") >= ('1', '2')")
        );
        assert_eq!(
            condition(&[], &chunks(&[&["7"]]), 0).as_deref(),
            Some("ctid < '(7,0)'")
        );
        assert_eq!(condition(&id, &Chunks::default(), 0), None);
    }
}
