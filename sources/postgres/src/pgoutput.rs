//! The pgoutput plugin's messages, protocol version 1.
//!
//! Pure: bytes in, messages out; nothing is copied but names. A tuple stays where it lies, and [`Tuple::columns`] walks
//! it once. Bytes that are not pgoutput's give an error, never a panic, and no message makes it allocate more than its
//! own length. (Versions 2 to 4 add streamed and prepared transactions; their tags are refused by name.)
//!
//! <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>

use std::ops::Range;

use crate::lsn::Lsn;

/// Microseconds from 1970-01-01 to 2000-01-01, where Postgres counts from.
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What a message is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the message of tag '{0}' ends too early")]
    Truncated(char),
    #[error("the message of tag '{0}' has an impossible part")]
    Impossible(char),
    #[error("the message's tag {0} is unknown to pgoutput protocol version 1")]
    Tag(u8),
    #[error("the message is empty")]
    Empty,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// `B`. Times are microseconds since 1970.
    Begin {
        final_lsn: Lsn,
        commit_micros: i64,
        xid: u32,
    },
    /// `C`
    Commit {
        commit_lsn: Lsn,
        end_lsn: Lsn,
        commit_micros: i64,
    },
    /// `O`
    Origin { commit_lsn: Lsn, name: String },
    /// `R`
    Relation(Relation),
    /// `Y`: a type that is not built in; the catalog says more.
    Type,
    /// `I`
    Insert { relation: u32, new: Tuple },
    /// `U`
    Update {
        relation: u32,
        old: Option<Old>,
        new: Tuple,
    },
    /// `D`
    Delete { relation: u32, old: Old },
    /// `T`
    Truncate { relations: Vec<u32> },
    /// `M`
    Logical {
        transactional: bool,
        lsn: Lsn,
        prefix: String,
        content: Range<usize>,
    },
}

/// A row as it was before the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Old {
    /// Only the replica identity's columns are filled; the others are null without being null.
    pub(crate) key_only: bool,
    pub(crate) tuple: Tuple,
}

/// A table as the rows that follow describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) id: u32,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) replica_identity: ReplicaIdentity,
    pub(crate) columns: Vec<RelationColumn>,
}

/// `REPLICA IDENTITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplicaIdentity {
    Default,
    Nothing,
    Full,
    Index,
}

/// A column of a [`Relation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelationColumn {
    /// Part of the replica identity.
    pub(crate) key: bool,
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
}

/// A row: `len` columns within a range of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tuple {
    len: u16,
    body: Range<usize>,
}

/// One column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    Null,
    /// TOASTed and not touched by this update: the value was not sent.
    Unchanged,
    /// The value in text.
    Text(Range<usize>),
    /// The value in the type's binary form, which we never ask for.
    Binary(Range<usize>),
}

/// Reads the message that lies in `range` of `block`. All ranges in the result are of `block` too.
pub(crate) fn decode(block: &[u8], range: Range<usize>) -> Result<Message, Malformed> {
    let mut at = Cursor::new(block, range)?;
    match at.tag {
        b'B' => Ok(Message::Begin {
            final_lsn: at.lsn()?,
            commit_micros: at.micros()?,
            xid: at.u32()?,
        }),
        b'C' => {
            at.u8()?;
            Ok(Message::Commit {
                commit_lsn: at.lsn()?,
                end_lsn: at.lsn()?,
                commit_micros: at.micros()?,
            })
        }
        b'O' => Ok(Message::Origin {
            commit_lsn: at.lsn()?,
            name: at.text()?,
        }),
        b'R' => Ok(Message::Relation(relation(&mut at)?)),
        b'Y' => Ok(Message::Type),
        b'I' => {
            let relation = at.u32()?;
            match at.u8()? {
                b'N' => Ok(Message::Insert {
                    relation,
                    new: at.tuple()?,
                }),
                _ => Err(at.impossible()),
            }
        }
        b'U' => {
            let relation = at.u32()?;
            let mut kind = at.u8()?;
            let mut old = None;
            if matches!(kind, b'K' | b'O') {
                old = Some(Old {
                    key_only: kind == b'K',
                    tuple: at.tuple()?,
                });
                kind = at.u8()?;
            }
            match kind {
                b'N' => Ok(Message::Update {
                    relation,
                    old,
                    new: at.tuple()?,
                }),
                _ => Err(at.impossible()),
            }
        }
        b'D' => {
            let relation = at.u32()?;
            match at.u8()? {
                kind @ (b'K' | b'O') => Ok(Message::Delete {
                    relation,
                    old: Old {
                        key_only: kind == b'K',
                        tuple: at.tuple()?,
                    },
                }),
                _ => Err(at.impossible()),
            }
        }
        b'T' => {
            let count = at.u32()? as usize;
            at.u8()?;
            // Four bytes each: the count can't make us allocate more than the message holds.
            if count > at.left() / 4 {
                return Err(at.truncated());
            }
            let relations = (0..count).map(|_| at.u32()).collect::<Result<_, _>>()?;
            Ok(Message::Truncate { relations })
        }
        b'M' => {
            let transactional = at.u8()? == 1;
            let (lsn, prefix, length) = (at.lsn()?, at.text()?, at.u32()?);
            Ok(Message::Logical {
                transactional,
                lsn,
                prefix,
                content: at.take(length as usize)?,
            })
        }
        other => Err(Malformed::Tag(other)),
    }
}

