//! MySQL's binary JSON, read and printed as Debezium prints it.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html>
//!
//! Offsets may point anywhere, so a forged document could repeat itself without end: depth and output are bounded.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

use super::Failed;
use crate::binlog::Malformed;
use crate::binlog::image::{Raw, Unpack, decimal_digits};
use crate::binlog::reader::Reader;
use crate::binlog::table_map::column_type as t;

/// MySQL's own limit.
const DEEPEST: usize = 100;

/// A value that holds no others.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(&'a str),
    /// A column type, and a value of it.
    Opaque(u8, &'a [u8]),
}

/// Is told what a document holds, in order.
pub(super) trait Visit {
    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Failed>;
    fn begin(&mut self, object: bool);
    /// The name of the member that follows.
    fn key(&mut self, name: &str);
    fn end(&mut self, object: bool);
}

/// Prints a document.
pub(crate) fn print(document: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
    let limit = document.len() * 128 + 4096;
    let mut printer = Printer {
        out,
        first: true,
        named: false,
        left: limit,
    };
    walk(document, &mut printer)
}

/// Walks over a document. An empty one is null, which an old `ALTER TABLE` could leave.
pub(super) fn walk(document: &[u8], visit: &mut impl Visit) -> Result<(), Failed> {
    match document.split_first() {
        None => visit.scalar(Scalar::Null),
        Some((kind, rest)) => value(*kind, rest, visit, 0),
    }
}

fn fail(error: Malformed) -> Failed {
    error.to_string()
}

fn value(kind: u8, bytes: &[u8], visit: &mut impl Visit, depth: usize) -> Result<(), Failed> {
    let mut r = Reader::new(bytes, "a JSON document");
    let scalar = match kind {
        0..=3 => return container(kind < 2, kind % 2 == 1, bytes, visit, depth + 1),
        4 => match r.u8().map_err(fail)? {
            0 => Scalar::Null,
            1 => Scalar::Bool(true),
            2 => Scalar::Bool(false),
            n => return Err(format!("a JSON document has literal {n}")),
        },
        5 => Scalar::Int(r.i16().map_err(fail)?.into()),
        6 => Scalar::UInt(r.u16().map_err(fail)?.into()),
        7 => Scalar::Int(r.i32().map_err(fail)?.into()),
        8 => Scalar::UInt(r.u32().map_err(fail)?.into()),
        9 => Scalar::Int(r.i64().map_err(fail)?),
        10 => Scalar::UInt(r.u64().map_err(fail)?),
        11 => Scalar::Double(r.f64().map_err(fail)?),
        12 => {
            let length = varlen(&mut r)?;
            let text = r.take(length).map_err(fail)?;
            Scalar::Text(std::str::from_utf8(text).map_err(|_| "a JSON text is not UTF-8")?)
        }
        15 => {
            let of = r.u8().map_err(fail)?;
            let length = varlen(&mut r)?;
            Scalar::Opaque(of, r.take(length).map_err(fail)?)
        }
        n => return Err(format!("a JSON document has type {n}, which is not known")),
    };
    visit.scalar(scalar)
}

/// Seven bits a byte, the lowest first.
fn varlen(r: &mut Reader<'_>) -> Result<usize, Failed> {
    let mut n = 0u64;
    for shift in 0..5 {
        let byte = r.u8().map_err(fail)?;
        n |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return usize::try_from(n).map_err(|_| "a JSON length is impossible".to_owned());
        }
    }
    Err("a JSON length is impossible".to_owned())
}

