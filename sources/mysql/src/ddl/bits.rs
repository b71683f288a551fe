//! Literals of bytes (`x'4D'`, `0x4D`, `b'101'`, `0b101`) as defaults: what they mean in a column of which type.
//!
//! A default is kept as text. Bytes that are no plain text are kept as `0x00FF`, as `SHOW CREATE TABLE` of MySQL has them;
//! a text that only looks like that is kept with an escape in it, so that [`bytes_of`] gives both back.
//! <https://dev.mysql.com/doc/refman/9.0/en/hexadecimal-literals.html>

use std::fmt::Write;
use std::sync::Arc;

use super::dialect::{Dialect, Flavor};
use crate::schema::{Column, Kind, unescaped};
use crate::value::charset::Charset;

/// A literal of bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bits {
    /// As they are written, without quotes and prefix.
    digits: Arc<str>,
    hexadecimal: bool,
    /// MariaDB takes `x'31'` for the text it spells even where a number is wanted.
    number: bool,
    /// The character set that is written before it.
    charset: Option<Arc<str>>,
}

impl Bits {
    /// Reads a literal; `introducer` is `_latin1`.
    pub(super) fn read(text: &str, introducer: Option<&str>, dialect: &Dialect) -> Self {
        let digits = text.get(2..).unwrap_or_default();
        let quoted = digits.strip_suffix('\'');
        let hexadecimal = text.contains(['x', 'X']);
        Self {
            digits: quoted.unwrap_or(digits).into(),
            hexadecimal,
            number: !(hexadecimal && quoted.is_some() && dialect.flavor == Flavor::MariaDb),
            charset: introducer
                .filter(|name| !name.eq_ignore_ascii_case("_binary"))
                .map(|name| name.trim_start_matches('_').into()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (radix, width) = if self.hexadecimal { (16, 2) } else { (2, 8) };
        let digits: Vec<u32> = self.digits.chars().map_while(|c| c.to_digit(radix)).collect();
        // What does not fill a byte is filled up on the left.
        let chunks = digits.rchunks(width);
        let byte = |digits: &[u32]| digits.iter().fold(0, |byte, digit| byte * radix + digit);
        let mut bytes: Vec<u8> = chunks.map(|digits| byte(digits).to_le_bytes()[0]).collect();
        bytes.reverse();
        bytes
    }

    /// The default that this is in a column, as the column keeps it.
    pub(super) fn default_of(&self, column: &Column) -> Arc<str> {
        let bytes = self.bytes();
        match column.kind {
            Kind::Bit if self.hexadecimal => format!("{:b}", number(&bytes)).into(),
            Kind::Bit => Arc::clone(&self.digits),
            kind if self.number && (kind.is_number() || matches!(kind, Kind::Boolean | Kind::Year)) => {
                number(&bytes).to_string().into()
            }
            kind if kind.is_binary() => text_of(&bytes).into(),
            kind if kind.is_text() => {
                let name = self.charset.as_deref().or(column.charset.as_deref());
                decoded(name.unwrap_or("utf8mb4"), bytes).into()
            }
            _ => String::from_utf8_lossy(&bytes).into(),
        }
    }
}

/// Eight bytes at most; of more the last ones, as the servers have it.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The letters of bytes in a character set. Where a letter has two or four bytes, the first one is filled up on the left.
fn decoded(charset: &str, mut bytes: Vec<u8>) -> String {
    let width = match charset.to_ascii_lowercase().as_str() {
        "ucs2" | "utf16" | "utf16le" => 2,
        "utf32" => 4,
        _ => 1,
    };
    let missing = bytes.len().next_multiple_of(width) - bytes.len();
    bytes.splice(0..0, std::iter::repeat_n(0, missing));
    let charset = Charset::named(charset).unwrap_or(Charset::Utf8);
    charset.text_of(&bytes)
}

/// How a column keeps bytes.
fn text_of(bytes: &[u8]) -> String {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\');
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(plain) => kept(text, false),
        _ => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            // Writing to a string can't fail.
            let _: std::fmt::Result = write!(text, "{byte:02X}");
            text
        }),
    }
}

/// The default that any other literal is in a column, as the column keeps it.
pub(super) fn literal_of(column: &Column, literal: &Arc<str>, raw: bool) -> Arc<str> {
    match column.kind {
        kind if kind.is_binary() => kept(literal, raw).into(),
        Kind::Bit => match literal.parse::<u64>() {
            Ok(number) => format!("{number:b}").into(),
            Err(_) => Arc::clone(literal),
        },
        _ => Arc::clone(literal),
    }
}

/// How a binary column keeps a literal of text, which has no escapes where `raw`.
fn kept(literal: &str, raw: bool) -> String {
    let literal = if raw {
        literal.replace('\\', r"\\")
    } else {
        literal.to_owned()
    };
    match digits_of(&literal) {
        Some(digits) => format!(r"0\x{digits}"),
        None => literal,
    }
}

