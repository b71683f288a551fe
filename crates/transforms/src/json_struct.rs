//! A text of JSON as a struct: its schema is inferred from the document (Debezium's `JsonSchemaData`).
//!
//! Documents of one shape have one schema, by identity, so that what comes after can keep what it derives from it.

use std::collections::HashMap;

use serde_json::Value as Json;
use tapline_api::adjust::Adjustment;
use tapline_api::{Schema, SchemaRef, Struct, Value};

/// How many shapes are remembered; then it begins anew.
const LIMIT: usize = 10_000;

/// What a document looks like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Text,
    Boolean,
    Int32,
    Int64,
    Float64,
    Bytes,
    Array(Box<Shape>),
    Object {
        name: Option<String>,
        /// The schema's name of a field, the document's, and the field's shape.
        fields: Vec<(String, String, Shape)>,
    },
}

/// Makes structs of documents.
pub(crate) struct Expansion {
    /// What becomes of a null.
    null: Option<Shape>,
    adjustment: Adjustment,
    schemas: HashMap<Shape, SchemaRef>,
}

impl Expansion {
    pub(crate) fn new(keeps_nulls: bool, adjustment: Adjustment) -> Self {
        Self {
            null: keeps_nulls.then_some(Shape::Bytes),
            adjustment,
            schemas: HashMap::new(),
        }
    }

    /// The schema, with its name, and the struct of a document; or why there is none.
    pub(crate) fn expand(&mut self, name: Option<&str>, text: &str) -> Result<(SchemaRef, Value), String> {
        if !text.starts_with('{') {
            return Err("only an object can be expanded".to_owned());
        }
        let document: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let shape = self.shape(name, &document)?.ok_or("the document has no schema")?;
        let schema = match self.schemas.get(&shape) {
            Some(schema) => schema.clone(),
            None => {
                if self.schemas.len() >= LIMIT {
                    self.schemas.clear();
                }
                let schema = shape.schema();
                self.schemas.insert(shape.clone(), schema.clone());
                schema
            }
        };
        let value = shape.value(document, &schema)?;
        Ok((schema, value))
    }

    fn shape(&self, name: Option<&str>, node: &Json) -> Result<Option<Shape>, String> {
        Ok(Some(match node {
            Json::Null => return Ok(self.null.clone()),
            Json::Bool(_) => Shape::Boolean,
            Json::String(_) => Shape::Text,
            Json::Number(number) => match number.as_i64() {
                Some(n) if i32::try_from(n).is_ok() => Shape::Int32,
                Some(_) => Shape::Int64,
                None if number.is_u64() => return Err(format!("the number {number} is too large")),
                None => Shape::Float64,
            },
            Json::Array(items) if items.is_empty() => return Ok(None),
            Json::Array(items) => Shape::Array(Box::new(self.element(name, items)?)),
            Json::Object(entries) => {
                let mut fields: Vec<(String, String, Shape)> = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let field = self.adjustment.adjust_field(key);
                    let path = match name {
                        Some(name) if !name.trim().is_empty() => format!("{name}.{field}"),
                        _ => field.clone(),
                    };
                    let shape = self.shape(Some(&path), value)?;
                    if let Some(shape) = shape
                        && fields.iter().all(|(known, ..)| *known != field)
                    {
                        fields.push((field, key.clone(), shape));
                    }
                }
                Shape::Object {
                    name: name.map(str::to_owned),
                    fields,
                }
            }
        }))
    }

    /// What all elements of an array look like; objects may have different fields.
    fn element(&self, name: Option<&str>, items: &[Json]) -> Result<Shape, String> {
        let mut whole: Option<Shape> = None;
        for item in items.iter().filter(|item| !item.is_null()) {
            let name = name.filter(|_| item.is_object());
            let shape = self
                .shape(name, item)?
                .ok_or_else(|| "Array '' has unrecognized member schema.".to_owned())?;
            whole = Some(match whole {
                None => shape,
                Some(known) => known.merge(shape)?,
            });
        }
        whole
            .or_else(|| self.null.clone())
            .ok_or_else(|| "Array '' has unrecognized member schema.".to_owned())
    }
}

