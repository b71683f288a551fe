//! `org.apache.kafka.connect.transforms.Flatten`: nested structs and maps as fields of one.

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, Importance, Kind};
use tapline_api::record::Origin;
use tapline_api::schema::SchemaBuilder;
use tapline_api::transform::Transformation;
use tapline_api::{Error, Record, Result, Schema, SchemaRef, Struct, Type, Value};

use crate::part::{CACHED, Part, key_and_value, put, require_map, require_struct};

const PURPOSE: &str = "flattening";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[ConfigKey::new(
    "delimiter",
    Kind::String,
    "What joins the names of a field and of those it was in.",
)
.default(".")
.importance(Importance::Medium)]);

key_and_value!("Flatten", Flatten);

/// The transformation.
pub struct Flatten {
    part: Part,
    delimiter: String,
    plans: Cache<u64, Plan>,
}

struct Plan {
    schema: SchemaRef,
    fields: Vec<Node>,
}

/// A field: taken as it is (with what stands for null), or a struct to go into.
enum Node {
    Leaf(Option<Value>),
    Inner(Vec<Node>, Option<Value>),
}

impl Flatten {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        Ok(Self {
            part,
            delimiter: CONFIG.parse(config)?.text("delimiter").unwrap_or(".").to_owned(),
            plans: Cache::new(CACHED),
        })
    }
}

fn joined(prefix: &str, delimiter: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}{delimiter}{name}")
    }
}

/// Adds the fields of `schema` to `builder`. A field in an optional struct is optional; one without a default has that of
/// the struct's default.
fn plan(
    schema: &Schema,
    prefix: &str,
    delimiter: &str,
    optional: bool,
    default: Option<&Value>,
    mut builder: SchemaBuilder,
) -> Result<(SchemaBuilder, Vec<Node>)> {
    let mut nodes = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let name = joined(prefix, delimiter, field.name());
        let own = field.schema();
        let optional = optional || own.is_optional();
        let inherited = || default?.as_struct()?.at(index).filter(|value| !value.is_null());
        let default = own.default().or_else(inherited);
        match own.kind() {
            Type::Struct => {
                let inner;
                (builder, inner) = plan(own, &name, delimiter, optional, default, builder)?;
                nodes.push(Node::Inner(inner, own.default().cloned()));
            }
            Type::Map => {
                return Err(Error::data(format!(
                    "Flatten transformation does not support MAP for record with schemas (for field {name})."
                )));
            }
            _ => {
                let mut flat = own.to_basics().set_optional(optional);
                if let Some(default) = default {
                    flat = flat.default(default.clone());
                }
                builder = builder.field(name, flat.build());
                nodes.push(Node::Leaf(own.default().cloned()));
            }
        }
    }
    Ok((builder, nodes))
}

/// Takes the values out of a struct; of one that is not there, as many nulls.
fn flatten(nodes: &[Node], row: Option<Struct>, out: &mut Vec<Value>) {
    let mut values = row.map(|row| row.into_parts().1);
    for (index, node) in nodes.iter().enumerate() {
        let there = values.is_some();
        let value = values
            .as_mut()
            .and_then(|values| values.get_mut(index))
            .map(std::mem::take)
            .unwrap_or_default();
        let filled = |default: &Option<Value>| match (value, default) {
            (Value::Null, Some(default)) if there => default.clone(),
            (value, _) => value,
        };
        match node {
            Node::Leaf(default) => out.push(filled(default)),
            Node::Inner(nodes, default) => {
                let inner = match filled(default) {
                    Value::Struct(row) => Some(row),
                    _ => None,
                };
                flatten(nodes, inner, out);
            }
        }
    }
}

fn flatten_map(
    entries: Vec<(Value, Value)>,
    prefix: &str,
    delimiter: &str,
    out: &mut Vec<(Value, Value)>,
) -> Result<()> {
    for (key, value) in entries {
        let name = joined(prefix, delimiter, key.as_str().unwrap_or_default());
        match value {
            Value::Map(inner) => flatten_map(inner, &name, delimiter, out)?,
            Value::Struct(_) => {
                return Err(Error::data(format!(
                    "Flatten transformation does not support class org.apache.kafka.connect.data.Struct for record without \
                     schemas (for field {name})."
                )));
            }
            value => put(out, &name, value),
        }
    }
    Ok(())
}

impl Transformation for Flatten {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        if self.part.value(&record).is_null() {
            return Ok(Some(record));
        }
        let (schema, value) = self.part.take(&mut record);
        let Some(schema) = schema else {
            let mut flat = Vec::new();
            flatten_map(require_map(value, PURPOSE)?, "", &self.delimiter, &mut flat)?;
            self.part.put(&mut record, None, Value::Map(flat));
            return Ok(Some(record));
        };
        let row = require_struct(value, PURPOSE)?;
        let delimiter = &self.delimiter;
        let plan = self.plans.get_or_make(schema.id(), || {
            let empty = schema.to_basics().retain_fields(|_| false);
            let (builder, fields) = plan(
                &schema,
                "",
                delimiter,
                schema.is_optional(),
                schema.default(),
                empty,
            )?;
            Ok::<_, Error>(Plan {
                schema: builder.build(),
                fields,
            })
        })?;
        let mut values = Vec::with_capacity(plan.schema.fields().len());
        flatten(&plan.fields, Some(row), &mut values);
        let schema = plan.schema.clone();
        let value = Value::Struct(Struct::new(schema.clone(), values));
        self.part.put(&mut record, Some(schema), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_fields_come_to_the_top_with_joined_names() {
        let inner = Schema::structure()
            .field("x", Schema::int32().build())
            .field("y", Schema::string().optional().default("d".into()).build())
            .optional()
            .build();
        let schema = Schema::structure()
            .field("a", inner.clone())
            .field("b", Schema::array(Schema::int32().build()).build())
            .build();
        let mut transform = Flatten::new(Part::Value, &Config::from_iter([("delimiter", "_")])).unwrap();
        let mut flat = |inner: Value| {
            let mut record = Record::new("t");
            record.value_schema = Some(schema.clone());
            record.value = Value::Struct(Struct::new(schema.clone(), vec![inner, Value::Array(vec![])]));
            let applied = transform.apply(record, None).unwrap().unwrap();
            let schema = applied.value_schema.unwrap();
            let shape: Vec<_> = schema
                .fields()
                .iter()
                .map(|field| (field.name().to_string(), field.schema().is_optional()))
                .collect();
            assert_eq!(
                shape,
                [("a_x".into(), true), ("a_y".into(), true), ("b".into(), false)]
            );
            applied.value.as_struct().unwrap().values().to_vec()
        };
        let row = Value::Struct(Struct::new(inner, vec![Value::Int32(1), Value::Null]));
        assert_eq!(flat(row), [Value::Int32(1), "d".into(), Value::Array(vec![])]);
        assert_eq!(
            flat(Value::Null),
            [Value::Null, Value::Null, Value::Array(vec![])]
        );
    }

    #[test]
    fn maps_without_a_schema_are_flattened_too() {
        let mut record = Record::new("t");
        let inner = Value::Map(vec![("b".into(), Value::Int64(1))]);
        record.value = Value::Map(vec![("a".into(), inner), ("c".into(), Value::Null)]);
        let mut transform = Flatten::new(Part::Value, &Config::new()).unwrap();
        assert_eq!(
            transform.apply(record, None).unwrap().unwrap().value,
            Value::Map(vec![("a.b".into(), Value::Int64(1)), ("c".into(), Value::Null)])
        );
    }
}
