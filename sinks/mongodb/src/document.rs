//! From Connect's values to BSON documents, in one go to the bytes that the server reads.
//!
//! What a record holds decides how it is read: a struct by its schema, a map as it is, a string as (extended) JSON, bytes as
//! BSON. Of semantic names only Connect's own four count, as in MongoDB's connector: Debezium's types are plain numbers and
//! strings.

use bson::raw::{CStr, RawBinaryRef};
use bson::spec::BinarySubtype;
use bson::{Bson, DateTime, Decimal128, Document, RawArrayBuf, RawBsonRef, RawDocumentBuf};
use num_bigint::{BigInt, Sign};
use tapline_api::schema::{Field, logical};
use tapline_api::{Error, Result, Schema, Struct, Value};

/// Digits that a Decimal128 takes.
const DIGITS: u32 = 34;
/// What is added to its exponent.
const BIAS: i32 = 6176;

/// The document that a key or a value is, to be changed; `None` for null.
pub(crate) fn of(value: &Value) -> Result<Option<Document>> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::String(text) => parse(text)?,
        Value::Bytes(bytes) => Document::from_reader(bytes.as_ref())
            .map_err(|error| Error::data("the bytes are not a BSON document").cause(error))?,
        other => match raw(other)? {
            Some(raw) => Document::try_from(&raw)
                .map_err(|error| Error::data("the document can't be read again").cause(error))?,
            None => {
                return Err(Error::data(format!(
                    "No converter present due to unexpected object type: {}",
                    other.java_class()
                )));
            }
        },
    }))
}

/// The document of a JSON text, extended or not.
pub(crate) fn parse(text: &str) -> Result<Document> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Error::data("Failed to parse JSON").cause(error))?;
    match bson(json)? {
        Bson::Document(document) => Ok(document),
        _ => Err(Error::data("Failed to parse JSON: it is not a document")),
    }
}

/// The BSON of any extended JSON.
pub(crate) fn bson(json: serde_json::Value) -> Result<Bson> {
    Bson::try_from(json).map_err(|error| Error::data("Failed to parse JSON").cause(error))
}

/// The document that a struct or a map is, as it goes to the server; `None` for all other values.
pub(crate) fn raw(value: &Value) -> Result<Option<RawDocumentBuf>> {
    Ok(Some(match value {
        Value::Struct(row) => structure(row)?,
        Value::Map(entries) => map(entries, None)?,
        _ => return Ok(None),
    }))
}

/// An empty document with room for so many bytes: grown, it would be copied as often as it doubles.
pub(crate) fn with_room(bytes: usize) -> Result<RawDocumentBuf> {
    let mut empty = Vec::with_capacity(bytes.max(5));
    empty.extend_from_slice(&[5, 0, 0, 0, 0]);
    RawDocumentBuf::from_bytes(empty).map_err(|error| Error::fatal("no empty document").cause(error))
}

/// Appends a struct's field; a null is its default, where it has one.
pub(crate) fn field(out: &mut RawDocumentBuf, field: &Field, value: &Value) -> Result<()> {
    let schema = field.schema();
    let value = match (value, schema.default()) {
        (Value::Null, Some(default)) => default,
        (value, _) => value,
    };
    append(out, field.name(), value, Some(schema))
        .map_err(|error| Error::data(format!("error while processing field {}", field.name())).cause(error))
}

/// Appends a map's entry.
pub(crate) fn entry(
    out: &mut RawDocumentBuf,
    (key, value): &(Value, Value),
    schema: Option<&Schema>,
) -> Result<()> {
    match key {
        Value::String(key) => append(out, key, value, schema),
        _ => {
            let class = key.java_class();
            Err(Error::data(format!("the key of a map is no string but {class}")))
        }
    }
}

fn append(out: &mut RawDocumentBuf, name: &str, value: &Value, schema: Option<&Schema>) -> Result<()> {
    let name: &CStr = name
        .try_into()
        .map_err(|error| Error::data("the document can't be written as BSON").cause(error))?;
    written(value, schema, |raw| out.append(name, raw))
}

pub(crate) fn structure(row: &Struct) -> Result<RawDocumentBuf> {
    let mut document = RawDocumentBuf::new();
    for (known, value) in row.schema().fields().iter().zip(row.values()) {
        field(&mut document, known, value)?;
    }
    Ok(document)
}

fn map(entries: &[(Value, Value)], schema: Option<&Schema>) -> Result<RawDocumentBuf> {
    let schema = schema.and_then(Schema::value_schema).map(|schema| &**schema);
    let mut document = RawDocumentBuf::new();
    for one in entries {
        entry(&mut document, one, schema)?;
    }
    Ok(document)
}

fn array(items: &[Value], schema: Option<&Schema>) -> Result<RawArrayBuf> {
    let schema = schema.and_then(Schema::value_schema).map(|schema| &**schema);
    let mut array = RawArrayBuf::new();
    for item in items {
        written(item, schema, |raw| array.push(raw))?;
    }
    Ok(array)
}