fn relation(at: &mut Cursor<'_>) -> Result<Relation, Malformed> {
    let (id, schema, table) = (at.u32()?, at.text()?, at.text()?);
    let replica_identity = match at.u8()? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        _ => return Err(at.impossible()),
    };
    let count = usize::from(at.u16()?);
    // Ten bytes at least for each.
    if count > at.left() / 10 {
        return Err(at.truncated());
    }
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        columns.push(RelationColumn {
            key: at.u8()? & 1 == 1,
            name: at.text()?,
            type_oid: at.u32()?,
            type_modifier: at.u32()?.cast_signed(),
        });
    }
    // An empty schema stands for pg_catalog.
    let schema = if schema.is_empty() {
        "pg_catalog".to_owned()
    } else {
        schema
    };
    Ok(Relation {
        id,
        schema,
        table,
        replica_identity,
        columns,
    })
}

impl Tuple {
    /// How many columns it has.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Its columns in order. [`decode`] has seen that they are whole.
    pub(crate) fn columns<'a>(&self, block: &'a [u8]) -> Columns<'a> {
        Columns {
            block,
            at: self.body.start,
            left: self.len,
        }
    }
}

/// Walks a tuple.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    block: &'a [u8],
    at: usize,
    left: u16,
}

impl Iterator for Columns<'_> {
    type Item = Column;

    #[inline]
    fn next(&mut self) -> Option<Column> {
        self.left = self.left.checked_sub(1)?;
        let (column, next) = column_at(self.block, self.at)?;
        self.at = next;
        Some(column)
    }
}

/// The column at `at`, and where the next one begins.
#[inline]
fn column_at(block: &[u8], at: usize) -> Option<(Column, usize)> {
    let rest = block.get(at..)?;
    let (kind, rest) = rest.split_first()?;
    match kind {
        b'n' => return Some((Column::Null, at + 1)),
        b'u' => return Some((Column::Unchanged, at + 1)),
        b't' | b'b' => {}
        _ => return None,
    }
    let length = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
    let start = at + 5;
    let end = start.checked_add(length).filter(|end| *end <= block.len())?;
    let range = start..end;
    Some((
        if *kind == b't' {
            Column::Text(range)
        } else {
            Column::Binary(range)
        },
        end,
    ))
}

/// Reads on within one message.
struct Cursor<'a> {
    /// The block up to the message's end, so that an index is the block's.
    block: &'a [u8],
    at: usize,
    tag: u8,
}

impl<'a> Cursor<'a> {
    fn new(block: &'a [u8], range: Range<usize>) -> Result<Self, Malformed> {
        let block = block.get(..range.end).ok_or(Malformed::Empty)?;
        let tag = *block.get(range.start).ok_or(Malformed::Empty)?;
        Ok(Self {
            block,
            at: range.start + 1,
            tag,
        })
    }

    fn truncated(&self) -> Malformed {
        Malformed::Truncated(char::from(self.tag))
    }

    fn impossible(&self) -> Malformed {
        Malformed::Impossible(char::from(self.tag))
    }

