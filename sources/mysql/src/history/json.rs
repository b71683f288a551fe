//! JSON as Jackson's pretty printer writes it, which is how Debezium writes its history.
//!
//! An object's fields stand on lines of their own, two blanks deeper each; an array's elements on one line. Numbers and
//! letters beyond ASCII are plain.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// Writes a document piece by piece.
#[derive(Default)]
pub(super) struct Pretty {
    out: String,
    depth: usize,
    /// Whether something stands before the next piece, per open object or array.
    filled: Vec<bool>,
}

impl Pretty {
    pub(super) fn finish(self) -> String {
        self.out
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
    }

    /// Marks that something stands in the innermost one; whether something did.
    fn fill(&mut self) -> bool {
        self.filled
            .last_mut()
            .is_some_and(|filled| std::mem::replace(filled, true))
    }

    pub(super) fn object(&mut self, fields: impl FnOnce(&mut Self)) {
        self.out.push('{');
        self.depth += 1;
        self.filled.push(false);
        fields(self);
        self.depth -= 1;
        if self.filled.pop() == Some(true) {
            self.line();
        } else {
            self.out.push(' ');
        }
        self.out.push('}');
    }

    /// A field's name; its value follows.
    pub(super) fn field(&mut self, name: &str) {
        if self.fill() {
            self.out.push(',');
        }
        self.line();
        self.string(name);
        self.out.push_str(" : ");
    }

    pub(super) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.out.push_str("[ ");
        self.filled.push(false);
        for item in items {
            if self.fill() {
                self.out.push_str(", ");
            }
            each(self, item);
        }
        if self.filled.pop() == Some(true) {
            self.out.push(' ');
        }
        self.out.push(']');
    }

    pub(super) fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut rest = text;
        while let Some(index) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (before, after) = rest.split_at_checked(index).unwrap_or((rest, ""));
            self.out.push_str(before);
            let mut chars = after.chars();
            match chars.next() {
                Some('"') => self.out.push_str("\\\""),
                Some('\\') => self.out.push_str("\\\\"),
                Some('\n') => self.out.push_str("\\n"),
                Some('\r') => self.out.push_str("\\r"),
                Some('\t') => self.out.push_str("\\t"),
                Some('\u{8}') => self.out.push_str("\\b"),
                Some('\u{c}') => self.out.push_str("\\f"),
                Some(c) => {
                    let _ = write!(self.out, "\\u{:04X}", u32::from(c));
                }
                None => {}
            }
            rest = chars.as_str();
        }
        self.out.push_str(rest);
        self.out.push('"');
    }

    pub(super) fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.out.push_str("null"),
        }
    }

    pub(super) fn number(&mut self, number: i64) {
        let mut buffer = itoa::Buffer::new();
        self.out.push_str(buffer.format(number));
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.out.push_str(if value { "true" } else { "false" });
    }

    pub(super) fn json(&mut self, value: &Json) {
        match value {
            Json::Null => self.text(None),
            Json::Bool(value) => self.boolean(*value),
            Json::Number(number) => {
                let _ = write!(self.out, "{number}");
            }
            Json::String(text) => self.string(text),
            Json::Array(items) => self.array(items, Self::json),
            Json::Object(fields) => self.object(|out| {
                for (name, value) in fields {
                    out.field(name);
                    out.json(value);
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_take_lines_and_arrays_do_not() {
        let value = serde_json::json!({"a": {"b": 1}, "c": [], "d": [{"e": [1, 2]}, null], "f": {}, "g": "é\"\\\n\u{1b}"});
        let mut out = Pretty::default();
        out.json(&value);
        assert_eq!(
            out.finish(),
            "{\n  \"a\" : {\n    \"b\" : 1\n  },\n  \"c\" : [ ],\n  \"d\" : [ {\n    \"e\" : [ 1, 2 ]\n  }, null ],\n  \
             \"f\" : { },\n  \"g\" : \"é\\\"\\\\\\n\\u001B\"\n}"
        );
    }
}
