//! Field-by-field comparison of two JSON values.

use super::expected::{DEFERRED_PLUGINS, OPTIONS_OURS_ALONE, OURS_ALONE, UNCOMPARED};
use serde_json::Value;

/// Appends what `actual` has otherwise than `recorded`. Lists of plugins are compared without those that come later,
/// and with one version of each.
pub fn differences(path: &str, recorded: &Value, actual: &Value, found: &mut Vec<String>) {
    if UNCOMPARED.iter().any(|(end, _)| path.ends_with(end)) {
        return;
    }
    match (recorded, actual) {
        (Value::Object(recorded), Value::Object(actual)) => {
            for (key, value) in recorded {
                match actual.get(key) {
                    Some(other) => differences(&format!("{path}.{key}"), value, other, found),
                    None => found.push(format!("{path}.{key} is missing")),
                }
            }
            for key in actual.keys().filter(|key| !recorded.contains_key(*key)) {
                found.push(format!("{path}.{key} is too much"));
            }
        }
        (Value::Array(recorded), Value::Array(actual)) => {
            let (recorded, actual) = (available(recorded), available(actual));
            if let (Some(_), Some(_)) = (
                recorded.first().and_then(|v| name(v)),
                actual.first().and_then(|v| name(v)),
            ) {
                return by_name(path, &recorded, &actual, found);
            }
            if recorded.len() != actual.len() {
                return found.push(format!(
                    "{path}: {} elements for {}: {actual:?}",
                    actual.len(),
                    recorded.len()
                ));
            }
            for (i, (recorded, actual)) in recorded.iter().zip(&actual).enumerate() {
                differences(&format!("{path}[{i}]"), recorded, actual, found);
            }
        }
        _ if recorded == actual => {}
        _ => found.push(format!("{path}: {actual} for {recorded}")),
    }
}

/// Compares lists of named things name by name, and then their order.
fn by_name(path: &str, recorded: &[&Value], actual: &[&Value], found: &mut Vec<String>) {
    let named = |list: &[&Value]| -> Vec<String> { list.iter().filter_map(|value| name(value)).collect() };
    let (left, right) = (named(recorded), named(actual));
    for (key, value) in left.iter().zip(recorded) {
        match right.iter().position(|other| other == key) {
            Some(at) => differences(&format!("{path}[{key}]"), value, actual[at], found),
            None => found.push(format!("{path}[{key}] is missing")),
        }
    }
    for key in right.iter().filter(|key| !left.contains(key)) {
        found.push(format!("{path}[{key}] is too much"));
    }
    let both = |of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|key| other.contains(key)).cloned().collect()
    };
    let (left, right) = (both(&left, &right), both(&right, &left));
    if let Some((a, b)) = left.iter().zip(&right).find(|(a, b)| a != b) {
        found.push(format!("{path}: another order: {b} where {a} stands"));
    }
}

/// The name of an option's definition, of a validated option, or of a plugin with its type.
fn name(value: &Value) -> Option<String> {
    let name = value.get("name").or_else(|| value.pointer("/definition/name"));
    if let Some(name) = name {
        return name.as_str().map(str::to_owned);
    }
    let class = value.get("class")?.as_str()?;
    Some(format!("{class} {}", value.get("type")?.as_str()?))
}

/// A list without the plugins that come later or are ours alone, and without a second version of the same plugin.
fn available(list: &[Value]) -> Vec<&Value> {
    let mut kept: Vec<&Value> = Vec::new();
    for value in list {
        let class = value.get("class").unwrap_or(value);
        let same = |other: &&Value| {
            other.get("class").unwrap_or(other) == class && other.get("type") == value.get("type")
        };
        let of = |names: &[&str]| class.as_str().is_some_and(|class| names.contains(&class));
        // what of a position is ours alone stands under a partition of its own
        let ours =
            OURS_ALONE.iter().any(|(name, _)| of(&[name])) || value.pointer("/partition/tapline").is_some();
        let option = value.get("name").and_then(Value::as_str);
        let ours =
            ours || option.is_some_and(|name| OPTIONS_OURS_ALONE.iter().any(|(ours, _)| name == *ours));
        if of(DEFERRED_PLUGINS) || ours {
            continue;
        }
        if class.is_string() && class.as_str().is_some_and(|c| c.contains('.')) {
            // the newest of several stands last
            kept.retain(|other| !same(other));
        }
        kept.push(value);
    }
    kept
}
