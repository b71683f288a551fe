//! `ZeroDateFallbackConverter`: what stands for dates that the calendar does not have, and for null, in columns of DATE,
//! DATETIME and TIMESTAMP. Debezium's `io.debezium.connector.binlog.converters.ZeroDateFallbackConverter`.
//!
//! Without a value of the user's the column becomes optional, and has no default; with one that is what null becomes too,
//! and the default where the column has one. `time.precision.mode` does not count in these columns.

use std::collections::BTreeMap;

use bytes::Bytes;
use tapline_api::config::Config;
use tapline_api::{Error, Result, Schema, Value};
use tapline_cdc::filter::PatternList;

use crate::schema::{Column, Kind};
use crate::types::{Mapping, converted};
use crate::value::{Convert, TimeUnit, text};

/// What stands for null: nothing, or a value as text.
type Fallback = Option<String>;

/// The converter's options.
#[derive(Debug, Clone)]
pub(crate) struct ZeroDates {
    /// Of DATE, DATETIME and TIMESTAMP, where the converter is for it.
    types: [Option<Fallback>; 3],
    /// `database.table.column`; an empty list means all.
    selector: PatternList,
    /// By `database.table.column`.
    columns: BTreeMap<String, Fallback>,
}

const KINDS: [(&str, Kind); 3] = [
    ("date", Kind::Date),
    ("datetime", Kind::DateTime),
    ("timestamp", Kind::Timestamp),
];

impl ZeroDates {
    /// The options of the converter `name`.
    pub(crate) fn new(config: &Config, name: &str) -> Result<Self> {
        let fallback = |option: &str, kind: Option<Kind>| -> Result<Fallback> {
            let given = config.get(option).unwrap_or_default().trim();
            if given.is_empty() || given.eq_ignore_ascii_case("null") {
                return Ok(None);
            }
            let fits = |kind: Kind| value(kind, given, &convert(kind, 6, false)).is_some();
            if !kind.map_or_else(|| KINDS.iter().any(|(_, kind)| fits(*kind)), fits) {
                return Err(Error::config(format!(
                    "The '{option}' value is invalid: '{given}' is no date (2000-01-01), time (2000-01-01 00:00:00) or \
                     instant (2000-01-01T00:00:00Z) as its type wants it"
                )));
            }
            Ok(Some(given.to_owned()))
        };
        let given = config.get(&format!("{name}.target.types"));
        let targets = given.unwrap_or("DATE,DATETIME,TIMESTAMP").to_ascii_lowercase();
        let mut types = [const { None }; 3];
        for (slot, (of, kind)) in types.iter_mut().zip(KINDS) {
            if targets.split(',').any(|target| target.trim() == of) {
                *slot = Some(fallback(&format!("{name}.fallback.{of}"), Some(kind))?);
            }
        }
        let mut columns = BTreeMap::new();
        let prefix = format!("{name}.column.");
        for (option, _) in config.iter() {
            let column = option.strip_prefix(&prefix);
            if let Some(column) = column.and_then(|rest| rest.strip_suffix(".fallback")) {
                columns.insert(column.to_owned(), fallback(option, None)?);
            }
        }
        let selector = format!("{name}.selector");
        let patterns = config.get(&selector).map_or("", str::trim);
        Ok(Self {
            types,
            selector: PatternList::new(&selector, if patterns == ".*" { "" } else { patterns })?,
            columns,
        })
    }

    /// Maps a column of `database.table`, if the converter is for it.
    pub(crate) fn map(&self, table: &str, column: &Column, adjust: bool) -> Option<Result<Mapping, String>> {
        let at = KINDS.iter().position(|(_, kind)| *kind == column.kind)?;
        let of_type = self.types.get(at)?.as_ref()?;
        let name = format!("{table}.{}", column.name);
        if !self.selector.is_empty() && !self.selector.matches(&name) {
            return None;
        }
        let digits = column.length.unwrap_or(0);
        let convert = convert(column.kind, digits, adjust);
        let fallback = match self.columns.get(&name).unwrap_or(of_type) {
            None => None,
            Some(text) => match value(column.kind, text, &convert) {
                Some(value) => Some(value),
                None => return Some(Err(format!("the fallback '{text}', which is none of its type"))),
            },
        };
        let (schema, of) = match column.kind {
            Kind::Date => (Schema::int32(), "io.debezium.time.Date"),
            Kind::DateTime if digits >= 4 => (Schema::int64(), "io.debezium.time.MicroTimestamp"),
            Kind::DateTime => (Schema::int64(), "io.debezium.time.Timestamp"),
            _ => (Schema::string(), "io.debezium.time.ZonedTimestamp"),
        };
        let mut mapping = Mapping::named(schema, of, convert, Value::Null);
        mapping.fallback = Some(fallback);
        Some(Ok(mapping))
    }
}

