//! Character sets of columns: text in the log is as the column stores it.

use std::ops::Range;

use bytes::BufMut;
use encoding_rs::{self as rs, Encoding};
use tapline_api::Value;

use super::{Context, Failed};

/// How a column's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Charset {
    /// UTF-8, or a part of it: borrowed.
    Utf8,
    /// By a table.
    Encoded(&'static Encoding),
    Utf32,
}

impl Charset {
    /// By MySQL's name. `None` of one that can't be decoded here.
    /// <https://dev.mysql.com/doc/refman/9.0/en/charset-charsets.html>
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "binary" => Self::Utf8,
            // MySQL's latin1 is Windows' code page 1252.
            "latin1" => Self::Encoded(rs::WINDOWS_1252),
            "latin2" => Self::Encoded(rs::ISO_8859_2),
            "latin5" => Self::Encoded(rs::WINDOWS_1254),
            "latin7" => Self::Encoded(rs::ISO_8859_13),
            "cp1250" => Self::Encoded(rs::WINDOWS_1250),
            "cp1251" => Self::Encoded(rs::WINDOWS_1251),
            "cp1256" => Self::Encoded(rs::WINDOWS_1256),
            "cp1257" => Self::Encoded(rs::WINDOWS_1257),
            "cp866" => Self::Encoded(rs::IBM866),
            "greek" => Self::Encoded(rs::ISO_8859_7),
            "hebrew" => Self::Encoded(rs::ISO_8859_8),
            "koi8r" => Self::Encoded(rs::KOI8_R),
            "koi8u" => Self::Encoded(rs::KOI8_U),
            "macroman" => Self::Encoded(rs::MACINTOSH),
            "tis620" => Self::Encoded(rs::WINDOWS_874),
            "gbk" | "gb2312" => Self::Encoded(rs::GBK),
            "gb18030" => Self::Encoded(rs::GB18030),
            "big5" => Self::Encoded(rs::BIG5),
            "sjis" | "cp932" => Self::Encoded(rs::SHIFT_JIS),
            "ujis" | "eucjpms" => Self::Encoded(rs::EUC_JP),
            "euckr" => Self::Encoded(rs::EUC_KR),
            "ucs2" | "utf16" => Self::Encoded(rs::UTF_16BE),
            "utf16le" => Self::Encoded(rs::UTF_16LE),
            "utf32" => Self::Utf32,
            _ => return None,
        })
    }

    /// Decodes.
    #[inline]
    pub(crate) fn decode(self, cx: &mut Context<'_>, at: &Range<usize>) -> Result<Value, Failed> {
        match self {
            Self::Utf8 => Ok(cx.borrow_text(at)),
            Self::Encoded(encoding) => {
                let bytes = cx.bytes.get(at.clone()).unwrap_or_default();
                if bytes.is_ascii() && encoding.is_ascii_compatible() {
                    return Ok(cx.borrow_text(at));
                }
                let (text, _) = encoding.decode_without_bom_handling(bytes);
                cx.arena.put_slice(text.as_bytes());
                Ok(cx.take_text())
            }
            Self::Utf32 => {
                let (letters, rest) = cx.bytes.get(at.clone()).unwrap_or_default().as_chunks::<4>();
                if !rest.is_empty() {
                    return Err("a text is no row of 4-byte letters".to_owned());
                }
                let text: String = letters
                    .iter()
                    .map(|bytes| char::from_u32(u32::from_be_bytes(*bytes)).unwrap_or('\u{fffd}'))
                    .collect();
                Ok(Value::from(text))
            }
        }
    }

    /// Decodes a statement's text.
    pub(crate) fn decode_statement(self, bytes: &[u8]) -> String {
        match self {
            Self::Encoded(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};

    #[test]
    fn each_character_set_gives_its_letters() {
        let cases: [(&str, &'static [u8], &str); 9] = [
            ("utf8mb4", "漢😀".as_bytes(), "漢😀"),
            ("latin1", b"\xff\xe9\x80", "ÿé€"),
            ("ucs2", b"\x6f\x22", "漢"),
            ("utf16", b"\xd8\x3d\xde\x00", "😀"),
            ("utf32", b"\0\x01\xf6\0", "😀"),
            ("gbk", b"\xba\xba", "汉"),
            ("sjis", b"\x8a\xbf", "漢"),
            ("koi8r", b"\xc1", "а"),
            ("latin1", b"plain", "plain"),
        ];
        for (name, bytes, expected) in cases {
            let (bytes, mut arena) = (Bytes::from_static(bytes), BytesMut::new());
            let mut cx = Context {
                bytes: &bytes,
                arena: &mut arena,
                before: None,
            };
            let value = Charset::named(name)
                .unwrap()
                .decode(&mut cx, &(0..bytes.len()))
                .unwrap();
            assert_eq!(value, Value::from(expected.to_owned()), "{name}");
        }
        assert_eq!(Charset::named("swe7"), None);
    }
}
