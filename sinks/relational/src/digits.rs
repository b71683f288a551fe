//! Decimals, bytes and bits as digits, for SQL texts of every dialect.

use std::fmt::Write;

use num_bigint::{BigInt, Sign};

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

/// Appends unscaled × 10^-scale in decimal digits; `bytes` is big-endian two's complement.
pub(crate) fn decimal(bytes: &[u8], scale: i32, out: &mut String) {
    if let Some(n) = small(bytes) {
        if n < 0 {
            out.push('-');
        }
        return scaled(itoa::Buffer::new().format(n.unsigned_abs()), scale, out);
    }
    let n = BigInt::from_signed_bytes_be(bytes);
    if n.sign() == Sign::Minus {
        out.push('-');
    }
    scaled(&n.magnitude().to_string(), scale, out);
}

/// A number of 16 bytes at most.
fn small(bytes: &[u8]) -> Option<i128> {
    let sign = if *bytes.first()? & 0x80 == 0 { 0 } else { 0xFF };
    let mut wide = [sign; 16];
    wide.get_mut(16_usize.checked_sub(bytes.len())?..)?
        .copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

/// Appends digits with a point before the last `scale` of them.
fn scaled(digits: &str, scale: i32, out: &mut String) {
    let Ok(fraction) = usize::try_from(scale) else {
        return push(out, format_args!("{digits}e{}", scale.unsigned_abs()));
    };
    match digits.len().checked_sub(fraction) {
        _ if fraction == 0 => out.push_str(digits),
        Some(whole) if whole > 0 => {
            let (whole, fraction) = digits.split_at(whole);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        _ => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', fraction.saturating_sub(digits.len())));
            out.push_str(digits);
        }
    }
}

/// Appends a number with zeros before it, so that it has `width` digits at least.
pub(crate) fn padded(n: i64, width: usize, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(n);
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}

/// Appends two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or('0');
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// How many bits are written: the column's or, where that is not known, those up to the highest that is set.
pub(crate) fn bit_width(bytes: &[u8], length: u32) -> usize {
    if length != 0 {
        return length as usize;
    }
    match bytes.iter().rposition(|byte| *byte != 0) {
        Some(at) => {
            let top = bytes.get(at).copied().unwrap_or(0);
            at * 8 + (8 - top.leading_zeros() as usize)
        }
        None => 0,
    }
}

/// One bit of Debezium's Bits, which are little-endian.
pub(crate) fn bit(bytes: &[u8], i: usize) -> bool {
    bytes.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8], scale: i32) -> String {
        let mut out = String::new();
        decimal(bytes, scale, &mut out);
        out
    }

    #[test]
    fn decimals_have_their_point() {
        for (bytes, scale, expected) in [
            (&[0x85][..], 2, "-1.23"),
            (&[5], 0, "5"),
            (&[5], 1, "0.5"),
            (&[5], 3, "0.005"),
            (&[0], 2, "0.00"),
            (&[], 2, "0.00"),
            (&[5], -2, "5e2"),
        ] {
            assert_eq!(shown(bytes, scale), expected);
        }
    }

    proptest! {
        #[test]
        fn short_and_long_numbers_are_written_alike(n: i128, scale in 0..60_i32) {
            // The same number in 20 bytes takes the long way.
            let mut long = vec![if n < 0 { 0xFF } else { 0 }; 4];
            long.extend(n.to_be_bytes());
            prop_assert_eq!(shown(&n.to_be_bytes(), scale), shown(&long, scale));
        }
    }
}