impl Shape {
    fn merge(self, other: Self) -> Result<Self, String> {
        match (self, other) {
            (Self::Object { name, mut fields }, Self::Object { fields: more, .. }) => {
                for (field, key, shape) in more {
                    match fields.iter_mut().find(|(known, ..)| *known == field) {
                        None => fields.push((field, key, shape)),
                        // A null told nothing.
                        Some(known) if known.2 == Self::Bytes => known.2 = shape,
                        Some(_) => {}
                    }
                }
                Ok(Self::Object { name, fields })
            }
            // What is in an array within an array is judged by the first.
            (known @ Self::Array(_), Self::Array(_)) => Ok(known),
            (known, other) if known == other => Ok(known),
            (known, other) => Err(format!(
                "Field is not a homogenous array ({known:?} x {other:?})."
            )),
        }
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Self::Text => Schema::string(),
            Self::Boolean => Schema::boolean(),
            Self::Int32 => Schema::int32(),
            Self::Int64 => Schema::int64(),
            Self::Float64 => Schema::float64(),
            Self::Bytes => Schema::bytes(),
            Self::Array(element) => Schema::array(element.schema()),
            Self::Object { name, fields } => {
                let mut builder = Schema::structure();
                if let Some(name) = name {
                    builder = builder.name(name.as_str());
                }
                for (field, _, shape) in fields {
                    builder = builder.field(field.as_str(), shape.schema());
                }
                builder
            }
        }
        .optional()
        .build()
    }

    /// A document of this shape, or of one that was merged into it.
    fn value(&self, node: Json, schema: &SchemaRef) -> Result<Value, String> {
        Ok(match (self, node) {
            (_, Json::Null) => Value::Null,
            (Self::Text, Json::String(text)) => text.into(),
            (Self::Boolean, Json::Bool(bool)) => Value::Boolean(bool),
            (Self::Int32, Json::Number(number)) => match number.as_i64().map(i32::try_from) {
                Some(Ok(n)) => Value::Int32(n),
                _ => return Err(format!("{number} is no 32-bit integer")),
            },
            (Self::Int64, Json::Number(number)) => match number.as_i64() {
                Some(n) if i32::try_from(n).is_err() => Value::Int64(n),
                _ => return Err(format!("{number} is no 64-bit integer")),
            },
            (Self::Float64, Json::Number(number)) if number.is_f64() => match number.as_f64() {
                Some(n) => Value::Float64(n),
                None => return Err(format!("{number} is no number")),
            },
            (Self::Array(element), Json::Array(items)) => {
                let of = schema.value_schema().ok_or("an array without elements")?;
                let items = items.into_iter().map(|item| element.value(item, of));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            (Self::Object { fields, .. }, Json::Object(mut entries)) => {
                let values = fields
                    .iter()
                    .zip(schema.fields())
                    .map(|((_, key, shape), field)| {
                        let node = entries.get_mut(key).map(Json::take).unwrap_or_default();
                        shape.value(node, field.schema())
                    });
                let values = values.collect::<Result<_, _>>()?;
                Value::Struct(Struct::new(schema.clone(), values))
            }
            (shape, node) => return Err(format!("{node} is no {shape:?}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<(SchemaRef, Value), String> {
        Expansion::new(false, Adjustment::None).expand(Some("payload"), text)
    }

    #[test]
    fn documents_of_one_shape_have_one_schema() {
        let mut expansion = Expansion::new(false, Adjustment::None);
        let (one, _) = expansion
            .expand(Some("payload"), r#"{"id":1,"a":[{"q":2}]}"#)
            .unwrap();
        let (two, value) = expansion
            .expand(Some("payload"), r#"{"id":7,"a":[{"q":null}]}"#)
            .unwrap();
        assert_ne!(one.id(), two.id());
        let (three, _) = expansion
            .expand(Some("payload"), r#"{"id":3,"a":[{"q":4}]}"#)
            .unwrap();
        assert_eq!(one.id(), three.id());
        assert_eq!(&**one.name().unwrap(), "payload");
        let element = one.field("a").unwrap().schema().value_schema().unwrap();
        assert_eq!(&**element.name().unwrap(), "payload.a");
        assert_eq!(value.as_struct().unwrap().get("id"), Some(&Value::Int32(7)));
    }

    #[test]
    fn objects_of_an_array_may_have_different_fields() {
        let (schema, value) = expand(r#"{"a":[{"x":1},null,{"y":"t","x":2}]}"#).unwrap();
        let element = schema.field("a").unwrap().schema().value_schema().unwrap();
        assert_eq!(element.fields().len(), 2);
        let Some(Value::Array(items)) = value.as_struct().unwrap().get("a") else {
            panic!("no array");
        };
        assert_eq!(items[0].as_struct().unwrap().get("y"), Some(&Value::Null));
        assert!(items[1].is_null());
        assert_eq!(items[2].as_struct().unwrap().get("y"), Some(&Value::from("t")));
    }

    #[test]
    fn what_has_no_schema_is_left_out_and_what_has_two_can_not_be_expanded() {
        let (schema, _) = expand(r#"{"n":null,"e":[],"l":3000000000,"d":1.50,"b":true}"#).unwrap();
        let names: Vec<&str> = schema.fields().iter().map(|field| &**field.name()).collect();
        assert_eq!(names, ["l", "d", "b"]);
        let (schema, _) = Expansion::new(true, Adjustment::None)
            .expand(Some("payload"), r#"{"n":null}"#)
            .unwrap();
        assert_eq!(schema.field("n").unwrap().schema().kind().constant(), "BYTES");
        for text in [
            r#"{"a":[1,"x"]}"#,
            r#"{"a":[1,3000000000]}"#,
            r#"{"a":[{"x":1},{"x":"t"}]}"#,
            r#"{"a":[null]}"#,
            r#"{"a":[[],[1]]}"#,
            r#"{"a":18446744073709551615}"#,
            "[1]",
            "\"text\"",
            "{",
        ] {
            assert!(expand(text).is_err(), "{text}");
        }
    }
}
