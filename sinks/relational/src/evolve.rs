//! `schema.evolution`: what is missing in the target is created before the batch's transaction, or is an error.
//!
//! Nothing is dropped or changed. Texts are Debezium's.

use std::collections::HashSet;

use tapline_api::{Error, Kind, Result};

use crate::batch::{Action, Batch};
use crate::dialect::Dialect;
use crate::layout::Layout;
use crate::options::{Evolving, Vocabulary};

/// Makes sure that the tables and columns of a batch's writes and steps are there. Steps that would delete from a table
/// that is not there are taken out, where the table may be created later. `ready` remembers layouts by id.
pub(crate) async fn prepare(
    dialect: &mut dyn Dialect,
    evolving: Evolving,
    ready: &mut HashSet<u32>,
    batch: &mut Batch<'_>,
) -> Result<()> {
    for (layout, record) in &batch.written {
        check(dialect, evolving, ready, layout, *record, true).await?;
    }
    let mut skipped = Vec::new();
    for (i, step) in batch.steps.iter().enumerate() {
        let may_create = matches!(step.action, Action::Write(..));
        if !check(dialect, evolving, ready, &step.layout, step.record, may_create).await? {
            skipped.push(i);
        }
    }
    for i in skipped.into_iter().rev() {
        batch.steps.remove(i);
    }
    Ok(())
}

/// The first record of a batch whose layout is not `ready`, where records before it are written to the same table by
/// another layout.
pub(crate) fn change(batch: &Batch<'_>, ready: &HashSet<u32>) -> Option<usize> {
    let written = &batch.written;
    let (_, (_, record)) = written.iter().enumerate().find(|(i, (layout, _))| {
        let before = written.iter().take(*i);
        !ready.contains(&layout.id) && before.clone().any(|(other, _)| other.table == layout.table)
    })?;
    Some(*record as usize)
}

/// [`ensure`], unless it is known already; a failure is that of the record which asks for it.
async fn check(
    dialect: &mut dyn Dialect,
    evolving: Evolving,
    ready: &mut HashSet<u32>,
    layout: &Layout,
    record: u32,
    may_create: bool,
) -> Result<bool> {
    if ready.contains(&layout.id) {
        return Ok(true);
    }
    let there = ensure(dialect, evolving, layout, may_create).await;
    if let Ok(true) = there {
        ready.insert(layout.id);
    }
    there.map_err(|error| {
        Error::fatal(format!(
            "Error while checking and applying table changes for collection '{}'",
            layout.table
        ))
        .with_kind(error.kind())
        .cause(error)
        .at_record(record as usize)
    })
}

/// Whether the table is there with the layout's columns, after what could be done about it.
async fn ensure(
    dialect: &mut dyn Dialect,
    evolving: Evolving,
    layout: &Layout,
    may_create: bool,
) -> Result<bool> {
    let table = &layout.table;
    let mut refused = None;
    for _ in 0..MAX_ROUNDS {
        let sql = match dialect.columns(table).await? {
            None if !evolving.create => return Err(may_not_create(evolving, layout)),
            None if !may_create => return Ok(false),
            None => dialect.create_table(layout)?,
            Some(columns) => {
                let missing = missing(dialect, layout, &columns);
                if missing.is_empty() {
                    return Ok(true);
                }
                check_addable(evolving, layout, &missing)?;
                dialect.add_columns(layout, &missing)?
            }
        };
        tracing::info!(%table, sql, "schema evolution");
        match dialect.alter(table, &sql).await {
            Ok(()) => {}
            // Another task may have been faster: what it did is seen in the next round.
            Err(error) if error.kind() != Kind::Retriable => {
                tracing::warn!(%table, %error, "schema evolution failed; looking at the table again");
                dialect.forget();
                if dialect.columns(table).await?.is_none() {
                    return Err(error);
                }
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::fatal(format!(
            "table {table} does not show the columns that were added to it"
        ))
    }))
}

/// Create, see another task's table, add columns, see another task's columns.
const MAX_ROUNDS: usize = 4;

fn missing(dialect: &dyn Dialect, layout: &Layout, columns: &[String]) -> Vec<usize> {
    let is_missing = |name: &str| !columns.iter().any(|column| dialect.same_column(column, name));
    layout
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| is_missing(&column.name))
        .map(|(i, _)| i)
        .collect()
}

fn check_addable(evolving: Evolving, layout: &Layout, missing: &[usize]) -> Result<()> {
    let table = &layout.table;
    let confluent = evolving.vocabulary == Vocabulary::Confluent;
    for column in missing.iter().filter_map(|i| layout.columns.get(*i)) {
        if !column.schema.is_optional() && column.schema.default().is_none() {
            let field = &column.field;
            return Err(Error::fatal(if confluent {
                format!(
                    "Cannot ALTER TABLE {table} to add missing field {field}, as the field is not optional and does not \
                     have a default value"
                )
            } else {
                format!(
                    "Cannot ALTER table '{table}' because field '{field}' is not optional but has no default value"
                )
            }));
        }
    }
    if evolving.alter {
        return Ok(());
    }
    let names: Vec<_> = missing
        .iter()
        .filter_map(|i| layout.columns.get(*i))
        .map(|column| &*column.name)
        .collect();
    let names = names.join(", ");
    Err(if confluent {
        Error::fatal(format!(
            "Table {table} is missing fields ({names}) and auto-evolution is disabled"
        ))
        .exception("io.confluent.connect.jdbc.sink.TableAlterOrCreateException")
    } else {
        Error::fatal(format!(
            "Cannot alter table {table} because schema evolution is disabled"
        ))
        .hint(format!(
            "it lacks {names}: add what is missing, or set schema.evolution=basic"
        ))
    })
}

fn may_not_create(evolving: Evolving, layout: &Layout) -> Error {
    let table = &layout.table;
    match evolving.vocabulary {
        Vocabulary::Debezium => Error::fatal(format!(
            "Cannot create table {table} because schema evolution is disabled"
        ))
        .hint("create the table, or set schema.evolution=basic"),
        Vocabulary::Confluent => {
            Error::fatal(format!("Table {table} is missing and auto-creation is disabled"))
                .exception("io.confluent.connect.jdbc.sink.TableAlterOrCreateException")
        }
    }
}
