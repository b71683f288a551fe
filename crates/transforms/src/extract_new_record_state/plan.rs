//! What a change event's schema means for taking it apart, worked out once per schema.

use std::sync::Arc;

use tapline_api::cache::Cache;
use tapline_api::envelope::{AFTER, BEFORE};
use tapline_api::{Error, Result, Schema, SchemaRef, Struct, Type, Value};

use super::reference::{Found, Reference};
use crate::part::Defaults;

/// The field that `rewrite` adds.
const DELETED: &str = "__deleted";

/// The plan for envelopes of one schema.
pub(super) struct Envelope {
    pub(super) before: Row,
    pub(super) after: Row,
    pub(super) headers: Vec<Found>,
    pub(super) fields: Vec<Found>,
}

/// The row before or after the change.
pub(super) struct Row {
    /// Its place in the envelope.
    pub(super) index: usize,
    /// The schema of the field.
    pub(super) schema: SchemaRef,
    /// The schema that its rows count as: of two equal ones always the same.
    canonical: SchemaRef,
    /// Another identity of the same schema, as the last row had it.
    accepted: u64,
    /// Where the topic is, if a field names it.
    pub(super) route: Option<usize>,
}

impl Envelope {
    pub(super) fn new(
        schema: &SchemaRef,
        headers: &[Reference],
        fields: &[Reference],
        route_by: Option<&str>,
    ) -> Result<Self> {
        let find = |references: &[Reference]| -> Result<Vec<Found>> {
            references
                .iter()
                .filter_map(|reference| reference.find(schema).transpose())
                .collect()
        };
        let mut before = Row::new(schema, BEFORE, route_by)?;
        let after = Row::new(schema, AFTER, route_by)?;
        if *before.schema == *after.schema {
            before.canonical = after.schema.clone();
        }
        Ok(Self {
            before,
            after,
            headers: find(headers)?,
            fields: find(fields)?,
        })
    }

    /// Whether a field to add is one of the rows.
    pub(super) fn refers_to_rows(&self) -> bool {
        self.fields
            .iter()
            .any(|found| found.is_at(self.before.index) || found.is_at(self.after.index))
    }
}

impl Row {
    fn new(envelope: &SchemaRef, name: &str, route_by: Option<&str>) -> Result<Self> {
        let (Some(field), Some(index)) = (envelope.field(name), envelope.field_index(name)) else {
            return Err(
                Error::data(format!("Unknown field: {name}")).exception("java.lang.IllegalArgumentException")
            );
        };
        let schema = field.schema();
        Ok(Self {
            index,
            schema: schema.clone(),
            canonical: schema.clone(),
            accepted: schema.id(),
            route: route_by.and_then(|name| schema.field_index(name)),
        })
    }

    /// Takes a row apart; its schema is one by which plans can be found.
    pub(super) fn open(&mut self, row: Struct) -> (SchemaRef, Vec<Value>) {
        let (schema, values) = row.into_parts();
        let same = schema.id() == self.accepted || *schema == *self.schema;
        if !same {
            return (schema, values.into_vec());
        }
        self.accepted = schema.id();
        (self.canonical.clone(), values.into_vec())
    }

    /// The topic that the row's field `name` says, unless it is blank.
    pub(super) fn topic<'a>(&self, values: &'a [Value], name: &str) -> Result<Option<&'a str>> {
        let value = self.route.and_then(|index| values.get(index));
        match value {
            None => Err(Error::data(format!("{name} is not a valid field name"))),
            Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(&**text).filter(|text| !text.trim().is_empty())),
            Some(_) => Err(Error::data(format!("Field '{name}' is not of type STRING"))),
        }
    }
}

/// Rows without their envelope: the schemas that come out, by those that go in.
pub(super) struct Rows {
    rewrite: bool,
    replace_null: bool,
    marked: Cache<u64, Marked>,
    /// By the schema of the row and of its envelope.
    extended: Cache<(u64, u64), SchemaRef>,
}

struct Marked {
    schema: SchemaRef,
    defaults: Defaults,
}

impl Rows {
    pub(super) fn new(rewrite: bool, replace_null: bool, limit: usize) -> Self {
        Self {
            rewrite,
            replace_null,
            marked: Cache::new(limit),
            extended: Cache::new(limit),
        }
    }

