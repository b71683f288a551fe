//! Writes as commands of the server, and what its answers say of each.
//!
//! A command takes writes of one kind in their order, up to so many bytes; the indexes in its answer lead back to the writes.
//!
//! <https://www.mongodb.com/docs/manual/reference/command/update/>

use std::borrow::Cow;

use bson::{Bson, Document, RawArrayBuf, RawDocument, RawDocumentBuf, cstr};
use tapline_api::{Error, Result};

use crate::document;
use crate::id::ID;
use crate::write::Write;

/// A document may have so many bytes on the server.
const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// A command is cut at so many bytes: it is held several times on its way to the socket.
const COMMAND_BYTES: usize = 1024 * 1024;
/// And at so many writes, the server's own limit.
const COMMAND_WRITES: usize = 100_000;

/// So many documents in a row that are probably new are inserted: fewer are not worth a command of their own.
const INSERTS: usize = 16;

/// The three commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    Update,
    Delete,
}

impl Write {
    fn verb(&self) -> Verb {
        match self {
            Self::Insert(_) => Verb::Insert,
            Self::Put { .. } | Self::Replace { .. } | Self::Update { .. } => Verb::Update,
            Self::Delete(_) => Verb::Delete,
        }
    }

    fn is_fresh(&self) -> bool {
        matches!(self, Self::Put { fresh: true, .. })
    }