fn container(
    object: bool,
    large: bool,
    bytes: &[u8],
    visit: &mut impl Visit,
    depth: usize,
) -> Result<(), Failed> {
    if depth > DEEPEST {
        return Err(format!("a JSON document is nested more than {DEEPEST} times"));
    }
    let width = if large { 4 } else { 2 };
    let number = |r: &mut Reader<'_>| -> Result<usize, Failed> {
        let n = r.uint(width).map_err(fail)?;
        usize::try_from(n).map_err(|_| "a JSON offset is impossible".to_owned())
    };
    let mut r = Reader::new(bytes, "a JSON document");
    let count = number(&mut r)?;
    let size = number(&mut r)?;
    let bytes = bytes.get(..size).ok_or("a JSON document ends early")?;
    let mut keys = Reader::from(bytes, r.at(), "a JSON document");
    let mut values = keys.clone();
    if object {
        values.skip(count.saturating_mul(width + 2)).map_err(fail)?;
    }
    visit.begin(object);
    for _ in 0..count {
        if object {
            let at = number(&mut keys)?;
            let length = usize::from(keys.u16().map_err(fail)?);
            let name = bytes
                .get(at..at.saturating_add(length))
                .ok_or("a JSON document ends early")?;
            visit.key(std::str::from_utf8(name).map_err(|_| "a JSON name is not UTF-8")?);
        }
        let kind = values.u8().map_err(fail)?;
        let inline = matches!(kind, 4..=6) || large && matches!(kind, 7 | 8);
        if inline {
            value(kind, values.take(width).map_err(fail)?, visit, depth)?;
        } else {
            let at = number(&mut values)?;
            value(
                kind,
                bytes.get(at..).ok_or("a JSON document ends early")?,
                visit,
                depth,
            )?;
        }
    }
    visit.end(object);
    Ok(())
}

/// Writes compact JSON.
pub(super) struct Printer<'a> {
    out: &'a mut BytesMut,
    first: bool,
    /// A name was written, whose value follows.
    named: bool,
    left: usize,
}

impl<'a> Printer<'a> {
    pub(super) fn unlimited(out: &'a mut BytesMut) -> Self {
        Self {
            out,
            first: true,
            named: false,
            left: usize::MAX,
        }
    }

    fn separate(&mut self) {
        if !self.first && !self.named {
            self.out.put_u8(b',');
        }
        self.first = false;
        self.named = false;
    }
}

impl Visit for Printer<'_> {
    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Failed> {
        self.separate();
        let before = self.out.len();
        let mut digits = itoa::Buffer::new();
        match value {
            Scalar::Null => self.out.put_slice(b"null"),
            Scalar::Bool(true) => self.out.put_slice(b"true"),
            Scalar::Bool(false) => self.out.put_slice(b"false"),
            Scalar::Int(n) => self.out.put_slice(digits.format(n).as_bytes()),
            Scalar::UInt(n) => self.out.put_slice(digits.format(n).as_bytes()),
            Scalar::Double(n) => put_double(self.out, n),
            Scalar::Text(text) => put_text(self.out, text),
            Scalar::Opaque(of, bytes) => put_opaque(self.out, of, bytes)?,
        }
        let written = self.out.len() - before + 1;
        self.left = self
            .left
            .checked_sub(written)
            .ok_or("a JSON document refers to its own parts")?;
        Ok(())
    }

    fn begin(&mut self, object: bool) {
        self.separate();
        self.out.put_u8(if object { b'{' } else { b'[' });
        self.first = true;
    }

    fn key(&mut self, name: &str) {
        self.separate();
        put_text(self.out, name);
        self.out.put_u8(b':');
        self.named = true;
        self.left = self.left.saturating_sub(name.len());
    }

    fn end(&mut self, object: bool) {
        self.out.put_u8(if object { b'}' } else { b']' });
        self.first = false;
        self.named = false;
    }
}

