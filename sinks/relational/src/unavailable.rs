//! Values that the source did not send: a TOASTed column that an update did not touch.
//!
//! Debezium puts a placeholder in their place, in a form for each type; its own sink writes it to the table. We leave
//! the column as it is.
//!
//! Source: Debezium 3.6, `UnchangedToastedPlaceholder`.

use std::sync::Arc;

use tapline_api::{Schema, Type, Value};

/// The placeholder's form in one column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Placeholder {
    /// The text itself, as a string or as bytes.
    Text(Arc<str>),
    /// An array whose one element is the text, as a string, as bytes or as the name-based UUID of the text.
    Element(Arc<str>),
    /// An array of the text's bytes as numbers.
    Numbers(Arc<str>),
    /// A map from the text to itself.
    Entry(Arc<str>),
}

/// The name-based UUID of Debezium's default placeholder, which stands in arrays of UUIDs.
const DEFAULT_UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";

impl Placeholder {
    /// The form in a column of this schema; `None` where there is none.
    pub(crate) fn of(schema: &Schema, text: &str) -> Option<Self> {
        let element = schema.value_schema().map(|element| element.kind());
        let text = text.into();
        match (schema.kind(), element) {
            (Type::String | Type::Bytes, _) => Some(Self::Text(text)),
            (Type::Array, Some(Type::String | Type::Bytes)) => Some(Self::Element(text)),
            (Type::Array, Some(Type::Int32 | Type::Int64)) => Some(Self::Numbers(text)),
            (Type::Map, _) => Some(Self::Entry(text)),
            _ => None,
        }
    }

    /// Whether a value is it.
    pub(crate) fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(text), value) => same(text, value),
            (Self::Element(text), Value::Array(items)) => match items.as_slice() {
                [item] => same(text, item) || item.as_str() == Some(DEFAULT_UUID),
                _ => false,
            },
            (Self::Numbers(text), Value::Array(items)) => {
                items.len() == text.len()
                    && items
                        .iter()
                        .zip(text.bytes())
                        .all(|(item, byte)| item.as_i64() == Some(byte.cast_signed().into()))
            }
            (Self::Entry(text), Value::Map(entries)) => match entries.as_slice() {
                [(key, value)] => same(text, key) && same(text, value),
                _ => false,
            },
            _ => false,
        }
    }
}

fn same(text: &str, value: &Value) -> bool {
    match value {
        Value::String(value) => **value == *text,
        Value::Bytes(value) => **value == *text.as_bytes(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const TEXT: &str = "__debezium_unavailable_value";

    #[test]
    fn every_form_of_the_placeholder_is_known_and_nothing_else_is() {
        let numbers = TEXT.bytes().map(|byte| Value::Int32(byte.into())).collect();
        let bytes = || Value::Bytes(Bytes::from_static(TEXT.as_bytes()));
        let text = || Schema::string().build();
        for (schema, value) in [
            (text(), TEXT.into()),
            (Schema::bytes().build(), bytes()),
            (Schema::array(text()).build(), Value::Array(vec![TEXT.into()])),
            (
                Schema::array(text()).build(),
                Value::Array(vec![DEFAULT_UUID.into()]),
            ),
            (
                Schema::array(Schema::bytes().build()).build(),
                Value::Array(vec![bytes()]),
            ),
            (
                Schema::array(Schema::int32().build()).build(),
                Value::Array(numbers),
            ),
            (
                Schema::map(text(), text()).build(),
                Value::Map(vec![(TEXT.into(), TEXT.into())]),
            ),
        ] {
            let placeholder = Placeholder::of(&schema, TEXT).unwrap();
            assert!(placeholder.is(&value), "{value:?}");
            assert!(!placeholder.is(&Value::Null));
            assert!(!placeholder.is(&"x".into()));
            assert!(!placeholder.is(&Value::Array(vec![])));
        }
        assert_eq!(Placeholder::of(&Schema::int32().build(), TEXT), None);
    }
}
