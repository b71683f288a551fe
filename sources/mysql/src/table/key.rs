//! A row's key in the text in which a snapshot's bounds are kept.

use tapline_api::Value;

use super::{ColumnPlan, Plan, Row, Target};
use crate::schema::{Column, Kind};

impl Plan {
    /// The text of a column of the key; `None` where it can't be told.
    pub(crate) fn key_text(&self, row: &Row, column: &Column) -> Option<String> {
        let at = self.columns.iter().position(|plan| plan.name == column.name)?;
        let (plan, before) = (self.columns.get(at)?, self.columns.get(..at)?);
        let nth = before.iter().filter(|other| other.target == plan.target).count();
        let value = match plan.target {
            Target::Row => row.values.get(nth)?,
            Target::Key => row.extra.get(nth)?,
            Target::Nowhere => return None,
        };
        text(plan, value)
    }
}

fn text(plan: &ColumnPlan, value: &Value) -> Option<String> {
    let long = |n: i64| match plan.unsigned && plan.kind == Kind::BigInt {
        // As int64, it is negative above its range.
        true => n.cast_unsigned().to_string(),
        false => n.to_string(),
    };
    match (plan.kind, value) {
        (Kind::Binary | Kind::VarBinary, Value::Bytes(bytes)) => {
            Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect())
        }
        (Kind::Binary | Kind::VarBinary, _) => None,
        (_, Value::Int8(n)) => Some(n.to_string()),
        (_, Value::Int16(n)) => Some(n.to_string()),
        (_, Value::Int32(n)) => Some(n.to_string()),
        (_, Value::Int64(n)) => Some(long(*n)),
        // `bigint.unsigned.handling.mode=precise`
        (Kind::BigInt, Value::Bytes(bytes)) => {
            let number = num_bigint::BigInt::from_signed_bytes_be(bytes);
            Some(number.to_string())
        }
        _ => None,
    }
}
