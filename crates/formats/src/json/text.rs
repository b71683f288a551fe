//! Strings as Jackson writes them: `"`, `\` and control characters are escaped, characters beyond U+FFFF become two
//! escaped surrogates (`\uD83D\uDE00`); the rest is UTF-8 as it is. Keys must be equal to the byte, or Kafka's
//! partitioner sends them elsewhere.

use bytes::BytesMut;

/// Appends a quoted string.
#[inline]
pub(crate) fn push_string(out: &mut BytesMut, text: &str) {
    out.reserve(text.len() + 2);
    out.extend_from_slice(b"\"");
    push_escaped(out, text);
    out.extend_from_slice(b"\"");
}

/// Appends the inside of a string.
#[inline]
pub(crate) fn push_escaped(out: &mut BytesMut, text: &str) {
    match find_special::<true>(text.as_bytes()) {
        None => out.extend_from_slice(text.as_bytes()),
        Some(first) => push_from(out, text, first),
    }
}

#[cold]
fn push_from(out: &mut BytesMut, mut text: &str, first: usize) {
    let mut next = Some(first);
    while let Some((clean, rest)) = next.and_then(|at| text.split_at_checked(at)) {
        out.extend_from_slice(clean.as_bytes());
        let mut rest = rest.chars();
        if let Some(special) = rest.next() {
            push_special(out, special);
        }
        text = rest.as_str();
        next = find_special::<true>(text.as_bytes());
    }
    out.extend_from_slice(text.as_bytes());
}

fn push_special(out: &mut BytesMut, special: char) {
    let short: &[u8] = match special {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{8}' => b"\\b",
        '\t' => b"\\t",
        '\n' => b"\\n",
        '\u{c}' => b"\\f",
        '\r' => b"\\r",
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                push_unit(out, *unit);
            }
            return;
        }
    };
    out.extend_from_slice(short);
}

/// Appends one UTF-16 unit as `\u00E9`.
fn push_unit(out: &mut BytesMut, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |shift: u16| HEX.get(usize::from(unit >> shift & 15)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Where the first byte is that can't stand in a JSON string as it is: eight bytes at a time. With `WIDE` also the
/// first byte of a character beyond U+FFFF.
#[inline]
pub(crate) fn find_special<const WIDE: bool>(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (chunks, tail) = bytes.as_chunks::<8>();
    let mut at = 0;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let zero = |x: u64| x.wrapping_sub(LOW) & !x;
        let control = word.wrapping_sub(LOW * 0x20) & !word;
        let mut hits = control | zero(word ^ (LOW * 0x22)) | zero(word ^ (LOW * 0x5c));
        if WIDE {
            hits |= word & word << 1 & word << 2 & word << 3;
        }
        hits &= HIGH;
        if hits != 0 {
            // The lowest hit is exact; a borrow can only mark bytes above it.
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    tail.iter()
        .position(|byte| matches!(byte, ..0x20 | b'"' | b'\\') || WIDE && *byte >= 0xf0)
        .map(|offset| at + offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_those_of_jackson() {
        let mut out = BytesMut::new();
        push_string(&mut out, "a\"b\\c\u{8}\t\n\u{c}\r\u{1}\u{1f}\u{7f}é\u{2028}😀/");
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "\"a\\\"b\\\\c\\b\\t\\n\\f\\r\\u0001\\u001F\u{7f}é\u{2028}\\uD83D\\uDE00/\""
        );
    }

    proptest! {
        #[test]
        fn a_written_string_reads_back_as_itself(text in "\\PC*|[\\x00-\\x40\\\\\"]{0,40}|[a-z\"é😀]{0,30}") {
            let mut out = BytesMut::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
