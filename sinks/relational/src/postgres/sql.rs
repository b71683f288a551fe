//! The statements, as text.
//!
//! A batch of any size is one statement with one plan: each column is one array.

use tapline_api::{Error, Result, Value};
use tapline_databases::postgres::{identifier, literal, qualified};

use super::bind::Bind;
use super::kind::Kind;
use super::text;
use crate::layout::{Column, Layout};
use crate::names::TableId;

/// A column of a statement: its name in the catalog and how its values come.
pub(super) struct Bound<'a> {
    pub(super) name: &'a str,
    pub(super) bind: &'a Bind,
}

impl Bound<'_> {
    /// The value in the `i`-th column of `u`.
    fn value(&self, i: usize) -> String {
        self.converted(format!("u.c{i}"))
    }

    /// The values of the `i`-th parameter, one a row.
    fn values(&self, i: usize) -> String {
        self.converted(format!("UNNEST(${})", i + 1))
    }

    fn converted(&self, value: String) -> String {
        match &self.bind.cast {
            Some(cast) => format!("CAST({value} AS {cast})"),
            None => value,
        }
    }
}

/// `UNNEST($1,$2) AS u(c0,c1)`
fn unnest(count: usize) -> String {
    let list = |item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let (parameters, columns) = (list(&|i| format!("${}", i + 1)), list(&|i| format!("c{i}")));
    format!("UNNEST({parameters}) AS u({columns})")
}

fn join<'a>(columns: &[Bound<'a>], separator: &str, each: impl Fn(usize, &Bound<'a>) -> String) -> String {
    columns
        .iter()
        .enumerate()
        .map(|(i, column)| each(i, column))
        .collect::<Vec<_>>()
        .join(separator)
}

