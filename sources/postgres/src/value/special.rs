//! Types with a form of their own: bit strings, money, points, geometries, vectors, hstore.

use std::str::FromStr;

use bytes::{BufMut, BytesMut};
use tapline_api::Value;
use tapline_cdc::java::hash_map_order;
use tapline_formats::number::push_double;

use super::Malformed;

/// A bit string as little-endian bytes without zeros at the end (`BitSet.toByteArray`).
pub(super) fn bits(text: &[u8], out: &mut BytesMut) -> Result<(), Malformed> {
    let start = out.len();
    for eight in text.rchunks(8) {
        let mut byte = 0;
        for digit in eight {
            byte = byte << 1
                | match digit {
                    b'0' => 0,
                    b'1' => 1,
                    _ => return Err(Malformed),
                };
        }
        out.put_u8(byte);
    }
    while out.len() > start && out.last() == Some(&0) {
        out.truncate(out.len() - 1);
    }
    Ok(())
}

/// `-$1,234.56`, as `lc_monetary=C` prints it, to `-1234.56`.
pub(super) fn money(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.'))
        .collect()
}

/// `(1.5,-2.5)`.
pub(super) fn point(text: &[u8]) -> Result<(f64, f64), Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    let inner = text
        .strip_prefix('(')
        .and_then(|t| t.strip_suffix(')'))
        .ok_or(Malformed)?;
    let (x, y) = inner.split_once(',').ok_or(Malformed)?;
    let number = |text: &str| text.parse::<f64>().map_err(|_| Malformed);
    Ok((number(x)?, number(y)?))
}

/// A point as well-known binary, little-endian.
pub(crate) fn write_wkb_point(out: &mut BytesMut, x: f64, y: f64) {
    out.put_u8(1);
    out.put_u32_le(1);
    out.put_f64_le(x);
    out.put_f64_le(y);
}

/// Appends what hexadecimal digits say.
pub(crate) fn hex(digits: &[u8], out: &mut BytesMut) -> Result<(), Malformed> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Malformed);
    }
    out.reserve(pairs.len());
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(Malformed),
    };
    for [high, low] in pairs {
        out.put_u8(digit(*high)? << 4 | digit(*low)?);
    }
    Ok(())
}

/// The SRID in extended well-known binary: byte order, type with a flag, SRID.
/// <https://libgeos.org/specifications/wkb/#extended-wkb>
pub(super) fn srid(wkb: &[u8]) -> Result<Option<i32>, Malformed> {
    const HAS_SRID: u32 = 0x2000_0000;
    let (order, rest) = wkb.split_first().ok_or(Malformed)?;
    let number = |at: usize| {
        let bytes = rest
            .get(at..)
            .and_then(<[u8]>::first_chunk::<4>)
            .ok_or(Malformed)?;
        match order {
            0 => Ok(u32::from_be_bytes(*bytes)),
            1 => Ok(u32::from_le_bytes(*bytes)),
            _ => Err(Malformed),
        }
    };
    if number(0)? & HAS_SRID == 0 {
        return Ok(None);
    }
    Ok(Some(number(4)?.cast_signed()))
}

/// `[1,2.5,-3]`
pub(super) fn vector<T: FromStr>(text: &str, value: impl Fn(T) -> Value) -> Result<Value, Malformed> {
    let inner = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .ok_or(Malformed)?;
    let numbers = inner
        .split(',')
        .map(|number| number.parse().map(&value).map_err(|_| Malformed));
    Ok(Value::Array(numbers.collect::<Result<_, _>>()?))
}

/// `{1:1.5,3:2}/5`: entries, counted from 1, and the number of dimensions.
pub(super) fn sparse_vector(text: &str) -> Result<(i16, Vec<(Value, Value)>), Malformed> {
    let (entries, dimensions) = text.rsplit_once('/').ok_or(Malformed)?;
    let inner = entries
        .strip_prefix('{')
        .and_then(|t| t.strip_suffix('}'))
        .ok_or(Malformed)?;
    let entry = |entry: &str| {
        let (at, value) = entry.split_once(':').ok_or(Malformed)?;
        let at = at.parse().map_err(|_| Malformed)?;
        let value = value.parse().map_err(|_| Malformed)?;
        Ok((Value::Int16(at), Value::Float64(value)))
    };
    let entries = inner.split(',').filter(|text| !text.is_empty()).map(entry);
    let dimensions = dimensions.parse().map_err(|_| Malformed)?;
    Ok((dimensions, entries.collect::<Result<_, _>>()?))
}

