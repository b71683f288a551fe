//! Schemas: Kafka Connect's types, names, versions, parameters and defaults.
//!
//! A schema is built once per table version and shared as [`SchemaRef`]. Its [identity](Schema::id) is what
//! converters, transformations and sinks key their caches by: a rendered JSON schema, a plan, a statement. Two
//! schemas that are equal field by field may have different identities; equality is structural, identity is not.
//!
//! ```
//! use tapline_api::schema::{Schema, Type};
//! let row = Schema::structure()
//!     .name("shop.orders.Value")
//!     .field("id", Schema::int32().build())
//!     .field("note", Schema::string().optional().build())
//!     .build();
//! assert_eq!(row.kind(), Type::Struct);
//! assert_eq!(row.field_index("note"), Some(1));
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::value::Value;

pub use crate::schema_ref::SchemaRef;

/// `org.apache.kafka.connect.data.Schema.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit IEEE 754.
    Float32,
    /// 64-bit IEEE 754.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// Raw bytes.
    Bytes,
    /// A list of one element type.
    Array,
    /// Keys of one type to values of one type.
    Map,
    /// Named fields.
    Struct,
}

impl Type {
    /// The name of Java's constant, for messages: `INT32`, `FLOAT64`, …
    pub const fn constant(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Struct => "STRUCT",
        }
    }

    /// The name in JSON schemas and messages: `int32`, `struct`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float",
            Self::Float64 => "double",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
            Self::Struct => "struct",
        }
    }
}

/// Names of the logical types that Kafka Connect itself defines. In a [`Value`] they stay in their serialized
/// form (see there), so the schema's name alone tells them from plain numbers and bytes.
pub mod logical {
    /// BYTES: the unscaled value, big-endian two's complement; parameter `scale`.
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    /// INT32: days since 1970-01-01.
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// INT32: milliseconds since midnight.
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// INT64: milliseconds since 1970-01-01T00:00:00Z.
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
    /// The parameter of [`DECIMAL`] that holds the digits after the point.
    pub const SCALE: &str = "scale";
}

/// A field of a struct.
#[derive(Debug, PartialEq)]
pub struct Field {
    name: Arc<str>,
    schema: SchemaRef,
}

