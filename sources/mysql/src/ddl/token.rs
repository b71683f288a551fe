//! The tokenizer: a statement's words, names, literals and signs, with where each stands.
//!
//! Version comments (`/*!50100 … */`, `/*M!100100 … */`) are read through where the server would have run them.

use super::dialect::{Dialect, Flavor};
use super::error::Error;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a bare name.
    Word,
    /// A name in backticks, or in double quotes under `ANSI_QUOTES`.
    Name,
    /// A string, with its quotes and a leading `N`.
    Text,
    /// A number.
    Number,
    /// `b'101'`, `x'4D'`, `0b101`, `0x4D`.
    Bits,
    /// `@name`, `@@name`.
    Variable,
    /// Any other character.
    Sign,
}

/// A token; `text` is a slice of the statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this sign.
    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign && self.text.starts_with(sign)
    }

    /// Whether it can name something.
    pub(super) fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Name)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// Cuts a statement into tokens.
pub(super) fn tokens<'a>(text: &'a str, dialect: &Dialect) -> Result<Vec<Token<'a>>, Error> {
    let mut lexer = Lexer {
        text,
        at: 0,
        dialect,
        versioned: 0,
        found: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.found)
}

struct Lexer<'a, 'd> {
    text: &'a str,
    at: usize,
    dialect: &'d Dialect,
    /// How many version comments are open.
    versioned: u32,
    found: Vec<Token<'a>>,
}

