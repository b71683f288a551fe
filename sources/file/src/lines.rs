//! Cutting lines out of bytes as they come in: `\n`, `\r\n` and `\r` end a line.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

/// A line longer than this is no line.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// Bytes not yet cut into lines.
#[derive(Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of line.
    searched: usize,
}

impl Lines {
    /// Adds what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait for the end of their line.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole line, and how many bytes it took with its end. A `\r` at the very end waits: a `\n` may follow.
    pub(crate) fn next(&mut self) -> Option<(ByteString, usize)> {
        let rest = self.buffer.get(self.searched..)?;
        let Some(found) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + found;
        let taken = match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(b'\n'), _) => end + 1,
            (_, Some(b'\n')) => end + 2,
            (_, Some(_)) => end + 1,
            (_, None) => {
                self.searched = end;
                return None;
            }
        };
        self.searched = 0;
        let mut line = self.buffer.split_to(taken);
        line.truncate(end);
        Some((text(line.freeze()), taken))
    }
}

/// As UTF-8; what is not becomes U+FFFD, as Java's reader does.
fn text(line: Bytes) -> ByteString {
    ByteString::try_from(line.clone()).unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(chunks: &[&[u8]]) -> (Vec<String>, usize) {
        let mut lines = Lines::default();
        let (mut out, mut position) = (Vec::new(), 0);
        for chunk in chunks {
            lines.push(chunk);
            while let Some((line, taken)) = lines.next() {
                out.push(line.to_string());
                position += taken;
            }
        }
        (out, position)
    }

    #[test]
    fn every_kind_of_line_end_is_known_and_an_unfinished_line_waits() {
        assert_eq!(
            cut(&[b"a\nb\r\nc\rd"]),
            (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 7)
        );
        assert_eq!(cut(&[b"a\r"]), (vec![], 0));
        assert_eq!(cut(&[b"a\r", b"\n\n"]), (vec!["a".to_owned(), String::new()], 4));
        assert_eq!(cut(&[b"\xff\n"]), (vec!["\u{fffd}".to_owned()], 2));
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_split_makes_no_difference(text in "[a\u{e9}\r\n]{0,40}", at in 0usize..60) {
            let bytes = format!("{text}x\n").into_bytes();
            let (one, two) = bytes.split_at(at.min(bytes.len()));
            let whole = cut(&[&bytes]);
            prop_assert_eq!(&cut(&[one, two]), &whole);
            prop_assert_eq!(whole.1, bytes.len());
        }
    }
}
