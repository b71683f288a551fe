//! Array literals: `{1,NULL,"a \"b\""}`.
//!
//! <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>

use super::Malformed;

/// The elements of a one-dimensional array in order, quotes and escapes resolved; `None` is null.
///
/// Gives `None` for an array of more than one dimension, which no Connect array schema of Debezium can hold.
pub(super) fn elements(text: &[u8]) -> Result<Option<Vec<Option<Vec<u8>>>>, Malformed> {
    // Bounds other than from 1 stand before: `[0:2]={1,2,3}`.
    let text = match text {
        [b'[', ..] => {
            let equals = text.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
            text.get(equals + 1..).ok_or(Malformed)?
        }
        _ => text,
    };
    let [b'{', inner @ .., b'}'] = text else {
        return Err(Malformed);
    };
    let mut found = Vec::new();
    if inner.is_empty() {
        return Ok(Some(found));
    }
    let mut bytes = inner.iter().copied().peekable();
    loop {
        let mut element = Vec::new();
        match bytes.peek() {
            Some(b'{') => return Ok(None),
            Some(b'"') => {
                bytes.next();
                loop {
                    match bytes.next().ok_or(Malformed)? {
                        b'"' => break,
                        b'\\' => element.push(bytes.next().ok_or(Malformed)?),
                        byte => element.push(byte),
                    }
                }
                found.push(Some(element));
            }
            _ => {
                while let Some(byte) = bytes.next_if(|byte| *byte != b',') {
                    element.push(if byte == b'\\' {
                        bytes.next().ok_or(Malformed)?
                    } else {
                        byte
                    });
                }
                found.push(if element.eq_ignore_ascii_case(b"NULL") {
                    None
                } else {
                    Some(element)
                });
            }
        }
        match bytes.next() {
            None => return Ok(Some(found)),
            Some(b',') => {}
            Some(_) => return Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Vec<Option<String>>> {
        let found = elements(text.as_bytes()).unwrap()?;
        Some(
            found
                .into_iter()
                .map(|e| e.map(|e| String::from_utf8(e).unwrap()))
                .collect(),
        )
    }

    fn some(items: &[&str]) -> Option<Vec<Option<String>>> {
        Some(items.iter().map(|item| Some((*item).to_owned())).collect())
    }

    #[test]
    fn quotes_escapes_and_nulls_are_resolved() {
        assert_eq!(read("{}"), some(&[]));
        assert_eq!(read("{1,2}"), some(&["1", "2"]));
        assert_eq!(
            read(r#"{a,"b c","d,e","q\"x"}"#),
            some(&["a", "b c", "d,e", "q\"x"])
        );
        assert_eq!(
            read(r#"{NULL,"NULL",""}"#),
            Some(vec![None, Some("NULL".into()), Some(String::new())])
        );
        assert_eq!(read("[0:1]={7,8}"), some(&["7", "8"]));
        assert_eq!(read("{{1},{2}}"), None);
        assert_eq!(elements(b"1,2"), Err(Malformed));
        assert_eq!(elements(br#"{"a"#), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_elements_read_back(items in proptest::collection::vec(proptest::option::of(".{0,8}"), 0..6)) {
            let text: Vec<String> = items.iter().map(|item| match item {
                None => "NULL".to_owned(),
                Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            }).collect();
            prop_assert_eq!(read(&format!("{{{}}}", text.join(","))), Some(items));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = elements(&bytes);
        }
    }
}
