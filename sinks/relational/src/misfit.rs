//! Values that are not what their schema or their column says.

use tapline_api::{Error, Value};

use crate::batch::{Batch, Step};

/// A value that does not fit.
#[derive(Debug)]
pub(crate) struct Misfit;

/// The data error of a value, with its record, its column and the type that it is not.
pub(crate) fn error(
    batch: &Batch<'_>,
    step: &Step,
    row: u32,
    column: usize,
    value: &Value,
    wanted: &str,
) -> Error {
    let column = step.layout.columns.get(column);
    let what = match value {
        Value::Null => "null",
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => "an integer",
        Value::Float32(_) | Value::Float64(_) => "a floating point number",
        Value::Boolean(_) => "a boolean",
        Value::String(_) => "a string",
        Value::Bytes(_) => "bytes",
        Value::Array(_) => "an array",
        Value::Map(_) => "a map",
        Value::Struct(_) => "a struct",
    };
    let error = Error::data(format!(
        "Unexpected value for column '{}' of table '{}': {what} that is no {wanted} ({})",
        column.map_or("", |column| &column.name),
        step.layout.table,
        column.map_or("", |column| column
            .schema
            .name()
            .map_or(column.schema.kind().name(), |name| name)),
    ));
    match batch.rows.get(row as usize) {
        Some(row) => error.at_record(row.record as usize),
        None => error,
    }
}
