//! Rows of which only the key can be told, since the table's schema is not known: what has gone must not be missed.
//!
//! A TABLE_MAP has the columns' types and, with `binlog_row_metadata=FULL`, their names; where columns of the key lie is
//! taken from a schema before or after. If that is wrong, a row may be said to have gone that is there: what is released is
//! read again, and says so.

use bytes::{Bytes, BytesMut};
use tapline_api::Value;

use super::{Context, Plan, Row, Target};
use crate::binlog::Malformed;
use crate::binlog::image::{Unpack, bit, count};
use crate::binlog::reader::Reader;
use crate::binlog::table_map::{TableMap, column_type as t};
use crate::schema::Kind;
use crate::value::json;

/// How the log packs rows of which only the key is known.
#[derive(Debug)]
pub(crate) struct KeyLayout {
    unpack: Vec<Unpack>,
    /// For each column of the plan that is part of the key, where it is in the log's row.
    places: Vec<Option<usize>>,
}

impl KeyLayout {
    /// How many columns rows have.
    pub(crate) fn width(&self) -> usize {
        self.unpack.len()
    }
}

impl Plan {
    /// How to find this plan's key in rows that its schema does not fit; `None` where it can't be there.
    pub(crate) fn key_layout(&self, map: &TableMap) -> Option<KeyLayout> {
        self.key_schema.as_ref()?;
        let mut places = vec![None; self.columns.len()];
        for index in &self.key_columns {
            let column = self.columns.get(*index)?;
            let at = match map.names.is_empty() {
                true => *index,
                false => map
                    .names
                    .iter()
                    .position(|name| name.eq_ignore_ascii_case(&column.name))?,
            };
            let packed = map.columns.get(at)?;
            if !fits(column.kind, packed.code) {
                return None;
            }
            *places.get_mut(*index)? = Some(at);
        }
        let mut unpack = Vec::with_capacity(map.columns.len());
        for (at, packed) in map.columns.iter().enumerate() {
            let index = places.iter().position(|place| *place == Some(at));
            let unsigned = index.and_then(|index| Some(self.columns.get(index)?.unsigned));
            unpack.push(Unpack::new(*packed, unsigned.unwrap_or_default()).ok()?);
        }
        Some(KeyLayout { unpack, places })
    }

    /// The next row image, of which only the key is told; everything else is null or what its column has for null. `None`
    /// where the image lacks a part of the key.
    ///
    /// # Errors
    /// Where the image is cut off.
    pub(crate) fn key_image(
        &self,
        layout: &KeyLayout,
        event: &Bytes,
        r: &mut Reader<'_>,
        present: &[u8],
        partial: bool,
        arena: &mut BytesMut,
    ) -> Result<Option<Row>, Malformed> {
        let start = r.at();
        let mut diffs: &[u8] = &[];
        if partial && r.lenenc()? & 1 != 0 {
            let documents = layout
                .unpack
                .iter()
                .filter(|unpack| json::is_binary(**unpack))
                .count();
            diffs = r.take(documents.div_ceil(8))?;
        }
        let nulls = r.take(count(present, layout.unpack.len()).div_ceil(8))?;
        let mut found: Vec<Option<Value>> = vec![None; self.columns.len()];
        let (mut nth, mut documents) = (0, 0);
        for (at, unpack) in layout.unpack.iter().enumerate() {
            let document = json::is_binary(*unpack);
            let diff = document && bit(diffs, documents);
            documents += usize::from(document);
            if !bit(present, at) {
                continue;
            }
            nth += 1;
            if bit(nulls, nth - 1) {
                continue;
            }
            let raw = unpack.read(r, diff)?;
            let Some(index) = layout.places.iter().position(|place| *place == Some(at)) else {
                continue;
            };
            let Some((plan, slot)) = self.columns.get(index).zip(found.get_mut(index)) else {
                continue;
            };
            let mut cx = Context {
                bytes: event,
                arena,
                before: None,
            };
            match plan.convert.apply(&raw, &mut cx) {
                Ok(value) => *slot = Some(value),
                Err(_) => arena.clear(),
            }
        }
        let whole =
            (layout.places.iter().zip(&found)).all(|(place, value)| place.is_none() || value.is_some());
        if !whole {
            return Ok(None);
        }
        let mut row = self.new_row();
        for (plan, value) in self.columns.iter().zip(found) {
            if plan.target != Target::Nowhere {
                row.push(plan.target, value.unwrap_or_else(|| plan.null.clone()));
            }
        }
        row.size = r.at() - start;
        Ok(Some(row))
    }
}

/// Whether the log packs columns of a kind so.
fn fits(kind: Kind, code: u8) -> bool {
    match kind {
        Kind::Boolean | Kind::TinyInt => code == t::TINY,
        Kind::SmallInt => code == t::SHORT,
        Kind::MediumInt => code == t::INT24,
        Kind::Int => code == t::LONG,
        Kind::BigInt => code == t::LONGLONG,
        Kind::Float => code == t::FLOAT,
        Kind::Double => code == t::DOUBLE,
        Kind::Decimal => code == t::NEWDECIMAL,
        Kind::Bit => code == t::BIT,
        Kind::Year => code == t::YEAR,
        Kind::Date => matches!(code, t::DATE | t::NEWDATE),
        Kind::Time => matches!(code, t::TIME | t::TIME2),
        Kind::DateTime => matches!(code, t::DATETIME | t::DATETIME2),
        Kind::Timestamp => matches!(code, t::TIMESTAMP | t::TIMESTAMP2),
        Kind::Enum => code == t::ENUM,
        Kind::Set => code == t::SET,
        Kind::Char | Kind::VarChar | Kind::Binary | Kind::VarBinary => {
            matches!(code, t::VARCHAR | t::VAR_STRING | t::STRING)
        }
        Kind::Uuid | Kind::Inet4 | Kind::Inet6 => code == t::STRING,
        Kind::TinyText | Kind::Text | Kind::MediumText | Kind::LongText => blob(code),
        Kind::TinyBlob | Kind::Blob | Kind::MediumBlob | Kind::LongBlob => blob(code),
        Kind::Json | Kind::Point | Kind::Geometry | Kind::Vector | Kind::Unknown => false,
    }
}

fn blob(code: u8) -> bool {
    matches!(code, t::BLOB | t::TINY_BLOB | t::MEDIUM_BLOB | t::LONG_BLOB)
}