impl<'a> Lexer<'a, '_> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: Kind, end: usize) {
        let text = self.text.get(self.at..end).unwrap_or_default();
        self.found.push(Token {
            kind,
            text,
            start: self.at,
        });
        self.at = end;
    }

    fn run(&mut self) -> Result<(), Error> {
        while let Some(c) = self.rest().chars().next() {
            let rest = self.rest();
            match c {
                c if c.is_ascii_whitespace() || c == '\0' || c == '\u{b}' => self.at += 1,
                '#' => self.skip_line(),
                '-' if rest.starts_with("--")
                    && rest
                        .chars()
                        .nth(2)
                        .is_none_or(|c| c.is_ascii_whitespace() || c.is_ascii_control()) =>
                {
                    self.skip_line();
                }
                '/' if rest.starts_with("/*") => self.comment()?,
                '*' if self.versioned > 0 && rest.starts_with("*/") => {
                    self.versioned -= 1;
                    self.at += 2;
                }
                '\'' => self.quoted(0, '\'', Kind::Text)?,
                '"' if self.dialect.ansi_quotes => self.quoted(0, '"', Kind::Name)?,
                '"' => self.quoted(0, '"', Kind::Text)?,
                '`' => self.quoted(0, '`', Kind::Name)?,
                '@' => self.variable()?,
                '.' if rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) && !self.after_name() => {
                    self.number();
                }
                c if c.is_ascii_digit() && !self.after_dot() => self.number(),
                'n' | 'N' if rest.get(1..2) == Some("'") => self.quoted(1, '\'', Kind::Text)?,
                'b' | 'B' | 'x' | 'X' if rest.get(1..2) == Some("'") => self.quoted(1, '\'', Kind::Bits)?,
                c if is_word(c) => {
                    let end = self.at + rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    self.push(Kind::Word, end);
                }
                c => self.push(Kind::Sign, self.at + c.len_utf8()),
            }
        }
        Ok(())
    }

    /// Whether a name ends right here, so that a point belongs to it: `db.1st`.
    fn after_name(&self) -> bool {
        self.found
            .last()
            .is_some_and(|token| token.is_name() && token.end() == self.at)
    }

    fn after_dot(&self) -> bool {
        self.found
            .last()
            .is_some_and(|token| token.is_sign('.') && token.end() == self.at)
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    fn comment(&mut self) -> Result<(), Error> {
        let rest = self.rest();
        let hint = if rest.starts_with("/*!") {
            Some(3)
        } else if self.dialect.flavor == Flavor::MariaDb
            && (rest.starts_with("/*M!") || rest.starts_with("/*m!"))
        {
            Some(4)
        } else {
            None
        };
        if let Some(hint) = hint {
            let digits = rest
                .get(hint..)
                .unwrap_or_default()
                .bytes()
                .take(6)
                .take_while(u8::is_ascii_digit)
                .count();
            // Five digits, or six; fewer are no version.
            let digits = if digits >= 5 { digits } else { 0 };
            let version = rest.get(hint..hint + digits).unwrap_or_default();
            let version: u32 = version.parse().unwrap_or(0);
            if self.dialect.runs(version, hint == 4) {
                self.versioned += 1;
                self.at += hint + digits;
                return Ok(());
            }
        }
        match rest.get(2..).and_then(|body| body.find("*/")) {
            Some(length) => {
                self.at += 2 + length + 2;
                Ok(())
            }
            None => Err(Error::at(self.text, self.at, "a comment does not end")),
        }
    }

    /// A quoted literal or name that begins `skip` bytes from here.
    fn quoted(&mut self, skip: usize, quote: char, kind: Kind) -> Result<(), Error> {
        let escapes = kind != Kind::Name && !self.dialect.no_backslash_escapes;
        let start = self.at + skip + 1;
        let mut chars = self
            .text
            .get(start..)
            .unwrap_or_default()
            .char_indices()
            .peekable();
        while let Some((index, c)) = chars.next() {
            if c == '\\' && escapes {
                chars.next();
            } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
                self.push(kind, start + index + 1);
                return Ok(());
            }
        }
        Err(Error::at(self.text, self.at, "a quoted text does not end"))
    }

    fn variable(&mut self) -> Result<(), Error> {
        let signs = self
            .rest()
            .bytes()
            .take(2)
            .take_while(|byte| *byte == b'@')
            .count();
        let rest = self.rest().get(signs..).unwrap_or_default();
        match rest.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => self.quoted(signs, quote, Kind::Variable),
            _ => {
                let length = rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len());
                self.push(Kind::Variable, self.at + signs + length);
                Ok(())
            }
        }
    }

    fn number(&mut self) {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| {
            bytes
                .iter()
                .skip(from)
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        if let Some(radix @ (b'x' | b'b')) = bytes.get(1).copied().filter(|_| bytes.first() == Some(&b'0')) {
            let length = bytes
                .iter()
                .skip(2)
                .take_while(|byte| match radix {
                    b'x' => byte.is_ascii_hexdigit(),
                    _ => matches!(byte, b'0' | b'1'),
                })
                .count();
            let ends = rest
                .get(2 + length..)
                .and_then(|rest| rest.chars().next())
                .is_none_or(|c| !is_word(c));
            if length > 0 && ends {
                self.push(Kind::Bits, self.at + 2 + length);
                return;
            }
        }
        let mut length = digits(0);
        let whole = length;
        if bytes.get(length) == Some(&b'.') {
            length += 1 + digits(length + 1);
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length + 1 + sign);
            if exponent > 0 {
                length += 1 + sign + exponent;
            }
        }
        let next = rest.get(length..).and_then(|rest| rest.chars().next());
        if length == whole && next.is_some_and(is_word) {
            // A name that begins with digits.
            let end = self.at + rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            self.push(Kind::Word, end);
        } else {
            self.push(Kind::Number, self.at + length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, dialect: &Dialect) -> Vec<String> {
        let found = tokens(text, dialect).unwrap();
        found.iter().map(|token| token.text.to_owned()).collect()
    }

    #[test]
    fn comments_are_skipped_and_version_comments_are_read() {
        let mysql = Dialect::mysql();
        assert_eq!(
            texts(
                "/* c */ a -- b\n/*!80023 c */ # d\n/*!999999 e */ /*M!100100 f */ --g",
                &mysql
            ),
            ["a", "c", "-", "-", "g"]
        );
        let maria = Dialect::mariadb();
        assert_eq!(
            texts("/*!80023 c */ /*M!100100 f */ /*!40101 g */", &maria),
            ["f", "g"]
        );
        assert_eq!(texts("a /*!50100 b /* c */ d */ e", &mysql), ["a", "b", "d", "e"]);
    }

    #[test]
    fn quotes_are_as_the_mode_says() {
        let plain = Dialect::mysql();
        assert_eq!(
            texts(r"'it''s' 'a\'b' `x``y`", &plain),
            ["'it''s'", r"'a\'b'", "`x``y`"]
        );
        let mode = Dialect {
            no_backslash_escapes: true,
            ansi_quotes: true,
            ..plain
        };
        let found = tokens(r#"'a\' "b""c""#, &mode).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text, r"'a\'");
        assert_eq!((found[1].kind, found[1].text), (Kind::Name, r#""b""c""#));
    }

    #[test]
    fn numbers_and_names_that_begin_with_digits_are_told_apart() {
        let found = tokens("1.5 1e5 1abc d.1t .5 0x1F 0b11 b'1' 10 0xyz", &Dialect::mysql()).unwrap();
        let kinds: Vec<_> = found.iter().map(|token| (token.kind, token.text)).collect();
        assert_eq!(
            kinds,
            [
                (Kind::Number, "1.5"),
                (Kind::Number, "1e5"),
                (Kind::Word, "1abc"),
                (Kind::Word, "d"),
                (Kind::Sign, "."),
                (Kind::Word, "1t"),
                (Kind::Number, ".5"),
                (Kind::Bits, "0x1F"),
                (Kind::Bits, "0b11"),
                (Kind::Bits, "b'1'"),
                (Kind::Number, "10"),
                (Kind::Word, "0xyz"),
            ]
        );
    }

    #[test]
    fn what_does_not_end_is_told_with_its_place() {
        let error = tokens("alter table t\ncomment 'x", &Dialect::mysql()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a quoted text does not end, at line 2, column 9, near \"'x\""
        );
        assert!(tokens("/* x", &Dialect::mysql()).is_err());
    }
}
