//! Decimals in Postgres' binary form: a sign, a scale and digits of base 10,000.
//!
//! Source: `numeric_send` in PostgreSQL's `src/backend/utils/adt/numeric.c`.

use bytes::{BufMut, BytesMut};
use num_bigint::{BigInt, Sign};

/// Appends unscaled × 10^-scale; `unscaled` is big-endian two's complement. Without its length.
pub(super) fn put(unscaled: &[u8], scale: i32, out: &mut BytesMut) {
    match small(unscaled).and_then(|n| Groups::of_small(n.unsigned_abs(), scale)) {
        Some(groups) => groups.put(small(unscaled).is_some_and(i128::is_negative), out),
        None => {
            let n = BigInt::from_signed_bytes_be(unscaled);
            Groups::of_text(n.magnitude().to_string(), scale).put(n.sign() == Sign::Minus, out);
        }
    }
}

/// Up to 16 bytes.
fn small(unscaled: &[u8]) -> Option<i128> {
    let start = 16_usize.checked_sub(unscaled.len())?;
    let negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut bytes = if negative { [0xff; 16] } else { [0; 16] };
    bytes.get_mut(start..)?.copy_from_slice(unscaled);
    Some(i128::from_be_bytes(bytes))
}

/// Digits of base 10,000, the least first, of which so many stand behind the point.
struct Groups {
    digits: Digits,
    fraction: usize,
    scale: i32,
}

enum Digits {
    /// Enough for any `u128`.
    Few([u16; 10], usize),
    Many(Vec<u16>),
}

const BASE: u16 = 10_000;

impl Groups {
    /// `None` on overflow.
    fn of_small(magnitude: u128, scale: i32) -> Option<Self> {
        // The point must stand between two groups.
        let zeros = if scale < 0 {
            scale.unsigned_abs()
        } else {
            (4 - scale.unsigned_abs() % 4) % 4
        };
        let mut rest = magnitude.checked_mul(10u128.checked_pow(zeros)?)?;
        let mut digits = [0; 10];
        let mut count = 0;
        // 128-bit division is slow, and most numbers don't need it.
        while u64::try_from(rest).is_err() {
            *digits.get_mut(count)? = u16::try_from(rest % u128::from(BASE)).ok()?;
            rest /= u128::from(BASE);
            count += 1;
        }
        let mut rest = u64::try_from(rest).ok()?;
        while rest > 0 {
            *digits.get_mut(count)? = u16::try_from(rest % u64::from(BASE)).ok()?;
            rest /= u64::from(BASE);
            count += 1;
        }
        Some(Self::new(Digits::Few(digits, count), scale))
    }

    fn of_text(mut text: String, scale: i32) -> Self {
        let zeros = if scale < 0 {
            scale.unsigned_abs()
        } else {
            (4 - scale.unsigned_abs() % 4) % 4
        };
        text.extend(std::iter::repeat_n('0', zeros as usize));
        let digits = text
            .as_bytes()
            .rchunks(4)
            .map(|group| {
                group
                    .iter()
                    .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
            })
            .collect();
        Self::new(Digits::Many(digits), scale)
    }

    fn new(digits: Digits, scale: i32) -> Self {
        let scale = scale.max(0);
        Self {
            digits,
            fraction: scale.unsigned_abs().div_ceil(4) as usize,
            scale,
        }
    }

    fn put(&self, negative: bool, out: &mut BytesMut) {
        let digits = match &self.digits {
            Digits::Few(digits, count) => digits.get(..*count).unwrap_or_default(),
            Digits::Many(digits) => digits,
        };
        let short = |n: usize| i16::try_from(n).unwrap_or(i16::MAX);
        let zero = digits.iter().all(|digit| *digit == 0);
        let trailing = digits.iter().take_while(|digit| **digit == 0).count();
        let kept = if zero {
            &[]
        } else {
            digits.get(trailing..).unwrap_or_default()
        };
        out.put_i16(short(kept.len()));
        out.put_i16(if zero {
            0
        } else {
            short(digits.len()) - short(self.fraction) - 1
        });
        out.put_u16(if negative { 0x4000 } else { 0 });
        out.put_i16(i16::try_from(self.scale).unwrap_or(i16::MAX));
        for digit in kept.iter().rev() {
            out.put_u16(*digit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads the binary form back as text, digit by digit.
    fn read(bytes: &[u8]) -> String {
        let short = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (count, weight, sign, scale) = (short(0), short(2), short(4), short(6));
        let digit = |group: i16| {
            let at = weight - group;
            if (0..count).contains(&at) {
                short(8 + 2 * usize::try_from(at).unwrap())
            } else {
                0
            }
        };
        let mut whole: String = (0..=weight.max(0))
            .rev()
            .map(|group| format!("{:04}", digit(group)))
            .collect();
        whole = whole.trim_start_matches('0').to_owned();
        let mut fraction: String = (1..=(scale + 3) / 4)
            .map(|group| format!("{:04}", digit(-group)))
            .collect();
        fraction.truncate(usize::try_from(scale).unwrap());
        let point = if scale > 0 { "." } else { "" };
        let sign = if sign == 0 { "" } else { "-" };
        format!(
            "{sign}{}{point}{fraction}",
            if whole.is_empty() { "0" } else { &whole }
        )
    }

    fn plain(n: &BigInt, scale: i32) -> String {
        let digits = n.magnitude().to_string();
        let sign = if n.sign() == Sign::Minus { "-" } else { "" };
        if scale <= 0 {
            let zeros = if digits == "0" {
                0
            } else {
                scale.unsigned_abs() as usize
            };
            return format!("{sign}{digits}{}", "0".repeat(zeros));
        }
        let scale = usize::try_from(scale).unwrap();
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }

    fn round_trip(n: &BigInt, scale: i32) -> (String, String) {
        let mut out = BytesMut::new();
        put(&n.to_signed_bytes_be(), scale, &mut out);
        (read(&out), plain(n, scale))
    }

    #[test]
    fn numbers_read_back_as_they_were() {
        for (text, scale) in [
            ("0", 0),
            ("0", 5),
            ("-1", 0),
            ("10000", 0),
            ("123456789", 4),
            ("5", 7),
            ("12", -3),
            ("340282366920938463463374607431768211455", 3),
            ("-99999999999999999999999999999999999999999999999999", 20),
        ] {
            let (found, expected) = round_trip(&text.parse().unwrap(), scale);
            assert_eq!(found, expected, "{text} {scale}");
        }
    }

    proptest! {
        #[test]
        fn any_number_reads_back(bytes in prop::collection::vec(any::<u8>(), 1..40), scale in -10i32..30) {
            let (found, expected) = round_trip(&BigInt::from_signed_bytes_be(&bytes), scale);
            prop_assert_eq!(found, expected);
        }
    }
}
