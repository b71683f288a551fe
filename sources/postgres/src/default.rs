//! Column defaults: from the expression in the catalog to a value in the schema.
//!
//! As Debezium's `PostgresDefaultValueConverter` does it, by the expression's text: literals are taken as they stand, a
//! function's result is not known and becomes the type's zero, and what is neither is left out. That it stops at the
//! first quote of `'it''s'` is kept, since schemas are compared.

use bytes::{Bytes, BytesMut};
use tapline_api::Value;

use crate::table::Column;
use crate::types::{Kind, oid};
use crate::value::{Decoder, Text, Unit};

/// The default of a column, if its schema can bear one.
pub(crate) fn default_value(column: &Column, decoder: &Decoder) -> Option<Value> {
    let expression = column.default.as_deref()?;
    // Domains have no default there, arrays and most other types neither.
    let text = match (&column.of.kind, column.of.oid) {
        (Kind::Enum(_), _) => enum_default(expression)?.to_owned(),
        (Kind::Base, oid) => literal(expression, generated_placeholder(oid)?, trims(oid))?,
        _ => return None,
    };
    // Structs can't be defaults (KAFKA-12694).
    if matches!(decoder, Decoder::VariableDecimal(_) | Decoder::Point(_)) {
        return None;
    }
    let text = match (column.of.oid, text.as_str()) {
        (oid::BOOL, _) => text.eq_ignore_ascii_case("true").to_string(),
        (oid::INTERVAL, "epoch") => "00:00:00".to_owned(),
        (oid::TIMESTAMPTZ, "infinity" | "-infinity") => return None,
        (oid::TIME, "24:00:00") => return Some(last_of_day(decoder)),
        (oid::NUMERIC, _) if !fits(&text, column.modifier) => return None,
        _ => text,
    };
    let block = Bytes::from(text);
    match decoder.decode(&Text::whole(&block), &mut BytesMut::new()) {
        Ok(value) if !value.is_null() => Some(value),
        _ => None,
    }
}

/// Java's clock ends a nanosecond before midnight.
fn last_of_day(decoder: &Decoder) -> Value {
    match decoder {
        Decoder::Time(Unit::Millis) => Value::Int32(86_399_999),
        Decoder::Time(Unit::Nanos) => Value::Int64(86_399_999_999_999),
        Decoder::Time(Unit::Iso) => "23:59:59.999999999Z".into(),
        _ => Value::Int64(86_399_999_999),
    }
}

/// Whether a number has no more digits after its point than its column; `NaN` has no place in a schema.
fn fits(text: &str, modifier: i32) -> bool {
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = usize::try_from((modifier - 4) & 0xFFFF).unwrap_or(usize::MAX);
    text.bytes().any(|byte| byte.is_ascii_digit()) && (modifier < 4 || digits <= scale)
}

/// What stands for a function's result; `None` for types whose defaults Debezium does not read.
fn generated_placeholder(oid: u32) -> Option<&'static str> {
    Some(match oid {
        oid::BIT => "00",
        oid::VARBIT | oid::INT2 | oid::INT4 | oid::INT8 => "0",
        oid::BOOL => "false",
        oid::BPCHAR | oid::VARCHAR | oid::TEXT | oid::XML => "",
        oid::NUMERIC | oid::FLOAT4 | oid::FLOAT8 => "0.0",
        oid::JSON | oid::JSONB => "{}",
        oid::UUID => "00000000-0000-0000-0000-000000000000",
        oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ => "1970-01-01",
        oid::TIME => "00:00",
        oid::INTERVAL => "epoch",
        _ => return None,
    })
}

fn trims(oid: u32) -> bool {
    !matches!(
        oid,
        oid::BPCHAR | oid::VARCHAR | oid::TEXT | oid::XML | oid::JSON | oid::JSONB
    )
}

fn literal(expression: &str, placeholder: &str, trim: bool) -> Option<String> {
    let expression = if trim { expression.trim() } else { expression };
    let current = [
        "current_timestamp",
        "current_time",
        "current_date",
        "localtime",
        "localtimestamp",
    ];
    if is_function(expression) || current.contains(&expression.to_lowercase().as_str()) {
        return Some(placeholder.to_owned());
    }
    match expression.split_once('\'') {
        None if expression.starts_with("NULL::") => None,
        None => Some(expression.to_owned()),
        Some((_, rest)) => quoted(rest).map(str::to_owned),
    }
}

