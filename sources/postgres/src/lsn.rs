//! Positions in the write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: a byte position in the write-ahead log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lsn(pub(crate) u64);

impl Lsn {
    /// `0/0`: no position. `START_REPLICATION` takes it as "where the slot stands".
    pub(crate) const NONE: Self = Self(0);

    /// As Debezium's offsets hold it: a signed 64-bit number.
    pub(crate) fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// From an offset's number.
    pub(crate) fn from_i64(number: i64) -> Self {
        Self(number.cast_unsigned())
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let parse =
            |part: &str| u32::from_str_radix(part, 16).map_err(|_| format!("'{s}' is no log position"));
        let (high, low) = s
            .split_once('/')
            .ok_or_else(|| format!("'{s}' is no log position"))?;
        Ok(Self(u64::from(parse(high)?) << 32 | u64::from(parse(low)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_postgres_prints_it() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        assert_eq!("0/6ADF5A40".parse::<Lsn>().unwrap().as_i64(), 1_793_022_528);
        assert!("0".parse::<Lsn>().is_err());
        assert!("0/G".parse::<Lsn>().is_err());
    }
}
