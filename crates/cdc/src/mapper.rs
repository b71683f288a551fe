//! Masks, hashes, truncation, and the database's types as schema parameters: what `column.mask.*`,
//! `column.truncate.to.N.chars`, `column.propagate.source.type` and `datatype.propagate.source.type` ask for.
//!
//! A column has one mapper at most. Debezium takes truncation before masks, and masks before hashes are asked, so that a
//! broad `column.truncate…=.*` lets clear text flow from a column that is to be masked; here what hides most comes first.
//! Keys keep their values, as Debezium's do: a masked key would be another row's.

mod hash;

use bytestring::ByteString;
use tapline_api::config::Config;
use tapline_api::schema::{SchemaBuilder, Type};
use tapline_api::{Error, Result, Value};

use crate::filter::PatternList;
use hash::{Algorithm, Form, Hasher};

/// What a mapper looks at of a column.
#[derive(Clone, Copy, Debug)]
pub struct SourceColumn<'a> {
    /// The table as filters name it: `schema.table`, `database.table`.
    pub table: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The database's name of its type, such as `varchar`.
    pub type_name: &'a str,
    /// The type's length, where it has one.
    pub length: Option<i32>,
    /// The digits after the point, where the database tells.
    pub scale: Option<i32>,
    /// The column's comment, when comments are read.
    pub comment: Option<&'a str>,
}

/// What happens to a column.
#[derive(Clone, Debug)]
enum Mapper {
    Mask(ByteString),
    Hash(Hasher),
    Truncate(usize),
    Propagate,
}

#[derive(Clone, Debug)]
struct Rule {
    mapper: Mapper,
    patterns: PatternList,
    /// Whether the patterns name types (`schema.table.varchar`), not columns.
    by_type: bool,
}

/// All mappers of a connector.
#[derive(Clone, Debug, Default)]
pub struct ColumnMappers(Vec<Rule>);

/// A mapper for one column; see [`ColumnMappers::of`].
#[derive(Clone, Debug)]
pub struct Mapping {
    mapper: Mapper,
    length: Option<i32>,
}

/// What a mapping makes of values.
#[derive(Clone, Debug)]
pub enum Conversion {
    /// Text becomes this, null too.
    Mask(ByteString),
    /// Text becomes its salted hash, cut to the column's length.
    Hash(Hasher, Option<usize>),
    /// Text and bytes are cut.
    Truncate(usize),
}

impl ColumnMappers {
    /// Reads all options of this kind.
    ///
    /// # Errors
    /// A config error for a malformed name, an unknown hash algorithm or a malformed pattern.
    pub fn new(config: &Config) -> Result<Self> {
        let mut rules = Vec::new();
        for (name, value) in config.iter() {
            let Some(mapper) = mapper(name)? else { continue };
            let patterns = PatternList::new(name, value.unwrap_or_default())?;
            if !patterns.is_empty() {
                let by_type = name.starts_with("datatype.");
                rules.push(Rule {
                    mapper,
                    patterns,
                    by_type,
                });
            }
        }
        rules.sort_by_key(|rule| match (&rule.mapper, rule.by_type) {
            (Mapper::Mask(_), _) => 0,
            (Mapper::Hash(_), _) => 1,
            (Mapper::Truncate(_), _) => 2,
            (Mapper::Propagate, false) => 3,
            (Mapper::Propagate, true) => 4,
        });
        Ok(Self(rules))
    }

    /// Whether there is nothing to do for any column.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mapping of a column, if it has one.
    pub fn of(&self, column: &SourceColumn<'_>) -> Option<Mapping> {
        if self.0.is_empty() {
            return None;
        }
        let by_name = format!("{}.{}", column.table, column.name);
        let by_type = format!("{}.{}", column.table, column.type_name);
        let fits = |rule: &&Rule| {
            rule.patterns
                .matches(if rule.by_type { &by_type } else { &by_name })
        };
        self.0.iter().find(fits).map(|rule| Mapping {
            mapper: rule.mapper.clone(),
            length: column.length,
        })
    }
}

