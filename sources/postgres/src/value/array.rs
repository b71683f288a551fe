//! Array literals: `{1,NULL,"a \"b\""}`.
//!
//! <https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>

use super::Malformed;

/// An element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    Null,
    /// Quotes and escapes resolved.
    Text(Vec<u8>),
    /// Of an array of more than one dimension: the text of an array of one less.
    Inner(Vec<u8>),
}

/// The elements of an array in order. `delimiter` stands between them: a comma, but for boxes.
pub(super) fn elements(text: &[u8], delimiter: u8) -> Result<Vec<Element>, Malformed> {
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
        return Ok(found);
    }
    let mut bytes = inner.iter().copied().peekable();
    loop {
        let mut element = Vec::new();
        match bytes.peek() {
            Some(b'{') => found.push(Element::Inner(inner_array(&mut bytes)?)),
            Some(b'"') => {
                bytes.next();
                loop {
                    match bytes.next().ok_or(Malformed)? {
                        b'"' => break,
                        b'\\' => element.push(bytes.next().ok_or(Malformed)?),
                        byte => element.push(byte),
                    }
                }
                found.push(Element::Text(element));
            }
            _ => {
                while let Some(byte) = bytes.next_if(|byte| *byte != delimiter) {
                    element.push(if byte == b'\\' {
                        bytes.next().ok_or(Malformed)?
                    } else {
                        byte
                    });
                }
                found.push(if element.eq_ignore_ascii_case(b"NULL") {
                    Element::Null
                } else {
                    Element::Text(element)
                });
            }
        }
        match bytes.next() {
            None => return Ok(found),
            Some(byte) if byte == delimiter => {}
            Some(_) => return Err(Malformed),
        }
    }
}

/// From an opening brace to the one that closes it.
fn inner_array(bytes: &mut impl Iterator<Item = u8>) -> Result<Vec<u8>, Malformed> {
    let mut text = Vec::new();
    let (mut depth, mut quoted) = (0, false);
    loop {
        let byte = bytes.next().ok_or(Malformed)?;
        text.push(byte);
        match byte {
            b'\\' => text.push(bytes.next().ok_or(Malformed)?),
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Ok(text);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<Element> {
        elements(text.as_bytes(), b',').unwrap()
    }

    fn some(items: &[&str]) -> Vec<Element> {
        items.iter().map(|item| Element::Text((*item).into())).collect()
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
            [
                Element::Null,
                Element::Text("NULL".into()),
                Element::Text(Vec::new())
            ]
        );
        assert_eq!(read("[0:1]={7,8}"), some(&["7", "8"]));
        assert_eq!(
            read(r#"{{1,"}"},{2,3}}"#),
            [
                Element::Inner(br#"{1,"}"}"#.into()),
                Element::Inner(b"{2,3}".into())
            ]
        );
        assert_eq!(
            elements(b"{(1,1),(0,0);(2,2),(1,1)}", b';').unwrap(),
            some(&["(1,1),(0,0)", "(2,2),(1,1)"])
        );
        assert_eq!(elements(b"1,2", b','), Err(Malformed));
        assert_eq!(elements(br#"{"a"#, b','), Err(Malformed));
        assert_eq!(elements(b"{{1}", b','), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_elements_read_back(items in proptest::collection::vec(proptest::option::of(".{0,8}"), 0..6)) {
            let text: Vec<String> = items.iter().map(|item| match item {
                None => "NULL".to_owned(),
                Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            }).collect();
            let items: Vec<Element> = items
                .into_iter()
                .map(|item| item.map_or(Element::Null, |text| Element::Text(text.into())))
                .collect();
            prop_assert_eq!(read(&format!("{{{}}}", text.join(","))), items);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = elements(&bytes, b',');
        }
    }
}
