//! Java's names, as they stand in messages.

use tapline_api::schema::logical;
use tapline_api::{Schema, Type, Value};

/// A value's Java class, as `getClass()` prints it.
pub(crate) const fn class_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Int8(_) => "class java.lang.Byte",
        Value::Int16(_) => "class java.lang.Short",
        Value::Int32(_) => "class java.lang.Integer",
        Value::Int64(_) => "class java.lang.Long",
        Value::Float32(_) => "class java.lang.Float",
        Value::Float64(_) => "class java.lang.Double",
        Value::Boolean(_) => "class java.lang.Boolean",
        Value::String(_) => "class java.lang.String",
        Value::Bytes(_) => "class [B",
        Value::Array(_) => "class java.util.ArrayList",
        Value::Map(_) => "class java.util.HashMap",
        Value::Struct(_) => "class org.apache.kafka.connect.data.Struct",
    }
}

/// A type's Java constant.
pub(crate) const fn constant(kind: Type) -> &'static str {
    match kind {
        Type::Int8 => "INT8",
        Type::Int16 => "INT16",
        Type::Int32 => "INT32",
        Type::Int64 => "INT64",
        Type::Float32 => "FLOAT32",
        Type::Float64 => "FLOAT64",
        Type::Boolean => "BOOLEAN",
        Type::String => "STRING",
        Type::Bytes => "BYTES",
        Type::Array => "ARRAY",
        Type::Map => "MAP",
        Type::Struct => "STRUCT",
    }
}

/// A Decimal's scale, 0 when its schema does not say.
pub(crate) fn scale(schema: Option<&Schema>) -> i32 {
    schema
        .and_then(|schema| schema.parameter(logical::SCALE))
        .and_then(|scale| scale.parse().ok())
        .unwrap_or(0)
}
