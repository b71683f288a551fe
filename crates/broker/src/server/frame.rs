//! Requests out of a stream of bytes: four bytes of length, then that much.

use bytes::{Buf, Bytes, BytesMut};

/// A length that no client of ours sends: something else talks to this port, or wants more memory than it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLength(pub(super) i32);

/// What the buffer's beginning is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Frame(Bytes),
    /// So many bytes, length included, have to be there first.
    Needs(usize),
}

/// The memory budget counts in these.
const PERMIT_BYTES: usize = 1 << 10;

/// How many permits stand for `bytes`.
pub(super) fn permits(bytes: usize) -> usize {
    bytes.div_ceil(PERMIT_BYTES).max(1)
}

/// Takes a whole frame from the buffer, if there is one of at most `most` bytes.
pub(super) fn next(buffer: &mut BytesMut, most: usize) -> Result<Next, BadLength> {
    let Some(length) = buffer.first_chunk::<4>().copied() else {
        return Ok(Next::Needs(4));
    };
    let length = i32::from_be_bytes(length);
    // The shortest header: API, version, correlation id.
    let size = usize::try_from(length)
        .ok()
        .filter(|size| (8..=most).contains(size))
        .ok_or(BadLength(length))?;
    if buffer.len() < 4 + size {
        return Ok(Next::Needs(4 + size));
    }
    buffer.advance(4);
    Ok(Next::Frame(buffer.split_to(size).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x08abcdefgh\0\0\0\x09ab"[..]);
        assert_eq!(
            next(&mut buffer, 100),
            Ok(Next::Frame(Bytes::from_static(b"abcdefgh")))
        );
        assert_eq!(next(&mut buffer, 100), Ok(Next::Needs(13)));
        assert_eq!(next(&mut BytesMut::from(&b"\0\0"[..]), 100), Ok(Next::Needs(4)));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for (bytes, length) in [
            (*b"GET ", 0x4745_5420),
            ([0xff; 4], -1),
            ([0, 0, 0, 7], 7),
            ([0, 0, 0, 101], 101),
        ] {
            assert_eq!(next(&mut BytesMut::from(&bytes[..]), 100), Err(BadLength(length)));
        }
    }
}
