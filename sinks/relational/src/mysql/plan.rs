//! A step's plan: what stands around the rows, and how their values are written. Made once per layout and action.

use tapline_api::{Error, Result, Value};
use tapline_databases::mysql::identifier;

use super::bind::form;
use super::catalog::Table;
use super::literal::Form;
use super::sql;
use crate::batch::{Action, Batch, Mask, Step};
use crate::config::InsertMode;
use crate::layout::Layout;
use crate::misfit;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Plan {
    shape: Shape,
    parameters: Vec<Parameter>,
    /// How many of the parameters are the key's.
    keys: usize,
}

/// How rows become a statement.
#[derive(Debug)]
enum Shape {
    /// There is nothing to do.
    Nothing,
    Truncate(String),
    /// Head, rows in parentheses, tail.
    Rows(String, String),
    /// A statement a row: the head up to SET.
    Update(String),
    /// Head, and a condition for each row.
    Delete(String),
}

#[derive(Debug)]
struct Parameter {
    /// Its place in the layout.
    column: usize,
    /// Its name, quoted.
    name: String,
    form: Form,
    /// The target's type, for messages.
    wanted: String,
    /// Stands for null where the schema takes none.
    default: Option<Value>,
}

/// How long a statement may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From here on no further row is added.
    pub(super) soft: usize,
    /// A further row is taken out again that goes beyond.
    pub(super) hard: usize,
}

/// The most rows that a delete of several columns names: longer conditions exceed `range_optimizer_max_mem_size`.
const MAX_CONDITIONS: usize = 1000;

impl Plan {
    pub(super) fn new(
        layout: &Layout,
        action: &Action,
        table: &Table,
        alias: bool,
        zone: Option<&str>,
    ) -> Result<Self> {
        let absent = |i| matches!(action, Action::Write(_, mask) if mask.has(i));
        let mut parameters = Vec::with_capacity(layout.columns.len());
        let mut names = Vec::with_capacity(layout.columns.len());
        for (i, column) in layout.columns.iter().enumerate().filter(|(i, _)| !absent(*i)) {
            let target = table.column(&column.name).ok_or_else(|| {
                Error::fatal(format!("table {} has no column {}", layout.table, column.name))
            })?;
            parameters.push(Parameter {
                column: i,
                name: identifier(&column.name),
                form: form(&column.schema, Some(target), zone),
                wanted: target.data_type.clone(),
                default: column.stand_in.clone(),
            });
            names.push(&*column.name);
        }
        let table_name = &table.sql_name;
        let shape = match action {
            Action::Truncate => Shape::Truncate(format!("TRUNCATE TABLE {table_name}")),
            Action::Delete => Shape::Delete(format!("DELETE FROM {table_name} WHERE ")),
            Action::Write(InsertMode::Insert, _) => {
                Shape::Rows(sql::insert(table_name, &names), String::new())
            }
            Action::Write(InsertMode::Upsert, mask) if !lacks_demanded(layout, mask, table) => Shape::Rows(
                sql::insert(table_name, &names),
                sql::on_duplicate(&names, layout.keys, alias),
            ),
            Action::Write(..) if parameters.len() <= layout.keys => Shape::Nothing,
            Action::Write(..) => Shape::Update(format!("UPDATE {table_name} SET ")),
        };
        Ok(Self {
            shape,
            parameters,
            keys: layout.keys,
        })
    }

    /// Appends the next statement for the first of `rows`, as many as fit. Returns how many rows it is for.
    ///
    /// # Errors
    /// A data error with its record, for a value that does not fit.
    pub(super) fn statement(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        rows: &[u32],
        limits: Limits,
        out: &mut String,
    ) -> Result<usize> {
        let head = match &self.shape {
            Shape::Nothing => return Ok(rows.len()),
            Shape::Truncate(sql) => {
                out.push_str(sql);
                return Ok(rows.len());
            }
            Shape::Rows(head, _) | Shape::Delete(head) => head.as_str(),
            Shape::Update(_) => "",
        };
        out.push_str(head);
        let single = self.parameters.first().filter(|_| self.parameters.len() == 1);
        if let (Shape::Delete(_), Some(parameter)) = (&self.shape, single) {
            out.push_str(&parameter.name);
            out.push_str(" IN (");
        }
        let mut count = 0;
        for row in rows {
            let before = out.len();
            match &self.shape {
                Shape::Rows(..) => {
                    out.push_str(if count == 0 { "(" } else { ",(" });
                    for (i, parameter) in self.parameters.iter().enumerate() {
                        if i > 0 {
                            out.push(',');
                        }
                        self.value(batch, step, *row, parameter, out)?;
                    }
                    out.push(')');
                }
                Shape::Update(head) => {
                    out.push_str(if count == 0 { "" } else { ";" });
                    out.push_str(head);
                    let (key, rest) = self.parameters.split_at_checked(self.keys).unwrap_or_default();
                    self.pairs(batch, step, *row, rest, ",", out)?;
                    out.push_str(" WHERE ");
                    self.pairs(batch, step, *row, key, " AND ", out)?;
                }
                Shape::Delete(_) => match single {
                    Some(parameter) => {
                        out.push_str(if count == 0 { "" } else { "," });
                        self.value(batch, step, *row, parameter, out)?;
                    }
                    None => {
                        out.push_str(if count == 0 { "(" } else { " OR (" });
                        self.pairs(batch, step, *row, &self.parameters, " AND ", out)?;
                        out.push(')');
                    }
                },
                Shape::Nothing | Shape::Truncate(_) => {}
            }
            if out.len() > limits.hard && count > 0 {
                out.truncate(before);
                break;
            }
            count += 1;
            let conditions = matches!(self.shape, Shape::Delete(_)) && single.is_none();
            if out.len() > limits.soft || (conditions && count >= MAX_CONDITIONS) {
                break;
            }
        }
        match &self.shape {
            Shape::Rows(_, tail) => out.push_str(tail),
            Shape::Delete(_) if single.is_some() => out.push(')'),
            _ => {}
        }
        Ok(count)
    }

    fn pairs(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        row: u32,
        parameters: &[Parameter],
        separator: &str,
        out: &mut String,
    ) -> Result<()> {
        for (i, parameter) in parameters.iter().enumerate() {
            if i > 0 {
                out.push_str(separator);
            }
            out.push_str(&parameter.name);
            out.push('=');
            self.value(batch, step, row, parameter, out)?;
        }
        Ok(())
    }

    fn value(
        &self,
        batch: &Batch<'_>,
        step: &Step,
        row: u32,
        parameter: &Parameter,
        out: &mut String,
    ) -> Result<()> {
        let mut value = batch.cell(row, parameter.column);
        if value.is_null()
            && let Some(default) = &parameter.default
        {
            value = default;
        }
        let fits = parameter.form.push(value, out);
        fits.map_err(|_| misfit::error(batch, step, row, parameter.column, value, &parameter.wanted))
    }
}

/// Whether an insert without these columns must fail even where the row exists.
fn lacks_demanded(layout: &Layout, mask: &Mask, table: &Table) -> bool {
    let mut lacking = layout.columns.iter().enumerate().filter(|(i, _)| mask.has(*i));
    lacking.any(|(_, column)| table.column(&column.name).is_some_and(|target| target.demanding))
}
