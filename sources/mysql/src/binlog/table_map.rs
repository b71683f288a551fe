//! TABLE_MAP: the table that rows are of, and how its columns are packed.

use super::Malformed;
use super::reader::Reader;

/// Codes of column types, as TABLE_MAP has them.
pub(crate) mod column_type {
    pub(crate) const TINY: u8 = 1;
    pub(crate) const SHORT: u8 = 2;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const NULL: u8 = 6;
    pub(crate) const TIMESTAMP: u8 = 7;
    pub(crate) const LONGLONG: u8 = 8;
    pub(crate) const INT24: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const DATETIME: u8 = 12;
    pub(crate) const YEAR: u8 = 13;
    pub(crate) const NEWDATE: u8 = 14;
    pub(crate) const VARCHAR: u8 = 15;
    pub(crate) const BIT: u8 = 16;
    pub(crate) const TIMESTAMP2: u8 = 17;
    pub(crate) const DATETIME2: u8 = 18;
    pub(crate) const TIME2: u8 = 19;
    /// MariaDB's.
    pub(crate) const BLOB_COMPRESSED: u8 = 140;
    /// MariaDB's.
    pub(crate) const VARCHAR_COMPRESSED: u8 = 141;
    pub(crate) const VECTOR: u8 = 242;
    pub(crate) const JSON: u8 = 245;
    pub(crate) const NEWDECIMAL: u8 = 246;
    pub(crate) const ENUM: u8 = 247;
    pub(crate) const SET: u8 = 248;
    pub(crate) const TINY_BLOB: u8 = 249;
    pub(crate) const MEDIUM_BLOB: u8 = 250;
    pub(crate) const LONG_BLOB: u8 = 251;
    pub(crate) const BLOB: u8 = 252;
    pub(crate) const VAR_STRING: u8 = 253;
    pub(crate) const STRING: u8 = 254;
    pub(crate) const GEOMETRY: u8 = 255;
}

/// The optional field that holds the names.
const COLUMN_NAME: u8 = 4;

/// How a column is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    /// One of [`column_type`]; `STRING` columns that are `ENUM` or `SET` have those.
    pub(crate) code: u8,
    /// Lengths, precision and scale, by type.
    pub(crate) meta: u16,
}

/// A TABLE_MAP event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableMap {
    pub(crate) id: u64,
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<Packed>,
    /// Names of the columns, with `binlog_row_metadata=FULL`.
    pub(crate) names: Vec<String>,
}

/// The number that rows events refer to, and nothing more: what is known already need not be read again.
pub(crate) fn table_id(body: &[u8]) -> Result<u64, Malformed> {
    Reader::new(body, "a TABLE_MAP event").uint(6)
}

impl TableMap {
    /// Reads the body of the event.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body, "a TABLE_MAP event");
        let id = r.uint(6)?;
        r.skip(2)?;
        let database = name(&mut r)?;
        let table = name(&mut r)?;
        let count = r.length()?;
        let codes = r.take(count)?;
        let length = r.length()?;
        let meta = r.take(length)?;
        let mut meta = Reader::new(meta, "a TABLE_MAP event's metadata");
        let columns = codes
            .iter()
            .map(|code| packed(*code, &mut meta))
            .collect::<Result<Vec<_>, _>>()?;
        r.skip(count.div_ceil(8))?;
        let mut map = Self {
            id,
            database,
            table,
            columns,
            names: Vec::new(),
        };
        map.read_optional(&mut r)?;
        Ok(map)
    }

    fn read_optional(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        while !r.is_empty() {
            let kind = r.u8()?;
            let length = r.length()?;
            let value = r.take(length)?;
            // Signs, character sets and the like are taken from the schema, which has them always.
            if kind == COLUMN_NAME {
                let mut names = Reader::new(value, "the names in a TABLE_MAP event");
                while !names.is_empty() {
                    let length = names.length()?;
                    self.names
                        .push(String::from_utf8_lossy(names.take(length)?).into_owned());
                }
            }
        }
        if !self.names.is_empty() && self.names.len() != self.columns.len() {
            return Err(Malformed::bad(
                "a TABLE_MAP event has not as many names as columns",
            ));
        }
        Ok(())
    }
}

fn name(r: &mut Reader<'_>) -> Result<String, Malformed> {
    let length = usize::from(r.u8()?);
    let name = String::from_utf8_lossy(r.take(length)?).into_owned();
    r.skip(1)?;
    Ok(name)
}

fn packed(code: u8, meta: &mut Reader<'_>) -> Result<Packed, Malformed> {
    use column_type as t;
    let value = match code {
        t::FLOAT
        | t::DOUBLE
        | t::BLOB
        | t::TINY_BLOB
        | t::MEDIUM_BLOB
        | t::LONG_BLOB
        | t::GEOMETRY
        | t::JSON
        | t::VECTOR
        | t::TIMESTAMP2
        | t::DATETIME2
        | t::TIME2
        | t::BLOB_COMPRESSED => u16::from(meta.u8()?),
        t::BIT | t::VARCHAR | t::VARCHAR_COMPRESSED | t::NEWDECIMAL => meta.u16()?,
        t::ENUM | t::SET | t::STRING | t::VAR_STRING => {
            let (kind, length) = (meta.u8()?, meta.u8()?);
            // Lengths over 255 borrow two bits of the type, which are always set otherwise.
            if kind & 0x30 != 0x30 {
                let length = u16::from(length) | u16::from((kind & 0x30) ^ 0x30) << 4;
                return Ok(Packed {
                    code: kind | 0x30,
                    meta: length,
                });
            }
            return Ok(Packed {
                code: kind,
                meta: length.into(),
            });
        }
        _ => 0,
    };
    Ok(Packed { code, meta: value })
}

#[cfg(test)]
mod tests {
    use super::column_type as t;
    use super::*;
    use proptest::prelude::*;

    fn body(optional: &[u8]) -> Vec<u8> {
        let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 2];
        body.extend(b"fx\0\x01t\0");
        body.extend([5, t::LONG, t::VARCHAR, t::STRING, t::STRING, t::TINY]);
        // varchar(300), enum of 1 byte, char of 0x2fc bytes
        body.extend([6, 0x2c, 0x01, t::ENUM, 1, 0xde, 0xfc]);
        body.push(0);
        body.extend(optional);
        body
    }

    #[test]
    fn columns_and_names_are_read() {
        let map = TableMap::read(&body(&[
            1,
            1,
            0b0100_0000,
            4,
            10,
            1,
            b'a',
            1,
            b'b',
            1,
            b'c',
            1,
            b'd',
            1,
            b'e',
        ]))
        .unwrap();
        assert_eq!(
            (map.id, map.database.as_str(), map.table.as_str()),
            (7, "fx", "t")
        );
        let expected = [
            (t::LONG, 0),
            (t::VARCHAR, 300),
            (t::ENUM, 1),
            (t::STRING, 0x2fc),
            (t::TINY, 0),
        ];
        let found: Vec<(u8, u16)> = map.columns.iter().map(|c| (c.code, c.meta)).collect();
        assert_eq!(found, expected);
        assert_eq!(map.names, ["a", "b", "c", "d", "e"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = TableMap::read(&bytes);
            let _ = TableMap::read(&body(&bytes));
        }
    }
}
