//! Walking over tokens: what every part of the parser is written with.
//!
//! Nothing here recurses, and every step moves on or fails, so that no statement is too deep or too long.

use std::sync::Arc;

use super::dialect::Dialect;
use super::error::Error;
use super::statement::{Charset, Name};
use super::token::{Kind, Token};

/// A place among the tokens of a statement.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) dialect: &'a Dialect,
    pub(super) tokens: &'a [Token<'a>],
    pub(super) at: usize,
}

type Result<T> = std::result::Result<T, Error>;

impl<'a> Cursor<'a> {
    pub(super) fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token<'a>> {
        self.tokens.get(self.at + ahead)
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied();
        self.at += usize::from(token.is_some());
        token
    }

    pub(super) fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Where the next token begins, or the statement ends.
    pub(super) fn offset(&self) -> usize {
        self.peek().map_or_else(|| self.end_before(), |token| token.start)
    }

    /// Where the last token that was read ends.
    pub(super) fn end_before(&self) -> usize {
        let last = self.at.checked_sub(1).and_then(|index| self.tokens.get(index));
        last.map_or(0, Token::end)
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::at(
            self.text,
            self.peek().map_or(self.text.len(), |token| token.start),
            message,
        )
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is(word))
    }

    pub(super) fn is_at(&self, ahead: usize, word: &str) -> bool {
        self.peek_at(ahead).is_some_and(|token| token.is(word))
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.peek().is_some_and(|token| token.is_sign(sign))
    }

    /// Reads a keyword, if it is next.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    /// Reads any of these keywords.
    pub(super) fn accept_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.accept(word))
    }

    /// Reads keywords in a row, all or none.
    pub(super) fn accept_all(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.is_at(ahead, word));
        if found {
            self.at += words.len();
        }
        found
    }

    pub(super) fn accept_sign(&mut self, sign: char) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) {
            Ok(())
        } else {
            Err(self.error(format!("{word} is missing")))
        }
    }

    pub(super) fn expect_sign(&mut self, sign: char) -> Result<()> {
        if self.accept_sign(sign) {
            Ok(())
        } else {
            Err(self.error(format!("'{sign}' is missing")))
        }
    }

    pub(super) fn if_exists(&mut self) -> bool {
        self.accept_all(&["IF", "EXISTS"])
    }

    pub(super) fn if_not_exists(&mut self) -> bool {
        self.accept_all(&["IF", "NOT", "EXISTS"])
    }

    /// A name, without its quotes.
    pub(super) fn name(&mut self) -> Result<Arc<str>> {
        let Some(token) = self.peek().copied() else {
            return Err(self.error("a name is missing"));
        };
        let name = match token.kind {
            Kind::Word => token.text.into(),
            Kind::Name => unquoted(token.text).into(),
            // MariaDB and old servers take them in some places.
            Kind::Text => unquoted(token.text.trim_start_matches(['n', 'N'])).into(),
            _ => return Err(self.error("a name is missing")),
        };
        self.at += 1;
        Ok(name)
    }

    /// `table`, `database.table`, `.table`.
    pub(super) fn table_name(&mut self) -> Result<Name> {
        self.accept_sign('.');
        let first = self.name()?;
        if self.accept_sign('.') {
            let table = self.name()?;
            return Ok(Name {
                database: Some(first),
                table,
            });
        }
        Ok(Name {
            database: None,
            table: first,
        })
    }

    /// A column's name, of which only the last part counts: `database.table.column`.
    pub(super) fn column_name(&mut self) -> Result<Arc<str>> {
        let mut name = self.name()?;
        while self.accept_sign('.') {
            name = self.name()?;
        }
        Ok(name)
    }

    /// The text of a string, as it is written between its quotes; strings in a row are one.
    pub(super) fn string(&mut self) -> Result<Arc<str>> {
        let mut found: Option<String> = None;
        while let Some(token) = self.peek().copied().filter(|token| token.kind == Kind::Text) {
            let text = token.text.trim_start_matches(['n', 'N']);
            match &mut found {
                // As Debezium has it: the texts with their quotes, one behind the other, without the outermost.
                Some(found) => {
                    found.push(text.chars().next().unwrap_or('\''));
                    found.push(text.chars().next().unwrap_or('\''));
                    found.push_str(inside(text));
                }
                None => found = Some(inside(text).to_owned()),
            }
            self.at += 1;
        }
        found
            .map(Into::into)
            .ok_or_else(|| self.error("a string is missing"))
    }

    /// A name, a string, a number, or `DEFAULT`: what an option can be set to. An equals sign may stand before it.
    pub(super) fn option_value(&mut self) -> Result<Arc<str>> {
        self.accept_sign('=');
        match self.peek().copied() {
            Some(token) if token.kind == Kind::Text => self.string(),
            Some(token) if token.kind == Kind::Number => {
                self.at += 1;
                Ok(token.text.into())
            }
            _ => self.name(),
        }
    }

    /// Reads `CHARSET`, `CHARACTER SET` or `CHAR SET`, if next.
    pub(super) fn charset_word(&mut self) -> bool {
        self.accept("CHARSET") || self.accept_all(&["CHARACTER", "SET"]) || self.accept_all(&["CHAR", "SET"])
    }

    /// Reads one `[DEFAULT] CHARACTER SET x` or `[DEFAULT] COLLATE x`, if next.
    pub(super) fn charset_option(&mut self, charset: &mut Charset) -> Result<bool> {
        let before = self.at;
        self.accept("DEFAULT");
        if self.charset_word() {
            charset.name = Some(self.option_value()?);
        } else if self.accept("COLLATE") {
            charset.collation = Some(self.option_value()?);
        } else {
            self.at = before;
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads a parenthesis with all that is in it.
    pub(super) fn skip_parentheses(&mut self) -> Result<()> {
        self.expect_sign('(')?;
        let mut depth = 1u32;
        while depth > 0 {
            match self.next() {
                Some(token) if token.is_sign('(') => depth += 1,
                Some(token) if token.is_sign(')') => depth -= 1,
                Some(_) => {}
                None => return Err(self.error("')' is missing")),
            }
        }
        Ok(())
    }

    /// Reads one token, or a parenthesis with all that is in it.
    pub(super) fn skip_one(&mut self) -> Result<()> {
        if self.is_sign('(') {
            return self.skip_parentheses();
        }
        self.at += 1;
        Ok(())
    }

    /// Reads up to a comma or a parenthesis that closes what is around.
    pub(super) fn skip_clause(&mut self) -> Result<()> {
        while !self.clause_ends() {
            self.skip_one()?;
        }
        Ok(())
    }

    /// Whether a comma, a closing parenthesis or the end is next.
    pub(super) fn clause_ends(&self) -> bool {
        self.peek()
            .is_none_or(|token| token.is_sign(',') || token.is_sign(')'))
    }

    /// The columns of a key: `(a, b(10) DESC)`. `None` where a part is an expression.
    pub(super) fn key_columns(&mut self) -> Result<Option<Vec<Arc<str>>>> {
        self.expect_sign('(')?;
        let mut names = Some(Vec::new());
        loop {
            if self.is_sign('(') {
                names = None;
                self.skip_parentheses()?;
            } else {
                let name = self.column_name()?;
                // Of a period that takes part in a key MariaDB has no column.
                if !self.accept_all(&["WITHOUT", "OVERLAPS"])
                    && let Some(names) = &mut names
                {
                    names.push(name);
                }
            }
            self.skip_clause()?;
            if self.accept_sign(')') {
                return Ok(names);
            }
            self.expect_sign(',')?;
        }
    }
}

/// The inside of a quoted text, as it is written.
pub(super) fn inside(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.next_back();
    chars.as_str()
}

/// A quoted name's text: doubled quotes are one.
pub(super) fn unquoted(text: &str) -> String {
    let quote = text.chars().next().unwrap_or('`');
    let doubled: String = [quote, quote].iter().collect();
    inside(text).replace(&doubled, &quote.to_string())
}
