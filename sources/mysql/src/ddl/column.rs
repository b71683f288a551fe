//! Columns: their types, attributes and defaults.

use std::sync::Arc;

use super::bits::{Bits, literal_of};
use super::cursor::Cursor;
use super::dialect::Flavor;
use super::error::Error;
use super::statement::{Charset, DefaultValue, Definition};
use super::token::Kind as Token;
use crate::schema::{Column, Kind, jdbc};

type Result<T> = std::result::Result<T, Error>;

/// What Debezium takes for the default of a column that defaults to the time of its insertion.
const EPOCH: &str = "1970-01-01 00:00:00";

impl Cursor<'_> {
    /// A type and attributes, up to a comma, a closing parenthesis, `FIRST` or `AFTER`.
    pub(super) fn definition(&mut self, name: Arc<str>) -> Result<Definition> {
        let mut column = Column::named(name);
        let mut written = Charset::default();
        self.data_type(&mut column, &mut written)?;
        let mut found = Attributes {
            charset: written,
            ..Attributes::default()
        };
        if column.type_name.as_ref() == "SERIAL" {
            column.type_name = "BIGINT UNSIGNED".into();
            found.serial(&mut column);
        }
        // What follows a column in `ALTER TABLE`.
        let ends = ["FIRST", "AFTER", "PARTITION", "REMOVE"];
        while !self.clause_ends() && !self.is_sign(';') && !ends.iter().any(|word| self.is(word)) {
            let before = self.at;
            self.attribute(&mut column, &mut found)?;
            if self.at == before {
                return Err(self.error("unknown attribute of a column"));
            }
        }
        column.optional = found.optional.unwrap_or(true);
        let mut bits = None;
        if let Some(default) = found.default {
            column.has_default = true;
            match default {
                DefaultValue::Literal { text, raw } => column.default = Some(literal_of(&column, &text, raw)),
                DefaultValue::Bits(found) => bits = Some(found),
                DefaultValue::Null | DefaultValue::Dropped => column.default = None,
            }
        }
        // A column that may be null is null by default.
        column.has_default |= column.optional;
        if column.kind.is_text() && column.charset.is_none() {
            let charset = found.charset;
            column.charset = charset
                .name
                .or_else(|| charset.collation.as_deref().and_then(charset_of_collation));
        }
        Ok(Definition {
            column,
            primary: found.primary,
            unique: found.unique,
            bits,
        })
    }

    /// A type: its words, its length, its modifiers.
    fn data_type(&mut self, column: &mut Column, charset: &mut Charset) -> Result<()> {
        let start = self.at;
        let first = match self.peek() {
            Some(token) if token.kind == Token::Word => token.text.to_ascii_uppercase(),
            _ => return Err(self.error("a type is missing")),
        };
        self.at += 1;
        let mut words = first;
        self.type_words(&mut words);
        column.kind = Kind::of(&words);
        if column.kind == Kind::Unknown {
            self.at = start;
            return Err(self.error("unknown type of a column"));
        }
        column.jdbc_type = column.kind.jdbc_type(&words);
        self.dimensions(column)?;
        self.modifiers(&mut words, column, charset)?;
        column.type_name = words.into();
        self.implied(column);
        Ok(())
    }

    /// The further words of types that have more than one.
    fn type_words(&mut self, words: &mut String) {
        let further: &[&str] = match words.as_str() {
            "NATIONAL" => &["CHAR", "CHARACTER", "VARCHAR", "VARCHARACTER"],
            "NCHAR" => &["VARCHAR", "VARCHARACTER", "VARYING"],
            "LONG" => &["VARCHAR", "VARCHARACTER", "VARBINARY", "CHAR", "CHARACTER"],
            "DOUBLE" => &["PRECISION"],
            "CHAR" | "CHARACTER" => &["VARYING"],
            _ => return,
        };
        let Some(word) = further.iter().find(|word| self.is(word)) else {
            return;
        };
        self.at += 1;
        words.push(' ');
        words.push_str(word);
        if matches!(*word, "CHAR" | "CHARACTER") && self.accept("VARYING") {
            words.push_str(" VARYING");
        }
    }

    /// `(10)`, `(10,2)`, `('a','b')`.
    fn dimensions(&mut self, column: &mut Column) -> Result<()> {
        if !self.accept_sign('(') {
            if matches!(column.kind, Kind::Enum | Kind::Set) {
                return Err(self.error("'(' is missing"));
            }
            return Ok(());
        }
        if matches!(column.kind, Kind::Enum | Kind::Set) {
            return self.enum_values(column);
        }
        column.length = Some(self.dimension(column.kind)?);
        if self.accept_sign(',') {
            column.scale = Some(self.dimension(Kind::Unknown)?);
        }
        self.expect_sign(')')
    }

    fn dimension(&mut self, kind: Kind) -> Result<i32> {
        let Some(token) = self.peek().filter(|token| token.kind == Token::Number) else {
            return Err(self.error("a length is missing"));
        };
        let whole = token.text.split(['.', 'e', 'E']).next().unwrap_or_default();
        // What is too long for Java's int is cut to it, as Debezium does.
        let length = whole
            .parse::<i32>()
            .unwrap_or(if whole.is_empty() { 0 } else { i32::MAX });
        self.at += 1;
        Ok(if kind == Kind::Decimal && length == 0 {
            10
        } else {
            length
        })
    }

    fn enum_values(&mut self, column: &mut Column) -> Result<()> {
        let mut options: Vec<Arc<str>> = Vec::new();
        loop {
            match self.next() {
                Some(token) if matches!(token.kind, Token::Text | Token::Bits) => {
                    options.push(token.text.into())
                }
                // A charset's introducer.
                Some(token) if token.kind == Token::Word && token.text.starts_with('_') => continue,
                _ => {
                    self.at = self.at.saturating_sub(1);
                    return Err(self.error("a value is missing"));
                }
            }
            if self.accept_sign(')') {
                break;
            }
            self.expect_sign(',')?;
        }
        let count = i32::try_from(options.len()).unwrap_or(i32::MAX);
        column.length = Some(match column.kind {
            // All values, with a comma between two.
            Kind::Set => count.saturating_mul(2).saturating_sub(1).max(0),
            _ => 1,
        });
        column.options = options.into();
        Ok(())
    }

    /// `UNSIGNED`, `ZEROFILL`, `BINARY`, a character set: what may follow a type in any order.
    fn modifiers(&mut self, words: &mut String, column: &mut Column, charset: &mut Charset) -> Result<()> {
        let mut signs: Vec<&str> = Vec::new();
        let mut binary = false;
        loop {
            if let Some(word) = ["SIGNED", "UNSIGNED", "ZEROFILL"]
                .iter()
                .find(|word| self.is(word))
            {
                self.at += 1;
                if !column.kind.is_number() {
                    return Err(self.error("a type that is no number is signed"));
                }
                if !signs.contains(word) {
                    signs.push(word);
                }
            } else if column.kind.is_text() && self.accept("BINARY") {
                binary = true;
            } else if column.kind.is_text() && self.accept("ASCII") {
                charset.name = Some("latin1".into());
            } else if column.kind.is_text() && self.accept("UNICODE") {
                charset.name = Some("ucs2".into());
            } else if column.kind.is_text() && self.accept("BYTE") {
                column.kind = match column.kind {
                    Kind::Char => Kind::Binary,
                    Kind::VarChar => Kind::VarBinary,
                    Kind::TinyText => Kind::TinyBlob,
                    Kind::MediumText => Kind::MediumBlob,
                    Kind::LongText => Kind::LongBlob,
                    _ => Kind::Blob,
                };
                column.jdbc_type = column.kind.jdbc_type("");
            } else if self.is("CHARSET") || self.is_at(1, "SET") && (self.is("CHARACTER") || self.is("CHAR"))
            {
                self.charset_word();
                charset.name = Some(self.option_value()?);
            } else if self.accept("COMPRESSED") {
                if self.accept_sign('=') {
                    self.name()?;
                }
            } else if self.is("REF_SYSTEM_ID") {
                self.at += 1;
                self.accept_sign('=');
                self.next();
            } else {
                break;
            }
        }
        if self.dialect.flavor == Flavor::MySql && signs.contains(&"ZEROFILL") {
            signs = vec!["UNSIGNED", "ZEROFILL"];
        }
        for sign in signs {
            words.push(' ');
            words.push_str(sign);
        }
        if binary {
            words.push_str(" BINARY");
        }
        Ok(())
    }

    /// Lengths and character sets that a type has when none is written.
    fn implied(&self, column: &mut Column) {
        match column.kind {
            Kind::Decimal => {
                column.length.get_or_insert(10);
                column.scale.get_or_insert(0);
            }
            Kind::Bit => {
                column.length.get_or_insert(1);
            }
            Kind::Vector if self.dialect.flavor == Flavor::MariaDb => {
                column.length.get_or_insert(2048);
            }
            _ => {}
        }
        if matches!(column.jdbc_type, jdbc::NCHAR | jdbc::NVARCHAR) {
            column.charset = Some("utf8".into());
            if column.jdbc_type == jdbc::NCHAR {
                column.length.get_or_insert(1);
            }
        }
    }

    fn attribute(&mut self, column: &mut Column, found: &mut Attributes) -> Result<()> {
        if self.accept_all(&["NOT", "NULL"]) {
            found.optional = Some(false);
        } else if self.accept("NULL") {
            found.optional = Some(true);
        } else if self.accept("DEFAULT") {
            match self.default_value()? {
                DefaultValue::Null => {}
                default => found.default = Some(default),
            }
        } else if self.accept_all(&["ON", "UPDATE"]) {
            self.next();
            if self.is_sign('(') {
                self.skip_parentheses()?;
            }
            // Only Debezium's parser of MySQL takes it for this.
            if self.dialect.flavor == Flavor::MySql {
                column.auto_incremented = true;
                column.generated = true;
            }
        } else if self.accept("AUTO_INCREMENT") {
            column.auto_incremented = true;
            column.generated = true;
        } else if self.accept_all(&["SERIAL", "DEFAULT", "VALUE"]) {
            found.serial(column);
        } else if self.accept("UNIQUE") {
            self.accept("KEY");
            found.unique = true;
        } else if self.accept("PRIMARY") {
            self.accept("KEY");
            found.primary = true;
            found.optional = Some(false);
        } else if self.accept("KEY") {
            found.primary = true;
            found.optional = Some(false);
        } else if self.accept("COMMENT") {
            self.accept_sign('=');
            let comment = self.string()?;
            if self.dialect.comments {
                column.comment = Some(comment);
            }
        } else if self.accept("COLLATE") {
            found.charset.collation = Some(self.option_value()?);
        } else if self.is("CHARSET") || self.is("CHARACTER") {
            self.charset_option(&mut found.charset)?;
        } else {
            self.other_attribute()?;
        }
        Ok(())
    }

    /// Attributes that change nothing here.
    fn other_attribute(&mut self) -> Result<()> {
        if self.accept_any(&["COLUMN_FORMAT", "STORAGE", "SRID", "REF_SYSTEM_ID"]) {
            self.accept_sign('=');
            self.next();
        } else if self.accept_any(&["ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"]) {
            self.accept_sign('=');
            self.string()?;
        } else if self.accept("CONSTRAINT") {
            if !self.is("CHECK") {
                self.name()?;
            }
        } else if self.accept("CHECK") {
            self.skip_parentheses()?;
        } else if self.accept_all(&["GENERATED", "ALWAYS", "AS"]) || self.accept("AS") {
            if !(self.accept_all(&["ROW", "START"]) || self.accept_all(&["ROW", "END"])) {
                self.skip_parentheses()?;
            }
        } else if self.accept("REFERENCES") {
            self.table_name()?;
            if self.is_sign('(') {
                self.skip_parentheses()?;
            }
            while self.accept_all(&["ON", "DELETE"])
                || self.accept_all(&["ON", "UPDATE"])
                || self.accept("MATCH")
            {
                // CASCADE, SET NULL, SET DEFAULT, NO ACTION, RESTRICT, FULL, PARTIAL, SIMPLE.
                if !(self.accept_all(&["SET", "NULL"])
                    || self.accept_all(&["SET", "DEFAULT"])
                    || self.accept_all(&["NO", "ACTION"]))
                {
                    self.next();
                }
            }
        } else if self.accept_all(&["WITHOUT", "SYSTEM", "VERSIONING"])
            || self.accept_all(&["WITH", "SYSTEM", "VERSIONING"])
            || self.accept_all(&["NOT", "ENFORCED"])
            || self.accept_all(&["NOT", "SECONDARY"])
            || self.accept_any(&[
                "ENFORCED",
                "VIRTUAL",
                "STORED",
                "PERSISTENT",
                "VISIBLE",
                "INVISIBLE",
                "COMPRESSED",
                "SECONDARY",
            ])
        {
            // COMPRESSED=zlib
            if self.accept_sign('=') {
                self.next();
            }
        } else if self.peek().is_some_and(super::token::Token::is_name)
            && self.peek_at(1).is_some_and(|token| token.is_sign('='))
        {
            // An attribute of MariaDB's engines.
            self.at += 2;
            self.next();
        } else {
            return Err(self.error("unknown attribute of a column"));
        }
        Ok(())
    }

    /// What follows `DEFAULT`. `Dropped` stands for an expression, whose value nobody knows here.
    pub(super) fn default_value(&mut self) -> Result<DefaultValue> {
        if self.accept("NULL") {
            return Ok(DefaultValue::Null);
        }
        if self.is_sign('(') {
            self.skip_parentheses()?;
            self.rest_of_expression()?;
            return Ok(DefaultValue::Dropped);
        }
        let sign = match self.peek() {
            Some(token) if token.is_sign('-') => "-",
            Some(token) if token.is_sign('+') => "+",
            _ => "",
        };
        self.at += sign.len();
        let introducer = self.peek().copied().filter(|token| {
            token.kind == Token::Word && token.text.starts_with('_') && self.literal_follows()
        });
        self.at += usize::from(introducer.is_some());
        let Some(token) = self.peek().copied() else {
            return Err(self.error("a default is missing"));
        };
        let mut bits = None;
        let literal: Arc<str> = match token.kind {
            Token::Text => self.string()?,
            Token::Number => {
                self.at += 1;
                token.text.into()
            }
            Token::Bits => {
                self.at += 1;
                let introducer = introducer.map(|token| token.text);
                bits = Some(Bits::read(token.text, introducer, self.dialect));
                token.text.into()
            }
            Token::Word if token.is("TRUE") || token.is("FALSE") => {
                self.at += 1;
                token.text.into()
            }
            Token::Word
                if ["DATE", "TIME", "TIMESTAMP"].iter().any(|word| token.is(word))
                    && self.literal_follows() =>
            {
                self.at += 1;
                self.string()?
            }
            Token::Word | Token::Name => {
                self.at += 1;
                let now = ["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"];
                let is_now = now.iter().any(|word| token.is(word));
                // NEXT VALUE FOR a sequence.
                if (token.is("NEXT") && self.accept_all(&["VALUE", "FOR"]) || token.is("NEXTVAL"))
                    && !self.is_sign('(')
                {
                    self.table_name()?;
                }
                while self.is_sign('(') {
                    self.skip_parentheses()?;
                }
                let more = self.rest_of_expression()?;
                return Ok(match is_now && !more {
                    true => DefaultValue::Literal {
                        text: EPOCH.into(),
                        raw: false,
                    },
                    false => DefaultValue::Dropped,
                });
            }
            Token::Variable | Token::Sign => return Err(self.error("unknown default of a column")),
        };
        if self.rest_of_expression()? {
            return Ok(DefaultValue::Dropped);
        }
        if self.is("COLLATE") && self.dialect.flavor == Flavor::MariaDb {
            // The literal's, not the column's: its character set changes nothing.
            self.at += 1;
            self.name()?;
        }
        if let Some(bits) = bits {
            return Ok(match sign {
                "" => DefaultValue::Bits(bits),
                _ => DefaultValue::Dropped,
            });
        }
        Ok(DefaultValue::Literal {
            text: match sign {
                "" => literal,
                sign => format!("{sign}{literal}").into(),
            },
            raw: self.dialect.no_backslash_escapes,
        })
    }

    fn literal_follows(&self) -> bool {
        self.peek_at(1)
            .is_some_and(|token| matches!(token.kind, Token::Text | Token::Bits))
    }

    /// Reads on over operators and what they join: MariaDB takes expressions without parentheses.
    fn rest_of_expression(&mut self) -> Result<bool> {
        let start = self.at;
        while let Some(token) = self.peek() {
            let joins = token.kind == Token::Sign && "+-*/%|&^<>=!~".contains(token.text)
                || ["DIV", "MOD", "XOR", "AND", "OR"]
                    .iter()
                    .any(|word| token.is(word));
            if !joins {
                break;
            }
            self.at += 1;
            // Further signs (`||`, `- -`), then what they apply to.
            while self
                .peek()
                .is_some_and(|token| token.kind == Token::Sign && "+-*/%|&^<>=!~".contains(token.text))
            {
                self.at += 1;
            }
            if !self.clause_ends() {
                self.skip_one()?;
            }
            while self.is_sign('(') {
                self.skip_parentheses()?;
            }
        }
        Ok(self.at > start)
    }
}

/// What attributes say, before all of them are read.
#[derive(Default)]
struct Attributes {
    optional: Option<bool>,
    default: Option<DefaultValue>,
    charset: Charset,
    primary: bool,
    unique: bool,
}

impl Attributes {
    /// `SERIAL`: `BIGINT UNSIGNED NOT NULL AUTO_INCREMENT UNIQUE`.
    fn serial(&mut self, column: &mut Column) {
        self.optional.get_or_insert(false);
        self.unique = true;
        column.auto_incremented = true;
        column.generated = true;
    }
}

/// The character set of a collation, which its name begins with. MariaDB's `uca1400_…` name none.
pub(super) fn charset_of_collation(collation: &str) -> Option<Arc<str>> {
    let charset = collation
        .split('_')
        .next()
        .unwrap_or(collation)
        .to_ascii_lowercase();
    match charset.as_str() {
        "default" | "uca1400" | "" => None,
        _ => Some(charset.into()),
    }
}
