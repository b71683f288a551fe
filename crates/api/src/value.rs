//! Values: an enum over Kafka Connect's types.
//!
//! Text and bytes are slices of the frame they came in, so that a value is moved and dropped without a copy.
//! Logical types stay in their serialized form: a Decimal is [`Value::Bytes`] (unscaled, big-endian two's
//! complement), a Date [`Value::Int32`], a Timestamp [`Value::Int64`]; the schema's name tells. Without a schema a
//! value is what JSON has: null, booleans, Int64, Float64, strings, arrays, maps with string keys.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::schema::SchemaRef;

/// One value, 40 bytes at most.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// INT8.
    Int8(i8),
    /// INT16.
    Int16(i16),
    /// INT32; also Date and Time.
    Int32(i32),
    /// INT64; also Timestamp.
    Int64(i64),
    /// FLOAT32.
    Float32(f32),
    /// FLOAT64.
    Float64(f64),
    /// BOOLEAN.
    Boolean(bool),
    /// STRING.
    String(ByteString),
    /// BYTES; also Decimal.
    Bytes(Bytes),
    /// ARRAY.
    Array(Vec<Value>),
    /// MAP, in the order in which the entries came.
    Map(Vec<(Value, Value)>),
    /// STRUCT.
    Struct(Struct),
}

const _: () = assert!(size_of::<Value>() <= 40);

impl Value {
    /// Whether it is null.
    #[inline]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a STRING.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Any of the integers, widened.
    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int8(n) => Some(n.into()),
            Self::Int16(n) => Some(n.into()),
            Self::Int32(n) => Some(n.into()),
            Self::Int64(n) => Some(n),
            _ => None,
        }
    }

    /// The struct of a STRUCT.
    #[inline]
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(row) => Some(row),
            _ => None,
        }
    }

    /// The name of the Java class that Kafka Connect would have, for messages; `null` for null.
    pub const fn java_class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int8(_) => "java.lang.Byte",
            Self::Int16(_) => "java.lang.Short",
            Self::Int32(_) => "java.lang.Integer",
            Self::Int64(_) => "java.lang.Long",
            Self::Float32(_) => "java.lang.Float",
            Self::Float64(_) => "java.lang.Double",
            Self::Boolean(_) => "java.lang.Boolean",
            Self::String(_) => "java.lang.String",
            Self::Bytes(_) => "[B",
            Self::Array(_) => "java.util.ArrayList",
            Self::Map(_) => "java.util.HashMap",
            Self::Struct(_) => "org.apache.kafka.connect.data.Struct",
        }
    }

    /// Bytes held, for bounding channels: the value itself and what it owns or keeps alive of its frame.
    #[inline]
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::String(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
                Self::Array(items) => items.iter().map(Self::size).sum(),
                Self::Map(entries) => entries.iter().map(|(key, value)| key.size() + value.size()).sum(),
                Self::Struct(row) => row.values().iter().map(Self::size).sum(),
                _ => 0,
            }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::String(ByteString::from_static(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(ByteString::from(text))
    }
}

/// A schema and a slice of values, one per field, in the schema's order.
#[derive(Clone, Debug)]
pub struct Struct {
    schema: SchemaRef,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Own(Box<[Value]>),
    /// Of several structs. Boxed within, so that a struct is no larger for it.
    Shared(Arc<Box<[Value]>>),
}

impl Struct {
    /// A struct of `schema`. `values` are in the order of its fields; missing ones become null and surplus ones
    /// are dropped, so that `values().len() == schema.fields().len()` always holds.
    #[inline]
    pub fn new(schema: SchemaRef, mut values: Vec<Value>) -> Self {
        if values.len() != schema.fields().len() {
            values.resize(schema.fields().len(), Value::Null);
        }
        Self {
            schema,
            values: Values::Own(values.into_boxed_slice()),
        }
    }

    /// The same, to be copied many times: copies share the values until one changes them.
    #[must_use]
    pub fn share(self) -> Self {
        let values = match self.values {
            Values::Own(values) => Values::Shared(Arc::new(values)),
            shared @ Values::Shared(_) => shared,
        };
        Self { values, ..self }
    }

    /// What its copies share, when it is [shared](Self::share): the same for two structs only if they are equal.
    #[inline]
    pub fn shared(&self) -> Option<&Arc<Box<[Value]>>> {
        match &self.values {
            Values::Own(_) => None,
            Values::Shared(values) => Some(values),
        }
    }

    /// The schema.
    #[inline]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The values, in the order of the schema's fields.
    #[inline]
    pub fn values(&self) -> &[Value] {
        match &self.values {
            Values::Own(values) => values,
            Values::Shared(values) => values,
        }
    }

    /// The values, to be changed in place.
    #[inline]
    pub fn values_mut(&mut self) -> &mut [Value] {
        match &mut self.values {
            Values::Own(values) => values,
            Values::Shared(values) => Arc::<Box<[Value]>>::make_mut(values),
        }
    }

    /// Takes it apart.
    #[inline]
    pub fn into_parts(self) -> (SchemaRef, Box<[Value]>) {
        let values = match self.values {
            Values::Own(values) => values,
            Values::Shared(values) => Arc::unwrap_or_clone(values),
        };
        (self.schema, values)
    }

    /// A value by its field's position.
    #[inline]
    pub fn at(&self, index: usize) -> Option<&Value> {
        self.values().get(index)
    }

    /// A value by its field's name. A linear search: for plans and tests, not for rows.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.schema.field_index(name).and_then(|index| self.at(index))
    }
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema && self.values() == other.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn a_struct_always_has_as_many_values_as_its_schema_has_fields() {
        let schema = Schema::structure()
            .field("a", Schema::int32().build())
            .field("b", Schema::int32().build())
            .build();
        assert_eq!(
            Struct::new(schema.clone(), vec![Value::Int32(1)]).values(),
            [Value::Int32(1), Value::Null]
        );
        assert_eq!(Struct::new(schema, vec![Value::Null; 3]).values().len(), 2);
    }

    #[test]
    fn a_shared_struct_is_changed_alone() {
        let schema = Schema::structure().field("a", Schema::int32().build()).build();
        let one = Struct::new(schema, vec![Value::Int32(1)]).share();
        let mut two = one.clone();
        assert_eq!(one.shared().map(Arc::as_ptr), two.shared().map(Arc::as_ptr));
        two.values_mut()[0] = Value::Int32(2);
        assert_eq!(
            (one.values(), two.values()),
            (&[Value::Int32(1)][..], &[Value::Int32(2)][..])
        );
        assert_ne!(one, two);
    }
}
