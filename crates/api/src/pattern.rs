//! Java's regular expressions, as configurations hold them.
//!
//! Look-around and back-references are allowed; a match is of the whole text, as `Matcher.matches` demands, unless
//! said otherwise; replacements use `$1` and `${name}`. A pattern that backtracks without end is cut off and counts
//! as an error, never as a hang.

use fancy_regex::Regex;

use crate::error::{Error, Result};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    whole: Regex,
    source: String,
}

impl Pattern {
    /// Compiles a pattern; the error names `option`.
    pub fn new(option: &str, source: &str) -> Result<Self> {
        Self::compile(option, source, "")
    }

    /// Compiles a pattern that ignores case, as Debezium's filters do.
    pub fn ignoring_case(option: &str, source: &str) -> Result<Self> {
        Self::compile(option, source, "(?i)")
    }

    fn compile(option: &str, source: &str, flags: &str) -> Result<Self> {
        let whole = Regex::new(&format!("{flags}^(?:{source})$")).map_err(|error| {
            Error::config(format!(
                "Invalid value {source} for configuration {option}: {error}"
            ))
        })?;
        Ok(Self {
            whole,
            source: source.to_owned(),
        })
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text).unwrap_or(false)
    }

    /// `replacement` with `$1`, `${name}` and `\$` filled in from a match of the whole text; `None` without a match.
    pub fn replace(&self, text: &str, replacement: &str) -> Option<String> {
        let captures = self.whole.captures(text).ok().flatten()?;
        let mut out = String::with_capacity(replacement.len() + text.len());
        let mut rest = replacement.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' => out.extend(rest.next()),
                '$' if rest.peek() == Some(&'{') => {
                    rest.next();
                    let name: String = rest.by_ref().take_while(|c| *c != '}').collect();
                    out.push_str(captures.name(&name).map_or("", |group| group.as_str()));
                }
                '$' => {
                    let mut group = 0;
                    // As in Java, a further digit counts only while such a group exists.
                    let mut first = true;
                    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                        let next = group * 10 + digit as usize;
                        if !first && next >= captures.len() {
                            break;
                        }
                        group = next;
                        first = false;
                        rest.next();
                    }
                    out.push_str(captures.get(group).map_or("", |group| group.as_str()));
                }
                c => out.push(c),
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text_and_fills_groups_as_java_does() {
        let pattern = Pattern::new("topic.regex", r"(.*)\.pk([12])").unwrap();
        assert!(pattern.matches("g.fx.pk1"));
        assert!(!pattern.matches("g.fx.pk10"));
        assert_eq!(
            pattern.replace("g.fx.pk1", "$1.pkall").as_deref(),
            Some("g.fx.pkall")
        );
        assert_eq!(pattern.replace("g.fx.pk1", "$23").as_deref(), Some("13"));
        assert_eq!(pattern.replace("g.fx.pk1", r"\$x").as_deref(), Some("$x"));
        let named = Pattern::new("x", "(?<a>[a-z]+)-.*").unwrap();
        assert_eq!(named.replace("shop-1", "to_${a}").as_deref(), Some("to_shop"));
        assert!(
            Pattern::ignoring_case("x", "PUBLIC\\..*")
                .unwrap()
                .matches("public.a")
        );
    }
}
