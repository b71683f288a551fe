//! What transformations require of a value.

use tapline_api::{Error, Struct, Value};

/// The struct of a value, or Kafka's refusal (`Requirements.requireStruct`).
pub(crate) fn require_struct(value: Value, purpose: &str) -> Result<Struct, Error> {
    match value {
        Value::Struct(row) => Ok(row),
        other => Err(Error::data(format!(
            "Only Struct objects supported for [{purpose}], found: {}",
            other.java_class()
        ))),
    }
}
