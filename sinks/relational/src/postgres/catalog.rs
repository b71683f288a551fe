//! What a target table looks like.

use tapline_databases::postgres::{Error, Session};

use crate::names::TableId;

/// A table of the target.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Its name as SQL, qualified by the schema it was found in.
    pub(super) sql_name: String,
    /// COPY writes it as INSERT does: a table without rules and policies for rows.
    pub(super) takes_copy: bool,
    /// Somebody's triggers, which can tell an upsert from an insert.
    pub(super) has_triggers: bool,
    /// The columns of each of its unique indexes that ON CONFLICT can be about.
    pub(super) uniques: Vec<Vec<String>>,
    pub(super) columns: Vec<Target>,
}

/// A column of the target.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) name: String,
    /// The type's oid; a domain's is that of what it is made of.
    pub(super) oid: u32,
    /// The type's name, without length or precision, as SQL.
    pub(super) type_name: String,
    /// What limits its values (`atttypmod`), or -1.
    pub(super) limit: i32,
    /// It takes no null and has no default.
    pub(super) demanding: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub(super) always_identity: bool,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Target> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether no two rows have the same in these columns, and the server looks at them alone.
    pub(super) fn is_key(&self, columns: &[&str]) -> bool {
        self.uniques.iter().any(|unique| {
            unique.len() == columns.len() && unique.iter().all(|name| columns.contains(&name.as_str()))
        })
    }
}

/// Finds a table of one of these kinds (`pg_class.relkind`) by name, in the search path where the name has no schema.
pub(super) async fn read(session: &Session, id: &TableId, kinds: &str) -> Result<Option<Table>, Error> {
    let found = session
        .query_opt(
            "SELECT c.oid, format('%I.%I', n.nspname, c.relname), \
                    c.relkind IN ('r', 'p') AND NOT c.relhasrules AND NOT c.relrowsecurity, \
                    EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = to_regclass(CASE WHEN $1::text IS NULL THEN format('%I', $2::text) \
                                            ELSE format('%I.%I', $1::text, $2::text) END) \
               AND position(c.relkind::text IN $3) > 0",
            &[&id.schema.as_deref(), &&*id.name, &kinds],
        )
        .await?;
    let Some(found) = found else { return Ok(None) };
    let oid: u32 = found.get(0);
    let columns = session
        .query(
            "SELECT a.attname::text, b.oid, format_type(b.oid, NULL), \
                    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attidentity = 'a', \
                    CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
                  JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END \
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&oid],
        )
        .await?
        .iter()
        .map(|row| Target {
            name: row.get(0),
            oid: row.get(1),
            type_name: row.get(2),
            demanding: row.get(3),
            always_identity: row.get(4),
            limit: row.get(5),
        })
        .collect();
    let uniques = session
        .query(
            "SELECT array_agg(a.attname::text) \
             FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
                  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL \
               AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
             GROUP BY i.indexrelid",
            &[&oid],
        )
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    Ok(Some(Table {
        sql_name: found.get(1),
        takes_copy: found.get(2),
        has_triggers: found.get(3),
        uniques,
        columns,
    }))
}
