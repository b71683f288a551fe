//! Numbers as Java prints them: `Double.toString`, `Float.toString`, `BigDecimal.toString`.
//!
//! The digits are the shortest that read back as the same number (ryu, and Java from 19 on); only the layout
//! differs: Java has at least one digit after the point, and powers of ten outside `[1e-3, 1e7)` as `1.0E10`.

use bytes::BytesMut;
use num_bigint::{BigInt, Sign};

/// Appends an integer.
pub fn push_integer(out: &mut BytesMut, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a double as `Double.toString` prints it, `NaN` and `-Infinity` included.
pub fn push_double(out: &mut BytesMut, number: f64) {
    if !number.is_finite() {
        return out.extend_from_slice(not_finite(number.is_nan(), number < 0.0).as_bytes());
    }
    let magnitude = number.abs();
    let mut buffer = ryu::Buffer::new();
    let digits = buffer.format_finite(number);
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        out.extend_from_slice(digits.as_bytes());
    } else if magnitude < 1e-300 {
        // Among subnormal numbers one digit may do, but Java asks for the best two (4.9E-324, not 5.0E-324).
        push_scientific(out, digits, || format!("{number:.1e}"));
    } else {
        push_scientific(out, digits, String::new);
    }
}

/// Appends a float as `Float.toString` prints it.
pub fn push_float(out: &mut BytesMut, number: f32) {
    if !number.is_finite() {
        return out.extend_from_slice(not_finite(number.is_nan(), number < 0.0).as_bytes());
    }
    let magnitude = number.abs();
    let mut buffer = ryu::Buffer::new();
    let digits = buffer.format_finite(number);
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        out.extend_from_slice(digits.as_bytes());
    } else if magnitude < 1e-37 {
        push_scientific(out, digits, || format!("{number:.1e}"));
    } else {
        push_scientific(out, digits, String::new);
    }
}

const fn not_finite(nan: bool, negative: bool) -> &'static str {
    match (nan, negative) {
        (true, _) => "NaN",
        (false, true) => "-Infinity",
        (false, false) => "Infinity",
    }
}

/// Lays ryu's text (`1e30`, `1.5e-7`, `123456789.0`, `0.00012`) out as `d.dddE±n`. `two_digits` is asked when there
/// is only one significant digit; an empty answer keeps it.
fn push_scientific(out: &mut BytesMut, text: &str, two_digits: impl FnOnce() -> String) {
    let mut digits = Digits::of(text);
    if digits.count == 1 {
        let better = two_digits();
        if !better.is_empty() {
            digits = Digits::of(&better);
        }
    }
    if digits.negative {
        out.extend_from_slice(b"-");
    }
    let (first, rest) = digits.significant().split_at_checked(1).unwrap_or_default();
    out.extend_from_slice(first);
    out.extend_from_slice(b".");
    out.extend_from_slice(if rest.is_empty() { b"0" } else { rest });
    out.extend_from_slice(b"E");
    push_integer(out, digits.exponent);
}

/// The significant digits of a decimal text and the power of ten of the first.
struct Digits {
    negative: bool,
    bytes: [u8; 24],
    count: usize,
    exponent: i32,
}

impl Digits {
    fn of(text: &str) -> Self {
        let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
        let mut digits = Self {
            negative: mantissa.starts_with('-'),
            bytes: [0; 24],
            count: 0,
            exponent: power.parse().unwrap_or(0),
        };
        let mut before_point = true;
        for byte in mantissa.bytes() {
            match byte {
                b'.' => before_point = false,
                // Leading zeros: before the point they say nothing, after it each is one power less.
                b'0' if digits.count == 0 => digits.exponent -= i32::from(!before_point),
                b'0'..=b'9' => {
                    if digits.count == 0 {
                        digits.exponent -= i32::from(!before_point);
                    } else {
                        digits.exponent += i32::from(before_point);
                    }
                    if let Some(slot) = digits.bytes.get_mut(digits.count) {
                        *slot = byte;
                        digits.count += 1;
                    }
                }
                _ => {}
            }
        }
        while digits.count > 1 && digits.bytes.get(digits.count - 1) == Some(&b'0') {
            digits.count -= 1;
        }
        digits
    }

    fn significant(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }
}

