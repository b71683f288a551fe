//! A step's plan: the statement, and where its parameters come from. Made once per layout and action.

use bytes::BytesMut;
use tapline_api::{Error, Result, Value};
use tokio_postgres::types::Type;

use super::bind::{self, Bind};
use super::blame;
use super::catalog::Table;
use super::kind::Kind;
use super::pipeline::ArrayParameter;
use super::sql::{self, Bound};
use crate::batch::{Action, Batch, Mask, Step};
use crate::config::InsertMode;
use crate::layout::Layout;
use crate::misfit;

/// See the module's documentation.
pub(super) struct Plan {
    /// `None`: there is nothing to do.
    pub(super) sql: Option<String>,
    parameters: Vec<Parameter>,
}

struct Parameter {
    /// Its place in the layout.
    column: usize,
    bind: Bind,
    /// Stands for null where the schema takes none.
    default: Option<Value>,
}

impl Plan {
    pub(super) fn new(layout: &Layout, action: &Action, table: &Table, postgis: &str) -> Result<Self> {
        let absent = |i| matches!(action, Action::Write(_, mask) if mask.has(i));
        let mut parameters = Vec::with_capacity(layout.columns.len());
        let mut names = Vec::with_capacity(layout.columns.len());
        for (i, column) in layout.columns.iter().enumerate().filter(|(i, _)| !absent(*i)) {
            let target = table.column(&column.name).ok_or_else(|| {
                Error::fatal(format!("table {} has no column {}", layout.table, column.name))
            })?;
            let kind = Kind::of(&column.schema, postgis)?;
            parameters.push(Parameter {
                column: i,
                bind: bind::bind(&kind, &column.schema, target),
                default: column.stand_in.clone(),
            });
            names.push(&*column.name);
        }
        let columns: Vec<_> = names
            .iter()
            .zip(&parameters)
            .map(|(name, parameter)| Bound {
                name,
                bind: &parameter.bind,
            })
            .collect();
        let overriding = names
            .iter()
            .any(|name| table.column(name).is_some_and(|target| target.always_identity));
        let sql = match action {
            Action::Truncate => None,
            Action::Delete => Some(sql::delete(&table.sql_name, &columns)),
            Action::Write(InsertMode::Insert, _) => Some(sql::insert(&table.sql_name, &columns, overriding)),
            Action::Write(InsertMode::Upsert, mask) if !lacks_demanded(layout, mask, table) => {
                Some(sql::upsert(&table.sql_name, &columns, layout.keys, overriding))
            }
            Action::Write(..) => sql::update(&table.sql_name, &columns, layout.keys),
        };
        Ok(Self { sql, parameters })
    }

    /// The column that a step's only row does not fit, and why.
    pub(super) fn blame(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        table: &Table,
        postgis: &str,
    ) -> Option<String> {
        let [row] = step.rows.as_slice() else { return None };
        self.parameters.iter().find_map(|parameter| {
            let column = step.layout.columns.get(parameter.column)?;
            let kind = Kind::of(&column.schema, postgis).ok()?;
            blame::too_big(
                &kind,
                batch.cell(*row, parameter.column),
                table.column(&column.name)?,
            )
        })
    }

    /// The statement's parameter types.
    pub(super) fn types(&self) -> Vec<Type> {
        let arrays = self.parameters.iter();
        arrays
            .map(|parameter| bind::array_of(&parameter.bind.element))
            .collect()
    }

    /// A step's rows as arrays, in buffers of `spare` as far as they go.
    ///
    /// # Errors
    /// A data error with its record, for a value that does not fit.
    pub(super) fn encode(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        spare: &mut Vec<BytesMut>,
    ) -> Result<Vec<ArrayParameter>> {
        let count = i32::try_from(step.rows.len())
            .map_err(|_| Error::fatal("a batch has more rows than an array takes"))?;
        let array = |parameter: &Parameter| {
            let mut elements = spare.pop().unwrap_or_default();
            elements.clear();
            ArrayParameter {
                element: parameter.bind.element.oid(),
                count,
                nulls: false,
                elements,
            }
        };
        let mut arrays: Vec<_> = self.parameters.iter().map(array).collect();
        for row in &step.rows {
            for (parameter, array) in self.parameters.iter().zip(&mut arrays) {
                let mut value = batch.cell(*row, parameter.column);
                if value.is_null() {
                    match &parameter.default {
                        Some(default) => value = default,
                        None => array.nulls = true,
                    }
                }
                if parameter.bind.wire.put(value, &mut array.elements).is_err() {
                    let element = parameter.bind.element.name();
                    return Err(misfit::error(batch, step, *row, parameter.column, value, element));
                }
            }
        }
        Ok(arrays)
    }
}

/// Whether an insert without these columns must fail even where the row exists: Postgres checks NOT NULL before it looks
/// for a conflict.
fn lacks_demanded(layout: &Layout, mask: &Mask, table: &Table) -> bool {
    let mut lacking = layout.columns.iter().enumerate().filter(|(i, _)| mask.has(*i));
    lacking.any(|(_, column)| table.column(&column.name).is_some_and(|target| target.demanding))
}