    /// As it stands in its command.
    fn statement(&self, verb: Verb) -> Result<Cow<'_, RawDocument>> {
        let update = |filter: &RawDocument, with: &RawDocument, upsert: bool| {
            let mut statement = RawDocumentBuf::new();
            statement.append(cstr!("q"), filter);
            statement.append(cstr!("u"), with);
            statement.append(cstr!("upsert"), upsert);
            Cow::Owned(statement)
        };
        let statement = match self {
            Self::Insert(document) => Cow::Borrowed(&**document),
            Self::Put { document, .. } if verb == Verb::Insert => Cow::Borrowed(&**document),
            Self::Put { document, .. } => {
                let mut filter = RawDocumentBuf::new();
                if let Ok(Some(id)) = document.get(ID) {
                    filter.append(cstr!("_id"), id);
                }
                update(&filter, document, true)
            }
            Self::Replace { filter, with, upsert }
            | Self::Update {
                filter,
                change: with,
                upsert,
            } => update(filter, with, *upsert),
            Self::Delete(filter) => {
                let mut statement = RawDocumentBuf::new();
                statement.append(cstr!("q"), &**filter);
                statement.append(cstr!("limit"), 1_i32);
                Cow::Owned(statement)
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

/// What the next command of `writes` is, and whether it inserts documents whose `_id` may be there already: where many in a row
/// are probably new, to insert them is the least work for the server. `guess`: whether that may be tried.
pub(crate) fn next(writes: &[Write], first: usize, guess: bool) -> Option<(Verb, bool)> {
    let write = writes.get(first)?;
    let fresh = guess
        && writes
            .get(first..first + INSERTS)
            .is_some_and(|run| run.iter().all(Write::is_fresh));
    Some(if fresh {
        (Verb::Insert, true)
    } else {
        (write.verb(), false)
    })
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

/// How a command is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making<'a> {
    pub(crate) collection: &'a str,
    /// Of [`next`].
    pub(crate) verb: Verb,
    pub(crate) guessed: bool,
    /// How many writes at most.
    pub(crate) most: usize,
    pub(crate) ordered: bool,
    pub(crate) concern: Option<&'a Document>,
}

/// The command of the first writes from `first` on that fit into one. A write that can't be a command is the error, with its
/// place in the batch.
pub(crate) fn command(writes: &[Write], first: usize, making: Making<'_>) -> Result<Command, (usize, Error)> {
    let mut statements = RawArrayBuf::new();
    let (mut bytes, mut count) = (0, 0);
    let of_it = |write: &&Write| {
        if making.guessed {
            write.is_fresh()
        } else {
            write.verb() == making.verb
        }
    };
    let most = making.most.min(COMMAND_WRITES);
    for write in writes.iter().skip(first).take(most).take_while(of_it) {
        let statement = match write.statement(making.verb) {
            Ok(statement) => statement,
            // What is before it goes first; then it is the first itself.
            Err(_) if count > 0 => break,
            Err(error) => return Err((first, error)),
        };
        bytes += statement.as_bytes().len();
        if count > 0 && bytes > COMMAND_BYTES {
            break;
        }
        statements.push(&*statement);
        count += 1;
    }
    let mut body = document::with_room(bytes + bytes / 8 + 256).map_err(|error| (first, error))?;
    let list = match making.verb {
        Verb::Insert => {
            body.append(cstr!("insert"), making.collection);
            cstr!("documents")
        }
        Verb::Update => {
            body.append(cstr!("update"), making.collection);
            cstr!("updates")
        }
        Verb::Delete => {
            body.append(cstr!("delete"), making.collection);
            cstr!("deletes")
        }
    };
    body.append(cstr!("ordered"), making.ordered);
    if let Some(concern) = making
        .concern
        .and_then(|concern| RawDocumentBuf::try_from(concern).ok())
    {
        body.append(cstr!("writeConcern"), concern);
    }
    body.append(list, statements);
    Ok(Command { body, first, count })
}

/// Whether documents that are said to be new are: after a guess that was wrong the next ones are not made, twice as many each
/// time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guess {
    /// How many bulks to wait yet, and how many to wait after the next mistake.
    wait: u32,
    after: u32,
}

/// The most bulks that a mistake is remembered.
const MOST_WAITED: u32 = 63;

impl Guess {
    /// Whether a bulk may guess.
    pub(crate) fn may(&mut self) -> bool {
        let may = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        may
    }

    pub(crate) fn was(&mut self, right: bool) {
        if right {
            self.after = 0;
        } else {
            self.after = (self.after * 2 + 1).min(MOST_WAITED);
            self.wait = self.after;
        }
    }
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
    use bson::{doc, rawdoc};

    fn making(verb: Verb, guessed: bool) -> Making<'static> {
        Making {
            collection: "c",
            verb,
            guessed,
            most: usize::MAX,
            ordered: true,
            concern: None,
        }
    }

    #[test]
    fn many_new_documents_in_a_row_are_inserted_and_others_replaced() {
        let put = |n: i32, fresh: bool| Write::Put {
            document: rawdoc! {"_id": n, "a": 1},
            fresh,
        };
        let mut writes: Vec<Write> = (0..40).map(|n| put(n, n != 20)).collect();
        assert_eq!(next(&writes, 0, true), Some((Verb::Insert, true)));
        assert_eq!(next(&writes, 0, false), Some((Verb::Update, false)));
        // Too few before the one that is not new.
        assert_eq!(next(&writes, 10, true), Some((Verb::Update, false)));
        let inserts = command(&writes, 0, making(Verb::Insert, true)).unwrap();
        assert_eq!(inserts.count, 20);
        let inserts = Document::try_from(&inserts.body).unwrap();
        assert_eq!(
            inserts.get_array("documents").unwrap()[3],
            doc! {"_id": 3, "a": 1}.into()
        );
        let updates = command(&writes, 20, making(Verb::Update, false)).unwrap();
        let updates = Document::try_from(&updates.body).unwrap();
        assert_eq!(
            updates.get_array("updates").unwrap()[0],
            doc! {"q": {"_id": 20}, "u": {"_id": 20, "a": 1}, "upsert": true}.into()
        );
        // An insert that was asked for is never one that may be there.
        writes[5] = Write::Insert(rawdoc! {"_id": 5});
        assert_eq!(next(&writes, 0, true), Some((Verb::Update, false)));
    }

    #[test]
    fn a_guess_that_was_wrong_is_made_less_often() {
        let mut guess = Guess::default();
        let mut tries = 0;
        for _ in 0..127 {
            if guess.may() {
                tries += 1;
                guess.was(false);
            }
        }
        assert_eq!(tries, 7);
        let mut guess = Guess::default();
        assert!(guess.may());
        guess.was(true);
        assert!(guess.may());
    }

    #[test]
    fn writes_of_one_kind_in_a_row_are_one_command() {
        let delete = |n: i32| Write::Delete(rawdoc! {"_id": n});
        let replace = |n: i32| Write::Replace {
            filter: rawdoc! {"_id": n},
            with: rawdoc! {"_id": n, "a": 1},
            upsert: true,
        };
        let update = Write::Update {
            filter: rawdoc! {"_id": 3},
            change: rawdoc! {"$set": {"a": 1}},
            upsert: false,
        };
        let writes = [
            replace(1),
            update,
            delete(1),
            delete(2),
            Write::Insert(rawdoc! {"x": 1}),
        ];
        let made = |first| {
            let (verb, guessed) = next(&writes, first, true).unwrap();
            let command = command(&writes, first, making(verb, guessed)).unwrap();
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
        assert!(next(&writes, 5, true).is_none());
    }

    #[test]
    fn a_command_is_cut_at_its_bytes_and_a_document_that_is_too_long_is_the_error() {
        let write = |bytes: usize| Write::Insert(rawdoc! {"a": "x".repeat(bytes)});
        let writes = [write(3 << 20), write(3 << 20), write(17 << 20)];
        let count = |first| {
            command(&writes, first, making(Verb::Insert, false))
                .map(|command| command.count)
                .map_err(|(index, _)| index)
        };
        assert_eq!(count(0), Ok(1));
        assert_eq!(count(1), Ok(1));
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