/// As Java prints a double, but written out where that has an exponent.
fn put_double(out: &mut BytesMut, n: f64) {
    let size = n.abs();
    if n == 0.0 || (1e-3..1e7).contains(&size) {
        let mut text = ryu::Buffer::new();
        // In this range without an exponent, and with a digit after the point, as Java's.
        let text = text.format(n);
        out.put_slice(text.as_bytes());
        return;
    }
    // Exact: the longest fraction of a double has 1074 digits.
    let text = format!("{n:.1074}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    out.put_slice(text.as_bytes());
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u8(b'"');
    for c in text.chars() {
        match c {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            '\u{8}' => out.put_slice(b"\\b"),
            '\u{c}' => out.put_slice(b"\\f"),
            '\n' => out.put_slice(b"\\n"),
            '\r' => out.put_slice(b"\\r"),
            '\t' => out.put_slice(b"\\t"),
            c if c < ' ' => {
                // Writing to memory does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.put_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.put_u8(b'"');
}

/// A value of a column type inside JSON: numbers and times as such, anything else in base64.
fn put_opaque(out: &mut BytesMut, of: u8, bytes: &[u8]) -> Result<(), Failed> {
    match of {
        t::NEWDECIMAL => {
            let [precision, scale, packed @ ..] = bytes else {
                return Err("a decimal in JSON ends early".to_owned());
            };
            if scale > precision {
                return Err("a decimal in JSON has more digits after the point than digits".to_owned());
            }
            let mut digits = Vec::new();
            let negative = decimal_digits(packed, *precision, *scale, &mut digits).map_err(fail)?;
            let point = digits.len().saturating_sub((*scale).into());
            let whole = digits.get(..point).unwrap_or_default();
            let start = whole.iter().position(|digit| *digit != b'0');
            if negative {
                out.put_u8(b'-');
            }
            out.put_slice(start.and_then(|start| whole.get(start..)).unwrap_or(b"0"));
            if *scale > 0 {
                out.put_u8(b'.');
                out.put_slice(digits.get(point..).unwrap_or_default());
            }
        }
        t::DATE | t::DATETIME | t::TIMESTAMP | t::TIME => {
            let packed = bytes.first_chunk::<8>().ok_or("a time in JSON ends early")?;
            put_packed_time(out, of, i64::from_le_bytes(*packed));
        }
        _ => {
            out.put_u8(b'"');
            super::base64(bytes, super::BASE64, out);
            out.put_u8(b'"');
        }
    }
    Ok(())
}

fn put_packed_time(out: &mut BytesMut, of: u8, packed: i64) {
    let n = packed.unsigned_abs();
    let (whole, micros) = (n >> 24, n & 0xff_ffff);
    let (date, time) = (whole >> 17, whole & 0x1_ffff);
    let (months, day) = (date >> 5, date & 31);
    out.put_u8(b'"');
    // Writing to memory does not fail.
    if of != t::TIME {
        let _ = write!(out, "{:04}-{:02}-{:02}", months / 13, months % 13, day);
    }
    if of != t::DATE {
        let (hours, minutes, seconds) = if of == t::TIME {
            (whole >> 12 & 0x3ff, whole >> 6 & 63, whole & 63)
        } else {
            (time >> 12, time >> 6 & 63, time & 63)
        };
        let sign = match (of, packed < 0) {
            (t::TIME, true) => "-",
            (t::TIME, false) => "",
            _ => " ",
        };
        let _ = write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}");
        if micros != 0 {
            let text = format!("{micros:06}");
            let _ = write!(out, ".{}", text.trim_end_matches('0'));
        }
    }
    out.put_u8(b'"');
}

/// Whether a raw value is a document, for the difference that follows it.
pub(crate) fn document(raw: &Raw) -> Option<std::ops::Range<usize>> {
    match raw {
        Raw::Json(at) => Some(at.clone()),
        _ => None,
    }
}

/// Whether a column holds binary JSON.
pub(crate) fn is_binary(unpack: Unpack) -> bool {
    matches!(unpack, Unpack::Json { .. })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    fn printed(document: &[u8]) -> Result<String, Failed> {
        let mut out = BytesMut::new();
        print(document, &mut out)?;
        Ok(String::from_utf8(out.to_vec()).unwrap())
    }

    /// Packs a document as the server does, in the large form.
    pub(crate) fn pack(json: &Json) -> Vec<u8> {
        let (kind, bytes) = packed(json);
        let mut out = vec![kind];
        out.extend(bytes);
        out
    }

    fn packed(json: &Json) -> (u8, Vec<u8>) {
        match json {
            Json::Null => (4, vec![0]),
            Json::Bool(b) => (4, vec![if *b { 1 } else { 2 }]),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => (9, n.to_le_bytes().to_vec()),
                (None, Some(n)) => (10, n.to_le_bytes().to_vec()),
                _ => (11, n.as_f64().unwrap().to_le_bytes().to_vec()),
            },
            Json::String(text) => {
                let mut out = Vec::new();
                let mut n = text.len();
                while n > 127 {
                    out.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
                    n >>= 7;
                }
                out.push(u8::try_from(n).unwrap());
                out.extend(text.bytes());
                (12, out)
            }
            Json::Array(items) => (3, container(items.iter().map(|item| (None, item)).collect())),
            Json::Object(items) => (
                1,
                container(items.iter().map(|(name, item)| (Some(name), item)).collect()),
            ),
        }
    }

    fn container(items: Vec<(Option<&String>, &Json)>) -> Vec<u8> {
        let head = 8 + items
            .iter()
            .map(|(name, _)| if name.is_some() { 11 } else { 5 })
            .sum::<usize>();
        let (mut names, mut entries, mut tail) = (Vec::new(), Vec::new(), Vec::new());
        for (name, _) in &items {
            if let Some(name) = name {
                names.extend(u32::try_from(head + tail.len()).unwrap().to_le_bytes());
                names.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
                tail.extend(name.bytes());
            }
        }
        for (_, item) in &items {
            let (kind, bytes) = packed(item);
            entries.push(kind);
            if kind == 4 {
                entries.extend([bytes[0], 0, 0, 0]);
            } else {
                entries.extend(u32::try_from(head + tail.len()).unwrap().to_le_bytes());
                tail.extend(bytes);
            }
        }
        let mut out = u32::try_from(items.len()).unwrap().to_le_bytes().to_vec();
        out.extend(u32::try_from(head + tail.len()).unwrap().to_le_bytes());
        out.extend(names);
        out.extend(entries);
        out.extend(tail);
        out
    }

    #[test]
    fn documents_are_printed_as_recorded() {
        // {"a":[1,2.5,null,true,"s"],"b":1}, by hand in the small form: inline numbers and literals.
        let document = [
            0, 2, 0, 49, 0, 18, 0, 1, 0, 19, 0, 1, 0, 2, 20, 0, 5, 1, 0, b'a', b'b', 5, 0, 29, 0, 5, 1, 0,
            11, 19, 0, 4, 0, 0, 4, 1, 0, 12, 27, 0,
        ];
        let mut document = document.to_vec();
        document.extend(2.5f64.to_le_bytes());
        document.extend([1, b's']);
        assert_eq!(
            printed(&document).unwrap(),
            r#"{"a":[1,2.5,null,true,"s"],"b":1}"#
        );
        assert_eq!(printed(&[]).unwrap(), "null");
    }

    #[test]
    fn doubles_are_javas_without_exponents() {
        for (n, expected) in [
            (1.1, "1.1"),
            (1.0, "1.0"),
            (0.001, "0.001"),
            (-9_999_999.0, "-9999999.0"),
            (1e7, "10000000"),
            (
                1e100,
                "10000000000000000159028911097599180468360808563945281389781327557747838772170381060813469985856815104",
            ),
            (
                0.0001,
                "0.000100000000000000004792173602385929598312941379845142364501953125",
            ),
        ] {
            let mut document = vec![11];
            document.extend(f64::to_le_bytes(n));
            assert_eq!(printed(&document).unwrap(), expected);
        }
    }

    #[test]
    fn times_and_decimals_inside_are_written_out() {
        let opaque = |of: u8, bytes: &[u8]| {
            let mut document = vec![15, of, u8::try_from(bytes.len()).unwrap()];
            document.extend(bytes);
            printed(&document).unwrap()
        };
        assert_eq!(
            opaque(t::NEWDECIMAL, &[14, 4, 0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2]),
            "1234567890.1234"
        );
        let date = ((2024i64 * 13 + 2) << 5 | 29) << 17;
        let time = 12i64 << 12 | 34 << 6 | 56;
        assert_eq!(opaque(t::DATE, &(date << 24).to_le_bytes()), r#""2024-02-29""#);
        let at = (date | time) << 24 | 120_000;
        assert_eq!(
            opaque(t::DATETIME, &at.to_le_bytes()),
            r#""2024-02-29 12:34:56.12""#
        );
        assert_eq!(opaque(t::TIME, &(time << 24).to_le_bytes()), r#""12:34:56""#);
        assert_eq!(opaque(252, b"ab"), r#""YWI=""#);
    }

    #[test]
    fn a_document_that_refers_to_itself_is_refused() {
        // An array of two members, both of which are the array itself.
        let document = [2, 2, 0, 10, 0, 2, 0, 0, 2, 0, 0];
        assert!(printed(&document).is_err());
    }

    pub(crate) fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            "[ -~é漢]{0,150}".prop_map(Json::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
                proptest::collection::btree_map("[a-z\"]{0,5}", inner, 0..6)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_is_printed(json in json()) {
            let text = printed(&pack(&json)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), json);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = printed(&bytes);
        }
    }
}