    fn left(&self) -> usize {
        self.block.len() - self.at
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>, Malformed> {
        if length > self.left() {
            return Err(self.truncated());
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let chunk = self
            .block
            .get(self.at..)
            .and_then(<[u8]>::first_chunk::<N>)
            .copied();
        self.at += if chunk.is_some() { N } else { 0 };
        chunk.ok_or_else(|| self.truncated())
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.chunk().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn lsn(&mut self) -> Result<Lsn, Malformed> {
        self.chunk().map(u64::from_be_bytes).map(Lsn)
    }

    fn micros(&mut self) -> Result<i64, Malformed> {
        Ok(self.chunk().map(i64::from_be_bytes)?.saturating_add(EPOCH_MICROS))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let rest = self.block.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| self.truncated())?;
        let text = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        self.at += length + 1;
        Ok(text)
    }

    fn tuple(&mut self) -> Result<Tuple, Malformed> {
        let len = self.u16()?;
        let start = self.at;
        for _ in 0..len {
            let (_, next) = column_at(self.block, self.at).ok_or_else(|| self.truncated())?;
            self.at = next;
        }
        Ok(Tuple {
            len,
            body: start..self.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Message, Malformed> {
        decode(bytes, 0..bytes.len())
    }

    /// As a real server sent them for `update t set v = 'b' where id = 1` with REPLICA IDENTITY FULL.
    #[test]
    fn an_update_has_its_old_and_its_new_row() {
        let bytes = b"U\0\0\x40\0O\0\x02t\0\0\0\x011t\0\0\0\x01aN\0\x03t\0\0\0\x011nu";
        let Ok(Message::Update {
            relation,
            old: Some(old),
            new,
        }) = read(bytes)
        else {
            panic!()
        };
        assert_eq!((relation, old.key_only), (0x4000, false));
        let text = |column: Column| match column {
            Column::Text(range) => String::from_utf8(bytes[range].to_vec()).unwrap(),
            other => format!("{other:?}"),
        };
        assert_eq!(old.tuple.columns(bytes).map(text).collect::<Vec<_>>(), ["1", "a"]);
        assert_eq!(
            new.columns(bytes).map(text).collect::<Vec<_>>(),
            ["1", "Null", "Unchanged"]
        );
    }

    #[test]
    fn a_relation_names_its_columns() {
        let bytes = b"R\0\0\x40\0fx\0t\0d\0\x02\x01id\0\0\0\0\x17\xff\xff\xff\xff\0v\0\0\0\0\x19\0\0\0\x08";
        let Ok(Message::Relation(found)) = read(bytes) else {
            panic!()
        };
        assert_eq!((found.schema.as_str(), found.table.as_str()), ("fx", "t"));
        assert_eq!(found.replica_identity, ReplicaIdentity::Default);
        let columns: Vec<_> = found
            .columns
            .iter()
            .map(|c| (c.key, c.name.as_str(), c.type_oid, c.type_modifier))
            .collect();
        assert_eq!(columns, [(true, "id", 23, -1), (false, "v", 25, 8)]);
    }

    #[test]
    fn transactions_have_times_since_1970() {
        let begin = b"B\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\x07";
        assert_eq!(
            read(begin),
            Ok(Message::Begin {
                final_lsn: Lsn(16),
                commit_micros: EPOCH_MICROS + 1,
                xid: 7
            })
        );
        let commit = b"C\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x01";
        assert_eq!(
            read(commit),
            Ok(Message::Commit {
                commit_lsn: Lsn(16),
                end_lsn: Lsn(32),
                commit_micros: EPOCH_MICROS + 1
            })
        );
    }

    #[test]
    fn a_count_larger_than_the_message_is_refused_before_allocating() {
        assert_eq!(
            read(b"T\xff\xff\xff\xff\0\0\0\0\x01"),
            Err(Malformed::Truncated('T'))
        );
        assert_eq!(
            read(b"R\0\0\0\x01s\0t\0d\xff\xff"),
            Err(Malformed::Truncated('R'))
        );
        assert_eq!(read(b"I\0\0\0\x01N\xff\xff"), Err(Malformed::Truncated('I')));
        assert_eq!(read(b"S\0"), Err(Malformed::Tag(b'S')));
        assert_eq!(read(b""), Err(Malformed::Empty));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tag in prop::sample::select(b"BCORYIUDTMX".to_vec()),
                                  rest in proptest::collection::vec(any::<u8>(), 0..120)) {
            let bytes = [&[tag], rest.as_slice()].concat();
            if let Ok(Message::Insert { new, .. } | Message::Update { new, .. }) = read(&bytes) {
                prop_assert_eq!(new.columns(&bytes).count(), new.len());
            }
        }

        #[test]
        fn any_row_reads_back(row in proptest::collection::vec(
            proptest::option::of(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20))), 0..20)) {
            let mut bytes = b"I\0\0\0\x09N".to_vec();
            bytes.extend(u16::try_from(row.len()).unwrap().to_be_bytes());
            for column in &row {
                match column {
                    None => bytes.push(b'n'),
                    Some(None) => bytes.push(b'u'),
                    Some(Some(text)) => {
                        bytes.push(b't');
                        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                        bytes.extend(text);
                    }
                }
            }
            let Ok(Message::Insert { relation: 9, new }) = read(&bytes) else { panic!() };
            let found: Vec<_> = new.columns(&bytes).map(|column| match column {
                Column::Null => None,
                Column::Unchanged => Some(None),
                Column::Text(range) | Column::Binary(range) => Some(Some(bytes[range].to_vec())),
            }).collect();
            prop_assert_eq!(found, row);
        }
    }
}