impl Mapping {
    /// Adds to the schema of the column's field in a row what Debezium adds; the field in a key stays as it is.
    pub fn annotate(&self, column: &SourceColumn<'_>, schema: SchemaBuilder) -> SchemaBuilder {
        const PREFIX: &str = "__debezium.source.column";
        match &self.mapper {
            Mapper::Mask(_) | Mapper::Hash(_) => schema.parameter("masked", "true"),
            Mapper::Truncate(longest) if self.cuts(*longest) => {
                schema.parameter("truncateLength", longest.to_string())
            }
            Mapper::Truncate(_) => schema,
            Mapper::Propagate => {
                let mut schema = schema.parameter(format!("{PREFIX}.type"), column.type_name.to_uppercase());
                for (what, number) in [("length", column.length), ("scale", column.scale)] {
                    if let Some(number) = number {
                        schema = schema.parameter(format!("{PREFIX}.{what}"), number.to_string());
                    }
                }
                if let Some(comment) = column.comment.filter(|comment| !comment.is_empty()) {
                    schema = schema.parameter(format!("{PREFIX}.comment"), comment);
                }
                schema.parameter(format!("{PREFIX}.name"), column.name)
            }
        }
    }

    /// What to do with values of a field of type `kind`; nothing to those that can't be hidden.
    pub fn conversion(&self, kind: Type) -> Option<Conversion> {
        match (&self.mapper, kind) {
            (Mapper::Mask(mask), Type::String) => Some(Conversion::Mask(mask.clone())),
            (Mapper::Hash(hasher), Type::String) => {
                let limit = self.length.and_then(|length| usize::try_from(length).ok());
                Some(Conversion::Hash(hasher.clone(), limit.filter(|limit| *limit > 0)))
            }
            (Mapper::Truncate(longest), Type::String | Type::Bytes) if self.cuts(*longest) => {
                Some(Conversion::Truncate(*longest))
            }
            _ => None,
        }
    }

    /// Whether the user wants the column hidden.
    pub fn hides(&self) -> bool {
        matches!(self.mapper, Mapper::Mask(_) | Mapper::Hash(_))
    }

    /// A column that can't be longer is left alone.
    fn cuts(&self, longest: usize) -> bool {
        let length = self.length.and_then(|length| usize::try_from(length).ok());
        length.is_none_or(|length| length > longest)
    }
}

impl Conversion {
    /// The value as it goes into an event.
    pub fn apply(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Mask(mask), _) => Value::String(mask.clone()),
            (Self::Hash(hasher, limit), Value::String(text)) => {
                let mut hash = hasher.hash(&text);
                if let Some(limit) = limit {
                    // Hexadecimal digits.
                    hash.truncate(*limit);
                }
                Value::from(hash)
            }
            (Self::Truncate(longest), Value::String(text)) => Value::String(truncated(text, *longest)),
            (Self::Truncate(longest), Value::Bytes(bytes)) if bytes.len() > *longest => {
                Value::Bytes(bytes.slice(..*longest))
            }
            (_, value) => value,
        }
    }
}

/// At most so many UTF-16 units, as Java counts; a pair is not cut in two.
fn truncated(text: ByteString, longest: usize) -> ByteString {
    if text.len() <= longest {
        return text;
    }
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > longest {
            let (kept, _) = text.split_at(at);
            return kept;
        }
    }
    text
}

