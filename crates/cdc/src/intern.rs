//! Names that live as long as the process.
//!
//! Each event's `source` holds the names of its database, schema and table. As static text a copy of one is free; as a
//! shared buffer it would be a reference count that two cores fight for, several times per row. The set only grows, by
//! the names of what is captured, which a restart of a connector does not add to again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bytestring::ByteString;
use tapline_api::Value;

static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// The one static copy of `name`.
pub fn intern(name: &str) -> &'static str {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

/// `name` as a value that costs nothing to copy.
pub fn constant(name: &str) -> Value {
    Value::String(ByteString::from_static(intern(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let (one, two) = (intern("orders"), intern("orders ".trim_end()));
        assert!(std::ptr::eq(one, two));
    }
}
