//! Partial updates of JSON (`binlog_row_value_options=PARTIAL_JSON`): the log has what changed, the row before has the
//! document.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/classJson__diff.html>

use bytes::BytesMut;

use super::Failed;
use super::json::{Printer, Scalar, Visit, walk};
use crate::binlog::reader::Reader;

/// A document as a tree.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(String),
    Opaque(u8, Vec<u8>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leg {
    Member(String),
    Cell(usize),
}

/// Applies the differences in `diff` to `document`, and prints the result.
pub(super) fn apply(document: &[u8], diff: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
    let mut root = tree(document)?;
    let mut r = Reader::new(diff, "a JSON difference");
    while !r.is_empty() {
        let operation = r.u8().map_err(|e| e.to_string())?;
        let length = r.length().map_err(|e| e.to_string())?;
        let path = r.take(length).map_err(|e| e.to_string())?;
        let path = legs(std::str::from_utf8(path).map_err(|_| "a JSON path is not UTF-8")?)?;
        let value = match operation {
            0 | 1 => {
                let length = r.length().map_err(|e| e.to_string())?;
                Some(tree(r.take(length).map_err(|e| e.to_string())?)?)
            }
            2 => None,
            n => return Err(format!("a JSON difference has operation {n}, which is not known")),
        };
        change(&mut root, &path, value, operation == 1)?;
    }
    root.visit(&mut Printer::unlimited(out))
}

fn change(root: &mut Node, path: &[Leg], value: Option<Node>, insert: bool) -> Result<(), Failed> {
    let lost = || "a JSON difference is about a part that the document lacks".to_owned();
    let Some((last, way)) = path.split_last() else {
        *root = value.ok_or_else(lost)?;
        return Ok(());
    };
    let mut at = root;
    for leg in way {
        at = match (at, leg) {
            (Node::Object(members), Leg::Member(name)) => {
                members.iter_mut().find(|(n, _)| n == name).map(|(_, node)| node)
            }
            (Node::Array(cells), Leg::Cell(index)) => cells.get_mut(*index),
            // A scalar is an array of itself.
            (node, Leg::Cell(0)) => Some(node),
            _ => None,
        }
        .ok_or_else(lost)?;
    }
    match (at, last, value) {
        (Node::Object(members), Leg::Member(name), Some(value)) => {
            match members.iter_mut().find(|(n, _)| n == name) {
                Some((_, node)) => *node = value,
                None => {
                    // The server sorts by length, then by bytes.
                    let at =
                        members.partition_point(|(n, _)| (n.len(), n.as_str()) < (name.len(), name.as_str()));
                    members.insert(at, (name.clone(), value));
                }
            }
        }
        (Node::Object(members), Leg::Member(name), None) => members.retain(|(n, _)| n != name),
        (Node::Array(cells), Leg::Cell(index), Some(value)) if insert => {
            cells.insert((*index).min(cells.len()), value);
        }
        (Node::Array(cells), Leg::Cell(index), Some(value)) => {
            *cells.get_mut(*index).ok_or_else(lost)? = value
        }
        (Node::Array(cells), Leg::Cell(index), None) if *index < cells.len() => {
            cells.remove(*index);
        }
        _ => return Err(lost()),
    }
    Ok(())
}

/// `$.name."quoted name"[3]`
fn legs(path: &str) -> Result<Vec<Leg>, Failed> {
    let bad = || format!("'{path}' is no JSON path");
    let mut rest = path.strip_prefix('$').ok_or_else(bad)?;
    let mut legs = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']').ok_or_else(bad)?;
            legs.push(Leg::Cell(index.trim().parse().map_err(|_| bad())?));
            rest = after;
        } else {
            rest = rest.strip_prefix('.').ok_or_else(bad)?;
            if rest.starts_with('"') {
                let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let name = names.next().and_then(Result::ok).ok_or_else(bad)?;
                let end = names.byte_offset();
                legs.push(Leg::Member(name));
                rest = rest.get(end..).ok_or_else(bad)?;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                legs.push(Leg::Member(name.to_owned()));
                rest = after;
            }
        }
    }
    Ok(legs)
}

fn tree(document: &[u8]) -> Result<Node, Failed> {
    let mut builder = Builder {
        open: Vec::new(),
        done: Node::Null,
        nodes: document.len() + 16,
    };
    walk(document, &mut builder)?;
    Ok(builder.done)
}

