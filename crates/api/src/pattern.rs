//! Java's regular expressions, as configurations hold them.
//!
//! Look-around and back-references are allowed; a match is of the whole text, as `Matcher.matches` demands, unless
//! said otherwise; replacements use `$1` and `${name}`. A pattern that backtracks without end is cut off and counts
//! as an error, never as a hang.

use fancy_regex::{Captures, Regex};

use crate::error::{Error, Result};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    whole: Regex,
    anywhere: Regex,
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
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                Error::config(format!(
                    "Invalid value {source} for configuration {option}: {error}"
                ))
            })
        };
        Ok(Self {
            whole: compile(&format!("{flags}^(?:{source})$"))?,
            anywhere: compile(&format!("{flags}(?:{source})"))?,
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

    /// What `Matcher.replaceFirst` makes of a text that matches as a whole; `None` without such a match. `$1`, `${name}`
    /// and `\$` in `replacement` are filled in. As in Java, the *first* match is replaced, which may be shorter than the
    /// text (`a|ab`, `.*?`).
    pub fn replace(&self, text: &str, replacement: &str) -> Option<String> {
        if !self.matches(text) {
            return None;
        }
        let captures = self.anywhere.captures(text).ok().flatten()?;
        let found = captures.get(0)?;
        let mut out = String::with_capacity(replacement.len() + text.len());
        out.push_str(text.get(..found.start())?);
        fill(&captures, replacement, &mut out);
        out.push_str(text.get(found.end()..)?);
        Some(out)
    }

    /// What `Matcher.replaceAll` makes of a text: every match in it is replaced.
    pub fn replace_all(&self, text: &str, replacement: &str) -> String {
        let mut out = String::with_capacity(replacement.len() + text.len());
        let mut end = 0;
        // A pattern that is cut off has no further matches.
        for captures in self.anywhere.captures_iter(text).map_while(Result::ok) {
            let Some(found) = captures.get(0) else {
                continue;
            };
            out.push_str(text.get(end..found.start()).unwrap_or_default());
            fill(&captures, replacement, &mut out);
            end = found.end();
        }
        out.push_str(text.get(end..).unwrap_or_default());
        out
    }
}

/// Appends a replacement with its groups filled in.
fn fill(captures: &Captures<'_, str>, replacement: &str, out: &mut String) {
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
        assert_eq!(
            Pattern::new("x", "a|ab").unwrap().replace("ab", "X").as_deref(),
            Some("Xb")
        );
        let digits = Pattern::new("x", "([0-9])").unwrap();
        assert_eq!(digits.replace_all("a1b22", "<$1>"), "a<1>b<2><2>");
        assert_eq!(digits.replace_all("abc", "x"), "abc");
        let named = Pattern::new("x", "(?<a>[a-z]+)-.*").unwrap();
        assert_eq!(named.replace("shop-1", "to_${a}").as_deref(), Some("to_shop"));
        assert!(
            Pattern::ignoring_case("x", "PUBLIC\\..*")
                .unwrap()
                .matches("public.a")
        );
    }
}
