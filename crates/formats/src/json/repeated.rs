//! The text of a struct whose first fields are mostly what they were in the struct before: the source block of a change.
//! Rows of one transaction share all of it but for a place or two, and writing it is half the work of writing a change.
//!
//! ```text
//!  last    {"version":"3.6","connector":"mysql","name":"g","ts_ms":17…,      "row":0,"thread":7,"query":null
//!          └────────────────── kept, copied as one piece ───────────────┘ limit └──── written anew each time ──┘
//! ```
//!
//! Values are compared by what they are or, text, by where it lies: what is kept holds it, so that the same place has the
//! same text.

use std::sync::Arc;

use bytes::BytesMut;
use tapline_api::{Struct, Value};

/// So many structs that needed nothing kept anew: perhaps more can be.
const PATIENCE: u32 = 1000;

/// What was written of the last struct.
#[derive(Default)]
pub(super) struct Repeated {
    values: Vec<Value>,
    text: Vec<u8>,
    /// Where each value's text ends.
    ends: Vec<usize>,
    /// How many fields are worth keeping; `None` is all.
    limit: Option<usize>,
    /// Which field has differed last.
    differed: Option<usize>,
    /// How many structs since then had nothing that differed.
    hits: u32,
    /// A struct whose values others share, and its text.
    whole: Option<Whole>,
}

struct Whole {
    values: Arc<Box<[Value]>>,
    text: Vec<u8>,
}

impl Repeated {
    /// Writes a struct as a whole that shares its values with the last one that did; whether this is one.
    pub(super) fn copy_whole(&mut self, row: &Struct, out: &mut BytesMut) -> bool {
        match (row.shared(), &self.whole) {
            (Some(values), Some(last)) if Arc::ptr_eq(values, &last.values) => {
                out.extend_from_slice(&last.text);
                true
            }
            _ => false,
        }
    }

    /// A struct was written, whose text begins at `start`.
    pub(super) fn keep_whole(&mut self, row: &Struct, start: usize, out: &BytesMut) {
        if let Some(values) = row.shared() {
            let last = self.whole.get_or_insert_with(|| Whole {
                values: values.clone(),
                text: Vec::new(),
            });
            last.values.clone_from(values);
            last.text.clear();
            last.text.extend_from_slice(out.get(start..).unwrap_or_default());
        }
    }

    /// Writes the fields that are as they were; how many those are. The others are to be written, and [`keep`](Self::keep)
    /// to be told of each.
    pub(super) fn copy(&mut self, values: &[Value], out: &mut BytesMut) -> usize {
        let same = values.iter().zip(&self.values);
        let count = same.take_while(|(new, old)| is_same(new, old)).count();
        if count < self.values.len() {
            // The same field in two structs in a row: it is one that always differs.
            if self.hits == 0 && self.differed == Some(count) {
                self.limit = Some(count);
            }
            (self.differed, self.hits) = (Some(count), 0);
            self.values.truncate(count);
            self.ends.truncate(count);
            self.text.truncate(self.ends.last().copied().unwrap_or(0));
        } else {
            self.hits += 1;
            if self.hits > PATIENCE {
                (self.limit, self.hits) = (None, 0);
            }
        }
        out.extend_from_slice(&self.text);
        count
    }

    /// A field was written, whose text begins at `start`. Fields come in their order.
    pub(super) fn keep(&mut self, value: &Value, start: usize, out: &BytesMut) {
        if self.limit.is_some_and(|limit| self.values.len() >= limit) || !is_kept(value) {
            // Those behind it are not kept either.
            self.limit = Some(self.limit.unwrap_or(usize::MAX).min(self.values.len()));
            return;
        }
        self.text.extend_from_slice(out.get(start..).unwrap_or_default());
        self.ends.push(self.text.len());
        self.values.push(value.clone());
    }
}

/// Whether a value is cheap to keep and to compare.
fn is_kept(value: &Value) -> bool {
    matches!(
        value,
        Value::Null | Value::Boolean(_) | Value::Int32(_) | Value::Int64(_) | Value::String(_)
    )
}

