//! How a column's values get into the target's column: the form they are sent in, and the cast that the statement makes.
//!
//! Tables that somebody else created may have other types than we would choose. Values are sent in the target's own type
//! where we know its binary form, else in their natural type, which the statement casts. A cast never names a length or
//! precision: the assignment behind it checks those, where a cast would cut off.

use tapline_api::Schema;
use tokio_postgres::types::Type;

use super::catalog::Target;
use super::kind::Kind;
use super::wire::Wire;

/// A parameter: one array per column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bind {
    pub(super) wire: Wire,
    /// The type of the array's elements.
    pub(super) element: Type,
    /// The type to cast an element to.
    pub(super) cast: Option<String>,
}

impl Bind {
    /// Whether COPY, which makes no casts, takes the values as they are.
    pub(super) fn goes_by_copy(&self, target: &Target) -> bool {
        let is = |ty: &Type| target.oid == ty.oid();
        let same = match self.element {
            Type::TEXT => is(&Type::VARCHAR) || is(&Type::BPCHAR),
            Type::VARBIT => is(&Type::BIT),
            _ => false,
        };
        self.cast.is_none() && (same || target.oid == self.element.oid())
    }
}

/// Chooses for a column of the target.
pub(super) fn bind(kind: &Kind, schema: &Schema, target: &Target) -> Bind {
    let (wire, element) = Wire::natural(kind, schema);
    let as_is = |wire, element| Bind {
        wire,
        element,
        cast: None,
    };
    let oid = target.oid;
    let is = |ty: &Type| oid == ty.oid();
    let bits = is(&Type::BIT) || is(&Type::VARBIT);
    match kind {
        _ if oid == element.oid() => as_is(wire, element),
        Kind::Text(_) | Kind::Json | Kind::Jsonb if is(&Type::JSON) => as_is(Wire::Json, Type::JSON),
        Kind::Text(_) | Kind::Json | Kind::Jsonb if is(&Type::JSONB) => as_is(Wire::Jsonb, Type::JSONB),
        // Texts go into text as they came.
        Kind::Text(_)
        | Kind::Json
        | Kind::Jsonb
        | Kind::Uuid
        | Kind::ZonedTime(_)
        | Kind::ZonedTimestamp(_)
            if is_text(oid) =>
        {
            as_is(Wire::Text, Type::TEXT)
        }
        // An hstore that the source wrote as JSON.
        Kind::Json | Kind::Jsonb if target.type_name.ends_with("hstore") => {
            cast(Wire::Rendered(Box::new(Kind::HstoreJson)), Type::TEXT, target)
        }
        Kind::Json | Kind::Jsonb => cast(Wire::Text, Type::TEXT, target),
        Kind::Bits { .. } | Kind::Bit if bits => as_is(wire, element),
        Kind::Boolean if bits => as_is(Wire::BitOfBool, Type::VARBIT),
        Kind::Bit if is(&Type::BOOL) => as_is(Wire::Bool, Type::BOOL),
        Kind::Bits { .. } if is(&Type::BYTEA) => as_is(Wire::Bytea, Type::BYTEA),
        _ => cast(wire, element, target),
    }
}

fn cast(wire: Wire, element: Type, target: &Target) -> Bind {
    let cast = if is_text(target.oid) {
        (element != Type::TEXT).then(|| "text".to_owned())
    } else {
        Some(
            match target.oid {
                // Without a length these three mean a length of one.
                oid if oid == Type::BIT.oid() => "bit varying",
                oid if oid == Type::BIT_ARRAY.oid() => "bit varying[]",
                oid if oid == Type::BPCHAR_ARRAY.oid() => "bpchar[]",
                _ => &target.type_name,
            }
            .to_owned(),
        )
    };
    Bind { wire, element, cast }
}

fn is_text(oid: u32) -> bool {
    [Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::CHAR]
        .iter()
        .any(|ty| ty.oid() == oid)
}

/// The type of an array of `element`.
pub(super) fn array_of(element: &Type) -> Type {
    match *element {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::OID => Type::OID_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMETZ => Type::TIMETZ_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        Type::VARBIT => Type::VARBIT_ARRAY,
        Type::JSON => Type::JSON_ARRAY,
        Type::JSONB => Type::JSONB_ARRAY,
        Type::UUID => Type::UUID_ARRAY,
        Type::POINT => Type::POINT_ARRAY,
        _ => Type::TEXT_ARRAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Unit;

    fn bound(kind: &Kind, target: &Type) -> (Type, Option<String>) {
        let target = Target {
            name: "c".to_owned(),
            oid: target.oid(),
            type_name: target.name().to_owned(),
            demanding: false,
            always_identity: false,
            limit: -1,
        };
        let bind = bind(kind, &Schema::string().build(), &target);
        assert_ne!(
            array_of(&bind.element) == Type::TEXT_ARRAY,
            bind.element != Type::TEXT
        );
        (bind.element, bind.cast)
    }

    #[test]
    fn values_are_sent_in_the_targets_type_or_cast_to_it() {
        let text = Kind::Text(None);
        let stamp = Kind::Timestamp(Unit::Micros, 6);
        let bits = Kind::Bits {
            length: 3,
            varying: false,
        };
        for (kind, target, element, cast) in [
            (&Kind::Int32, Type::INT4, Type::INT4, None),
            (&Kind::Int32, Type::NUMERIC, Type::INT4, Some("numeric")),
            (&Kind::Int32, Type::VARCHAR, Type::INT4, Some("text")),
            (&text, Type::VARCHAR, Type::TEXT, None),
            (&text, Type::BPCHAR, Type::TEXT, None),
            (&text, Type::JSONB, Type::JSONB, None),
            (&text, Type::BIT, Type::TEXT, Some("bit varying")),
            (&text, Type::INT4, Type::TEXT, Some("int4")),
            (&text, Type::BPCHAR_ARRAY, Type::TEXT, Some("bpchar[]")),
            (&Kind::Json, Type::JSONB, Type::JSONB, None),
            (&Kind::Json, Type::TEXT, Type::TEXT, None),
            (&Kind::Uuid, Type::VARCHAR, Type::TEXT, None),
            (&stamp, Type::TIMESTAMPTZ, Type::TIMESTAMP, Some("timestamptz")),
            (&bits, Type::BIT, Type::VARBIT, None),
            (&Kind::Boolean, Type::BIT, Type::VARBIT, None),
            (
                &Kind::Array(Box::new(Kind::Int32)),
                Type::INT4_ARRAY,
                Type::TEXT,
                Some("_int4"),
            ),
            (&Kind::Named("inet".into()), Type::TEXT, Type::TEXT, None),
        ] {
            assert_eq!(
                bound(kind, &target),
                (element, cast.map(str::to_owned)),
                "{kind:?} {target}"
            );
        }
    }
}