    /// Adds `__deleted` where the mode asks for it.
    pub(super) fn mark(
        &mut self,
        schema: SchemaRef,
        values: &mut Vec<Value>,
        deleted: bool,
    ) -> Result<SchemaRef> {
        if !self.rewrite {
            return Ok(schema);
        }
        let replace_null = self.replace_null;
        let marked = self.marked.get_or_make(schema.id(), || {
            Ok::<_, Error>(Marked {
                schema: schema
                    .to_basics()
                    .field(DELETED, Schema::string().optional().build())
                    .build(),
                defaults: Defaults::of(&schema, replace_null),
            })
        })?;
        marked.defaults.fill(values);
        values.push(if deleted { "true" } else { "false" }.into());
        Ok(marked.schema.clone())
    }

    /// Adds metadata, and makes the schema a required one.
    pub(super) fn extend(
        &mut self,
        schema: &SchemaRef,
        values: &mut Vec<Value>,
        fields: &[Found],
        envelope: (&SchemaRef, &[Value]),
    ) -> Result<SchemaRef> {
        let key = (schema.id(), if fields.is_empty() { 0 } else { envelope.0.id() });
        let extended = self.extended.get_or_make(key, || {
            Ok::<_, Error>(
                fields
                    .iter()
                    .fold(schema.to_basics(), |builder, found| {
                        builder.field(found.name.clone(), found.schema.clone())
                    })
                    .build(),
            )
        })?;
        values.extend(fields.iter().map(|found| found.value(envelope.1)));
        Ok(extended.clone())
    }
}

/// `drop.fields.*`: what is left of a struct when the fields that a header names are gone.
pub(super) struct Dropper {
    keep_compatible: bool,
    /// The last schema and names, with what came of them: the names are the same for a table's records.
    last: Option<(u64, Value, Option<Dropped>)>,
}

#[derive(Clone)]
struct Dropped {
    schema: SchemaRef,
    kept: Arc<[(usize, Option<Value>)]>,
}

impl Dropper {
    pub(super) fn new(keep_compatible: bool) -> Self {
        Self {
            keep_compatible,
            last: None,
        }
    }

    /// Drops the named fields; the schema as it is when there is nothing to drop.
    pub(super) fn drop(&mut self, schema: SchemaRef, values: &mut Vec<Value>, names: &Value) -> SchemaRef {
        let known = matches!(&self.last, Some((id, last, _)) if *id == schema.id() && last == names);
        if !known {
            self.last = Some((schema.id(), names.clone(), self.plan(&schema, names)));
        }
        let Some((_, _, Some(dropped))) = &self.last else {
            return schema;
        };
        let kept = dropped
            .kept
            .iter()
            .map(|(index, default)| match (values.get_mut(*index), default) {
                (None | Some(Value::Null), Some(default)) => default.clone(),
                (value, _) => value.map(std::mem::take).unwrap_or_default(),
            })
            .collect();
        *values = kept;
        dropped.schema.clone()
    }

    fn plan(&self, schema: &Schema, names: &Value) -> Option<Dropped> {
        let Value::Array(names) = names else {
            return None;
        };
        if schema.kind() != Type::Struct || names.is_empty() {
            return None;
        }
        let dropped = |index: usize| {
            schema.fields().get(index).is_some_and(|field| {
                names.iter().any(|name| name.as_str() == Some(&**field.name()))
                    && (field.schema().is_optional() || !self.keep_compatible)
            })
        };
        // Debezium leaves it to ReplaceField, which fills in defaults, but only if there is anything to drop.
        if self.keep_compatible && !(0..schema.fields().len()).any(dropped) {
            return None;
        }
        let mut index = 0;
        let rest = schema
            .to_basics()
            .retain_fields(|_| {
                index += 1;
                !dropped(index - 1)
            })
            .build();
        Some(Dropped {
            schema: rest,
            kept: schema
                .fields()
                .iter()
                .enumerate()
                .filter(|(index, _)| !dropped(*index))
                .map(|(index, field)| (index, field.schema().default().cloned()))
                .collect(),
        })
    }
}