/// The first text between two quotes that is on one line: `'(.*?)'`.
fn quoted(rest: &str) -> Option<&str> {
    let (text, further) = rest.split_once('\'')?;
    if text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return quoted(further);
    }
    Some(text)
}

/// `^[(]?[A-Za-z0-9_.]+\((?:.+(?:, ?.+)*)?\)`
fn is_function(expression: &str) -> bool {
    let rest = expression.strip_prefix('(').unwrap_or(expression);
    let name = rest
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        .count();
    let Some(arguments) = rest.get(name..).and_then(|rest| rest.strip_prefix('(')) else {
        return false;
    };
    name > 0 && arguments.contains(')')
}

/// `'happy'::fx.mood`
fn enum_default(expression: &str) -> Option<&str> {
    let (label, _) = expression.rsplit_once("::")?;
    label.strip_prefix('\'')?.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_options;
    use crate::types::{Mapped, PgType};

    fn read(oid: u32, modifier: i32, expression: &str) -> Option<Value> {
        let of = PgType::base(oid, "t");
        let Mapped::As(mapping) = test_options(&[]).types.map(&of, modifier) else {
            panic!()
        };
        let column = Column {
            name: "c".into(),
            of,
            modifier,
            optional: true,
            default: Some(expression.into()),
            generated: false,
            identity: false,
        };
        default_value(&column, &mapping.decoder)
    }

    #[test]
    fn defaults_are_those_that_debezium_recorded() {
        let text = |text: &'static str| Some(Value::from(text));
        assert_eq!(read(oid::INT4, -1, "7"), Some(Value::Int32(7)));
        assert_eq!(
            read(oid::FLOAT8, -1, "'-2.5'::numeric"),
            Some(Value::Float64(-2.5))
        );
        assert_eq!(read(oid::TEXT, -1, "'it''s'::text"), text("it"));
        assert_eq!(read(oid::TEXT, -1, "'a\n''b'''::text"), text(""));
        assert_eq!(
            read(oid::TIME, -1, "'24:00:00'::time without time zone"),
            Some(Value::Int64(86_399_999_999))
        );
        assert_eq!(read(oid::NUMERIC, (10 << 16 | 2) + 4, "12.345"), None);
        assert_eq!(
            read(oid::TIMESTAMPTZ, -1, "'infinity'::timestamp with time zone"),
            None
        );
        assert_eq!(read(oid::BOOL, -1, "true"), Some(Value::Boolean(true)));
        assert_eq!(read(oid::BPCHAR, 7, "'c'::bpchar"), text("c"));
        assert_eq!(read(oid::BYTEA, -1, "'\\x01ff'::bytea"), None);
        assert_eq!(
            read(oid::DATE, -1, "'2024-01-02'::date"),
            Some(Value::Int32(19_724))
        );
        assert_eq!(
            read(
                oid::TIMESTAMP,
                -1,
                "'2024-01-02 03:04:05'::timestamp without time zone"
            ),
            Some(Value::Int64(1_704_164_645_000_000))
        );
        assert_eq!(
            read(oid::TIMESTAMPTZ, -1, "now()"),
            text("1970-01-01T00:00:00.000000Z")
        );
        assert_eq!(
            read(oid::TIMESTAMPTZ, -1, "CURRENT_TIMESTAMP"),
            text("1970-01-01T00:00:00.000000Z")
        );
        assert_eq!(
            read(oid::INT8, -1, "nextval('fx.sq'::regclass)"),
            Some(Value::Int64(0))
        );
        assert_eq!(
            read(oid::INTERVAL, -1, "'1 day'::interval"),
            Some(Value::Int64(86_400_000_000))
        );
        assert_eq!(
            read(oid::BIT, 3, "'101'::\"bit\""),
            Some(Value::Bytes(Bytes::from_static(&[5])))
        );
        assert_eq!(
            read(oid::NUMERIC, (10 << 16 | 2) + 4, "12.34"),
            Some(Value::Bytes(vec![4, 0xD2].into()))
        );
        assert_eq!(read(oid::NUMERIC, -1, "5.5"), None);
        assert_eq!(read(oid::INT4, -1, "(a * 2)"), None);
        assert_eq!(read(oid::VARCHAR, -1, "NULL::character varying"), None);
        assert_eq!(read(oid::MONEY, -1, "1.5"), None);
    }

    #[test]
    fn an_enums_default_is_its_label() {
        assert_eq!(enum_default("'happy'::fx.mood"), Some("happy"));
        assert_eq!(enum_default("mood()"), None);
    }
}
