//! Length and scale of a column's type, as pgjdbc reports them (`TypeInfoCache`): what `column.propagate.source.type` and
//! truncation go by.

use crate::types::{Kind, PgType, oid};

/// What pgjdbc says where there is no limit.
const UNLIMITED: i32 = i32::MAX;

/// Length and scale of a type with a modifier; -1 for none.
pub(crate) fn size(of: &PgType, modifier: i32) -> (i32, i32) {
    if let Kind::Domain { of, modifier: own } = &of.kind {
        return size(of, if modifier == -1 { *own } else { modifier });
    }
    // Of an array, what its elements have.
    if let Kind::Array(of) = &of.kind {
        return size(of, modifier);
    }
    let none = modifier == -1;
    let scale = match of.oid {
        oid::FLOAT4 => 8,
        oid::FLOAT8 => 17,
        oid::NUMERIC if !none => (modifier - 4) & 0xFFFF,
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            if none {
                6
            } else {
                modifier
            }
        }
        oid::INTERVAL => {
            if none {
                6
            } else {
                modifier & 0xFFFF
            }
        }
        _ => 0,
    };
    // A point and the digits after it; without any, nothing.
    let second = match scale {
        0 => 0,
        1 => 3,
        digits => digits + 1,
    };
    let length = match of.oid {
        oid::INT2 => 5,
        oid::INT4 | oid::OID => 10,
        oid::INT8 => 19,
        oid::FLOAT4 => 8,
        oid::FLOAT8 => 17,
        oid::NUMERIC if none => 131_089,
        oid::NUMERIC => ((modifier - 4) >> 16) & 0xFFFF,
        oid::BOOL | oid::CHAR => 1,
        oid::BPCHAR | oid::VARCHAR if !none => modifier - 4,
        oid::DATE => 13,
        oid::TIME => 8 + second,
        oid::TIMETZ => 14 + second,
        oid::TIMESTAMP => 22 + second,
        oid::TIMESTAMPTZ => 28 + second,
        oid::INTERVAL => 49,
        oid::BIT | oid::VARBIT if !none => modifier,
        _ => UNLIMITED,
    };
    (length, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_recorded_or_pgjdbcs() {
        let of = |oid: u32, modifier: i32| size(&PgType::base(oid, "t"), modifier);
        assert_eq!(of(oid::BPCHAR, 9), (5, 0));
        assert_eq!(of(oid::VARCHAR, -1), (2_147_483_647, 0));
        assert_eq!(of(oid::VARCHAR, 14), (10, 0));
        assert_eq!(of(oid::NUMERIC, (10 << 16 | 2) + 4), (10, 2));
        assert_eq!(of(oid::TIMESTAMPTZ, -1), (35, 6));
        assert_eq!(of(oid::TIMESTAMP, 0), (22, 0));
        let domain = PgType {
            oid: 70_000,
            name: "d".into(),
            kind: Kind::Domain {
                of: Box::new(PgType::base(oid::VARCHAR, "varchar")),
                modifier: 24,
            },
        };
        assert_eq!(size(&domain, -1), (20, 0));
        let array = PgType {
            oid: oid::INT4_ARRAY,
            name: "_int4".into(),
            kind: Kind::Array(Box::new(PgType::base(oid::INT4, "int4"))),
        };
        assert_eq!(size(&array, -1), (10, 0));
    }
}
