//! Which column a value does not fit: Postgres says so for NOT NULL and constraints, but not for a text that is too long or
//! a number that is too big, or for a text that is no value of its type.

use tapline_api::Value;
use tokio_postgres::types::Type;

use super::catalog::Target;
use super::kind::Kind;
use super::text;

/// Why the value does not fit the column, or `None` if nothing speaks against it.
pub(super) fn too_big(kind: &Kind, value: &Value, target: &Target) -> Option<String> {
    let is = |ty: &Type| target.oid == ty.oid();
    let limit = u32::try_from(target.limit)
        .ok()
        .and_then(|limit| limit.checked_sub(4));
    let name = &target.name;
    if let (Value::String(text), Some(limit)) = (value, limit)
        && (is(&Type::VARCHAR) || is(&Type::BPCHAR))
    {
        let length = text.chars().count();
        return (length > limit as usize)
            .then(|| format!("column '{name}' takes {limit} characters, the value has {length}"));
    }
    let range = match () {
        () if is(&Type::INT2) => Some(i64::from(i16::MIN)..=i64::from(i16::MAX)),
        () if is(&Type::INT4) => Some(i64::from(i32::MIN)..=i64::from(i32::MAX)),
        () => None,
    };
    let type_name = &target.type_name;
    if let (Some(range), Some(n)) = (range, value.as_i64()) {
        return (!range.contains(&n)).then(|| format!("column '{name}' is a {type_name}, and {n} is none"));
    }
    if let (true, Some(limit)) = (is(&Type::NUMERIC), limit) {
        let (precision, scale) = (limit >> 16 & 0xffff, limit & 0x7ff);
        let mut digits = String::new();
        text::push(kind, value, &mut digits).ok()?;
        let whole = digits
            .trim_start_matches('-')
            .split('.')
            .next()
            .unwrap_or_default();
        let whole = whole.trim_start_matches('0').len();
        // A negative scale is written in eleven bits.
        let fits = scale > 1000 || whole <= precision.saturating_sub(scale) as usize;
        return (!fits).then(|| {
            format!("column '{name}' is a numeric({precision},{scale}), the value has {whole} digits before the point")
        });
    }
    None
}

/// Whether the server's message speaks of this value: `invalid input syntax for type integer: "x"`.
pub(super) fn is_told_of(kind: &Kind, value: &Value, said: &str) -> bool {
    let mut shown = String::new();
    !value.is_null() && text::push(kind, value, &mut shown).is_ok() && said.contains(&format!("\"{shown}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn target(ty: &Type, limit: i32) -> Target {
        Target {
            name: "c".to_owned(),
            oid: ty.oid(),
            type_name: ty.name().to_owned(),
            limit,
            demanding: false,
            always_identity: false,
        }
    }

    #[test]
    fn a_message_tells_of_the_value_that_it_quotes() {
        let said = "invalid input syntax for type integer: \"abc\"";
        let told = |value: Value| is_told_of(&Kind::Text(None), &value, said);
        assert!(told("abc".into()));
        assert!(!told("ab".into()) && !told(Value::Null) && !told(Value::Int32(1)));
    }

    #[test]
    fn texts_numbers_and_decimals_are_compared_with_the_column() {
        let decimal = Kind::Decimal {
            precision: 0,
            scale: 1,
        };
        let number = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
        // numeric(3,1)
        let narrow = target(&Type::NUMERIC, (3 << 16 | 1) + 4);
        for (kind, value, target, fits) in [
            (&Kind::Text(None), "ääää".into(), target(&Type::VARCHAR, 8), true),
            (
                &Kind::Text(None),
                "äääää".into(),
                target(&Type::VARCHAR, 8),
                false,
            ),
            (&Kind::Text(None), "long".into(), target(&Type::TEXT, -1), true),
            (&Kind::Int32, Value::Int32(40_000), target(&Type::INT2, -1), false),
            (&Kind::Int64, Value::Int64(7), target(&Type::INT4, -1), true),
            (&decimal, number(&[0x03, 0xe7]), narrow.clone(), true),
            (&decimal, number(&[0x03, 0xe8]), narrow, false),
        ] {
            assert_eq!(too_big(kind, &value, &target).is_none(), fits, "{value:?}");
        }
    }
}