fn convert(kind: Kind, digits: i32, adjust: bool) -> Convert {
    match kind {
        Kind::Date => Convert::Days { adjust },
        Kind::DateTime if digits >= 4 => Convert::DateTime {
            unit: TimeUnit::Micros,
            adjust,
        },
        Kind::DateTime => Convert::DateTime {
            unit: TimeUnit::Millis,
            adjust,
        },
        // As many digits as there are.
        _ => Convert::Timestamp { digits: 0 },
    }
}

/// A fallback's value.
fn value(kind: Kind, given: &str, convert: &Convert) -> Option<Value> {
    let plain = match kind {
        Kind::Timestamp => in_utc(given)?,
        _ => (given.to_owned(), 0),
    };
    let bytes = Bytes::from(plain.0);
    let mut raw = text::parse(kind, false, &bytes, 0..bytes.len()).ok()?;
    if let crate::binlog::image::Raw::Timestamp { seconds, .. } = &mut raw {
        *seconds -= plain.1;
    }
    converted(convert, &raw, &bytes)
}

/// An ISO instant as local time, and the seconds by which that is ahead of UTC.
fn in_utc(given: &str) -> Option<(String, i64)> {
    let (date, time) = given.split_once(['T', 't'])?;
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(at)?;
    let time = if time.len() == 5 {
        format!("{time}:00")
    } else {
        time.to_owned()
    };
    let seconds = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, rest) => {
            let mut parts = rest.splitn(3, ':').map(str::parse::<i64>);
            let hours = parts.next()?.ok()?;
            let minutes = parts.next().transpose().ok()?.unwrap_or(0);
            let seconds = parts.next().transpose().ok()?.unwrap_or(0);
            let all = hours * 3600 + minutes * 60 + seconds;
            if sign == "-" { -all } else { all }
        }
    };
    Some((format!("{date} {time}"), seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::{self, Dialect};

    fn mapped(options: &[(&str, &str)], of: &str) -> Option<(String, Option<Value>)> {
        let config: Config = options.iter().copied().collect();
        let column = ddl::column(&Dialect::mysql(), "c", of, "").unwrap();
        let mapping = ZeroDates::new(&config, "z").unwrap().map("d.t", &column, true)?;
        let mapping = mapping.unwrap();
        let name = mapping.schema.name().unwrap().to_string();
        Some((name, mapping.fallback.unwrap()))
    }

    #[test]
    fn a_column_has_its_own_fallback_or_that_of_its_type_or_none() {
        let options = [
            ("z.target.types", "date, TIMESTAMP"),
            ("z.fallback.date", "2000-01-02"),
            ("z.fallback.timestamp", "2000-01-01T02:00+02:00"),
            ("z.column.d.t.c.fallback", "NULL"),
        ];
        let date = ("io.debezium.time.Date".to_owned(), Some(Value::Int32(10_958)));
        assert_eq!(mapped(&options[..3], "date"), Some(date.clone()));
        assert_eq!(mapped(&options, "date"), Some((date.0, None)));
        assert_eq!(mapped(&options, "datetime"), None);
        assert_eq!(
            mapped(&options[..3], "timestamp(3)"),
            Some((
                "io.debezium.time.ZonedTimestamp".to_owned(),
                Some(Value::from("2000-01-01T00:00:00Z".to_owned()))
            ))
        );
        assert_eq!(
            mapped(&[("z.fallback.datetime", "1970-01-02 00:00:00")], "datetime(6)"),
            Some((
                "io.debezium.time.MicroTimestamp".to_owned(),
                Some(Value::Int64(86_400_000_000))
            ))
        );
        assert_eq!(mapped(&[("z.selector", "d.other.*")], "date"), None);
        let bad: Config = [("z.fallback.date", "never")].into_iter().collect();
        assert!(ZeroDates::new(&bad, "z").unwrap_err().message().contains("never"));
    }
}