/// Appends a Decimal, given as its unscaled value (big-endian two's complement) and scale, as
/// `BigDecimal.toString` prints it: plain, unless the scale is negative or the number is below 1e-6.
pub fn push_decimal(out: &mut BytesMut, unscaled: &[u8], scale: i32) {
    let mut small = itoa::Buffer::new();
    let big;
    let text = match small_unscaled(unscaled) {
        Some(number) => small.format(number),
        None => {
            big = BigInt::from_signed_bytes_be(unscaled).to_string();
            big.as_str()
        }
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    out.extend_from_slice(sign.as_bytes());
    let digits = digits.as_bytes();
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let scale = i64::from(scale);
    let adjusted = count - 1 - scale;
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if scale > 0 && adjusted >= -6 {
        let whole = usize::try_from(count - scale).unwrap_or(0);
        let (before, after) = digits.split_at_checked(whole).unwrap_or_default();
        out.extend_from_slice(if before.is_empty() { b"0" } else { before });
        out.extend_from_slice(b".");
        for _ in 0..(scale - count).max(0) {
            out.extend_from_slice(b"0");
        }
        out.extend_from_slice(after);
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.extend_from_slice(b".");
            out.extend_from_slice(rest);
        }
        if adjusted != 0 {
            out.extend_from_slice(if adjusted > 0 { b"E+" } else { b"E" });
            push_integer(out, adjusted);
        }
    }
}

/// The unscaled value, where it fits 128 bits.
fn small_unscaled(bytes: &[u8]) -> Option<i128> {
    if bytes.len() > 16 {
        return None;
    }
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let start = if negative { -1 } else { 0 };
    Some(bytes.iter().fold(start, |number: i128, byte| {
        number.wrapping_shl(8) | i128::from(*byte)
    }))
}

/// Reads a decimal text (`-12.50`, `1E+3`) as an unscaled value with exactly `scale` digits after the point,
/// big-endian two's complement; `None` when it is no number or would lose digits.
pub fn parse_decimal(text: &str, scale: i32) -> Option<Vec<u8>> {
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (Sign::Minus, rest),
        None => (Sign::Plus, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = Vec::with_capacity(mantissa.len() + 8);
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        digits.push(byte - b'0');
    }
    if digits.is_empty() {
        return None;
    }
    let shift = i64::from(scale)
        .saturating_add(power)
        .saturating_sub(i64::try_from(fraction.len()).ok()?);
    // A shift this large is no number anybody wrote; it must not become gigabytes of zeros.
    if shift > 100_000 {
        return None;
    }
    for _ in shift..0 {
        match digits.pop() {
            Some(0) => {}
            None => break,
            Some(_) => return None,
        }
    }
    digits.resize(digits.len() + usize::try_from(shift).unwrap_or(0), 0);
    let number = BigInt::from_radix_be(sign, &digits, 10).unwrap_or_default();
    Some(number.to_signed_bytes_be())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(number: f64) -> String {
        let mut out = BytesMut::new();
        push_double(&mut out, number);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn float(number: f32) -> String {
        let mut out = BytesMut::new();
        push_float(&mut out, number);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn decimal(unscaled: i128, scale: i32) -> String {
        let mut out = BytesMut::new();
        push_decimal(&mut out, &BigInt::from(unscaled).to_signed_bytes_be(), scale);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn doubles_have_the_layout_of_java() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-123.456, "-123.456"),
            (0.001, "0.001"),
            (0.000_99, "9.9E-4"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e10, "1.0E10"),
            (1e22, "1.0E22"),
            (-1.5e-7, "-1.5E-7"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(number), text);
        }
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e10, "1.0E10"),
            (3.402_823_5e38, "3.4028235E38"),
            (1e-45, "1.4E-45"),
            (16_777_216.0, "1.6777216E7"),
        ] {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn decimals_are_printed_as_big_decimal_prints_them() {
        for (unscaled, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (12345, 2, "123.45"),
            (-5, 3, "-0.005"),
            (1, 7, "1E-7"),
            (123, 9, "1.23E-7"),
            (123, -2, "1.23E+4"),
            (1, -3, "1E+3"),
            (i128::MAX, 10, "17014118346046923173168730371.5884105727"),
        ] {
            assert_eq!(decimal(unscaled, scale), text);
        }
    }

    #[test]
    fn a_decimal_text_is_rescaled_without_losing_digits() {
        assert_eq!(parse_decimal("10.5", 2), Some(1050_i16.to_be_bytes().to_vec()));
        assert_eq!(parse_decimal("1E+3", 0), Some(1000_i16.to_be_bytes().to_vec()));
        assert_eq!(parse_decimal("-0.50", 1), Some(vec![0xfb]));
        assert_eq!(parse_decimal("0.55", 1), None);
        assert_eq!(parse_decimal("1e99999999999", 1), None);
        assert_eq!(parse_decimal("0e-99999999999", 1), Some(vec![0]));
    }

    proptest! {
        #[test]
        fn a_printed_double_reads_back_as_itself(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(double(number).parse::<f64>().unwrap().to_bits(), bits);
        }

        #[test]
        fn a_printed_decimal_reads_back_as_itself(unscaled: i128, scale in -30..60_i32) {
            let bytes = BigInt::from(unscaled).to_signed_bytes_be();
            prop_assert_eq!(parse_decimal(&decimal(unscaled, scale), scale), Some(bytes));
        }
    }
}