/// Builds a tree from what a walk tells.
struct Builder {
    /// Containers that are not complete, with the name of the member that follows.
    open: Vec<(Node, String)>,
    done: Node,
    /// How many nodes there may still be: every one takes a byte of the document at least.
    nodes: usize,
}

impl Builder {
    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            Some((Node::Array(cells), _)) => cells.push(node),
            Some((Node::Object(members), name)) => members.push((std::mem::take(name), node)),
            _ => self.done = node,
        }
    }
}

impl Visit for Builder {
    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Failed> {
        self.nodes = self
            .nodes
            .checked_sub(1)
            .ok_or("a JSON document refers to its own parts")?;
        self.put(match value {
            Scalar::Null => Node::Null,
            Scalar::Bool(b) => Node::Bool(b),
            Scalar::Int(n) => Node::Int(n),
            Scalar::UInt(n) => Node::UInt(n),
            Scalar::Double(n) => Node::Double(n),
            Scalar::Text(text) => Node::Text(text.to_owned()),
            Scalar::Opaque(of, bytes) => Node::Opaque(of, bytes.to_vec()),
        });
        Ok(())
    }

    fn begin(&mut self, object: bool) {
        let node = if object {
            Node::Object(Vec::new())
        } else {
            Node::Array(Vec::new())
        };
        self.open.push((node, String::new()));
    }

    fn key(&mut self, name: &str) {
        if let Some((_, next)) = self.open.last_mut() {
            *next = name.to_owned();
        }
    }

    fn end(&mut self, _: bool) {
        if let Some((node, _)) = self.open.pop() {
            self.put(node);
        }
    }
}

impl Node {
    fn visit(&self, visit: &mut impl Visit) -> Result<(), Failed> {
        match self {
            Self::Null => visit.scalar(Scalar::Null),
            Self::Bool(b) => visit.scalar(Scalar::Bool(*b)),
            Self::Int(n) => visit.scalar(Scalar::Int(*n)),
            Self::UInt(n) => visit.scalar(Scalar::UInt(*n)),
            Self::Double(n) => visit.scalar(Scalar::Double(*n)),
            Self::Text(text) => visit.scalar(Scalar::Text(text)),
            Self::Opaque(of, bytes) => visit.scalar(Scalar::Opaque(*of, bytes)),
            Self::Array(cells) => {
                visit.begin(false);
                for cell in cells {
                    cell.visit(visit)?;
                }
                visit.end(false);
                Ok(())
            }
            Self::Object(members) => {
                visit.begin(true);
                for (name, member) in members {
                    visit.key(name);
                    member.visit(visit)?;
                }
                visit.end(true);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::tests::pack;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn diff(operation: u8, path: &str, value: Option<serde_json::Value>) -> Vec<u8> {
        let mut out = vec![operation, u8::try_from(path.len()).unwrap()];
        out.extend(path.bytes());
        if let Some(value) = value {
            let packed = pack(&value);
            out.push(u8::try_from(packed.len()).unwrap());
            out.extend(packed);
        }
        out
    }

    fn applied(diffs: &[Vec<u8>]) -> String {
        let document = pack(&json!({"a": 1, "l": [1, 2, 3], "o o": {"k": "v"}}));
        let mut out = BytesMut::new();
        apply(&document, &diffs.concat(), &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn differences_are_applied_in_order() {
        assert_eq!(
            applied(&[
                diff(0, "$.a", Some(json!("x"))),
                diff(1, "$.b", Some(json!(true)))
            ]),
            r#"{"a":"x","b":true,"l":[1,2,3],"o o":{"k":"v"}}"#
        );
        assert_eq!(
            applied(&[
                diff(2, "$.l[0]", None),
                diff(1, "$.l[1]", Some(json!(9))),
                diff(0, "$.\"o o\".k", Some(json!(0)))
            ]),
            r#"{"a":1,"l":[2,9,3],"o o":{"k":0}}"#
        );
        assert_eq!(applied(&[]), r#"{"a":1,"l":[1,2,3],"o o":{"k":"v"}}"#);
    }

    #[test]
    fn a_difference_about_a_missing_part_is_an_error() {
        let document = pack(&json!({"a": 1}));
        assert!(apply(&document, &diff(0, "$.x.y", Some(json!(1))), &mut BytesMut::new()).is_err());
        assert!(apply(&document, &[0, 200], &mut BytesMut::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(document in proptest::collection::vec(any::<u8>(), 0..60), diff in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = apply(&document, &diff, &mut BytesMut::new());
        }
    }
}
