//! Shapes in the form that MySQL and MariaDB store, and take as bytes: the SRID, then little-endian WKB with x before y.
//!
//! `ST_GeomFromWKB` would take the axes of a geographic SRID in another order than Debezium's events have them.
//! Source: <https://dev.mysql.com/doc/refman/9.0/en/gis-data-formats.html>

use tapline_api::{Struct, Value};

/// Says in a WKB type that an SRID stands behind it (PostGIS).
const HAS_SRID: u32 = 0x2000_0000;

/// A struct of `wkb` and `srid`; `None` for what is no little-endian WKB.
pub(super) fn internal(shape: &Struct) -> Option<Vec<u8>> {
    let Some(Value::Bytes(wkb)) = shape.get("wkb") else {
        return None;
    };
    let srid = shape.get("srid").and_then(Value::as_i64).unwrap_or(0);
    let (order, rest) = wkb.split_first()?;
    if *order != 1 {
        return None;
    }
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let kind = u32::from_le_bytes(*kind);
    let rest = if kind & HAS_SRID == 0 {
        rest
    } else {
        rest.get(4..)?
    };
    let mut out = Vec::with_capacity(wkb.len() + 4);
    out.extend(u32::try_from(srid).ok()?.to_le_bytes());
    out.push(1);
    out.extend((kind & !HAS_SRID).to_le_bytes());
    out.extend(rest);
    Some(out)
}

/// A struct of `x`, `y` and perhaps `srid`.
pub(super) fn point(point: &Struct) -> Option<Vec<u8>> {
    let number = |name: &str| match point.get(name) {
        Some(Value::Float64(n)) => Some(*n),
        Some(Value::Float32(n)) => Some(f64::from(*n)),
        _ => None,
    };
    let srid = point.get("srid").and_then(Value::as_i64).unwrap_or(0);
    let mut out = Vec::with_capacity(25);
    out.extend(u32::try_from(srid).ok()?.to_le_bytes());
    out.extend([1, 1, 0, 0, 0]);
    out.extend(number("x")?.to_le_bytes());
    out.extend(number("y")?.to_le_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tapline_api::Schema;

    fn shape(wkb: &'static [u8]) -> Struct {
        let schema = Schema::structure()
            .field("wkb", Schema::bytes().build())
            .field("srid", Schema::int32().optional().build())
            .build();
        Struct::new(
            schema,
            vec![Value::Bytes(Bytes::from_static(wkb)), Value::Int32(4326)],
        )
    }

    #[test]
    fn a_shape_is_its_srid_and_its_wkb_without_one() {
        let expected = [0xe6, 0x10, 0, 0, 1, 1, 0, 0, 0, 0xaa];
        assert_eq!(internal(&shape(&[1, 1, 0, 0, 0, 0xaa])).unwrap(), expected);
        let extended = [1, 1, 0, 0, 0x20, 0xe6, 0x10, 0, 0, 0xaa];
        assert_eq!(internal(&shape(Box::leak(Box::new(extended)))).unwrap(), expected);
        assert_eq!(internal(&shape(&[0, 0, 0, 0, 1])), None);
        assert_eq!(internal(&shape(&[1])), None);
    }
}