#[inline]
fn is_same(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Int64(new), Value::Int64(old)) => new == old,
        (Value::Int32(new), Value::Int32(old)) => new == old,
        (Value::Boolean(new), Value::Boolean(old)) => new == old,
        (Value::Null, Value::Null) => true,
        (Value::String(new), Value::String(old)) => {
            new.len() == old.len() && std::ptr::eq(new.as_bytes().as_ptr(), old.as_bytes().as_ptr())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;
    use proptest::prelude::*;
    use tapline_api::config::Config;
    use tapline_api::convert::Converter as _;
    use tapline_api::{Schema, SchemaRef};

    use super::super::Converter;
    use super::*;

    fn schema(name: &'static str) -> SchemaRef {
        let text = Schema::string().optional().build();
        Schema::structure()
            .name(name)
            .field("version", text.clone())
            .field("ts", Schema::int64().optional().build())
            .field("db", text.clone())
            .field("odd", Schema::float64().optional().build())
            .field("row", Schema::int32().optional().build())
            .field("query", text)
            .build()
    }

    fn converter() -> Converter {
        Converter::new(&Config::from_iter([("schemas.enable", "false")])).unwrap()
    }

    fn text(converter: &mut Converter, schema: &SchemaRef, values: &[Value]) -> String {
        let (topic, mut out) = (Arc::from("t"), BytesMut::new());
        let value = Value::Struct(Struct::new(schema.clone(), values.to_vec()));
        converter.encode(&topic, Some(schema), &value, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn what_differs_in_each_struct_is_not_kept() {
        let (mut repeated, mut out) = (Repeated::default(), BytesMut::new());
        let name = Value::from("g");
        let mut last = 0;
        for row in 0..5 {
            let values = [name.clone(), Value::Int32(row), Value::Null];
            last = repeated.copy(&values, &mut out);
            for value in &values[last..] {
                let start = out.len();
                out.extend_from_slice(b"x");
                repeated.keep(value, start, &out);
            }
        }
        assert_eq!((last, repeated.values.len()), (1, 1));
        let other = [Value::from("h"), Value::Int32(4), Value::Null];
        assert_eq!(repeated.copy(&other, &mut out), 0);
    }

    #[test]
    fn structs_that_share_their_values_are_written_alike_and_one_that_was_changed_is_not() {
        let (schema, mut converter) = (schema("a.Source"), converter());
        let struct_of = |ts| {
            let name = Value::from(String::from("g"));
            let values = vec![
                name,
                Value::Int64(ts),
                Value::Null,
                Value::Null,
                Value::Int32(1),
                Value::Null,
            ];
            Struct::new(schema.clone(), values).share()
        };
        let mut text = |row: &Struct| {
            let (topic, mut out) = (Arc::from("t"), BytesMut::new());
            converter
                .encode(&topic, Some(&schema), &Value::Struct(row.clone()), &mut out)
                .unwrap();
            String::from_utf8(out.to_vec()).unwrap()
        };
        let (one, other) = (struct_of(1), struct_of(2));
        let mut changed = one.clone();
        changed.values_mut()[4] = Value::Int32(7);
        let expected =
            |ts, row| format!(r#"{{"version":"g","ts":{ts},"db":null,"odd":null,"row":{row},"query":null}}"#);
        for _ in 0..2 {
            assert_eq!(text(&one), expected(1, 1));
            assert_eq!(text(&one.clone()), expected(1, 1));
            assert_eq!(text(&changed), expected(1, 7));
            assert_eq!(text(&other), expected(2, 1));
        }
    }

    proptest! {
        #[test]
        fn the_text_is_that_of_a_struct_written_anew(
            rows in proptest::collection::vec((0usize..3, 0i64..2, 0usize..3, 0u8..3, 0i32..3, 0usize..3), 1..60),
        ) {
            let shared: Vec<ByteString> = ["one", "two\n", "three"].map(ByteString::from).to_vec();
            let (kept, plain) = (schema("a.Source"), schema("a.Row"));
            let (mut with, mut without) = (converter(), converter());
            for (version, ts, db, odd, row, query) in rows {
                let values = [
                    Value::String(shared[version].clone()),
                    if ts == 0 { Value::Null } else { Value::Int64(ts) },
                    // Equal text that lies elsewhere.
                    Value::from(shared[db].to_string()),
                    if odd == 0 { Value::Null } else { Value::Float64(odd.into()) },
                    Value::Int32(row),
                    Value::String(shared[query].clone()),
                ];
                prop_assert_eq!(text(&mut with, &kept, &values), text(&mut without, &plain, &values));
            }
        }
    }
}
