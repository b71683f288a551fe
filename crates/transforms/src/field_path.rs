//! Paths to a field (`field.syntax.version`, KIP-821): a name, or with V2 names joined by dots, where a name that has dots
//! itself stands in backticks.

use tapline_api::{Error, Result, Schema, SchemaRef, Value};

use crate::part::get;

/// The names from the outermost in; at least one.
#[derive(Debug, PartialEq)]
pub(crate) struct FieldPath(Vec<String>);

/// Where a path leads in structs of one schema: each step's place, and what stands for null there.
pub(crate) struct Place {
    steps: Vec<(usize, Option<Value>)>,
    pub(crate) schema: SchemaRef,
}

impl FieldPath {
    pub(crate) fn parse(path: &str, nested: bool) -> Result<Self> {
        if !nested {
            return Ok(Self(vec![path.to_owned()]));
        }
        let mut steps = Vec::new();
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('`') {
                None => match rest.split_once('.') {
                    Some((step, after)) => (step.to_owned(), Some(after)),
                    None => (rest.to_owned(), None),
                },
                Some(quoted) => unquote(quoted).ok_or_else(|| {
                    Error::config(format!(
                        "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at \
                         position {} to escape it",
                        path.len() - rest.len()
                    ))
                })?,
            };
            steps.push(step);
            rest = after.unwrap_or_default();
        }
        if path.ends_with('.') || steps.is_empty() {
            steps.push(String::new());
        }
        Ok(Self(steps))
    }

    /// Finds it in structs of `schema`.
    pub(crate) fn find(&self, schema: &Schema, replace_null: bool) -> Option<Place> {
        let mut current = schema;
        let mut found = None;
        let mut steps = Vec::with_capacity(self.0.len());
        for (depth, name) in self.0.iter().enumerate() {
            let field = current.field(name)?;
            // On the way, defaults count in any case.
            let fills = replace_null || depth + 1 < self.0.len();
            let default = field.schema().default().filter(|_| fills).cloned();
            steps.push((current.field_index(name)?, default));
            found = Some(field.schema());
            current = field.schema();
        }
        Some(Place {
            steps,
            schema: found?.clone(),
        })
    }

    /// Takes it out of a map without a schema.
    pub(crate) fn of_map(&self, map: Value) -> Result<Value> {
        let mut current = map;
        for name in &self.0 {
            current = match current {
                Value::Null => return Ok(Value::Null),
                Value::Map(entries) => get(&entries, name).cloned().unwrap_or_default(),
                other => {
                    return Err(Error::data(format!(
                        "Only Map objects supported in absence of schema for [nested field access], found: {}",
                        other.java_class()
                    )));
                }
            };
        }
        Ok(current)
    }
}

/// A name in backticks and what follows the dot behind it.
fn unquote(text: &str) -> Option<(String, Option<&str>)> {
    let mut name = String::new();
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('`')?;
        let (before, after) = (text.get(from..at)?, text.get(at + 1..)?);
        let escaped = text.get(..at)?.ends_with('\\');
        if after.is_empty() {
            name.push_str(before);
            return (!escaped).then_some((name, None));
        }
        match after.strip_prefix('.') {
            Some(after) if !escaped => {
                name.push_str(before);
                return Some((name, Some(after)));
            }
            Some(_) => {
                name.push_str(before.strip_suffix('\\')?);
                name.push('`');
            }
            // A backtick that no dot follows is part of the name.
            None => {
                name.push_str(before);
                name.push('`');
            }
        }
        from = at + 1;
    }
}

impl Place {
    /// Takes it out of a struct.
    pub(crate) fn take(&self, value: Value) -> Value {
        let mut current = value;
        for (index, default) in &self.steps {
            let Value::Struct(row) = current else {
                return Value::Null;
            };
            let mut values = row.into_parts().1;
            current = match (values.get_mut(*index).map(std::mem::take), default) {
                (None | Some(Value::Null), Some(default)) => default.clone(),
                (value, _) => value.unwrap_or_default(),
            };
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_kip_821_says() {
        let steps = |path, nested| FieldPath::parse(path, nested).unwrap().0;
        assert_eq!(steps("a.b", false), ["a.b"]);
        assert_eq!(steps("a.b", true), ["a", "b"]);
        assert_eq!(steps("`a.b`.c", true), ["a.b", "c"]);
        assert_eq!(steps("a.`b.c`", true), ["a", "b.c"]);
        assert_eq!(steps("`a`b.c`", true), ["a`b.c"]);
        assert_eq!(steps("`a\\`.b`", true), ["a`.b"]);
        assert_eq!(steps("a.", true), ["a", ""]);
        assert!(FieldPath::parse("`a.b", true).is_err());
        assert!(FieldPath::parse("a.`b\\`", true).is_err());
    }
}
