//! `org.apache.kafka.connect.transforms.ReplaceField`: leaves fields out, or gives them other names.

use std::collections::HashMap;

use tapline_api::cache::Cache;
use tapline_api::config::{Config, ConfigDef, ConfigKey, ConfigValue, Importance, Kind, Validator};
use tapline_api::record::Origin;
use tapline_api::transform::Transformation;
use tapline_api::{Record, Result, Schema, SchemaRef, Struct, Value};

use crate::part::{
    CACHED, Defaults, Part, REPLACE_NULL, key_and_value, put, require_map, require_struct, unique,
};

const PURPOSE: &str = "field replacement";

/// The options.
pub static CONFIG: ConfigDef = ConfigDef::new(&[
    ConfigKey::new(
        "exclude",
        Kind::List,
        "Fields to leave out, also if they are included.",
    )
    .default("")
    .importance(Importance::Medium),
    ConfigKey::new(
        "include",
        Kind::List,
        "Fields to keep; all of them if there are none here.",
    )
    .default("")
    .importance(Importance::Medium),
    ConfigKey::new("renames", Kind::List, "New names, as old:new pairs.")
        .default("")
        .valid(Validator::Custom(check_renames))
        .importance(Importance::Medium),
    REPLACE_NULL,
]);

key_and_value!("ReplaceField", ReplaceField);

fn check_renames(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::List(pairs) = value else {
        return None;
    };
    let wrong = pairs.iter().find(|pair| rename(pair).is_none())?;
    Some(format!(
        "Invalid value [{}] for configuration {name}: Invalid rename mapping: {wrong}",
        pairs.join(", ")
    ))
}

fn rename(pair: &str) -> Option<(String, String)> {
    let (old, new) = pair.split_once(':')?;
    (!new.is_empty() && !new.contains(':')).then(|| (old.to_owned(), new.to_owned()))
}

/// The transformation.
pub struct ReplaceField {
    part: Part,
    fields: Fields,
    replace_null: bool,
    plans: Cache<u64, Plan>,
}

struct Fields {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: HashMap<String, String>,
}

struct Plan {
    schema: SchemaRef,
    kept: Vec<usize>,
    defaults: Defaults,
}

impl Fields {
    fn keep(&self, name: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|item| item == name);
        !listed(&self.exclude) && (self.include.is_empty() || listed(&self.include))
    }

    fn renamed<'a>(&'a self, name: &'a str) -> &'a str {
        self.renames.get(name).map_or(name, String::as_str)
    }

    fn plan(&self, schema: &Schema, replace_null: bool) -> Result<Plan> {
        let mut kept = Vec::new();
        let mut new = schema.to_basics().retain_fields(|_| false);
        let mut names = Schema::structure();
        for (index, field) in schema.fields().iter().enumerate() {
            if self.keep(field.name()) {
                let name = self.renamed(field.name());
                let so_far = names.build();
                unique(&so_far, name)?;
                names = so_far.to_builder().field(name, field.schema().clone());
                new = new.field(name, field.schema().clone());
                kept.push(index);
            }
        }
        Ok(Plan {
            schema: new.build(),
            kept,
            defaults: Defaults::of(schema, replace_null),
        })
    }
}

impl ReplaceField {
    pub(crate) fn new(part: Part, config: &Config) -> Result<Self> {
        let parsed = CONFIG.parse(config)?;
        Ok(Self {
            part,
            fields: Fields {
                exclude: parsed.list("exclude").to_vec(),
                include: parsed.list("include").to_vec(),
                renames: parsed
                    .list("renames")
                    .iter()
                    .filter_map(|pair| rename(pair))
                    .collect(),
            },
            replace_null: parsed.boolean("replace.null.with.default")?,
            plans: Cache::new(CACHED),
        })
    }
}

impl Transformation for ReplaceField {
    fn apply(&mut self, mut record: Record, _origin: Option<&Origin>) -> Result<Option<Record>> {
        if self.part.value(&record).is_null() {
            return Ok(Some(record));
        }
        let (schema, value) = self.part.take(&mut record);
        if schema.is_none() {
            let mut kept = Vec::new();
            for (key, value) in require_map(value, PURPOSE)? {
                match key.as_str() {
                    Some(name) if !self.fields.keep(name) => {}
                    Some(name) => put(&mut kept, self.fields.renamed(name), value),
                    None => kept.push((key, value)),
                }
            }
            self.part.put(&mut record, None, Value::Map(kept));
            return Ok(Some(record));
        }
        let (schema, mut values) = require_struct(value, PURPOSE)?.into_parts();
        let (fields, replace_null) = (&self.fields, self.replace_null);
        let plan = self
            .plans
            .get_or_make(schema.id(), || fields.plan(&schema, replace_null))?;
        plan.defaults.fill(&mut values);
        let kept = plan
            .kept
            .iter()
            .map(|index| values.get_mut(*index).map(std::mem::take).unwrap_or_default())
            .collect();
        let schema = plan.schema.clone();
        let value = Value::Struct(Struct::new(schema.clone(), kept));
        self.part.put(&mut record, Some(schema), value);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(options: &[(&str, &str)]) -> Result<ReplaceField> {
        ReplaceField::new(Part::Value, &options.iter().copied().collect())
    }

    #[test]
    fn fields_are_left_out_kept_and_renamed() {
        let schema = Schema::structure()
            .name("row")
            .field("a", Schema::int32().build())
            .field("b", Schema::int32().optional().default(Value::Int32(2)).build())
            .field("c", Schema::int32().build())
            .optional()
            .build();
        let mut record = Record::new("t");
        record.value_schema = Some(schema.clone());
        record.value = Value::Struct(Struct::new(
            schema,
            vec![Value::Int32(1), Value::Null, Value::Int32(3)],
        ));
        let applied = |options: &[(&str, &str)]| {
            let applied = replace(options)
                .unwrap()
                .apply(record.clone(), None)
                .unwrap()
                .unwrap();
            let row = applied.value.as_struct().unwrap().clone();
            let names: Vec<_> = row
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().to_string())
                .collect();
            (names.join(","), row.values().to_vec())
        };
        assert_eq!(
            applied(&[("exclude", "a")]),
            ("b,c".into(), vec![Value::Int32(2), Value::Int32(3)])
        );
        assert_eq!(
            applied(&[
                ("include", "a,b"),
                ("renames", "b:x"),
                ("replace.null.with.default", "false")
            ]),
            ("a,x".into(), vec![Value::Int32(1), Value::Null])
        );
        let error = replace(&[("renames", "b:a")])
            .unwrap()
            .apply(record.clone(), None)
            .unwrap_err();
        assert_eq!(
            error.message(),
            "Cannot create field because of field name duplication a"
        );
        let error = replace(&[("renames", "b")]).map(drop).unwrap_err();
        assert_eq!(
            error.message(),
            "Invalid value [b] for configuration renames: Invalid rename mapping: b"
        );
    }

    #[test]
    fn maps_without_a_schema_have_fields_too() {
        let mut record = Record::new("t");
        record.value = Value::Map(vec![("a".into(), Value::Int64(1)), ("b".into(), Value::Int64(2))]);
        let mut replace = replace(&[("exclude", "a"), ("renames", "b:c")]).unwrap();
        let applied = replace.apply(record, None).unwrap().unwrap();
        assert_eq!(applied.value, Value::Map(vec![("c".into(), Value::Int64(2))]));
        assert_eq!(
            replace.apply(Record::new("t"), None).unwrap(),
            Some(Record::new("t"))
        );
    }
}
