//! `COPY … TO STDOUT` in text: one row a message, columns apart by tabs, `\N` for null, backslash escapes.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>

use std::borrow::Cow;
use std::ops::Range;

/// Walks the columns of one row, which lies in a range of a block.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    block: &'a [u8],
    at: usize,
    end: usize,
    done: bool,
}

/// One column as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Null,
    /// As it is.
    Plain(Range<usize>),
    /// With escapes in it: see [`unescape`].
    Escaped(Range<usize>),
}

/// The columns of the row in `range`; a newline at its end does not belong to it. A row of a table without columns looks
/// like that of one empty text.
pub(crate) fn fields(block: &[u8], range: Range<usize>) -> Fields<'_> {
    let mut end = range.end.min(block.len());
    if range.start < end && block.get(end - 1) == Some(&b'\n') {
        end -= 1;
    }
    Fields {
        block,
        at: range.start.min(end),
        end,
        done: false,
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    #[inline]
    fn next(&mut self) -> Option<Field> {
        if self.done {
            return None;
        }
        let rest = self.block.get(self.at..self.end)?;
        let mut escaped = false;
        let mut length = rest.len();
        self.done = true;
        // Short fields are the rule: a plain loop beats memchr's set-up.
        for (index, byte) in rest.iter().enumerate() {
            match byte {
                b'\t' => {
                    length = index;
                    self.done = false;
                    break;
                }
                // A tab in a value is sent as `\t`, so what follows a backslash never ends a field.
                b'\\' => escaped = true,
                _ => {}
            }
        }
        let range = self.at..self.at + length;
        self.at = range.end + 1;
        if !escaped {
            return Some(Field::Plain(range));
        }
        Some(if rest.get(..length) == Some(b"\\N") {
            Field::Null
        } else {
            Field::Escaped(range)
        })
    }
}

/// Resolves the escapes of [`Field::Escaped`].
pub(crate) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        // The server sends the letters below and doubled backslashes; octal and hexadecimal forms are for its input.
        out.push(match bytes.next() {
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(other) => other,
            None => b'\\',
        });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(row: &[u8]) -> Vec<Option<Vec<u8>>> {
        fields(row, 0..row.len())
            .map(|field| match field {
                Field::Null => None,
                Field::Plain(range) => Some(row[range].to_vec()),
                Field::Escaped(range) => Some(unescape(&row[range]).into_owned()),
            })
            .collect()
    }

    fn text(value: &str) -> Option<Vec<u8>> {
        Some(value.as_bytes().to_vec())
    }

    #[test]
    fn nulls_empty_texts_and_escapes_are_told_apart() {
        assert_eq!(
            read(b"1\t\\N\t\ta\\tb\n"),
            [text("1"), None, text(""), text("a\tb")]
        );
        assert_eq!(read(b"\\N\n"), [None]);
        assert_eq!(read(b"\\\\N\n"), [text("\\N")]);
        assert_eq!(read(b"\t\n"), [text(""), text("")]);
        assert_eq!(read(b"\\\\x6162\n"), [text("\\x6162")]);
    }

    #[test]
    fn one_empty_text_is_a_row_of_one_field() {
        assert_eq!(read(b"\n"), [text("")]);
    }

    proptest! {
        #[test]
        fn any_row_reads_back(row in proptest::collection::vec(proptest::option::of(".*"), 1..8)) {
            let sent: Vec<String> = row.iter().map(|value| match value {
                None => "\\N".to_owned(),
                Some(text) => text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"),
            }).collect();
            let sent = sent.join("\t") + "\n";
            let found = read(sent.as_bytes());
            let expected: Vec<_> = row.iter().map(|value| value.as_ref().map(|v| v.clone().into_bytes())).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            read(&bytes);
        }
    }
}
