//! DECIMAL: digits to an unscaled number, a double, or text. 38 digits fit a machine number; more go the long way.

use bytes::{BufMut, BytesMut};
use num_bigint::BigInt;
use tapline_api::Value;

use super::{Context, Convert, Failed};
use crate::binlog::image::{Raw, decimal_digits, decimal_small};

/// Digits that always fit 128 bits.
const FITS: usize = 38;

pub(super) fn convert(to: &Convert, raw: &Raw, cx: &mut Context<'_>) -> Result<Value, Failed> {
    // What most of them are.
    if let (Convert::DecimalBytes { scale: wanted }, Raw::Decimal { at, precision, scale }) = (to, raw)
        && *wanted == u32::from(*scale)
        && let Some(n) = decimal_small(cx.slice(at), *precision, *scale)
    {
        return Ok(bytes_of_i64(n, cx.arena));
    }
    if let (Convert::DecimalBytes { scale }, Raw::Digits(at)) = (to, raw)
        && let Some(n) = small(cx.slice(at), *scale)
    {
        return Ok(bytes_of_i64(n, cx.arena));
    }
    let mut digits = Vec::with_capacity(FITS);
    let (negative, scale) = match raw {
        Raw::Decimal { at, precision, scale } => {
            let packed = cx.slice(at);
            let negative =
                decimal_digits(packed, *precision, *scale, &mut digits).map_err(|e| e.to_string())?;
            (negative, u32::from(*scale))
        }
        Raw::Digits(at) => parse(cx.slice(at), &mut digits)?,
        _ => return Err("no decimal number".to_owned()),
    };
    let scale = match to {
        Convert::DecimalBytes { scale: wanted }
        | Convert::DecimalDouble { scale: wanted }
        | Convert::DecimalText { scale: wanted } => rescale(&mut digits, scale, *wanted)?,
        _ => scale,
    };
    match to {
        Convert::DecimalBytes { .. } => Ok(unscaled(&digits, negative, cx.arena)),
        Convert::DecimalDouble { .. } => {
            let text = plain(&digits, negative, scale);
            text.parse()
                .map(Value::Float64)
                .map_err(|_| format!("'{text}' is no number"))
        }
        _ => {
            cx.arena.put_slice(plain(&digits, negative, scale).as_bytes());
            Ok(cx.take_text())
        }
    }
}

/// The unscaled bytes of a literal such as a default, rounded to `scale` digits after the point as servers do.
pub(crate) fn unscaled_of_text(text: &str, scale: u32) -> Option<Value> {
    let (digits, negative) = rounded(text, scale)?;
    Some(unscaled(&digits, negative, &mut BytesMut::new()))
}

/// The same as text.
pub(crate) fn rounded_text(text: &str, scale: u32) -> Option<String> {
    let (digits, negative) = rounded(text, scale)?;
    Some(plain(&digits, negative, scale))
}

fn rounded(text: &str, scale: u32) -> Option<(Vec<u8>, bool)> {
    let mut digits = Vec::new();
    let (negative, found) = parse(text.trim().as_bytes(), &mut digits).ok()?;
    if found > scale {
        let left = digits.len().saturating_sub(usize::try_from(found - scale).ok()?);
        let up = digits.get(left).is_some_and(|digit| *digit >= b'5');
        digits.truncate(left);
        if up {
            increment(&mut digits);
        }
    } else {
        digits.extend(std::iter::repeat_n(b'0', usize::try_from(scale - found).ok()?));
    }
    let negative = negative && digits.iter().any(|digit| *digit != b'0');
    Some((digits, negative))
}

/// Adds one to the number of these digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

/// A decimal number of few digits, exactly `scale` of them after the point, without its point.
fn small(text: &[u8], scale: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let point = match scale {
        0 => digits.len(),
        scale => digits.len().checked_sub(usize::try_from(scale).ok()? + 1)?,
    };
    let (whole, fraction) = digits.split_at_checked(point)?;
    let fraction = match fraction {
        [] if scale == 0 => fraction,
        [b'.', fraction @ ..] => fraction,
        _ => return None,
    };
    if whole.len() + fraction.len() > 18 {
        return None;
    }
    let mut n = 0i64;
    for digit in whole.iter().chain(fraction) {
        n = n * 10 + i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some(if negative { -n } else { n })
}

/// Sign, digits and their number after the point.
fn parse(text: &[u8], digits: &mut Vec<u8>) -> Result<(bool, u32), Failed> {
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let mut scale = None;
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                digits.push(*byte);
                scale = scale.map(|n: u32| n + 1);
            }
            b'.' if scale.is_none() => scale = Some(0),
            _ => {
                return Err(format!(
                    "'{}' is no decimal number",
                    String::from_utf8_lossy(text)
                ));
            }
        }
    }
    Ok((negative, scale.unwrap_or(0)))
}

fn rescale(digits: &mut Vec<u8>, scale: u32, wanted: u32) -> Result<u32, Failed> {
    if scale < wanted {
        digits.extend(std::iter::repeat_n(
            b'0',
            usize::try_from(wanted - scale).unwrap_or(0),
        ));
    } else if scale > wanted {
        return Err(format!(
            "the number has {scale} digits after the point, its column {wanted}"
        ));
    }
    Ok(wanted)
}

