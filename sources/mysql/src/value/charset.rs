//! Character sets of columns: text in the log is as the column stores it.

mod tables;

use std::borrow::Cow;
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
    /// As elsewhere.
    Encoded(&'static Encoding),
    /// One byte a letter, with ASCII in its lower half but for these.
    Table(&'static tables::High, &'static [(u8, char)]),
    /// As elsewhere but for these letters.
    Patched(Patched),
    Utf32,
}

/// An encoding of several bytes a letter, in which the servers have some letters otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Patched {
    encoding: &'static Encoding,
    letters: &'static [(u32, u16)],
    /// Extended Unix code of Japan: 0x8f begins three bytes, and there are 1880 letters of the user's own.
    euc_jp: bool,
}

/// Swedish letters in the place of brackets.
const SWE7: &[(u8, char)] = &[
    (b'@', 'É'),
    (b'[', 'Ä'),
    (b'\\', 'Ö'),
    (b']', 'Å'),
    (b'^', 'Ü'),
    (b'`', 'é'),
    (b'{', 'ä'),
    (b'|', 'ö'),
    (b'}', 'å'),
    (b'~', 'ü'),
];

impl Charset {
    /// By MySQL's name. `None` of one that can't be decoded here.
    /// <https://dev.mysql.com/doc/refman/9.0/en/charset-charsets.html>
    pub(crate) fn named(name: &str) -> Option<Self> {
        let table = |high| Self::Table(high, &[]);
        let patched = |encoding, letters, euc_jp| {
            Self::Patched(Patched {
                encoding,
                letters,
                euc_jp,
            })
        };
        Some(match name.to_ascii_lowercase().as_str() {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "binary" => Self::Utf8,
            // MySQL's latin1 is Windows' code page 1252.
            "latin1" => Self::Encoded(rs::WINDOWS_1252),
            "latin2" => Self::Encoded(rs::ISO_8859_2),
            "latin7" => Self::Encoded(rs::ISO_8859_13),
            "cp1250" => Self::Encoded(rs::WINDOWS_1250),
            "cp1251" => Self::Encoded(rs::WINDOWS_1251),
            "cp1256" => Self::Encoded(rs::WINDOWS_1256),
            "cp1257" => Self::Encoded(rs::WINDOWS_1257),
            "koi8r" => Self::Encoded(rs::KOI8_R),
            "macroman" => Self::Encoded(rs::MACINTOSH),
            "armscii8" => table(&tables::ARMSCII8),
            "cp850" => table(&tables::CP850),
            "cp852" => table(&tables::CP852),
            "cp866" => table(&tables::CP866),
            "dec8" => table(&tables::DEC8),
            "geostd8" => table(&tables::GEOSTD8),
            "greek" => table(&tables::GREEK),
            "hebrew" => table(&tables::HEBREW),
            "hp8" => table(&tables::HP8),
            "keybcs2" => table(&tables::KEYBCS2),
            "koi8u" => table(&tables::KOI8U),
            "latin5" => table(&tables::LATIN5),
            "macce" => table(&tables::MACCE),
            "swe7" => Self::Table(&tables::SWE7, SWE7),
            "tis620" => table(&tables::TIS620),
            "gbk" => Self::Encoded(rs::GBK),
            "gb2312" => patched(rs::GBK, tables::GB2312, false),
            "gb18030" => Self::Encoded(rs::GB18030),
            "big5" => patched(rs::BIG5, tables::BIG5, false),
            "cp932" => Self::Encoded(rs::SHIFT_JIS),
            "sjis" => patched(rs::SHIFT_JIS, tables::SJIS, false),
            "ujis" => patched(rs::EUC_JP, tables::UJIS, true),
            "eucjpms" => patched(rs::EUC_JP, tables::EUCJPMS, true),
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
            Self::Encoded(_) | Self::Table(..) | Self::Patched(_) => {
                let bytes = cx.bytes.get(at.clone()).unwrap_or_default();
                if bytes.is_ascii() && self.has_ascii() {
                    return Ok(cx.borrow_text(at));
                }
                let text = self.decode_bytes(bytes);
                cx.arena.put_slice(text.as_bytes());
                Ok(cx.take_text())
            }
            Self::Utf32 => {
                let bytes = cx.bytes.get(at.clone()).unwrap_or_default();
                if !bytes.len().is_multiple_of(4) {
                    return Err("a text is no row of 4-byte letters".to_owned());
                }
                Ok(Value::from(self.text_of(bytes)))
            }
        }
    }

    /// Whether what looks like ASCII is ASCII.
    fn has_ascii(self) -> bool {
        match self {
            Self::Encoded(encoding) => encoding.is_ascii_compatible(),
            Self::Table(_, low) => low.is_empty(),
            _ => true,
        }
    }

    fn decode_bytes(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Encoded(encoding) => encoding.decode_without_bom_handling(bytes).0,
            Self::Table(high, low) => Cow::Owned(
                bytes
                    .iter()
                    .map(|byte| match byte.checked_sub(128) {
                        Some(n) => high
                            .get(usize::from(n))
                            .and_then(|letter| char::from_u32((*letter).into()))
                            .unwrap_or('\u{fffd}'),
                        None => match low.iter().find(|(code, _)| code == byte) {
                            Some((_, letter)) => *letter,
                            None => char::from(*byte),
                        },
                    })
                    .collect(),
            ),
            Self::Patched(patched) => Cow::Owned(patched.decode(bytes)),
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Utf32 => Cow::Owned(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|bytes| char::from_u32(u32::from_be_bytes(*bytes)).unwrap_or('\u{fffd}'))
                    .collect(),
            ),
        }
    }

    /// Decodes a text that stands alone: a statement's, a literal's.
    pub(crate) fn text_of(self, bytes: &[u8]) -> String {
        self.decode_bytes(bytes).into_owned()
    }

    /// By the number of a collation, which a QUERY event tells of the client. `SHOW COLLATION`; both servers have the same
    /// numbers for these, and MariaDB's others (`…_nopad_…`) lie 1024 above.
    pub(crate) fn of_collation(number: u16) -> Self {
        let name = match if number > 1024 { number - 1024 } else { number } {
            5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 => "latin1",
            2 | 9 | 21 | 27 | 77 => "latin2",
            30 | 78 => "latin5",
            20 | 41 | 42 | 79 => "latin7",
            1 | 84 => "big5",
            3 | 69 => "dec8",
            4 | 80 => "cp850",
            6 | 72 => "hp8",
            7 | 74 => "koi8r",
            10 | 82 => "swe7",
            12 | 91 => "ujis",
            13 | 88 => "sjis",
            14 | 23 | 50 | 51 | 52 => "cp1251",
            16 | 71 => "hebrew",
            18 | 89 => "tis620",
            19 | 85 => "euckr",
            22 | 75 => "koi8u",
            24 | 86 => "gb2312",
            25 | 70 => "greek",
            26 | 34 | 44 | 66 | 99 => "cp1250",
            28 | 87 => "gbk",
            29 | 58 | 59 => "cp1257",
            32 | 64 => "armscii8",
            36 | 68 => "cp866",
            37 | 73 => "keybcs2",
            38 | 43 => "macce",
            39 | 53 => "macroman",
            40 | 81 => "cp852",
            57 | 67 => "cp1256",
            92 | 93 => "geostd8",
            95 | 96 => "cp932",
            97 | 98 => "eucjpms",
            248..=250 => "gb18030",
            _ => "utf8mb4",
        };
        Self::named(name).unwrap_or(Self::Utf8)
    }
}

