//! Many tables in a few queries: thousands of captured tables are not asked for one by one.

use std::collections::HashMap;

use tapline_api::Result;

use super::{Catalog, cell};
use crate::table::{Column, Table};

/// Tables by schema and name.
pub(super) struct Definitions {
    pub(super) tables: HashMap<(String, String), Table>,
    /// Bytes of those that have neither partitions nor children.
    sizes: HashMap<(String, String), u64>,
}

impl Catalog {
    /// Reads the definitions of these tables, which the next [`Catalog::table`] calls give. Whoever calls has locked them:
    /// what is read ahead must still be so then.
    pub(crate) async fn read_ahead(&mut self, tables: &[(String, String)]) -> Result<()> {
        let Definitions { tables, sizes } = self.definitions(tables).await?;
        self.ahead = tables;
        self.sizes = sizes;
        Ok(())
    }

    /// The definitions of these tables, as far as there are any.
    pub(super) async fn definitions(&mut self, tables: &[(String, String)]) -> Result<Definitions> {
        let (schemas, names): (Vec<&str>, Vec<&str>) =
            tables.iter().map(|(s, t)| (s.as_str(), t.as_str())).unzip();
        let sql = "SELECT n.nspname::text, c.relname::text, a.attname::text, a.atttypid, a.atttypmod, \
                   a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), \
                   pg_get_expr(d.adbin, d.adrelid), a.attgenerated <> '', \
                   c.relkind = 'r' AND NOT c.relhassubclass, \
                   CASE WHEN a.attnum = 1 AND c.relkind = 'r' AND NOT c.relhassubclass THEN pg_table_size(c.oid) END \
                   FROM unnest($1::text[], $2::text[]) AS w(s, t) JOIN pg_namespace n ON n.nspname = w.s \
                   JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t AND c.relkind IN ('r', 'p') \
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                   JOIN pg_type t ON a.atttypid = t.oid \
                   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
                   ORDER BY 1, 2, a.attnum";
        let rows = self.rows_of(sql, &[&schemas, &names]).await?;
        let oids: Vec<u32> = rows.iter().map(|row| cell(row, 3)).collect::<Result<_>>()?;
        self.learn_types(oids).await?;
        let mut found: HashMap<(String, String), Table> = HashMap::new();
        let mut sizes = HashMap::new();
        for row in &rows {
            let name: (String, String) = (cell(row, 0)?, cell(row, 1)?);
            let generated: bool = cell(row, 7)?;
            let column = Column {
                name: cell(row, 2)?,
                of: self.type_of(cell(row, 3)?, 0),
                modifier: cell(row, 4)?,
                optional: !cell::<bool>(row, 5)?,
                default: cell(row, 6)?,
                generated,
                identity: false,
            };
            let table = found.entry(name.clone()).or_insert_with(|| Table {
                schema: name.0,
                name: name.1,
                columns: Vec::new(),
                key: Vec::new(),
                plain: true,
            });
            table.plain &= cell::<bool>(row, 8)? && !generated;
            table.columns.push(column);
            if let Some(bytes) = cell::<Option<i64>>(row, 9)?.and_then(|bytes| u64::try_from(bytes).ok()) {
                sizes.insert((table.schema.clone(), table.name.clone()), bytes);
            }
        }
        self.read_keys(&schemas, &names, &mut found).await?;
        Ok(Definitions { tables: found, sizes })
    }

    /// Bytes of a table that was read ahead, when it has neither partitions nor children.
    pub(crate) fn size_ahead(&self, schema: &str, table: &str) -> Option<u64> {
        let name = (schema.to_owned(), table.to_owned());
        self.sizes.get(&name).copied()
    }

    /// As for one table: the primary key, or else the first unique index on plain columns.
    async fn read_keys(
        &mut self,
        schemas: &[&str],
        names: &[&str],
        found: &mut HashMap<(String, String), Table>,
    ) -> Result<()> {
        let sql = "SELECT n.nspname::text, c.relname::text, i.indexrelid, a.attname::text \
                   FROM unnest($1::text[], $2::text[]) AS w(s, t) JOIN pg_namespace n ON n.nspname = w.s \
                   JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t AND c.relkind IN ('r', 'p') \
                   JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class ic ON i.indexrelid = ic.oid \
                   CROSS JOIN LATERAL unnest(CASE WHEN i.indisprimary THEN i.indkey[0:i.indnkeyatts - 1] ELSE i.indkey END) \
                   WITH ORDINALITY AS k(attnum, place) \
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                   WHERE i.indisunique AND i.indisvalid AND 0 <> ALL (i.indkey[0:i.indnkeyatts - 1]) \
                   ORDER BY 1, 2, i.indisprimary DESC, i.indisclustered DESC, ic.relname, k.place";
        let rows = self.rows_of(sql, &[&schemas, &names]).await?;
        let mut first: Option<((String, String), u32)> = None;
        for row in &rows {
            let name: (String, String) = (cell(row, 0)?, cell(row, 1)?);
            let index: u32 = cell(row, 2)?;
            let current = match &first {
                Some((table, current)) if *table == name => *current,
                _ => {
                    first = Some((name.clone(), index));
                    index
                }
            };
            if current != index {
                continue;
            }
            let column: String = cell(row, 3)?;
            if let Some(table) = found.get_mut(&name)
                && let Some(position) = table.columns.iter().position(|known| known.name == column)
            {
                table.key.push(position);
            }
        }
        Ok(())
    }

    /// How many rows these tables have, as the server's statistics say; counted where it has none and the table is small.
    pub(crate) async fn row_counts(&self, tables: &[(String, String)]) -> Result<Vec<i64>> {
        /// Tables without statistics are counted up to this size.
        const SMALL: i64 = 16 << 20;
        let (schemas, names): (Vec<&str>, Vec<&str>) =
            tables.iter().map(|(s, t)| (s.as_str(), t.as_str())).unzip();
        let sql = "SELECT COALESCE(c.reltuples, 0)::int8, COALESCE(pg_table_size(c.oid), 0)::int8 \
                   FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(s, t, place) \
                   LEFT JOIN pg_namespace n ON n.nspname = w.s \
                   LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t ORDER BY w.place";
        let rows = self.rows(sql, &[&schemas, &names]).await?;
        let mut counts = Vec::with_capacity(rows.len());
        for ((schema, table), row) in tables.iter().zip(&rows) {
            let (estimate, size): (i64, i64) = (cell(row, 0)?, cell(row, 1)?);
            counts.push(if estimate >= 0 && (estimate > 0 || size > SMALL) {
                estimate
            } else if size > SMALL {
                size / 100
            } else {
                let name = tapline_databases::postgres::qualified(schema, table);
                let rows = self.rows(&format!("SELECT count(*) FROM {name}"), &[]).await?;
                rows.first().map(|row| cell(row, 0)).transpose()?.unwrap_or(0)
            });
        }
        Ok(counts)
    }
}
