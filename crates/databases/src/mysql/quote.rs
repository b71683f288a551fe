//! Identifiers and literals in SQL text.

/// `name` in backquotes.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `` `database`.`name` ``.
pub fn qualified(database: &str, name: &str) -> String {
    format!("{}.{}", identifier(database), identifier(name))
}

/// `text` as a string literal. Only for sessions without `NO_BACKSLASH_ESCAPES`, which ours are.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(qualified("d", "t x"), "`d`.`t x`");
        assert_eq!(literal(r"it's a\b"), r"'it\'s a\\b'");
    }
}
