//! Writes as commands of the server, and what its answers say of each.
//!
//! A command takes writes of one kind in their order, up to so many bytes; the indexes in its answer lead back to the writes.
//!
//! <https://www.mongodb.com/docs/manual/reference/command/update/>

use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, cstr};
use tapline_api::{Error, Result};

use crate::write::Write;

/// A document may have so many bytes on the server.
const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// A command is cut at so many bytes.
const COMMAND_BYTES: usize = 4 * 1024 * 1024;
/// And at so many writes, the server's own limit.
const COMMAND_WRITES: usize = 100_000;

/// The three commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Insert,
    Update,
    Delete,
}

impl Write {
    fn verb(&self) -> Verb {
        match self {
            Self::Insert(_) => Verb::Insert,
            Self::Replace { .. } | Self::Update { .. } => Verb::Update,
            Self::Delete(_) => Verb::Delete,
        }
    }

    /// Whether it goes into an `update` command.
    pub(crate) fn is_update(&self) -> bool {
        self.verb() == Verb::Update
    }

    /// As it stands in its command.
    fn statement(&self) -> Result<RawDocumentBuf> {
        let raw = |document: &Document| {
            RawDocumentBuf::try_from(document)
                .map_err(|error| Error::data("the document can't be written as BSON").cause(error))
        };
        let statement = match self {
            Self::Insert(document) => raw(document)?,
            Self::Replace { filter, with, upsert }
            | Self::Update {
                filter,
                change: with,
                upsert,
            } => {
                let mut statement = RawDocumentBuf::new();
                statement.append(cstr!("q"), raw(filter)?);
                statement.append(cstr!("u"), raw(with)?);
                statement.append(cstr!("upsert"), *upsert);
                statement
            }
            Self::Delete(filter) => {
                let mut statement = RawDocumentBuf::new();
                statement.append(cstr!("q"), raw(filter)?);
                statement.append(cstr!("limit"), 1_i32);
                statement
            }
        };
        if statement.as_bytes().len() > DOCUMENT_BYTES {
            return Err(Error::data(format!(
                "the document has {} bytes, and the server takes {DOCUMENT_BYTES} at most",
                statement.as_bytes().len()
            )));
        }
        Ok(statement)
    }
}

/// A command, and which writes of the batch are in it.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) body: RawDocumentBuf,
    /// The first of its writes, as it stands in the batch.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
}

/// The command of the first writes from `first` on that fit into one. A write that can't be a command is the error, with its
/// place in the batch.
pub(crate) fn command(
    collection: &str,
    writes: &[Write],
    first: usize,
    most: usize,
    ordered: bool,
    concern: Option<&Document>,
) -> Result<Option<Command>, (usize, Error)> {
    let Some(verb) = writes.get(first).map(Write::verb) else {
        return Ok(None);
    };
    let mut statements = RawArrayBuf::new();
    let (mut bytes, mut count) = (0, 0);
    for write in writes.iter().skip(first).take(most.min(COMMAND_WRITES)) {
        if write.verb() != verb {
            break;
        }
        let statement = match write.statement() {
            Ok(statement) => statement,
            // What is before it goes first; then it is the first itself.
            Err(_) if count > 0 => break,
            Err(error) => return Err((first, error)),
        };
        bytes += statement.as_bytes().len();
        if count > 0 && bytes > COMMAND_BYTES {
            break;
        }
        statements.push(statement);
        count += 1;
    }
    let mut body = RawDocumentBuf::new();
    let list = match verb {
        Verb::Insert => {
            body.append(cstr!("insert"), collection);
            cstr!("documents")
        }
        Verb::Update => {
            body.append(cstr!("update"), collection);
            cstr!("updates")
        }
        Verb::Delete => {
            body.append(cstr!("delete"), collection);
            cstr!("deletes")
        }
    };
    body.append(cstr!("ordered"), ordered);
    if let Some(concern) = concern.and_then(|concern| RawDocumentBuf::try_from(concern).ok()) {
        body.append(cstr!("writeConcern"), concern);
    }
    body.append(list, statements);
    Ok(Some(Command { body, first, count }))
}

/// A write that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its place in the command.
    pub(crate) index: usize,
    pub(crate) code: i32,
    pub(crate) message: String,
}

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) refusals: Vec<Refusal>,
    /// The write concern was not met: code and message.
    pub(crate) concern: Option<(i32, String)>,
}