/// `INSERT INTO t (a,b) SELECT UNNEST($1),UNNEST($2)`
///
/// In the list of a SELECT arrays of one length go in step, row by row; in FROM the server would store all rows first,
/// which costs a third more.
pub(super) fn insert(table: &str, columns: &[Bound<'_>], overriding: bool) -> String {
    format!(
        "INSERT INTO {table} ({}){} SELECT {}",
        join(columns, ",", |_, column| identifier(column.name)),
        if overriding {
            " OVERRIDING SYSTEM VALUE"
        } else {
            ""
        },
        join(columns, ",", |i, column| column.values(i)),
    )
}

/// `COPY t (a,b) FROM STDIN (FORMAT binary)`
pub(super) fn copy(table: &str, columns: &[Bound<'_>]) -> String {
    let names = join(columns, ",", |_, column| identifier(column.name));
    format!("COPY {table} ({names}) FROM STDIN (FORMAT binary)")
}

/// The insert, and what it does where a row has the same first `keys` columns.
pub(super) fn upsert(table: &str, columns: &[Bound<'_>], keys: usize, overriding: bool) -> String {
    let (key, rest) = columns.split_at_checked(keys).unwrap_or((columns, &[]));
    let action = if rest.is_empty() {
        "NOTHING".to_owned()
    } else {
        let set = join(rest, ",", |_, column| {
            let name = identifier(column.name);
            format!("{name}=EXCLUDED.{name}")
        });
        format!("UPDATE SET {set}")
    };
    format!(
        "{} ON CONFLICT ({}) DO {action}",
        insert(table, columns, overriding),
        join(key, ",", |_, column| identifier(column.name))
    )
}

/// `UPDATE t SET b=u.c1 FROM UNNEST($1,$2) AS u(c0,c1) WHERE t.a=u.c0`; `None` if only the key is given.
pub(super) fn update(table: &str, columns: &[Bound<'_>], keys: usize) -> Option<String> {
    let (key, rest) = columns.split_at_checked(keys)?;
    if rest.is_empty() {
        return None;
    }
    let set = join(rest, ",", |i, column| {
        format!("{}={}", identifier(column.name), column.value(keys + i))
    });
    Some(format!(
        "UPDATE {table} AS t SET {set} FROM {} WHERE {}",
        unnest(columns.len()),
        matching(key)
    ))
}

/// `DELETE FROM t AS t WHERE t.a = ANY($1)`, or by UNNEST where the key has several columns.
pub(super) fn delete(table: &str, key: &[Bound<'_>]) -> String {
    match key {
        [
            Bound {
                name,
                bind: Bind { cast: None, .. },
            },
        ] => format!("DELETE FROM {table} AS t WHERE t.{} = ANY($1)", identifier(name)),
        key => format!(
            "DELETE FROM {table} AS t USING {} WHERE {}",
            unnest(key.len()),
            matching(key)
        ),
    }
}

fn matching(key: &[Bound<'_>]) -> String {
    join(key, " AND ", |i, column| {
        format!("t.{}={}", identifier(column.name), column.value(i))
    })
}

/// The updates, each of which must change one row: in a pipeline there is nobody to look at a count before the COMMIT, so
/// the server divides by it.
pub(super) fn each_changes_one(updates: &[String]) -> String {
    let one = |update: &String| format!("WITH u AS ({update} RETURNING 1) SELECT 1/count(*) FROM u");
    updates.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A table's name where the table is not there yet.
pub(super) fn table_name(table: &TableId) -> String {
    match &table.schema {
        Some(schema) => qualified(schema, &table.name),
        None => identifier(&table.name),
    }
}

/// `CREATE TABLE "t" ("a" integer NOT NULL, "b" text NULL, PRIMARY KEY("a"))`
pub(super) fn create_table(layout: &Layout, postgis: &str) -> Result<String> {
    let mut parts = Vec::with_capacity(layout.columns.len() + 1);
    for column in &layout.columns {
        parts.push(column_definition(column, postgis, column.key)?);
    }
    let key: Vec<_> = layout
        .columns
        .iter()
        .take(layout.keys)
        .map(|column| identifier(&column.name))
        .collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY({})", key.join(", ")));
    }
    Ok(format!(
        "CREATE TABLE {} ({})",
        table_name(&layout.table),
        parts.join(", ")
    ))
}

/// `ALTER TABLE "t" ADD COLUMN "c" text NULL, ADD COLUMN …`
pub(super) fn add_columns(table: &str, columns: &[&Column], postgis: &str) -> Result<String> {
    let mut parts = Vec::with_capacity(columns.len());
    for column in columns {
        parts.push(format!(
            "ADD COLUMN {}",
            column_definition(column, postgis, false)?
        ));
    }
    Ok(format!("ALTER TABLE {table} {}", parts.join(", ")))
}

fn column_definition(column: &Column, postgis: &str, key: bool) -> Result<String> {
    let kind = Kind::of(&column.schema, postgis)?;
    let default = match column.schema.default() {
        Some(value) if !value.is_null() => default(&kind, value, column)?,
        _ => String::new(),
    };
    let null = if key || !column.schema.is_optional() {
        "NOT NULL"
    } else {
        "NULL"
    };
    Ok(format!(
        "{} {}{default} {null}",
        identifier(&column.name),
        kind.column_type()
    ))
}

fn default(kind: &Kind, value: &Value, column: &Column) -> Result<String> {
    // As in Debezium, a sequence makes its own; bits and maps have none.
    if matches!(
        kind,
        Kind::Serial(_) | Kind::Bits { .. } | Kind::Hstore | Kind::HstoreJson
    ) {
        return Ok(String::new());
    }
    let mut out = String::new();
    text::push(kind, value, &mut out).map_err(|_| {
        Error::data(format!(
            "the default of field '{}' does not fit its schema",
            column.field
        ))
    })?;
    let out = match kind {
        Kind::Boolean | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Decimal { .. } => out,
        _ => literal(&out).trim_start().to_owned(),
    };
    Ok(format!(" DEFAULT {out}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layouts;
    use crate::postgres::wire::Wire;
    use tapline_api::schema::SchemaBuilder;
    use tapline_api::{Schema, Value};
    use tokio_postgres::types::Type;

    fn binds(casts: &[Option<&str>]) -> Vec<Bind> {
        casts
            .iter()
            .map(|cast| Bind {
                wire: Wire::Text,
                element: Type::TEXT,
                cast: cast.map(str::to_owned),
            })
            .collect()
    }

    fn bound<'a>(names: &[&'a str], binds: &'a [Bind]) -> Vec<Bound<'a>> {
        let pairs = names.iter().zip(binds);
        pairs.map(|(name, bind)| Bound { name, bind }).collect()
    }

    #[test]
    fn one_statement_writes_any_number_of_rows() {
        let binds = binds(&[None, Some("inet"), None]);
        let columns = bound(&["id", "ip", "a\"b"], &binds);
        assert_eq!(
            upsert("\"t\"", &columns, 1, false),
            "INSERT INTO \"t\" (\"id\",\"ip\",\"a\"\"b\") SELECT UNNEST($1),CAST(UNNEST($2) AS inet),\
             UNNEST($3) ON CONFLICT (\"id\") DO UPDATE SET \"ip\"=EXCLUDED.\"ip\",\"a\"\"b\"=EXCLUDED.\"a\"\"b\""
        );
        assert!(upsert("t", &columns[..1], 1, true).ends_with("ON CONFLICT (\"id\") DO NOTHING"));
        assert!(upsert("t", &columns[..1], 1, true).contains("(\"id\") OVERRIDING SYSTEM VALUE SELECT"));
        assert_eq!(
            update("t", &columns, 2).unwrap(),
            "UPDATE t AS t SET \"a\"\"b\"=u.c2 FROM UNNEST($1,$2,$3) AS u(c0,c1,c2) WHERE t.\"id\"=u.c0 AND \
             t.\"ip\"=CAST(u.c1 AS inet)"
        );
        assert_eq!(update("t", &columns[..1], 1), None);
        assert_eq!(
            delete("t", &columns[..1]),
            "DELETE FROM t AS t WHERE t.\"id\" = ANY($1)"
        );
        assert_eq!(
            delete("t", &columns[..2]),
            "DELETE FROM t AS t USING UNNEST($1,$2) AS u(c0,c1) WHERE t.\"id\"=u.c0 AND t.\"ip\"=CAST(u.c1 AS inet)"
        );
    }

    fn layout(fields: Vec<(&str, SchemaBuilder)>, keys: usize) -> std::sync::Arc<Layout> {
        let columns = fields.into_iter().enumerate().map(|(i, (name, schema))| Column {
            name: name.into(),
            field: name.into(),
            schema: schema.build(),
            key: i < keys,
            stand_in: None,
        });
        let table = TableId {
            schema: None,
            name: "t".into(),
        };
        Layouts::default().intern(&table, columns.collect(), keys)
    }

    #[test]
    fn a_table_is_created_with_nullability_defaults_and_key() {
        let layout = layout(
            vec![
                ("id", Schema::int32()),
                ("name", Schema::string().default("it's".into())),
                ("on", Schema::boolean().optional().default(Value::Boolean(true))),
                (
                    "day",
                    Schema::int32()
                        .name("io.debezium.time.Date")
                        .default(Value::Int32(0)),
                ),
                ("raw", Schema::bytes().optional()),
            ],
            1,
        );
        assert_eq!(
            create_table(&layout, "public").unwrap(),
            "CREATE TABLE \"t\" (\"id\" integer NOT NULL, \"name\" text DEFAULT 'it''s' NOT NULL, \"on\" boolean DEFAULT \
             true NULL, \"day\" date DEFAULT '1970-01-01' NOT NULL, \"raw\" bytea NULL, PRIMARY KEY(\"id\"))"
        );
        let added: Vec<_> = layout.columns.iter().skip(4).collect();
        assert_eq!(
            add_columns("\"t\"", &added, "public").unwrap(),
            "ALTER TABLE \"t\" ADD COLUMN \"raw\" bytea NULL"
        );
    }
}
