//! A column as Debezium describes it.

use std::sync::Arc;

use super::kind::Kind;

/// A column.
///
/// The fields are those of Debezium's schema history, and hold what Debezium puts there, so that what one writes the
/// other reads: `default` is the literal without its outer quotes and otherwise as it was written, `options` have theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name, as it was declared.
    pub name: Arc<str>,
    /// `INT UNSIGNED`, `VARCHAR`, `DOUBLE PRECISION`: the words of the type, in upper case, without length.
    pub type_name: Arc<str>,
    /// What `type_name` means.
    pub kind: Kind,
    /// A code of `java.sql.Types`.
    pub jdbc_type: i32,
    /// The character set of text; `None` of anything else.
    pub charset: Option<Arc<str>>,
    /// Characters, bytes, digits, bits, dimensions, or digits of the second's fraction.
    pub length: Option<i32>,
    /// Digits after the point.
    pub scale: Option<i32>,
    /// Where it stands, from 1.
    pub position: i32,
    /// Whether it may be null.
    pub optional: bool,
    /// `AUTO_INCREMENT`, and, as Debezium has it, `ON UPDATE CURRENT_TIMESTAMP`.
    pub auto_incremented: bool,
    /// The same as `auto_incremented`: Debezium does not mean generated columns by it.
    pub generated: bool,
    /// The comment, where comments are kept.
    pub comment: Option<Arc<str>>,
    /// Whether there is a default; a column that may be null always has one.
    pub has_default: bool,
    /// The default's literal; `None` is null, or an expression.
    pub default: Option<Arc<str>>,
    /// The values of `ENUM` and `SET`, in quotes, as they were written.
    pub options: Arc<[Arc<str>]>,
}

impl Column {
    /// A column that has a name, and nothing else yet.
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            type_name: "".into(),
            kind: Kind::Unknown,
            jdbc_type: super::jdbc::OTHER,
            charset: None,
            length: None,
            scale: None,
            position: 1,
            optional: true,
            auto_incremented: false,
            generated: false,
            comment: None,
            has_default: false,
            default: None,
            options: Arc::default(),
        }
    }

    /// Whether numbers are unsigned; `ZEROFILL` makes them so.
    pub fn unsigned(&self) -> bool {
        self.type_has("UNSIGNED") || self.type_has("ZEROFILL") || self.type_has("SERIAL")
    }

    /// Whether numbers are padded with zeros when shown.
    pub fn zerofill(&self) -> bool {
        self.type_has("ZEROFILL")
    }

    fn type_has(&self, word: &str) -> bool {
        self.type_name
            .split_ascii_whitespace()
            .any(|found| found.eq_ignore_ascii_case(word))
    }

    /// The values of `ENUM` and `SET` as they are in rows: without quotes and escapes.
    pub fn values(&self) -> Vec<String> {
        self.options.iter().map(|option| unquote(option)).collect()
    }
}

/// Takes a literal's quotes off and resolves its escapes.
pub(crate) fn unquote(literal: &str) -> String {
    let Some(quote) = literal.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        return literal.to_owned();
    };
    let inner = literal.strip_prefix(quote).unwrap_or(literal);
    unescaped(inner.strip_suffix(quote).unwrap_or(inner), quote)
}

/// The text that stands, with its escapes, between two of these quotes.
pub(crate) fn unescaped(inner: &str, quote: char) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('b') => text.push('\u{8}'),
                Some('0') => text.push('\0'),
                Some('Z') => text.push('\u{1a}'),
                Some(c) => text.push(c),
                None => text.push('\\'),
            },
            c if c == quote => {
                chars.next_if_eq(&quote);
                text.push(quote);
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_an_enum_have_no_quotes_and_no_escapes() {
        let options = ["'a'", "'it''s'", "'b\\'c'", "'c,d'", "''"];
        let column = Column {
            options: options.iter().map(|option| (*option).into()).collect(),
            ..Column::named("e")
        };
        assert_eq!(column.values(), ["a", "it's", "b'c", "c,d", ""]);
    }

    #[test]
    fn zerofill_means_unsigned() {
        let column = Column {
            type_name: "INT ZEROFILL".into(),
            ..Column::named("n")
        };
        assert!(column.unsigned() && column.zerofill());
    }
}