fn digits_of(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    let bytes = !digits.is_empty() && digits.len().is_multiple_of(2);
    (bytes && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// The bytes of a binary column's default.
pub(crate) fn bytes_of(default: &str) -> Vec<u8> {
    match digits_of(default) {
        Some(digits) => {
            let bits = Bits {
                digits: digits.into(),
                hexadecimal: true,
                number: false,
                charset: None,
            };
            bits.bytes()
        }
        None => unescaped(default, '\'').into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::column;

    /// The default of a column that is declared so.
    fn default(dialect: &Dialect, declared: &str) -> String {
        let (kind, attributes) = declared.split_once(" default ").unwrap();
        let column = column(dialect, "c", kind, &format!("default {attributes}")).unwrap();
        column.default.as_deref().unwrap_or("none").to_owned()
    }

    #[test]
    fn a_literal_of_bytes_is_what_the_columns_type_makes_of_it() {
        for (declared, expected) in [
            ("varbinary(4) default 0x00FF", "0x00FF"),
            ("varbinary(4) default x'00fF'", "0x00FF"),
            ("varbinary(4) default X'00FF'", "0x00FF"),
            ("varbinary(4) default 0xabc", "0x0ABC"),
            ("varbinary(4) default b'111111111'", "0x01FF"),
            ("varbinary(4) default 0b100000101000010", "AB"),
            ("varbinary(9) default x'4142'", "AB"),
            ("varbinary(9) default x''", ""),
            ("varbinary(9) default '0x00FF'", r"0\x00FF"),
            ("varbinary(9) default x'307830304646'", r"0\x00FF"),
            ("varbinary(9) default '0x00F'", "0x00F"),
            ("varbinary(9) default x'275c'", "0x275C"),
            ("varbinary(9) default 'a\\0b'", "a\\0b"),
            ("varbinary(9) default _binary x'ff'", "0xFF"),
            ("binary(3) default 0xFF", "0xFF"),
            ("char(4) default 0x41", "A"),
            ("char(4) default b'1000001'", "A"),
            ("varchar(4) character set latin1 default x'e941'", "éA"),
            ("varchar(4) default x'e6bca2'", "漢"),
            ("varchar(4) default x'6f22' charset ucs2", "漢"),
            ("varchar(4) default x'41' charset ucs2", "A"),
            ("varchar(4) default 0x1f600 charset utf32", "😀"),
            ("varchar(4) charset gbk default x'baba'", "汉"),
            ("varchar(4) default _latin1 x'e9'", "é"),
            ("enum('a','b') default 0x61", "a"),
            ("set('a','b') default x'612c62'", "a,b"),
            ("int default 0x10", "16"),
            ("int default x'10'", "16"),
            ("int default b'101'", "5"),
            (
                "bigint unsigned default 0xFFFFFFFFFFFFFFFF",
                "18446744073709551615",
            ),
            ("bigint default 0b11", "3"),
            ("bool default b'1'", "1"),
            ("tinyint(1) default 0x01", "1"),
            ("year default 0x7e8", "2024"),
            ("decimal(5,2) default 0x10", "16"),
            ("double default x'ff'", "255"),
            ("bit(8) default 0x41", "1000001"),
            ("bit(8) default b'00000101'", "00000101"),
            ("bit default 0x01", "1"),
            ("bit(16) default x'8001'", "1000000000000001"),
            ("bit(8) default 10", "1010"),
            ("bit default 1", "1"),
            ("date default 0x323032342d30312d3032", "2024-01-02"),
        ] {
            assert_eq!(default(&Dialect::mysql(), declared), expected, "{declared}");
        }
        for (declared, expected) in [
            ("int default x'3130'", "10"),
            ("int default 0x10", "16"),
            ("blob default x'00'", "0x00"),
            ("text default x'41'", "A"),
        ] {
            assert_eq!(default(&Dialect::mariadb(), declared), expected, "{declared}");
        }
    }

    #[test]
    fn what_a_binary_column_keeps_gives_its_bytes_back() {
        let bytes: [&[u8]; 6] = [b"", b"AB", b"\0\xff", b"0x00FF", b"it's", b"a\\b"];
        for bytes in bytes {
            assert_eq!(bytes_of(&text_of(bytes)), bytes);
        }
        assert_eq!(bytes_of(r"ab\0\0"), b"ab\0\0");
        assert_eq!(bytes_of("it''s"), b"it's");
        assert_eq!(bytes_of(&kept("0xAb", false)), b"0xAb");
        assert_eq!(bytes_of(&kept(r"a\0", true)), br"a\0");
    }

    #[test]
    fn defaults_of_altered_columns_are_read_by_the_tables_character_set() {
        let mut tables = crate::schema::Tables::new(false);
        let mysql = Dialect::mysql();
        for statement in [
            "create table t (a varchar(5) default x'e9', b varbinary(5), c bit(4)) character set latin1",
            "alter table t add d varchar(5) default 0xe9, add e varchar(5) default x'c3a9' charset utf8mb4",
            "alter table t alter b set default 0x00, alter c set default b'11', alter a set default 0xe8",
        ] {
            super::super::apply(&mut tables, &mysql, "fx", statement).unwrap();
        }
        let table = tables.get(&crate::schema::TableId::new("fx", "t")).unwrap();
        let defaults: Vec<&str> = table
            .columns
            .iter()
            .map(|column| column.default.as_deref().unwrap_or("none"))
            .collect();
        assert_eq!(defaults, ["è", "0x00", "11", "é", "é"]);
    }
}