/// `<(0,0),1.5>` as `<(0.0,0.0),1.5>`: what stands between brackets and commas is a number.
pub(super) fn shape(text: &str, out: &mut BytesMut) -> Result<(), Malformed> {
    const MARKS: [char; 9] = ['(', ')', '[', ']', '{', '}', '<', '>', ','];
    for part in text.split_inclusive(MARKS) {
        let number = part.trim_end_matches(MARKS);
        if !number.is_empty() {
            push_double(out, number.parse().map_err(|_| Malformed)?);
        }
        out.put_slice(part.get(number.len()..).unwrap_or_default().as_bytes());
    }
    Ok(())
}

/// `"a"=>"1", "b"=>NULL` as pairs, in the order in which Java's map gives them.
pub(super) fn hstore(text: &str) -> Result<Vec<(String, Option<String>)>, Malformed> {
    let mut pairs = hstore_pairs(text)?;
    hash_map_order(&mut pairs, |(key, _)| key);
    Ok(pairs)
}

fn hstore_pairs(text: &str) -> Result<Vec<(String, Option<String>)>, Malformed> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    let quoted = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<String, Malformed> {
        let mut out = String::new();
        loop {
            match chars.next().ok_or(Malformed)? {
                '"' => return Ok(out),
                '\\' => out.push(chars.next().ok_or(Malformed)?),
                c => out.push(c),
            }
        }
    };
    loop {
        while chars.next_if(|c| *c == ' ' || *c == ',').is_some() {}
        match chars.next() {
            None => return Ok(pairs),
            Some('"') => {}
            Some(_) => return Err(Malformed),
        }
        let key = quoted(&mut chars)?;
        if (chars.next(), chars.next()) != (Some('='), Some('>')) {
            return Err(Malformed);
        }
        let value = match chars.next() {
            Some('"') => Some(quoted(&mut chars)?),
            Some('N') if (chars.next(), chars.next(), chars.next()) == (Some('U'), Some('L'), Some('L')) => {
                None
            }
            _ => return Err(Malformed),
        };
        pairs.push((key, value));
    }
}

/// Pairs as a JSON object, in order.
pub(super) fn hstore_json(pairs: Vec<(String, Option<String>)>) -> String {
    let object: serde_json::Map<String, serde_json::Value> = pairs
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_that_debezium_recorded() {
        let read = |text: &str| {
            let mut out = BytesMut::new();
            bits(text.as_bytes(), &mut out).unwrap();
            out.to_vec()
        };
        assert_eq!(read("101"), [5]);
        assert_eq!(read("11110000111"), [0x87, 0x07]);
        assert_eq!(read("00000000"), Vec::<u8>::new());
        assert_eq!(
            read(&format!("1{}1", "0".repeat(68))),
            [1, 0, 0, 0, 0, 0, 0, 0, 0x20]
        );
    }

    #[test]
    fn geometries_vectors_and_shapes_are_those_that_debezium_recorded() {
        let mut out = BytesMut::new();
        hex(b"0101000020730C0000000000000000F03F0000000000000040", &mut out).unwrap();
        assert_eq!(srid(&out), Ok(Some(3187)));
        assert_eq!(srid(&[1, 1, 0, 0, 0]), Ok(None));
        assert_eq!(srid(&[1, 1, 0, 0, 0x20, 1]), Err(Malformed));
        let doubles = |values: &[f64]| Value::Array(values.iter().copied().map(Value::Float64).collect());
        assert_eq!(
            vector("[1,2.5,-3]", Value::Float64),
            Ok(doubles(&[1.0, 2.5, -3.0]))
        );
        assert_eq!(
            sparse_vector("{1:1.5,3:2}/5"),
            Ok((
                5,
                vec![
                    (Value::Int16(1), Value::Float64(1.5)),
                    (Value::Int16(3), Value::Float64(2.0))
                ]
            ))
        );
        assert_eq!(sparse_vector("{}/3"), Ok((3, vec![])));
        for (text, printed) in [
            ("{1,2,3}", "{1.0,2.0,3.0}"),
            ("<(0,-1e+20),1.5>", "<(0.0,-1.0E20),1.5>"),
            ("((0,0),(1,1))", "((0.0,0.0),(1.0,1.0))"),
        ] {
            out.clear();
            shape(text, &mut out).unwrap();
            assert_eq!(out, printed.as_bytes());
        }
    }

    #[test]
    fn money_and_points_and_hstores_are_read() {
        assert_eq!(money(b"-$92,233,720.08"), b"-92233720.08");
        assert_eq!(point(b"(1.5,-2.5)"), Ok((1.5, -2.5)));
        assert!(point(b"1,2").is_err());
        let pairs = hstore(r#""a"=>"1", "b c"=>"x \"y", "n"=>NULL"#).unwrap();
        assert_eq!(hstore_json(pairs), r#"{"a":"1","b c":"x \"y","n":null}"#);
        assert!(hstore("a=>1").is_err());
        assert_eq!(hstore("").unwrap(), []);
    }
}
