//! `schema.evolution`: what is missing in the target is created before the batch's transaction, or is an error.
//!
//! Nothing is dropped or changed. Texts are Debezium's.

use std::collections::HashSet;

use tapline_api::{Error, Kind, Result};

use crate::batch::{Action, Batch};
use crate::config::Evolution;
use crate::dialect::Dialect;
use crate::layout::Layout;

/// Makes sure that the tables and columns of a batch's steps are there. Steps that would delete from a table that is
/// not there are taken out, where the table may be created later. `ready` remembers layouts by id.
pub(crate) async fn prepare(
    dialect: &mut dyn Dialect,
    evolution: Evolution,
    ready: &mut HashSet<u32>,
    batch: &mut Batch<'_>,
) -> Result<()> {
    let mut skipped = Vec::new();
    for (i, step) in batch.steps.iter().enumerate() {
        let layout = &step.layout;
        if ready.contains(&layout.id) {
            continue;
        }
        let may_create = matches!(step.action, Action::Write(..));
        match ensure(dialect, evolution, layout, may_create).await {
            Ok(true) => {
                ready.insert(layout.id);
            }
            Ok(false) => skipped.push(i),
            Err(error) => {
                let wrapped = Error::fatal(format!(
                    "Error while checking and applying table changes for collection '{}'",
                    layout.table
                ))
                .with_kind(error.kind())
                .cause(error);
                return Err(wrapped.at_record(step.record as usize));
            }
        }
    }
    for i in skipped.into_iter().rev() {
        batch.steps.remove(i);
    }
    Ok(())
}

/// Whether the table is there with the layout's columns, after what could be done about it.
async fn ensure(
    dialect: &mut dyn Dialect,
    evolution: Evolution,
    layout: &Layout,
    may_create: bool,
) -> Result<bool> {
    let table = &layout.table;
    for _ in 0..MAX_ROUNDS {
        let sql = match dialect.columns(table).await? {
            None if evolution == Evolution::None => {
                return Err(Error::fatal(format!(
                    "Cannot create table {table} because schema evolution is disabled"
                ))
                .hint("create the table, or set schema.evolution=basic"));
            }
            None if !may_create => return Ok(false),
            None => dialect.create_table(layout)?,
            Some(columns) => {
                let missing = missing(dialect, layout, &columns);
                if missing.is_empty() {
                    return Ok(true);
                }
                check_addable(evolution, layout, &missing)?;
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
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::fatal(format!(
        "table {table} does not show the columns that were added to it"
    )))
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

fn check_addable(evolution: Evolution, layout: &Layout, missing: &[usize]) -> Result<()> {
    let table = &layout.table;
    for column in missing.iter().filter_map(|i| layout.columns.get(*i)) {
        if !column.schema.is_optional() && column.schema.default().is_none() {
            return Err(Error::fatal(format!(
                "Cannot ALTER table '{table}' because field '{}' is not optional but has no default value",
                column.field
            )));
        }
    }
    if evolution == Evolution::None {
        let names: Vec<_> = missing
            .iter()
            .filter_map(|i| layout.columns.get(*i))
            .map(|column| &*column.name)
            .collect();
        return Err(Error::fatal(format!(
            "Cannot alter table {table} because schema evolution is disabled"
        ))
        .hint(format!(
            "it lacks {}: add what is missing, or set schema.evolution=basic",
            names.join(", ")
        )));
    }
    Ok(())
}
