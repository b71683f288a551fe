//! Arrays: the schema of their elements, and what stands for one that was not sent.

use tapline_api::{Schema, Value};

use super::{Kind, Mapped, Mapping, PgType, TypeModes, as_is, binary_schema, bits, oid, root};
use crate::value::{BinaryMode, Decoder};

impl TypeModes {
    pub(super) fn array(&self, of: &PgType, element: &PgType, modifier: i32) -> Mapped {
        let (root, element_modifier) = root(element, modifier);
        if root.oid == oid::BIT {
            // Debezium gives an array of bits the schema of one, in which no array has room.
            let mut mapping = Mapping::new(
                bits(root.oid, element_modifier).schema,
                Decoder::Null,
                Value::Null,
            );
            mapping.always_optional = true;
            return as_is(mapping);
        }
        // Debezium has no converter for arrays of these, nor of domains.
        let missing = matches!(
            root.oid,
            oid::MONEY | oid::NAME | oid::INTERVAL | oid::VARBIT | oid::XML | oid::POINT | oid::REFCURSOR
        );
        let of_domain = matches!(element.kind, Kind::Domain { .. });
        if missing || of_domain && !self.include_unknown {
            return Mapped::LeftOut;
        }
        let mapping = match self.map(root, element_modifier) {
            Mapped::As(mapping) if !of_domain => mapping,
            _ if self.include_unknown => Box::new(Mapping::new(
                binary_schema(self.binary),
                Decoder::Opaque(self.binary),
                Value::Null,
            )),
            other => return other,
        };
        // Enums' labels, lexemes, vectors and opaque bytes forbid null where every other element type allows it.
        let nullable = !matches!(root.kind, Kind::Enum(_))
            && root.oid != oid::TSVECTOR
            && !matches!(
                mapping.decoder,
                Decoder::Opaque(_)
                    | Decoder::Shape(_)
                    | Decoder::Vector
                    | Decoder::HalfVector
                    | Decoder::SparseVector(_)
            );
        let decoder = match mapping.decoder {
            Decoder::Time(unit) => Decoder::TimeInArray(unit),
            Decoder::TimeUtc => Decoder::TimeUtcInArray,
            other => other,
        };
        let schema = Schema::array(mapping.schema.set_optional(nullable).build());
        let decoder = Decoder::Array {
            element: Box::new(decoder),
            // An ltree's null has room in the schema, and none in Debezium's converter.
            nullable: nullable && root.name != "ltree",
            delimiter: if root.oid == oid::BOX { b';' } else { b',' },
        };
        let mapping = Mapping::new(schema, decoder, Value::Array(Vec::new()));
        as_is(mapping.placeholder(self.array_placeholder(of.oid)))
    }

    /// Debezium's `UnchangedToastedPlaceholder`: the placeholder's bytes as numbers, its name's UUID, or itself.
    fn array_placeholder(&self, array: u32) -> Value {
        let bytes = &self.placeholder.bytes;
        Value::Array(match array {
            oid::TEXT_ARRAY | oid::VARCHAR_ARRAY | oid::BPCHAR_ARRAY | oid::JSON_ARRAY | oid::JSONB_ARRAY => {
                vec![self.placeholder.text.clone().into()]
            }
            // Debezium has bytes alone.
            oid::BYTEA_ARRAY if self.binary == BinaryMode::Bytes => {
                vec![self.placeholder.binary(self.binary)]
            }
            oid::INT4_ARRAY | oid::DATE_ARRAY => bytes
                .iter()
                .map(|byte| Value::Int32(i32::from(byte.cast_signed())))
                .collect(),
            oid::INT8_ARRAY => bytes
                .iter()
                .map(|byte| Value::Int64(i64::from(byte.cast_signed())))
                .collect(),
            oid::UUID_ARRAY => vec![name_uuid(bytes).into()],
            _ => return Value::Null,
        })
    }
}

/// `UUID.nameUUIDFromBytes`: version 3, without a name space.
fn name_uuid(name: &[u8]) -> String {
    use md5::{Digest, Md5};
    let mut bytes = <[u8; 16]>::from(Md5::digest(name));
    let [.., _, _, version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0F | 0x30;
    *variant = *variant & 0x3F | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_of_a_name_is_javas() {
        // UUID.nameUUIDFromBytes("__debezium_unavailable_value".getBytes())
        let id = name_uuid(b"__debezium_unavailable_value");
        assert_eq!((id.len(), id.get(14..15)), (36, Some("3")));
    }
}
