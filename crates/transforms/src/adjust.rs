//! `schema.name.adjustment.mode`: schema names that Avro can hold (Debezium's `SchemaNameAdjuster`).

/// How names are adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adjustment {
    /// Not at all.
    None,
    /// What Avro does not allow becomes an underscore.
    Avro,
    /// What Avro does not allow, and the underscore itself, becomes `_u` and its code.
    AvroUnicode,
}

impl Adjustment {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "avro" => Self::Avro,
            "avro_unicode" => Self::AvroUnicode,
            _ => return None,
        })
    }

    pub(crate) fn adjust(self, name: String) -> String {
        if self == Self::None {
            return name;
        }
        let mut out = String::with_capacity(name.len());
        // Java looks at UTF-16 units.
        for (index, unit) in name.encode_utf16().enumerate() {
            let c = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
            let first = c.is_ascii_alphabetic() || (c == '_' && self == Self::Avro);
            if first || (index > 0 && (c == '.' || c.is_ascii_digit())) {
                out.push(c);
            } else if self == Self::Avro {
                out.push('_');
                // A digit in front is kept, so that names which differ in it alone stay different.
                if index == 0 && c.is_numeric() {
                    out.push(c);
                }
            } else {
                let hex = format!("{unit:x}");
                out.push_str("_u");
                if hex.len() <= 2 {
                    out.push_str("00");
                }
                out.push_str(&hex);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_adjusted_as_debezium_does() {
        for (mode, name, adjusted) in [
            (Adjustment::None, "a-b", "a-b"),
            (Adjustment::Avro, "a-b.c_1", "a_b.c_1"),
            (Adjustment::Avro, "1a", "_1a"),
            (Adjustment::AvroUnicode, "a-b_c", "a_u002db_u005fc"),
            (Adjustment::AvroUnicode, "漢", "_u6f22"),
        ] {
            assert_eq!(mode.adjust(name.to_owned()), adjusted);
        }
        assert_eq!(Adjustment::named("AVRO"), Some(Adjustment::Avro));
    }
}