fn unscaled(digits: &[u8], negative: bool, arena: &mut BytesMut) -> Value {
    let significant = digits
        .iter()
        .position(|digit| *digit != b'0')
        .unwrap_or(digits.len());
    let digits = digits.get(significant..).unwrap_or_default();
    if digits.len() <= FITS {
        let n = digits
            .iter()
            .fold(0i128, |n, digit| n * 10 + i128::from(digit - b'0'));
        return bytes_of_i128(if negative { -n } else { n }, arena);
    }
    let n = BigInt::parse_bytes(digits, 10).unwrap_or_default();
    let n = if negative { -n } else { n };
    arena.put_slice(&n.to_signed_bytes_be());
    Value::Bytes(arena.split().freeze())
}

/// The same as [`bytes_of_i128`].
fn bytes_of_i64(n: i64, arena: &mut BytesMut) -> Value {
    let bytes = n.to_be_bytes();
    // Bits that the sign repeats, but for one.
    let repeated = (n ^ n >> 63).leading_zeros() - 1;
    let start = usize::try_from(repeated / 8).unwrap_or(0).min(7);
    arena.put_slice(bytes.get(start..).unwrap_or_default());
    Value::Bytes(arena.split().freeze())
}

/// Big-endian two's complement in as few bytes as Java's BigInteger takes.
pub(super) fn bytes_of_i128(n: i128, arena: &mut BytesMut) -> Value {
    let bytes = n.to_be_bytes();
    let sign = if n < 0 { 0xff } else { 0 };
    let mut start = 0;
    while start < 15
        && bytes.get(start) == Some(&sign)
        && bytes.get(start + 1).is_some_and(|next| (next ^ sign) & 0x80 == 0)
    {
        start += 1;
    }
    arena.put_slice(bytes.get(start..).unwrap_or_default());
    Value::Bytes(arena.split().freeze())
}

fn plain(digits: &[u8], negative: bool, scale: u32) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let point = digits.len().saturating_sub(scale);
    let whole = digits.get(..point).unwrap_or_default();
    let start = whole.iter().position(|digit| *digit != b'0').unwrap_or(point);
    let mut out = String::with_capacity(digits.len() + 3);
    if negative && digits.iter().any(|digit| *digit != b'0') {
        out.push('-');
    }
    let whole = whole.get(start..).unwrap_or_default();
    if whole.is_empty() {
        out.push('0');
    }
    out.extend(whole.iter().map(|digit| char::from(*digit)));
    if scale > 0 {
        out.push('.');
        out.extend(std::iter::repeat_n('0', scale.saturating_sub(digits.len())));
        out.extend(
            digits
                .get(point..)
                .unwrap_or_default()
                .iter()
                .map(|digit| char::from(*digit)),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn of_text(to: &Convert, text: &str) -> Value {
        let (bytes, mut arena) = (Bytes::from(text.to_owned()), BytesMut::new());
        let mut cx = Context {
            bytes: &bytes,
            arena: &mut arena,
            before: None,
        };
        to.apply(&Raw::Digits(0..bytes.len()), &mut cx).unwrap()
    }

    #[test]
    fn a_number_is_its_unscaled_bytes_or_text() {
        let bytes = Convert::DecimalBytes { scale: 2 };
        assert_eq!(
            of_text(&bytes, "12345.67"),
            Value::Bytes(Bytes::from_static(&[0x12, 0xd6, 0x87]))
        );
        assert_eq!(of_text(&bytes, "0.00"), Value::Bytes(Bytes::from_static(&[0])));
        assert_eq!(of_text(&bytes, "-1"), Value::Bytes(Bytes::from_static(&[0x9c])));
        let text = Convert::DecimalText { scale: 2 };
        for n in ["12345.67", "-0.10", "0.00", "5.00"] {
            assert_eq!(of_text(&text, n), Value::from(n.to_owned()));
        }
        let long = "-99999999999999999999999999999999999.999999999999999999999999999999";
        assert_eq!(
            of_text(&Convert::DecimalText { scale: 30 }, long),
            Value::from(long.to_owned())
        );
        assert_eq!(
            unscaled_of_text("12.345", 2),
            Some(Value::Bytes(Bytes::from_static(&[4, 0xd3])))
        );
        for (literal, scale, expected) in [
            ("3.25", 1, "3.3"),
            ("-9.95", 1, "-10.0"),
            ("0.04", 1, "0.0"),
            ("-0.04", 1, "0.0"),
            ("7", 2, "7.00"),
        ] {
            assert_eq!(
                rounded_text(literal, scale).as_deref(),
                Some(expected),
                "{literal}"
            );
        }
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_big_integers(n in any::<i128>(), shift in 0u32..127) {
            let n = n >> shift;
            prop_assert_eq!(bytes_of_i128(n, &mut BytesMut::new()), Value::Bytes(BigInt::from(n).to_signed_bytes_be().into()));
        }

        #[test]
        fn few_digits_are_read_as_many_are(text in "-?[0-9]{0,19}(\\.[0-9]{0,4})?", scale in 0u32..4) {
            let read = |text: &str| {
                let mut digits = Vec::new();
                let (negative, found) = parse(text.as_bytes(), &mut digits).ok()?;
                (found == scale).then(|| unscaled(&digits, negative, &mut BytesMut::new()))
            };
            if let Some(n) = small(text.as_bytes(), scale) {
                prop_assert_eq!(Some(bytes_of_i64(n, &mut BytesMut::new())), read(&text));
            }
        }

        #[test]
        fn bytes_of_small_numbers_are_those_of_large_ones(n in any::<i64>(), shift in 0u32..64) {
            let n = n >> shift;
            prop_assert_eq!(bytes_of_i64(n, &mut BytesMut::new()), bytes_of_i128(n.into(), &mut BytesMut::new()));
        }
    }
}
