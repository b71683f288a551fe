//! From a put's records to its batch: each record's shape and layout are looked up, then the records are reduced.

use std::collections::HashMap;
use std::sync::Arc;

use tapline_api::record::SinkRecord;
use tapline_api::{Error, Result, SchemaRef, Value};

use crate::batch::{Batch, NONE};
use crate::config::KeyMode;
use crate::keys::KeyHasher;
use crate::layout::{Layout, Layouts};
use crate::options::Options;
use crate::primary_key;
use crate::reduce::Reduction;
use crate::shape::Shape;

/// What records ask for, before it is put together. Bounded: cleared when there are too many schemas.
pub(crate) struct Planner {
    options: Options,
    hasher: KeyHasher,
    layouts: Layouts,
    shapes: Vec<Shape>,
    by_schemas: HashMap<ShapeKey, u32>,
}

/// Topic, schema of the key, schema of the value, and the headers' schemas where they make up the key.
type ShapeKey = (Arc<str>, u64, u64, Vec<(Arc<str>, u64)>);

const MAX_SHAPES: usize = 4096;

/// A batch's records, looked up: what [`Planner::plan`] borrows from.
pub(crate) struct Resolved {
    /// Shape and layout of each record; `None` for those that are left out.
    records: Vec<Option<(u32, Arc<Layout>)>>,
    /// Keys made from coordinates or headers; empty where the key's mode needs none.
    synthetic: Vec<Vec<Value>>,
}

impl Planner {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            hasher: KeyHasher::default(),
            layouts: Layouts::default(),
            shapes: Vec::new(),
            by_schemas: HashMap::new(),
        }
    }

    /// Finds each record's shape and layout.
    ///
    /// # Errors
    /// The first record that can't be written, [named](Error::at_record).
    pub(crate) fn resolve(&mut self, batch: &[SinkRecord]) -> Result<Resolved> {
        if self.shapes.len() > MAX_SHAPES {
            self.shapes.clear();
            self.by_schemas.clear();
            self.layouts.clear();
        }
        let made = matches!(self.options.key_mode, KeyMode::Kafka | KeyMode::RecordHeader);
        let synthetic = if made {
            batch
                .iter()
                .map(|sink| primary_key::synthetic(&self.options, sink))
                .collect()
        } else {
            Vec::new()
        };
        let mut records = Vec::with_capacity(batch.len());
        let mut last: Option<(&SinkRecord, u32)> = None;
        for (i, sink) in batch.iter().enumerate() {
            let shape = match last {
                Some((before, shape)) if self.alike(before, sink) => Ok(Some(shape)),
                _ => self.shape(sink),
            };
            let shape = shape.map_err(|error| error.at_record(i))?;
            let Some(shape) = shape else {
                records.push(None);
                continue;
            };
            last = Some((sink, shape));
            let Self {
                options,
                layouts,
                shapes,
                ..
            } = &mut *self;
            let layout = shapes
                .get_mut(shape as usize)
                .map(|known| known.layout(options, layouts, &sink.record))
                .transpose()
                .map_err(|error| error.at_record(i))?;
            records.push(layout.map(|layout| (shape, layout)));
        }
        Ok(Resolved { records, synthetic })
    }

    /// Whether two records have the same shape without a look-up.
    fn alike(&self, a: &SinkRecord, b: &SinkRecord) -> bool {
        let (a, b) = (&a.record, &b.record);
        Arc::ptr_eq(&a.topic, &b.topic)
            && id(&a.value_schema) == id(&b.value_schema)
            && id(&a.key_schema) == id(&b.key_schema)
            && (self.options.key_mode != KeyMode::RecordHeader || a.headers == b.headers)
    }

    fn shape(&mut self, sink: &SinkRecord) -> Result<Option<u32>> {
        let record = &sink.record;
        // A null value is a delete whatever its schema.
        if record.value.is_null() && !self.options.delete {
            return Ok(None);
        }
        let headers = if self.options.key_mode == KeyMode::RecordHeader {
            let all = record.headers.iter();
            all.map(|header| (header.key.clone(), id(&header.schema)))
                .collect()
        } else {
            Vec::new()
        };
        let key = (
            record.topic.clone(),
            id(&record.key_schema),
            id(&record.value_schema),
            headers,
        );
        if let Some(known) = self.by_schemas.get(&key) {
            return Ok(Some(*known).filter(|shape| *shape != NONE));
        }
        let shape = match Shape::compile(&self.options, &mut self.layouts, sink)? {
            Some(shape) => {
                self.shapes.push(shape);
                u32::try_from(self.shapes.len() - 1).unwrap_or(NONE)
            }
            None => NONE,
        };
        self.by_schemas.insert(key, shape);
        Ok(Some(shape).filter(|shape| *shape != NONE))
    }

    /// Puts the batch together. `strict`: every record is a step of its own, so that a failing step names its record.
    pub(crate) fn plan<'a>(
        &'a self,
        batch: &'a [SinkRecord],
        resolved: &'a Resolved,
        strict: bool,
    ) -> Result<Batch<'a>> {
        let mut reduction = Reduction::new(&self.options, &self.hasher, &self.layouts, &self.shapes, strict);
        for (i, (sink, found)) in batch.iter().zip(&resolved.records).enumerate() {
            let Some((shape, layout)) = found else { continue };
            let synthetic = resolved.synthetic.get(i).map_or(&[][..], Vec::as_slice);
            let record = u32::try_from(i).unwrap_or(NONE);
            self.shapes
                .get(*shape as usize)
                .ok_or_else(|| Error::fatal("a shape is gone"))
                .and_then(|known| known.read(&sink.record, synthetic))
                .and_then(|parts| reduction.add(record, *shape, layout, parts))
                .map_err(|error| error.at_record(i))?;
        }
        Ok(reduction.finish())
    }
}

fn id(schema: &Option<SchemaRef>) -> u64 {
    schema.as_ref().map_or(0, |schema| schema.id())
}