/// Reads an answer.
pub(crate) fn answer(answer: &Document) -> Answer {
    let of = |document: &Document| {
        let code = match document.get("code") {
            Some(Bson::Int32(code)) => *code,
            Some(Bson::Int64(code)) => i32::try_from(*code).unwrap_or(0),
            _ => 0,
        };
        (code, document.get_str("errmsg").unwrap_or_default().to_owned())
    };
    let refused = match answer.get("writeErrors") {
        Some(Bson::Array(errors)) => errors.as_slice(),
        _ => &[],
    };
    let refusals = refused.iter().filter_map(Bson::as_document).map(|document| {
        let index = match document.get("index") {
            Some(Bson::Int32(index)) => usize::try_from(*index).unwrap_or(0),
            Some(Bson::Int64(index)) => usize::try_from(*index).unwrap_or(0),
            _ => 0,
        };
        let (code, message) = of(document);
        Refusal { index, code, message }
    });
    Answer {
        refusals: refusals.collect(),
        concern: answer.get_document("writeConcernError").ok().map(of),
    }
}

/// Whether trying again may help, by the server's code: it steps down, shuts down, or is in the way of another write.
///
/// <https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md>
pub(crate) fn may_pass(code: i32) -> bool {
    matches!(
        code,
        6 | 7
            | 24
            | 46
            | 50
            | 64
            | 89
            | 91
            | 112
            | 134
            | 189
            | 262
            | 317
            | 358
            | 9001
            | 10107
            | 11600
            | 11602
            | 13435
            | 13436
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn writes_of_one_kind_in_a_row_are_one_command() {
        let delete = |n: i32| Write::Delete(doc! {"_id": n});
        let replace = |n: i32| Write::Replace {
            filter: doc! {"_id": n},
            with: doc! {"_id": n, "a": 1},
            upsert: true,
        };
        let update = Write::Update {
            filter: doc! {"_id": 3},
            change: doc! {"$set": {"a": 1}},
            upsert: false,
        };
        let writes = [
            replace(1),
            update,
            delete(1),
            delete(2),
            Write::Insert(doc! {"x": 1}),
        ];
        let made = |first| {
            let command = command("c", &writes, first, usize::MAX, true, None)
                .unwrap()
                .unwrap();
            (Document::try_from(&command.body).unwrap(), command.count)
        };
        let (first, count) = made(0);
        assert_eq!(count, 2);
        assert_eq!(
            first,
            doc! {"update": "c", "ordered": true, "updates": [
                {"q": {"_id": 1}, "u": {"_id": 1, "a": 1}, "upsert": true},
                {"q": {"_id": 3}, "u": {"$set": {"a": 1}}, "upsert": false},
            ]}
        );
        let (second, count) = made(2);
        assert_eq!(count, 2);
        assert_eq!(
            second,
            doc! {"delete": "c", "ordered": true, "deletes": [{"q": {"_id": 1}, "limit": 1}, {"q": {"_id": 2}, "limit": 1}]}
        );
        assert_eq!(
            made(4).0,
            doc! {"insert": "c", "ordered": true, "documents": [{"x": 1}]}
        );
        assert!(
            command("c", &writes, 5, usize::MAX, true, None)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_command_is_cut_at_its_bytes_and_a_document_that_is_too_long_is_the_error() {
        let write = |bytes: usize| Write::Insert(doc! {"a": "x".repeat(bytes)});
        let writes = [write(3 << 20), write(3 << 20), write(17 << 20)];
        let count = |first| {
            command("c", &writes, first, usize::MAX, true, None)
                .map(|command| command.map(|command| command.count))
                .map_err(|(index, _)| index)
        };
        assert_eq!(count(0), Ok(Some(1)));
        assert_eq!(count(1), Ok(Some(1)));
        assert_eq!(count(2), Err(2));
    }

    #[test]
    fn an_answer_says_which_writes_were_refused() {
        let said = doc! {
            "ok": 1.0, "n": 1,
            "writeErrors": [{"index": 2, "code": 11000, "errmsg": "E11000 duplicate key"}],
            "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"},
        };
        let read = answer(&said);
        assert_eq!(read.refusals.len(), 1);
        assert_eq!((read.refusals[0].index, read.refusals[0].code), (2, 11000));
        assert_eq!(
            read.concern,
            Some((64, "waiting for replication timed out".to_owned()))
        );
        assert_eq!(answer(&doc! {"ok": 1.0}), Answer::default());
    }
}
