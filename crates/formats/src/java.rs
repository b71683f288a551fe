//! What the converters to text share.

use tapline_api::Schema;
use tapline_api::schema::logical;

/// A Decimal's scale, 0 when its schema does not say.
pub(crate) fn scale(schema: Option<&Schema>) -> i32 {
    schema
        .and_then(|schema| schema.parameter(logical::SCALE))
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(0)
}
