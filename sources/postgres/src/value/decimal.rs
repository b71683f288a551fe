//! `numeric` in text to a Connect Decimal: unscaled, big-endian two's complement, as short as possible
//! (`BigInteger.toByteArray`).

use bytes::{BufMut, BytesMut};
use num_bigint::{BigInt, Sign};

use super::Malformed;

/// An unscaled value and how many digits stand after its point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    unscaled: Unscaled,
    scale: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Unscaled {
    /// Up to 38 digits, which is nearly everything.
    Small(i128),
    Big(BigInt),
}

impl Decimal {
    /// Reads `-123.4500`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        // Two words: eighteen digits, which is nearly everything, are one multiplication each.
        let (mut value, mut low): (i128, i64) = (0, 0);
        let (mut count, mut scale, mut after_point) = (0u32, 0u32, false);
        for byte in digits {
            match byte {
                b'0'..=b'9' => {
                    count += 1;
                    scale += u32::from(after_point);
                    match count {
                        ..=18 => {
                            low = low * 10 + i64::from(byte - b'0');
                            value = i128::from(low);
                        }
                        19..=38 => value = value * 10 + i128::from(byte - b'0'),
                        _ => {}
                    }
                }
                b'.' if !after_point => after_point = true,
                _ => return Err(Malformed),
            }
        }
        if count == 0 {
            return Err(Malformed);
        }
        let unscaled = if count <= 38 {
            Unscaled::Small(if negative { -value } else { value })
        } else {
            let digits: Vec<u8> = digits.iter().copied().filter(u8::is_ascii_digit).collect();
            let sign = if negative { Sign::Minus } else { Sign::Plus };
            let magnitude = BigInt::parse_bytes(&digits, 10).ok_or(Malformed)?;
            Unscaled::Big(BigInt::from_biguint(sign, magnitude.magnitude().clone()))
        };
        Ok(Self { unscaled, scale })
    }

    /// The same number with `scale` digits after the point.
    ///
    /// # Errors
    /// When digits other than zero would be lost (`RoundingMode.UNNECESSARY`).
    pub(super) fn with_scale(self, scale: u32) -> Result<Self, Malformed> {
        if scale >= self.scale {
            let shift = scale - self.scale;
            let unscaled = match self.unscaled {
                _ if shift == 0 => self.unscaled,
                Unscaled::Small(value) => {
                    match 10i128
                        .checked_pow(shift)
                        .and_then(|factor| value.checked_mul(factor))
                    {
                        Some(value) => Unscaled::Small(value),
                        None => Unscaled::Big(BigInt::from(value) * BigInt::from(10).pow(shift)),
                    }
                }
                Unscaled::Big(value) => Unscaled::Big(value * BigInt::from(10).pow(shift)),
            };
            return Ok(Self { unscaled, scale });
        }
        let surplus = self.scale - scale;
        let unscaled = match self.unscaled {
            Unscaled::Small(value) => match 10i128.checked_pow(surplus) {
                Some(factor) if value % factor == 0 => Unscaled::Small(value / factor),
                None if value == 0 => Unscaled::Small(0),
                _ => return Err(Malformed),
            },
            Unscaled::Big(value) => {
                let factor = BigInt::from(10).pow(surplus);
                let quotient = &value / &factor;
                if &quotient * &factor != value {
                    return Err(Malformed);
                }
                Unscaled::Big(quotient)
            }
        };
        Ok(Self { unscaled, scale })
    }

    /// The number with `scale` digits after the point, halves away from zero (`RoundingMode.HALF_UP`).
    pub(super) fn rounded(self, scale: u32) -> Result<Self, Malformed> {
        let surplus = self.scale.saturating_sub(scale);
        if surplus == 0 {
            return self.with_scale(scale);
        }
        let value = match self.unscaled {
            Unscaled::Small(value) => BigInt::from(value),
            Unscaled::Big(value) => value,
        };
        let factor = BigInt::from(10).pow(surplus);
        let half = &factor / 2u8;
        let sign = value.sign();
        let magnitude = (BigInt::from(value.magnitude().clone()) + half) / factor;
        let value = if sign == Sign::Minus {
            -magnitude
        } else {
            magnitude
        };
        Ok(Self {
            unscaled: Unscaled::Big(value),
            scale,
        })
    }

    /// Without zeros at the end of the fraction; never a negative scale.
    pub(super) fn stripped(mut self) -> Self {
        match &mut self.unscaled {
            Unscaled::Small(value) => {
                while self.scale > 0 && *value % 10 == 0 {
                    *value /= 10;
                    self.scale -= 1;
                }
            }
            Unscaled::Big(value) => {
                let ten = BigInt::from(10);
                while self.scale > 0 {
                    let quotient = &*value / &ten;
                    if &quotient * &ten != *value {
                        break;
                    }
                    *value = quotient;
                    self.scale -= 1;
                }
            }
        }
        self
    }

    /// Digits after the point.
    pub(super) fn scale(&self) -> u32 {
        self.scale
    }

    /// Appends the unscaled value's bytes.
    pub(super) fn write(&self, out: &mut BytesMut) {
        match &self.unscaled {
            Unscaled::Small(value) => {
                let bytes = value.to_be_bytes();
                let mut rest = bytes.as_slice();
                // A leading byte goes if the next one has the sign by itself.
                while let [first, second, ..] = rest {
                    let redundant = (*first == 0 && *second < 0x80) || (*first == 0xFF && *second >= 0x80);
                    if !redundant {
                        break;
                    }
                    rest = rest.get(1..).unwrap_or_default();
                }
                out.put_slice(rest);
            }
            Unscaled::Big(value) => out.put_slice(&value.to_signed_bytes_be()),
        }
    }

    /// `BigDecimal.toPlainString`.
    pub(super) fn to_plain_string(&self) -> String {
        let digits = match &self.unscaled {
            Unscaled::Small(value) => value.unsigned_abs().to_string(),
            Unscaled::Big(value) => value.magnitude().to_string(),
        };
        let negative = match &self.unscaled {
            Unscaled::Small(value) => *value < 0,
            Unscaled::Big(value) => value.sign() == Sign::Minus,
        };
        let scale = self.scale as usize;
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale == 0 { "" } else { "." };
        format!("{}{whole}{point}{fraction}", if negative { "-" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str, scale: u32) -> Vec<u8> {
        let mut out = BytesMut::new();
        Decimal::parse(text.as_bytes())
            .unwrap()
            .with_scale(scale)
            .unwrap()
            .write(&mut out);
        out.to_vec()
    }

    #[test]
    fn bytes_are_those_of_java() {
        assert_eq!(bytes("0.00", 2), [0]);
        assert_eq!(bytes("1.27", 2), [127]);
        assert_eq!(bytes("1.28", 2), [0, 128]);
        assert_eq!(bytes("-1.28", 2), [0x80]);
        assert_eq!(bytes("-1.29", 2), [0xFF, 0x7F]);
        assert_eq!(bytes("12345.67", 2), [0x12, 0xD6, 0x87]);
        assert_eq!(bytes("1", 2), [100]);
        assert_eq!(bytes("1.00", 0), [1]);
    }

    #[test]
    fn digits_are_never_lost_silently() {
        assert!(Decimal::parse(b"1.01").unwrap().with_scale(1).is_err());
        assert!(Decimal::parse(b"1.0.1").is_err());
        assert!(Decimal::parse(b"").is_err());
        assert!(Decimal::parse(b"-").is_err());
        assert!(Decimal::parse(b"NaN").is_err());
    }

    #[test]
    fn money_of_fewer_digits_is_rounded_half_up() {
        let round = |text: &str, scale| {
            let rounded = Decimal::parse(text.as_bytes()).unwrap().rounded(scale).unwrap();
            rounded.to_plain_string()
        };
        assert_eq!(round("1234.50", 0), "1235");
        assert_eq!(round("-1234.50", 0), "-1235");
        assert_eq!(round("-0.01", 0), "0");
        assert_eq!(round("1.99", 1), "2.0");
        assert_eq!(round("1.5", 4), "1.5000");
    }

    #[test]
    fn a_variable_scale_loses_its_zeros() {
        let strip = |text: &str| {
            let d = Decimal::parse(text.as_bytes()).unwrap().stripped();
            (d.scale(), d.to_plain_string())
        };
        assert_eq!(strip("123.4500"), (2, "123.45".to_owned()));
        assert_eq!(strip("100"), (0, "100".to_owned()));
        assert_eq!(strip("0.000"), (0, "0".to_owned()));
        assert_eq!(strip("-0.0001"), (4, "-0.0001".to_owned()));
    }

    proptest! {
        #[test]
        fn small_and_big_numbers_agree_with_num_bigint(digits in "-?[1-9][0-9]{0,60}", scale in 0u32..60) {
            let mut expected = BigInt::parse_bytes(digits.as_bytes(), 10).unwrap();
            expected *= BigInt::from(10).pow(scale);
            prop_assert_eq!(bytes(&digits, scale), expected.to_signed_bytes_be());
            let plain = Decimal::parse(digits.as_bytes()).unwrap().to_plain_string();
            prop_assert_eq!(plain, digits);
        }

        #[test]
        fn plain_strings_read_back(text in "-?(0|[1-9][0-9]{0,50})\\.[0-9]{1,30}") {
            prop_assume!(!text.trim_matches(['-', '0', '.']).is_empty());
            prop_assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_plain_string(), text);
        }
    }
}
