//! Decimals, bytes and bits as digits, for SQL texts of every dialect.

use std::fmt::Write;

use num_bigint::{BigInt, Sign};

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

/// Appends unscaled × 10^-scale in decimal digits; `bytes` is big-endian two's complement.
pub(crate) fn decimal(bytes: &[u8], scale: i32, out: &mut String) {
    let n = BigInt::from_signed_bytes_be(bytes);
    if n.sign() == Sign::Minus {
        out.push('-');
    }
    let digits = n.magnitude().to_string();
    let Ok(fraction) = usize::try_from(scale) else {
        return push(out, format_args!("{digits}e{}", scale.unsigned_abs()));
    };
    let digits = format!("{digits:0>width$}", width = fraction + 1);
    let (whole, fraction) = digits.split_at(digits.len() - fraction);
    out.push_str(whole);
    if !fraction.is_empty() {
        push(out, format_args!(".{fraction}"));
    }
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
