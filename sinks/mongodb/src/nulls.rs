//! Removing of nulls, in documents within documents too.

use bson::{Bson, Document};

/// Removes every field that is null, at any depth, also in documents that lie in arrays.
pub(crate) fn remove(document: &mut Document) {
    let all = std::mem::take(document);
    for (name, mut value) in all {
        match &mut value {
            Bson::Null => continue,
            value => within(value),
        }
        document.insert(name, value);
    }
}

fn within(value: &mut Bson) {
    match value {
        Bson::Document(inner) => remove(inner),
        // An array keeps its nulls, and so its positions.
        Bson::Array(items) => {
            for item in items {
                if let Bson::Document(inner) = item {
                    remove(inner);
                }
            }
        }
        _ => {}
    }
}