/// The mapper that an option's name asks for; `None` for other options.
fn mapper(name: &str) -> Result<Option<Mapper>> {
    if name == "column.propagate.source.type" || name == "datatype.propagate.source.type" {
        return Ok(Some(Mapper::Propagate));
    }
    fn counted(rest: Option<&str>) -> Option<&str> {
        rest.and_then(|rest| rest.strip_suffix(".chars"))
    }
    let number = |digits: &str| {
        let number = digits
            .parse::<usize>()
            .ok()
            .filter(|n| *n <= usize::from(u16::MAX) * 16);
        number.ok_or_else(|| {
            Error::config(format!(
                "the option '{name}' is malformed: '{digits}' is no number of characters"
            ))
        })
    };
    if let Some(digits) = counted(name.strip_prefix("column.truncate.to.")) {
        return Ok(Some(Mapper::Truncate(number(digits)?)));
    }
    if let Some(digits) = counted(name.strip_prefix("column.mask.with.")) {
        return Ok(Some(Mapper::Mask("*".repeat(number(digits)?).into())));
    }
    if let Some(rest) = name.strip_prefix("column.mask.hash.") {
        let (form, rest) = match rest.strip_prefix("v2.") {
            Some(rest) => (Form::Text, rest),
            None => (Form::Serialized, rest),
        };
        let parts = rest
            .split_once(".with.salt.")
            .filter(|(_, salt)| !salt.is_empty());
        let (algorithm, salt) = parts.ok_or_else(|| {
            // The salt is a secret; the name is not repeated.
            Error::config(
                "an option column.mask.hash… is malformed: it is column.mask.hash[.v2].ALGORITHM.with.salt.SALT",
            )
        })?;
        let known = Algorithm::named(algorithm).ok_or_else(|| {
            Error::config(format!("the hash algorithm '{algorithm}' is not supported"))
                .hint("MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224 and SHA-512/256 are")
        })?;
        return Ok(Some(Mapper::Hash(Hasher::new(known, salt, form))));
    }
    if name.starts_with("column.mask.") || name.starts_with("column.truncate.") {
        return Err(Error::config(format!(
            "the option '{name}' is none that masks or truncates; clear text would flow"
        )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Schema;

    fn column<'a>(name: &'a str, type_name: &'a str, length: Option<i32>) -> SourceColumn<'a> {
        SourceColumn {
            table: "fx.txt",
            name,
            type_name,
            length,
            scale: None,
            comment: None,
        }
    }

    fn mappers(options: &[(&str, &str)]) -> ColumnMappers {
        ColumnMappers::new(&options.iter().copied().collect()).unwrap()
    }

    fn converted(mappers: &ColumnMappers, column: &SourceColumn<'_>, value: Value) -> Value {
        let mapping = mappers.of(column).unwrap();
        mapping
            .conversion(Type::String)
            .map_or(value.clone(), |conversion| conversion.apply(value))
    }

    #[test]
    fn values_are_hidden_as_recorded() {
        let all = mappers(&[
            ("column.truncate.to.3.chars", "fx.txt.t"),
            ("column.mask.with.4.chars", "fx.txt.v"),
            ("column.mask.hash.v2.SHA-256.with.salt.S1", "fx.txt.vl"),
        ]);
        let text = |text: &str| Value::from(text.to_owned());
        let (t, v, vl) = (
            column("t", "TEXT", None),
            column("v", "VARCHAR", Some(100)),
            column("vl", "VARCHAR", Some(50)),
        );
        assert_eq!(converted(&all, &t, text("changed")), text("cha"));
        assert_eq!(converted(&all, &t, text("😀")), text("😀"));
        assert_eq!(converted(&all, &t, text("ab😀")), text("ab"));
        assert_eq!(converted(&all, &v, Value::Null), text("****"));
        assert_eq!(converted(&all, &vl, Value::Null), Value::Null);
        assert_eq!(
            converted(&all, &vl, text("latin é")),
            text("bf0bde53099bc31eedcc6a1ebb1f2155056f56b9b4c873b52c")
        );
        assert_eq!(
            converted(&all, &vl, text("")),
            text("3696ad59777e09d5f2daacb544022d435e7cd053d87c578124")
        );
        assert!(all.of(&column("c", "CHAR", Some(5))).is_none());
    }

    #[test]
    fn parameters_are_those_recorded() {
        let parameters = |mappers: &ColumnMappers, column: SourceColumn<'_>| {
            let schema = mappers
                .of(&column)
                .unwrap()
                .annotate(&column, Schema::string())
                .build();
            let list = schema.parameters().iter();
            list.map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
        };
        let propagate = mappers(&[("datatype.propagate.source.type", r".*\.varchar,.*\.bpchar")]);
        let mut found = column("c5", "bpchar", Some(5));
        found.scale = Some(0);
        assert_eq!(
            parameters(&propagate, found),
            [
                "__debezium.source.column.type=BPCHAR",
                "__debezium.source.column.length=5",
                "__debezium.source.column.scale=0",
                "__debezium.source.column.name=c5"
            ]
        );
        assert!(propagate.of(&column("t", "text", None)).is_none());
        let cut = mappers(&[("column.truncate.to.3.chars", ".*")]);
        assert_eq!(parameters(&cut, column("t", "text", None)), ["truncateLength=3"]);
        assert!(parameters(&cut, column("c", "char", Some(2))).is_empty());
    }

    #[test]
    fn what_hides_most_comes_first() {
        let all = mappers(&[
            ("column.propagate.source.type", ".*"),
            ("column.truncate.to.3.chars", ".*"),
            ("column.mask.hash.MD5.with.salt.a.b", "fx.txt.h"),
            ("column.mask.with.1.chars", "fx.txt.m"),
        ]);
        assert!(all.of(&column("h", "text", None)).unwrap().hides());
        assert!(all.of(&column("m", "text", None)).unwrap().hides());
        assert!(!all.of(&column("x", "text", None)).unwrap().hides());
    }

    #[test]
    fn a_misspelt_mask_is_refused_and_its_salt_not_shown() {
        for name in [
            "column.mask.with.x.chars",
            "column.mask.hash.NOPE.with.salt.pssst",
            "column.mask.hash.pssst",
            "column.mask.chars",
        ] {
            let error = ColumnMappers::new(&[(name, ".*")].into_iter().collect()).unwrap_err();
            assert!(!error.to_string().contains("pssst"), "{error}");
        }
    }
}