/// Gives any value, by its schema where it has one, to who writes it.
fn written(value: &Value, schema: Option<&Schema>, write: impl FnOnce(RawBsonRef<'_>)) -> Result<()> {
    let name = schema.and_then(Schema::name).map(|name| &**name);
    let at = |millis| RawBsonRef::DateTime(DateTime::from_millis(millis));
    let (list, inner);
    let raw = match value {
        Value::Null => RawBsonRef::Null,
        Value::Boolean(b) => RawBsonRef::Boolean(*b),
        Value::Int8(n) => RawBsonRef::Int32((*n).into()),
        Value::Int16(n) => RawBsonRef::Int32((*n).into()),
        Value::Int32(n) => match name {
            Some(logical::DATE) => at(i64::from(*n) * 86_400_000),
            Some(logical::TIME) => at((*n).into()),
            _ => RawBsonRef::Int32(*n),
        },
        Value::Int64(n) if name == Some(logical::TIMESTAMP) => at(*n),
        Value::Int64(n) => RawBsonRef::Int64(*n),
        Value::Float32(n) => RawBsonRef::Double((*n).into()),
        Value::Float64(n) => RawBsonRef::Double(*n),
        Value::String(text) => RawBsonRef::String(text),
        Value::Bytes(bytes) if name == Some(logical::DECIMAL) => {
            let scale = schema
                .and_then(|schema| schema.parameter(logical::SCALE))
                .and_then(|scale| scale.parse().ok());
            RawBsonRef::Decimal128(decimal(bytes, scale.unwrap_or(0))?)
        }
        Value::Bytes(bytes) => RawBsonRef::Binary(RawBinaryRef {
            subtype: BinarySubtype::Generic,
            bytes,
        }),
        Value::Array(items) => {
            list = array(items, schema)?;
            RawBsonRef::Array(&list)
        }
        Value::Map(entries) => {
            inner = map(entries, schema)?;
            RawBsonRef::Document(&inner)
        }
        Value::Struct(row) => {
            inner = structure(row)?;
            RawBsonRef::Document(&inner)
        }
    };
    write(raw);
    Ok(())
}

/// `unscaled` × 10^-`scale`, exactly, or an error that says what does not fit.
///
/// The layout is IEEE 754's with a binary integer: sign, 14 bits of exponent, 113 bits of coefficient.
fn decimal(unscaled: &[u8], scale: i32) -> Result<Decimal128> {
    let number = BigInt::from_signed_bytes_be(unscaled);
    let negative = number.sign() == Sign::Minus;
    let refused = || {
        Error::data(format!(
            "Decimal128 holds {DIGITS} digits and exponents from -6176 to 6111, and not {number} with scale {scale}"
        ))
    };
    let mut coefficient = u128::try_from(number.magnitude()).map_err(|_| refused())?;
    let mut exponent = scale.checked_neg().ok_or_else(refused)?;
    // Zeros at the end can make room.
    while (coefficient >= 10_u128.pow(DIGITS) || exponent < -BIAS) && coefficient % 10 == 0 && coefficient > 0
    {
        coefficient /= 10;
        exponent += 1;
    }
    let biased = u128::try_from(i64::from(exponent) + i64::from(BIAS)).map_err(|_| refused())?;
    if coefficient >= 10_u128.pow(DIGITS) || biased > 12287 {
        return Err(refused());
    }
    let bits = u128::from(negative) << 127 | biased << 113 | coefficient;
    Ok(Decimal128::from_bytes(bits.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_a_document_whatever_it_is_written_as() {
        let inner = Schema::structure()
            .field("at", Schema::int64().name(logical::TIMESTAMP).build())
            .build();
        let row = Schema::structure()
            .field("id", Schema::int8().build())
            .field("day", Schema::int32().name(logical::DATE).build())
            .field("note", Schema::string().optional().build())
            .field("with", Schema::string().optional().default("x".into()).build())
            .field("inner", inner.clone())
            .field("list", Schema::array(Schema::float32().build()).build())
            .build();
        let row = Struct::new(
            row,
            vec![
                Value::Int8(1),
                Value::Int32(1),
                Value::Null,
                Value::Null,
                Value::Struct(Struct::new(inner, vec![Value::Int64(5)])),
                Value::Array(vec![Value::Float32(0.5), Value::Null]),
            ],
        );
        let document = of(&Value::Struct(row)).unwrap().unwrap();
        let at = |millis| DateTime::from_millis(millis);
        assert_eq!(
            document,
            doc! {"id": 1, "day": at(86_400_000), "note": null, "with": "x", "inner": {"at": at(5)}, "list": [0.5, null]}
        );
        let json = r#"{"a": 1, "b": 5000000000, "c": {"$oid": "0123456789abcdef01234567"}, "d": [1.5, "x"]}"#;
        let parsed = of(&Value::from(json)).unwrap().unwrap();
        assert_eq!(
            (parsed.get("a"), parsed.get("b")),
            (Some(&Bson::Int32(1)), Some(&Bson::Int64(5_000_000_000)))
        );
        assert_eq!(
            parsed.get_object_id("c").unwrap().to_hex(),
            "0123456789abcdef01234567"
        );
        let bytes = parsed.to_vec().unwrap();
        assert_eq!(of(&Value::Bytes(bytes.into())).unwrap(), Some(parsed));
        let map = Value::Map(vec![("a".into(), Value::Int64(1))]);
        assert_eq!(of(&map).unwrap(), Some(doc! {"a": 1_i64}));
        assert_eq!(of(&Value::Null).unwrap(), None);
        for bad in [
            Value::Int32(1),
            "[1]".into(),
            "{".into(),
            Value::Bytes("xx".into()),
        ] {
            assert!(of(&bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_keeps_every_digit(unscaled in -(10_i128.pow(34) - 1)..10_i128.pow(34), scale in -20..40_i32) {
            let decimal = decimal(&unscaled.to_be_bytes(), scale).unwrap();
            let wanted: Decimal128 = format!("{unscaled}E{}", -scale).parse().unwrap();
            prop_assert_eq!(decimal.to_string(), wanted.to_string());
        }
    }

    #[test]
    fn a_decimal_that_is_too_long_is_refused_and_zeros_at_its_end_are_not() {
        let ten = 10_i128.pow(36).to_be_bytes();
        assert_eq!(decimal(&ten, 2).unwrap().to_string().parse::<f64>(), Ok(1e34));
        assert!(decimal(&(10_i128.pow(36) + 1).to_be_bytes(), 2).is_err());
    }
}