impl Patched {
    fn decode(self, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len() * 3 / 2);
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let size = match first {
                0..0x80 => 1,
                0x8f if self.euc_jp => 3,
                // Half-width kana of Shift-JIS stand alone.
                0x80 | 0xa0..0xe0 if self.encoding == rs::SHIFT_JIS => 1,
                _ => 2,
            };
            let Some((letter, behind)) = rest.split_at_checked(size) else {
                out.push('\u{fffd}');
                break;
            };
            rest = behind;
            match self.letter(letter) {
                Some(letter) => out.push(letter),
                None => out.push_str(&self.encoding.decode_without_bom_handling(letter).0),
            }
        }
        out
    }

    /// A letter that is another one than elsewhere.
    fn letter(self, letter: &[u8]) -> Option<char> {
        let code = letter.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
        if let Ok(at) = self.letters.binary_search_by_key(&code, |(code, _)| *code) {
            return char::from_u32(self.letters.get(at)?.1.into());
        }
        // Ten rows of 94 letters in the second set, ten in the third.
        let (row, first) = match letter {
            [row @ 0xf5..=0xfe, cell @ 0xa1..=0xfe] => ((*row, *cell), 0xe000),
            [0x8f, row @ 0xf5..=0xfe, cell @ 0xa1..=0xfe] => ((*row, *cell), 0xe3ac),
            _ => return None,
        };
        let number = u32::from(row.0 - 0xf5) * 94 + u32::from(row.1 - 0xa1);
        self.euc_jp.then(|| char::from_u32(first + number)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};

    #[test]
    fn each_character_set_gives_its_letters() {
        let cases: [(&str, &'static [u8], &str); 16] = [
            ("utf8mb4", "漢😀".as_bytes(), "漢😀"),
            ("latin1", b"\xff\xe9\x80", "ÿé€"),
            ("ucs2", b"\x6f\x22", "漢"),
            ("utf16", b"\xd8\x3d\xde\x00", "😀"),
            ("utf32", b"\0\x01\xf6\0", "😀"),
            ("gbk", b"\xba\xba", "汉"),
            ("sjis", b"\x8a\xbf", "漢"),
            ("koi8r", b"\xc1", "а"),
            ("latin1", b"plain", "plain"),
            ("big5", b"a\xc7\xb4\xba\x7e", "aЖ漢"),
            ("sjis", b"\x81\x5f\xb1\x81\x60", "\\ｱ〜"),
            (
                "ujis",
                b"\xf5\xa1\x8f\xf5\xa1\x8e\xb1\xb4\xc1",
                "\u{e000}\u{e3ac}ｱ漢",
            ),
            ("swe7", b"[a}", "Äaå"),
            ("cp850", b"\x80\x81", "Çü"),
            ("latin5", b"\xfe\x80", "ş\u{80}"),
            ("big5", b"\xc7", "\u{fffd}"),
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
        assert_eq!(Charset::named("klingon"), None);
    }
}