impl Field {
    /// The field's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The field's schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// An immutable schema; see the module's documentation.
#[derive(Debug)]
pub struct Schema {
    id: u64,
    kind: Type,
    optional: bool,
    name: Option<Arc<str>>,
    version: Option<i32>,
    doc: Option<Arc<str>>,
    parameters: Vec<(Arc<str>, Arc<str>)>,
    default: Option<Value>,
    fields: Vec<Field>,
    key: Option<SchemaRef>,
    element: Option<SchemaRef>,
}

macro_rules! primitives {
    ($($(#[$doc:meta])* $method:ident => $kind:ident;)*) => {
        $($(#[$doc])*
        pub fn $method() -> SchemaBuilder {
            SchemaBuilder::new(Type::$kind)
        })*
    };
}

impl Schema {
    primitives! {
        /// Starts an INT8 schema.
        int8 => Int8;
        /// Starts an INT16 schema.
        int16 => Int16;
        /// Starts an INT32 schema.
        int32 => Int32;
        /// Starts an INT64 schema.
        int64 => Int64;
        /// Starts a FLOAT32 schema.
        float32 => Float32;
        /// Starts a FLOAT64 schema.
        float64 => Float64;
        /// Starts a BOOLEAN schema.
        boolean => Boolean;
        /// Starts a STRING schema.
        string => String;
        /// Starts a BYTES schema.
        bytes => Bytes;
        /// Starts a STRUCT schema.
        structure => Struct;
    }

    /// Starts an ARRAY schema of `element`.
    pub fn array(element: SchemaRef) -> SchemaBuilder {
        let mut builder = SchemaBuilder::new(Type::Array);
        builder.0.element = Some(element);
        builder
    }

    /// Starts a MAP schema from `key` to `value`.
    pub fn map(key: SchemaRef, value: SchemaRef) -> SchemaBuilder {
        let mut builder = SchemaBuilder::new(Type::Map);
        builder.0.key = Some(key);
        builder.0.element = Some(value);
        builder
    }

    /// Starts a schema of any type; arrays and maps need their element set by [`array`](Self::array) and
    /// [`map`](Self::map) instead.
    pub fn of(kind: Type) -> SchemaBuilder {
        SchemaBuilder::new(kind)
    }

    /// Starts a copy of this schema, with an identity of its own.
    pub fn to_builder(&self) -> SchemaBuilder {
        SchemaBuilder(Self {
            id: 0,
            kind: self.kind,
            optional: self.optional,
            name: self.name.clone(),
            version: self.version,
            doc: self.doc.clone(),
            parameters: self.parameters.clone(),
            default: self.default.clone(),
            fields: self
                .fields
                .iter()
                .map(|f| Field {
                    name: f.name.clone(),
                    schema: f.schema.clone(),
                })
                .collect(),
            key: self.key.clone(),
            element: self.element.clone(),
        })
    }

    /// Starts a copy of type, name, version, documentation, parameters, fields and elements, but required and without
    /// a default (what `SchemaUtil.copySchemaBasics` and adding all fields make).
    pub fn to_basics(&self) -> SchemaBuilder {
        let mut builder = self.to_builder();
        builder.0.optional = false;
        builder.0.default = None;
        builder
    }

    /// Unique in this process, never reused: the key of every per-schema cache.
    #[inline]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The type.
    #[inline]
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// Whether null is a value of it.
    #[inline]
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// The semantic name, such as `io.debezium.time.Date`.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The version that goes with the name.
    pub fn version(&self) -> Option<i32> {
        self.version
    }

    /// The documentation.
    pub fn doc(&self) -> Option<&Arc<str>> {
        self.doc.as_ref()
    }

    /// The parameters, in the order in which they were given.
    pub fn parameters(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.parameters
    }

    /// One parameter. A linear search: for plans, not for rows.
    pub fn parameter(&self, name: &str) -> Option<&Arc<str>> {
        self.parameters
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value)
    }

    /// The default value.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// A struct's fields in order; empty for other types.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// A field's position. A linear search: for plans, not for rows.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| &*field.name == name)
    }

    /// A field by name. A linear search: for plans, not for rows.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// A map's key schema.
    pub fn key_schema(&self) -> Option<&SchemaRef> {
        self.key.as_ref()
    }

    /// An array's element schema, a map's value schema.
    pub fn value_schema(&self) -> Option<&SchemaRef> {
        self.element.as_ref()
    }

    /// Whether its name is `name`.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Whether it is equal and written in the same way: parameters are in the same order, all the way down.
    pub(crate) fn is_exactly(&self, other: &Self) -> bool {
        let nested = |a: &Option<SchemaRef>, b: &Option<SchemaRef>| match (a, b) {
            (Some(a), Some(b)) => a.is_exactly(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.id == other.id
            || (self == other
                && self.parameters == other.parameters
                && self
                    .fields
                    .iter()
                    .zip(&other.fields)
                    .all(|(a, b)| a.schema.is_exactly(&b.schema))
                && nested(&self.key, &other.key)
                && nested(&self.element, &other.element))
    }

    /// A copy with the same identity.
    pub(crate) fn copied(&self) -> Self {
        Self {
            id: self.id,
            ..self.to_builder().0
        }
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            || (self.kind == other.kind
                && self.optional == other.optional
                && self.name == other.name
                && self.version == other.version
                && self.doc == other.doc
                && same_parameters(&self.parameters, &other.parameters)
                && self.default == other.default
                && self.fields == other.fields
                && self.key == other.key
                && self.element == other.element)
    }
}

/// Parameters are a map: their order does not tell two schemas apart.
fn same_parameters(a: &[(Arc<str>, Arc<str>)], b: &[(Arc<str>, Arc<str>)]) -> bool {
    a.len() == b.len() && a.iter().all(|pair| b.contains(pair))
}

/// Builds a [`Schema`]. Each setter replaces what was set before.
#[derive(Debug)]
pub struct SchemaBuilder(Schema);

impl SchemaBuilder {
    fn new(kind: Type) -> Self {
        Self(Schema {
            id: 0,
            kind,
            optional: false,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
            default: None,
            fields: Vec::new(),
            key: None,
            element: None,
        })
    }

    /// Null becomes a value of it.
    #[must_use]
    pub fn optional(self) -> Self {
        self.set_optional(true)
    }

    /// Whether null is a value of it.
    #[must_use]
    pub fn set_optional(mut self, optional: bool) -> Self {
        self.0.optional = optional;
        self
    }

    /// Sets the semantic name.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.name = Some(name.into());
        self
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.0.version = Some(version);
        self
    }

    /// Sets the documentation.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<Arc<str>>) -> Self {
        self.0.doc = Some(doc.into());
        self
    }

    /// Sets one parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.0.parameters.iter_mut().find(|(key, _)| *key == name) {
            Some(pair) => pair.1 = value,
            None => self.0.parameters.push((name, value)),
        }
        self
    }

    /// Sets the default value.
    #[must_use]
    pub fn default(mut self, value: Value) -> Self {
        self.0.default = Some(value);
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: impl Into<Arc<str>>, schema: SchemaRef) -> Self {
        self.0.fields.push(Field {
            name: name.into(),
            schema,
        });
        self
    }

    /// Puts another schema in the place of a field's; nothing happens where there is no such field.
    #[must_use]
    pub fn replace_field(mut self, name: &str, schema: SchemaRef) -> Self {
        if let Some(field) = self.0.fields.iter_mut().find(|field| &*field.name == name) {
            field.schema = schema;
        }
        self
    }

    /// Drops the fields for which `keep` is false.
    #[must_use]
    pub fn retain_fields(mut self, mut keep: impl FnMut(&Field) -> bool) -> Self {
        self.0.fields.retain(|field| keep(field));
        self
    }

    /// Ends it, with a new identity.
    pub fn build(mut self) -> SchemaRef {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.0.id = NEXT.fetch_add(1, Ordering::Relaxed);
        SchemaRef::new(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_structural_and_identity_is_not() {
        let build = || {
            Schema::int32()
                .optional()
                .name("n")
                .parameter("a", "1")
                .parameter("b", "2")
                .build()
        };
        let (one, two) = (build(), build());
        assert_eq!(one, two);
        assert_ne!(one.id(), two.id());
        let swapped = Schema::int32()
            .optional()
            .name("n")
            .parameter("b", "2")
            .parameter("a", "1")
            .build();
        assert_eq!(one, swapped);
        assert_ne!(*one, *one.to_builder().version(1).build());
    }
}
