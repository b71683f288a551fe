//! A cursor over an event's bytes. Numbers are little-endian unless they say otherwise.

use std::ops::Range;

use super::Malformed;

/// Reads forward; every read checks what is left.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

macro_rules! numbers {
    ($($name:ident, $of:ident, $from:ident, $size:literal;)*) => {
        $(#[inline]
        pub(crate) fn $name(&mut self) -> Result<$of, Malformed> {
            match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<$size>()) {
                Some(bytes) => {
                    self.at += $size;
                    Ok($of::$from(*bytes))
                }
                None => Err(Malformed::Short(self.what)),
            }
        })*
    };
}

impl<'a> Reader<'a> {
    /// Over `bytes`; `what` names them in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    /// The same, from `at` on.
    pub(crate) fn from(bytes: &'a [u8], at: usize, what: &'static str) -> Self {
        Self { bytes, at, what }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    numbers! {
        u8, u8, from_le_bytes, 1;
        u16, u16, from_le_bytes, 2;
        u32, u32, from_le_bytes, 4;
        u64, u64, from_le_bytes, 8;
        i16, i16, from_le_bytes, 2;
        i32, i32, from_le_bytes, 4;
        i64, i64, from_le_bytes, 8;
        f32, f32, from_le_bytes, 4;
        f64, f64, from_le_bytes, 8;
    }

    /// An unsigned number of up to eight bytes.
    #[inline]
    pub(crate) fn uint(&mut self, size: usize) -> Result<u64, Malformed> {
        let bytes = self.take(size)?;
        Ok(bytes
            .iter()
            .rev()
            .take(8)
            .fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    /// The same, big-endian.
    #[inline]
    pub(crate) fn uint_be(&mut self, size: usize) -> Result<u64, Malformed> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    /// A length-encoded integer.
    pub(crate) fn lenenc(&mut self) -> Result<u64, Malformed> {
        match self.u8()? {
            0xfc => self.u16().map(u64::from),
            0xfd => self.uint(3),
            0xfe => self.u64(),
            0xfb | 0xff => Err(Malformed::bad(format!(
                "{} holds an impossible length",
                self.what
            ))),
            n => Ok(n.into()),
        }
    }

    /// A length-encoded integer that counts bytes which follow.
    pub(crate) fn length(&mut self) -> Result<usize, Malformed> {
        let n = self.lenenc()?;
        match usize::try_from(n) {
            Ok(n) if n <= self.left() => Ok(n),
            _ => Err(Malformed::Short(self.what)),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let range = self.range(size)?;
        self.bytes.get(range).ok_or(Malformed::Short(self.what))
    }

    /// Where the next `size` bytes lie.
    #[inline]
    pub(crate) fn range(&mut self, size: usize) -> Result<Range<usize>, Malformed> {
        if size > self.left() {
            return Err(Malformed::Short(self.what));
        }
        let start = self.at;
        self.at += size;
        Ok(start..self.at)
    }

    pub(crate) fn skip(&mut self, size: usize) -> Result<(), Malformed> {
        self.range(size).map(drop)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }
}
