//! Percent-decoding of URLs.

/// Decodes; `+` stays as it is, as in the Java drivers.
///
/// # Errors
/// What is wrong with the text, in words.
pub(crate) fn decode(text: &str) -> Result<String, String> {
    let bad = || "the URL has a % that is not followed by two hexadecimal digits".to_owned();
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || {
            bytes
                .next()
                .and_then(|b| char::from(b).to_digit(16))
                .ok_or_else(bad)
        };
        let value = digit()? * 16 + digit()?;
        out.push(u8::try_from(value).map_err(|_| bad())?);
    }
    String::from_utf8(out).map_err(|_| "the URL is not UTF-8 once decoded".to_owned())
}
