//! Checks of single options that every change source has, with Debezium's words: what is wrong, if anything.

use tapline_api::config::{Config, ConfigValue};

use crate::filter::{KeyColumns, PatternList};
use crate::naming::check_topic_part;

/// Debezium's words about a value.
pub fn invalid(name: &str, what: &str) -> Option<String> {
    Some(format!("The '{name}' value is invalid: {what}"))
}

fn text(value: &ConfigValue) -> Option<String> {
    value.display().filter(|text| !text.is_empty())
}

/// An enumeration; case does not matter.
pub fn one_of(name: &str, value: &ConfigValue, allowed: &[&str]) -> Option<String> {
    let text = text(value)?;
    if allowed.contains(&text.trim().to_lowercase().as_str()) {
        return None;
    }
    invalid(name, &format!("Value must be one of {}", allowed.join(", ")))
}

/// The first part of every topic's name, which must be given.
pub fn topic_prefix(name: &str, value: &ConfigValue) -> Option<String> {
    match text(value) {
        None => invalid(name, "A value is required"),
        Some(_) => topic_part(name, value),
    }
}

/// A part of a topic's name.
pub fn topic_part(name: &str, value: &ConfigValue) -> Option<String> {
    check_topic_part(name, &text(value)?)
        .err()
        .map(|error| error.message().to_owned())
}

/// A number, 0 or more.
pub fn non_negative(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if *n < 0 => invalid(name, "An non-negative integer is expected"),
        _ => None,
    }
}

/// A number, 1 or more.
pub fn positive(name: &str, value: &ConfigValue) -> Option<String> {
    match value {
        ConfigValue::Integer(n) if *n < 1 => invalid(name, "A positive, non-zero integer value is expected"),
        _ => None,
    }
}

/// Regular expressions apart by commas.
pub fn patterns(name: &str, value: &ConfigValue) -> Option<String> {
    let error = PatternList::new(name, &text(value)?).err()?;
    invalid(
        name,
        &format!("A comma-separated list of valid regular expressions is expected, but {error}"),
    )
}

/// `message.key.columns`.
pub fn key_columns(_: &str, value: &ConfigValue) -> Option<String> {
    KeyColumns::new(&text(value)?)
        .err()
        .map(|error| error.message().to_owned())
}

/// `skipped.operations`.
pub fn operations(name: &str, value: &ConfigValue) -> Option<String> {
    let ConfigValue::List(items) = value else {
        return None;
    };
    if items
        .iter()
        .any(|item| !matches!(item.as_str(), "none" | "r" | "c" | "u" | "d" | "t"))
    {
        return invalid(name, "Invalid operation");
    }
    if items.len() > 1 && items.iter().any(|item| item == "none") {
        return invalid(
            name,
            "\"none\" cannot be specified with other skipped operation types",
        );
    }
    None
}

/// Include and exclude lists of one kind (`table`, `column`, …) that are both given, with what to say about each.
pub fn contradictions(config: &Config, kinds: &[&str]) -> Vec<(String, String)> {
    let given = |name: &str| config.get(name).is_some_and(|text| !text.trim().is_empty());
    let both = kinds.iter().filter_map(|kind| {
        let (include, exclude) = (format!("{kind}.include.list"), format!("{kind}.exclude.list"));
        (given(&include) && given(&exclude)).then(|| {
            let text = format!("The '{exclude}' value is invalid: \"{include}\" is already specified");
            (exclude, text)
        })
    });
    both.collect()
}

/// Why an option can't be met: it names a Java class.
pub const JAVA: &str =
    "names a Java class of one's own, which can't be loaded; it is for Debezium's own values only";

/// Why an option can't be met: it is not done.
pub const NOT_YET: &str = "is not supported yet";

/// Options that are set to something not supported, with what to say about each. `known` has options whose setting would
/// change what is written, and that nothing reads; with the values that are fine, and the reason. Leaving one out without
/// a word would be worst.
pub fn unsupported(config: &Config, known: &[(&str, &[&str], &str)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in config.iter() {
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            continue;
        };
        let listed = known.iter().find(|(option, ..)| *option == name);
        if let Some((_, fine, why)) = listed
            && !fine.iter().any(|fine| fine.eq_ignore_ascii_case(value))
        {
            let shown = match name.contains("password") {
                true => "[hidden]",
                false => value,
            };
            let text = format!("The '{name}' value is invalid: '{shown}' {why}");
            found.push((name.to_owned(), text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_in_debeziums_words() {
        let text = |text: &str| ConfigValue::Text(text.to_owned());
        assert_eq!(
            one_of("x", &text("maybe"), &["a", "b"]).unwrap(),
            "The 'x' value is invalid: Value must be one of a, b"
        );
        assert_eq!(one_of("x", &text("A "), &["a"]), None);
        assert_eq!(
            topic_prefix("topic.prefix", &ConfigValue::Null).unwrap(),
            "The 'topic.prefix' value is invalid: A value is required"
        );
        assert!(
            topic_prefix("topic.prefix", &text("a b"))
                .unwrap()
                .contains("has invalid format")
        );
        let list = |items: &[&str]| ConfigValue::List(items.iter().map(|i| (*i).to_owned()).collect());
        assert_eq!(operations("skipped.operations", &list(&["c", "t"])), None);
        assert!(operations("skipped.operations", &list(&["none", "t"])).is_some());
    }

    #[test]
    fn two_lists_of_one_kind_contradict() {
        let config: Config = [
            ("table.include.list", "a"),
            ("table.exclude.list", "b"),
            ("column.include.list", " "),
            ("column.exclude.list", "c"),
        ]
        .into_iter()
        .collect();
        let found = contradictions(&config, &["table", "column"]);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["table.exclude.list"]);
    }
}
