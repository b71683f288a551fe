//! Reads JSON in place, as Jackson reads it: one value after the other, strings as slices of the message.
//!
//! What Jackson forgives is forgiven (leading zeros, anything after the first value), what it refuses is refused
//! (control characters in strings, more than 1000 levels).

use std::borrow::Cow;

use bytestring::ByteString;

use super::fault::{Fault, data, syntax};

/// `StreamReadConstraints.getMaxNestingDepth`.
const MAX_DEPTH: u16 = 1000;

/// A position in a message.
pub(super) struct Reader<'a> {
    source: &'a ByteString,
    bytes: &'a [u8],
    at: usize,
    depth: u16,
}

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Token {
    /// Jackson's name of the node type, for messages.
    pub(super) const fn node_type(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean => "BOOLEAN",
            Self::Number => "NUMBER",
            Self::String => "STRING",
            Self::Array => "ARRAY",
            Self::Object => "OBJECT",
        }
    }
}

/// A string of the message: a slice of it, unless it had escapes.
pub(super) enum Text<'a> {
    Slice(&'a str),
    Owned(String),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Text::Slice(text) => text,
            Text::Owned(text) => text,
        }
    }
}

/// What a change event does, as static text: it is read by another thread, which so need not look into the message again,
/// nor count who holds it.
fn operation(text: &str) -> Option<&'static str> {
    Some(match text {
        "c" => "c",
        "d" => "d",
        "r" => "r",
        "t" => "t",
        "u" => "u",
        _ => return None,
    })
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a ByteString) -> Self {
        let text: &'a str = source;
        Self {
            source,
            bytes: text.as_bytes(),
            // Jackson skips a byte order mark.
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            depth: 0,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Whether only white space is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.space().is_none()
    }

    /// Skips white space; the byte after it.
    #[inline]
    fn space(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    #[cold]
    fn unexpected(&mut self, wanted: &str) -> Fault {
        match self.source.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => syntax(format!("Unexpected end-of-input: expected {wanted}"), self.at),
            Some(c) => syntax(
                format!(
                    "Unexpected character ('{}' (code {})): expected {wanted}",
                    c.escape_debug(),
                    u32::from(c)
                ),
                self.at,
            ),
        }
    }

    /// What comes next; nothing is consumed but white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<Token, Fault> {
        Ok(match self.space() {
            Some(b'"') => Token::String,
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b'-' | b'0'..=b'9') => Token::Number,
            Some(b't' | b'f') => Token::Boolean,
            Some(b'n') => Token::Null,
            _ => return Err(self.unexpected("a valid value")),
        })
    }

    /// Consumes these bytes if they come next, without white space between.
    #[inline]
    pub(super) fn take(&mut self, wanted: &[u8]) -> bool {
        let found = self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(wanted));
        if found {
            self.at += wanted.len();
        }
        found
    }

    #[inline]
    fn expect(&mut self, wanted: u8, name: &str) -> Result<(), Fault> {
        if self.space() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.unexpected(name))
        }
    }

    pub(super) fn null(&mut self) -> Result<(), Fault> {
        if self.take(b"null") {
            Ok(())
        } else {
            Err(self.unexpected("a valid value"))
        }
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        if self.take(b"true") {
            Ok(true)
        } else if self.take(b"false") {
            Ok(false)
        } else {
            Err(self.unexpected("a valid value"))
        }
    }

    /// The text of a number, checked against JSON's grammar, and whether it is an integer.
    #[inline]
    pub(super) fn number(&mut self) -> Result<(&'a str, bool), Fault> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        self.digits()?;
        let mut integral = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            integral = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            integral = false;
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok((self.source.get(start..self.at).unwrap_or_default(), integral))
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("a digit"));
        }
        Ok(())
    }

    /// A string; the opening quote comes next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        match super::text::find_special::<false>(rest) {
            Some(length) if rest.get(length) == Some(&b'"') => {
                self.at = start + length + 1;
                Ok(Text::Slice(
                    self.source.get(start..start + length).unwrap_or_default(),
                ))
            }
            first => self.escaped(start, first).map(Text::Owned),
        }
    }

    /// A string with at least one escape, or without an end.
    #[cold]
    fn escaped(&mut self, start: usize, first: Option<usize>) -> Result<String, Fault> {
        let mut out = String::new();
        let mut clean = start;
        let mut next = first;
        loop {
            let Some(offset) = next else {
                self.at = self.bytes.len();
                return Err(self.unexpected("the closing quote of a string"));
            };
            self.at = clean + offset;
            out.push_str(self.source.get(clean..self.at).unwrap_or_default());
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                other => {
                    return Err(syntax(
                        format!(
                            "Illegal unquoted character ((CTRL-CHAR, code {})): has to be escaped using backslash to be \
                             included in string value",
                            other.copied().unwrap_or(0)
                        ),
                        self.at,
                    ));
                }
            }
            clean = self.at;
            next = super::text::find_special::<false>(self.bytes.get(clean..).unwrap_or_default());
        }
    }

    /// What follows a backslash. A surrogate without its other half becomes U+FFFD, since UTF-8 can't hold it.
    fn escape(&mut self, out: &mut String) -> Result<(), Fault> {
        let plain = match self.bytes.get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex()?;
                out.push(self.code_point(unit)?);
                return Ok(());
            }
            _ => return Err(self.unexpected("an escape character")),
        };
        self.at += 1;
        out.push(plain);
        Ok(())
    }

    fn code_point(&mut self, unit: u32) -> Result<char, Fault> {
        if (0xd800..0xdc00).contains(&unit) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let point = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self
                .bytes
                .get(self.at)
                .and_then(|byte| char::from(*byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("a hex digit for character escape sequence"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    /// A string as a value: without escapes it shares the message's bytes.
    #[inline]
    pub(super) fn shared(&self, text: Text<'a>) -> ByteString {
        match text {
            Text::Slice("") => ByteString::new(),
            Text::Slice(text) => match operation(text) {
                Some(operation) => ByteString::from_static(operation),
                None => self.source.slice_ref(text),
            },
            Text::Owned(text) => ByteString::from(text),
        }
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(syntax(
                format!(
                    "Document nesting depth ({}) exceeds the maximum allowed ({MAX_DEPTH})",
                    self.depth
                ),
                self.at,
            ));
        }
        Ok(())
    }

    /// Enters an array; false if it is empty (and already left).
    pub(super) fn enter_array(&mut self) -> Result<bool, Fault> {
        self.expect(b'[', "an array")?;
        self.deeper()?;
        if self.space() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After an element: true if another follows; otherwise the array is left.
    #[inline]
    pub(super) fn more_elements(&mut self) -> Result<bool, Fault> {
        self.more(b']', "comma or ']'")
    }

    /// Enters an object; false if it is empty (and already left).
    #[inline]
    pub(super) fn enter_object(&mut self) -> Result<bool, Fault> {
        self.expect(b'{', "an object")?;
        self.deeper()?;
        if self.space() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After a member: true if another follows; otherwise the object is left.
    #[inline]
    pub(super) fn more_members(&mut self) -> Result<bool, Fault> {
        self.more(b'}', "comma or '}'")
    }

    #[inline]
    fn more(&mut self, end: u8, wanted: &str) -> Result<bool, Fault> {
        match self.space() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// A member's name and the colon after it.
    pub(super) fn name(&mut self) -> Result<Text<'a>, Fault> {
        let name = self.string()?;
        self.expect(b':', "a colon")?;
        self.space();
        Ok(name)
    }

    /// Passes over one value, checking that it is one.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        match self.peek()? {
            Token::Null => self.null(),
            Token::Boolean => self.boolean().map(drop),
            Token::Number => self.number().map(drop),
            Token::String => self.string().map(drop),
            Token::Array => {
                let mut more = self.enter_array()?;
                while more {
                    self.skip()?;
                    more = self.more_elements()?;
                }
                Ok(())
            }
            Token::Object => {
                let mut more = self.enter_object()?;
                while more {
                    self.name()?;
                    self.skip()?;
                    more = self.more_members()?;
                }
                Ok(())
            }
        }
    }

    /// The text between two positions.
    pub(super) fn between(&self, from: usize, to: usize) -> &'a str {
        self.source.get(from..to).unwrap_or_default()
    }

    /// A refusal that names what was found instead.
    #[cold]
    pub(super) fn instead(&self, message: impl Into<Cow<'static, str>>, found: Token) -> Fault {
        data(format!("{}{}", message.into(), found.node_type()))
    }
}
