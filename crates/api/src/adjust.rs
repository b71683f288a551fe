//! `schema.name.adjustment.mode` and `field.name.adjustment.mode`: names that Avro can hold (Debezium's
//! `SchemaNameAdjuster`).

/// How names are adjusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adjustment {
    /// Not at all.
    #[default]
    None,
    /// What Avro does not allow becomes an underscore.
    Avro,
    /// What Avro does not allow, and the underscore itself, becomes `_u` and its code.
    AvroUnicode,
}

impl Adjustment {
    /// The mode of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "avro" => Self::Avro,
            "avro_unicode" => Self::AvroUnicode,
            _ => return None,
        })
    }

    /// A schema's full name: dots part its namespaces.
    pub fn adjust(self, name: String) -> String {
        self.fit(name, true)
    }

    /// A field's name: dots are not allowed.
    pub fn adjust_field(self, name: &str) -> String {
        self.fit(name.to_owned(), false)
    }

    fn fit(self, name: String, dots: bool) -> String {
        if self == Self::None {
            return name;
        }
        let mut out = String::with_capacity(name.len());
        // Java looks at UTF-16 units.
        for (index, unit) in name.encode_utf16().enumerate() {
            let c = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
            let first = c.is_ascii_alphabetic() || (c == '_' && self == Self::Avro);
            if first || (index > 0 && ((c == '.' && dots) || c.is_ascii_digit())) {
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

    #[test]
    fn a_field_has_no_dots() {
        assert_eq!(Adjustment::Avro.adjust_field("a.b"), "a_b");
        assert_eq!(Adjustment::AvroUnicode.adjust_field("a.b"), "a_u002eb");
        assert_eq!(Adjustment::None.adjust_field("a.b"), "a.b");
    }
}
