//! Names and column schemas that live as long as the process.
//!
//! Each event's `source` holds the names of its database, schema and table. As static text a copy of one is free; as a
//! shared buffer it would be a reference count that two cores fight for, several times per row. The set only grows, by
//! the names of what is captured, which a restart of a connector does not add to again. Thousands of tables have columns
//! of the same few names and types: one copy of each serves them all.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytestring::ByteString;
use tapline_api::schema::Type;
use tapline_api::{SchemaRef, Value};

static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
static SHARED_NAMES: LazyLock<Mutex<HashSet<Arc<str>>>> = LazyLock::new(Mutex::default);
static SCHEMAS: LazyLock<Mutex<HashMap<Kind, Vec<SchemaRef>>>> = LazyLock::new(Mutex::default);

/// What schemas are looked up by, before they are compared.
type Kind = (Type, bool, Option<Arc<str>>);

/// Schemas of one kind (scales and lengths in their parameters) that are kept; the rest is each table's own.
const OF_A_KIND: usize = 64;

/// The one static copy of `name`.
pub fn intern(name: &str) -> &'static str {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

/// The one shared copy of `name`, for a schema's field.
pub fn field_name(name: &str) -> Arc<str> {
    let mut names = SHARED_NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    let kept: Arc<str> = name.into();
    names.insert(kept.clone());
    kept
}

/// The one copy of a column's schema. One with a default or a doc stays the table's own: few are alike.
pub fn column_schema(schema: SchemaRef) -> SchemaRef {
    if schema.default().is_some() || schema.doc().is_some() {
        return schema;
    }
    let kind = (schema.kind(), schema.is_optional(), schema.name().cloned());
    let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
    let alike = schemas.entry(kind).or_default();
    match alike.iter().find(|known| **known == schema) {
        Some(known) => known.clone(),
        None if alike.len() < OF_A_KIND => {
            alike.push(schema.clone());
            schema
        }
        None => schema,
    }
}

/// `name` as a value that costs nothing to copy.
pub fn constant(name: &str) -> Value {
    Value::String(ByteString::from_static(intern(name)))
}

#[cfg(test)]
mod tests {
    use tapline_api::Schema;

    use super::*;

    #[test]
    fn columns_of_one_type_share_a_schema_and_those_with_a_default_do_not() {
        let decimal = |scale: &str| Schema::bytes().name("Decimal").parameter("scale", scale);
        let one = column_schema(decimal("2").build());
        assert_eq!(one.id(), column_schema(decimal("2").build()).id());
        assert_ne!(one.id(), column_schema(decimal("3").build()).id());
        assert_ne!(one.id(), column_schema(decimal("2").optional().build()).id());
        let with_default = || column_schema(Schema::int32().default(Value::Int32(1)).build());
        assert_ne!(with_default().id(), with_default().id());
        assert!(Arc::ptr_eq(&field_name("amount"), &field_name("amount")));
    }

    #[test]
    fn a_name_is_kept_once() {
        let (one, two) = (intern("orders"), intern("orders ".trim_end()));
        assert!(std::ptr::eq(one, two));
    }
}
