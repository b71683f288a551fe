//! How Debezium rewrites a statement before it reads it, which is how it reports it.

/// Turns strings in double quotes into strings in single quotes, doubling the single quotes in them. What stands in
/// single quotes, backticks and comments is left alone.
pub(super) fn single_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' | '"' => quoted(rest, c, true),
            '`' => quoted(rest, c, false),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") && !rest.starts_with("/*!") => {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            }
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if c == '"' && piece.len() >= 2 {
            out.push('\'');
            out.push_str(&super::cursor::inside(piece).replace('\'', "''"));
            out.push('\'');
        } else {
            out.push_str(piece);
        }
        rest = after;
    }
    out
}

/// The bytes of a quoted text at the beginning, or of the quote alone where it does not end.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return index + 1;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_in_double_quotes_become_single_quoted() {
        for (text, expected) in [
            (r#"comment "it's" "#, r"comment 'it''s' "),
            (r#"'"' `"` /* " */ "x""#, r#"'"' `"` /* " */ 'x'"#),
            ("\"open", "\"open"),
        ] {
            assert_eq!(single_quoted(text), expected);
        }
    }
}
