//! Where the source stands: Debezium's offset, read and written.
//!
//! A position is (end of the last commit, LSN of the last event, events at that LSN): rows of one COPY page share an LSN,
//! and a commit's end can equal the next transaction's first LSN. It is stored under `{"server": prefix}` with
//! Debezium's keys, in the order in which its `HashMap` writes them, so that either side goes on where the other
//! stopped. What Debezium has no place for, the cluster that the positions are of, stands under a partition of its own.

use serde_json::Value as Json;
use tapline_api::offset::{Offset, Partition};
use tapline_api::{Error, Result};
use tapline_cdc::java::hash_map_order;

use crate::lsn::Lsn;

/// `messageType` in an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageType {
    Insert,
    Update,
    Delete,
    Truncate,
    Message,
    Begin,
    Commit,
}

impl MessageType {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Insert, "INSERT"),
        (Self::Update, "UPDATE"),
        (Self::Delete, "DELETE"),
        (Self::Truncate, "TRUNCATE"),
        (Self::Message, "MESSAGE"),
        (Self::Begin, "BEGIN"),
        (Self::Commit, "COMMIT"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }
}

/// How far a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotState {
    /// Rows are being read; stopped here, it begins again.
    Running,
    /// This was the last row.
    Completed,
}

/// A position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// The end of the last commit that is wholly behind.
    pub(crate) last_commit: Option<Lsn>,
    /// The last event, or where a snapshot looks at the database.
    pub(crate) lsn: Option<Lsn>,
    /// The last event all of whose parts are behind (a truncate of several tables has one per table).
    pub(crate) processed: Option<Lsn>,
    /// How many events at `lsn` are behind; 0 when only Debezium 3.6 has written it, which does not count.
    pub(crate) events: u64,
    pub(crate) tx_id: Option<i64>,
    /// Microseconds since 1970.
    pub(crate) ts_usec: Option<i64>,
    pub(crate) message_type: Option<MessageType>,
    pub(crate) snapshot: Option<SnapshotState>,
}

impl Position {
    /// The offset record's value.
    #[cfg(test)]
    pub(crate) fn to_offset(self) -> Offset {
        self.to_offset_with(&[])
    }

    /// The same with what else the run keeps there: the transaction's counts, the slot's xmin.
    pub(crate) fn to_offset_with(self, further: &[(String, Json)]) -> Offset {
        let mut entries: Vec<(&str, Json)> = Vec::with_capacity(9 + further.len());
        let mut put = |name, value: Option<i64>| entries.extend(value.map(|value| (name, Json::from(value))));
        put("ts_usec", self.ts_usec);
        put("txId", self.tx_id);
        put("lsn", self.lsn.map(Lsn::as_i64));
        if let Some(state) = self.snapshot {
            let completed = state == SnapshotState::Completed;
            entries.push(("snapshot", "INITIAL".into()));
            entries.push(("last_snapshot_record", completed.into()));
            entries.push(("snapshot_completed", completed.into()));
        }
        let mut put = |name, value: Option<i64>| entries.extend(value.map(|value| (name, Json::from(value))));
        put("lsn_proc", self.processed.map(Lsn::as_i64));
        put("lsn_commit", self.last_commit.map(Lsn::as_i64));
        if let Some(kind) = self.message_type {
            entries.push(("messageType", kind.name().into()));
        }
        // One event at an LSN is the rule, and Debezium 3.6 writes nothing then; several are what 3.7 added the key for.
        if self.events > 1 {
            entries.push(("lsn_events_processed", self.events.into()));
        }
        entries.extend(further.iter().map(|(name, value)| (name.as_str(), value.clone())));
        hash_map_order(&mut entries, |(name, _)| name);
        Offset::new(entries.into_iter().map(|(name, value)| (name.to_owned(), value)))
    }

    /// Reads an offset that we or Debezium wrote.
    ///
    /// # Errors
    /// A config error when a value has another type: somebody has edited it.
    pub(crate) fn from_offset(offset: &Offset) -> Result<Self> {
        let number = |name: &str| -> Result<Option<i64>> {
            match offset.get(name) {
                None | Some(Json::Null) => Ok(None),
                Some(value) => value.as_i64().map(Some).ok_or_else(|| malformed(name, value)),
            }
        };
        let lsn = |name: &str| -> Result<Option<Lsn>> { Ok(number(name)?.map(Lsn::from_i64)) };
        let flag = |name: &str| match offset.get(name) {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(value) => Err(malformed(name, value)),
        };
        let message_type = match offset.get("messageType") {
            None | Some(Json::Null) => None,
            Some(value) => {
                let known = value.as_str().and_then(MessageType::from_name);
                Some(known.ok_or_else(|| malformed("messageType", value))?)
            }
        };
        let completed = flag("snapshot_completed")? || flag("last_snapshot_record")?;
        let snapshot = match offset.get("snapshot") {
            // Debezium before 3.0 wrote true here.
            Some(Json::Bool(true)) if !completed => Some(SnapshotState::Running),
            Some(Json::String(kind)) if kind.eq_ignore_ascii_case("INITIAL") && !completed => {
                Some(SnapshotState::Running)
            }
            _ => None,
        };
        Ok(Self {
            last_commit: lsn("lsn_commit")?,
            lsn: lsn("lsn")?,
            processed: lsn("lsn_proc")?,
            events: number("lsn_events_processed")?
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0),
            tx_id: number("txId")?,
            ts_usec: number("ts_usec")?,
            message_type,
            snapshot,
        })
    }

    /// Where streaming starts: everything committed before is behind.
    pub(crate) fn start(&self) -> Lsn {
        self.last_commit
            .or(self.processed)
            .or(self.lsn)
            .unwrap_or(Lsn::NONE)
    }

    /// The part of a transaction that is behind, if the position is within one.
    pub(crate) fn within_transaction(&self) -> Option<Prefix> {
        let in_middle = match self.message_type {
            None | Some(MessageType::Commit | MessageType::Begin) => false,
            Some(_) => true,
        };
        match (in_middle, self.processed.or(self.lsn), self.tx_id) {
            (true, Some(lsn), Some(tx_id)) => Some(Prefix {
                xid: low_bits(tx_id),
                lsn,
                events: self.events.max(1),
            }),
            _ => None,
        }
    }
}

/// A transaction's events that a restart skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) xid: u32,
    lsn: Lsn,
    events: u64,
}

impl Prefix {
    /// Whether the `nth` event (from 1) at `lsn` is behind.
    pub(crate) fn covers(&self, lsn: Lsn, nth: u64) -> bool {
        lsn < self.lsn || (lsn == self.lsn && nth <= self.events)
    }
}

/// The stream's 32-bit id of a transaction whose 64-bit id a snapshot may have given.
fn low_bits(tx_id: i64) -> u32 {
    u32::try_from(tx_id & 0xFFFF_FFFF).unwrap_or_default()
}

fn malformed(name: &str, value: &Json) -> Error {
    Error::config(format!(
        "the stored offset's '{name}' has the impossible value {value}"
    ))
    .hint("set or reset the connector's offsets (PATCH or DELETE /connectors/NAME/offsets)")
}

/// The source partition of positions.
pub(crate) fn partition(prefix: &str) -> Partition {
    Partition::new([("server".to_owned(), Json::from(prefix))])
}

/// The source partition of what is ours alone.
pub(crate) fn cluster_partition(prefix: &str) -> Partition {
    Partition::new([
        ("server".to_owned(), Json::from(prefix)),
        ("tapline".to_owned(), "cluster".into()),
    ])
}

/// The database cluster that positions are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) system_id: String,
    pub(crate) timeline: i64,
}

impl Cluster {
    pub(crate) fn to_offset(&self) -> Offset {
        Offset::new([
            ("system_id".to_owned(), Json::from(self.system_id.clone())),
            ("timeline".to_owned(), Json::from(self.timeline)),
        ])
    }

    pub(crate) fn from_offset(offset: &Offset) -> Option<Self> {
        Some(Self {
            system_id: offset.get("system_id")?.as_str()?.to_owned(),
            timeline: offset.get("timeline")?.as_i64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(offset: &Offset) -> String {
        serde_json::to_string(&*offset.0).unwrap()
    }

    fn streamed() -> Position {
        Position {
            last_commit: Some(Lsn(1_793_033_992)),
            lsn: Some(Lsn(1_793_033_992)),
            processed: Some(Lsn(1_793_033_992)),
            events: 1,
            tx_id: Some(23_274),
            ts_usec: Some(1_795_406_797_489_812),
            message_type: Some(MessageType::Insert),
            snapshot: None,
        }
    }

    #[test]
    fn an_offset_has_the_bytes_that_debezium_recorded() {
        assert_eq!(
            text(&streamed().to_offset()),
            r#"{"lsn_proc":1793033992,"messageType":"INSERT","lsn_commit":1793033992,"lsn":1793033992,"txId":23274,"ts_usec":1795406797489812}"#
        );
    }

    #[test]
    fn an_offset_reads_back() {
        let again = |position: Position| Position::from_offset(&position.to_offset()).unwrap();
        assert_eq!(
            again(Position {
                events: 0,
                ..streamed()
            }),
            Position {
                events: 0,
                ..streamed()
            }
        );
        assert_eq!(
            again(Position {
                events: 7,
                ..streamed()
            }),
            Position {
                events: 7,
                ..streamed()
            }
        );
        let running = Position {
            lsn: Some(Lsn(5)),
            snapshot: Some(SnapshotState::Running),
            ..Position::default()
        };
        assert_eq!(again(running).snapshot, Some(SnapshotState::Running));
        let completed = Position {
            snapshot: Some(SnapshotState::Completed),
            ..running
        };
        assert_eq!(again(completed).snapshot, None);
        assert_eq!(again(completed).start(), Lsn(5));
    }

    #[test]
    fn a_position_within_a_transaction_skips_its_prefix_by_counting() {
        let prefix = Position {
            events: 2,
            ..streamed()
        }
        .within_transaction()
        .unwrap();
        let lsn = Lsn(1_793_033_992);
        assert!(prefix.covers(Lsn(1), 9) && prefix.covers(lsn, 1) && prefix.covers(lsn, 2));
        assert!(!prefix.covers(lsn, 3) && !prefix.covers(Lsn(lsn.0 + 1), 1));
        // Debezium 3.6 does not count: one is known to be behind.
        let prefix = Position {
            events: 0,
            ..streamed()
        }
        .within_transaction()
        .unwrap();
        assert!(prefix.covers(lsn, 1) && !prefix.covers(lsn, 2));
        let committed = Position {
            message_type: Some(MessageType::Commit),
            ..streamed()
        };
        assert_eq!(committed.within_transaction(), None);
    }

    #[test]
    fn an_edited_offset_of_the_wrong_type_is_named() {
        let offset = Offset::new([("lsn".to_owned(), Json::from("x"))]);
        assert!(
            Position::from_offset(&offset)
                .unwrap_err()
                .message()
                .contains("'lsn'")
        );
    }

    proptest! {
        #[test]
        fn a_restart_repeats_and_skips_nothing(lsns in proptest::collection::vec(1u64..6, 1..30), stop in 0usize..30) {
            // A transaction's events in order; several may share an LSN.
            let mut lsns = lsns;
            lsns.sort_unstable();
            let stop = stop.min(lsns.len() - 1);
            let nth = |index: usize| lsns[..=index].iter().filter(|lsn| **lsn == lsns[index]).count() as u64;
            let at = Position {
                lsn: Some(Lsn(lsns[stop])),
                processed: Some(Lsn(lsns[stop])),
                events: nth(stop),
                ..streamed()
            };
            let prefix = Position::from_offset(&at.to_offset()).unwrap().within_transaction().unwrap();
            for (index, lsn) in lsns.iter().enumerate() {
                prop_assert_eq!(prefix.covers(Lsn(*lsn), nth(index)), index <= stop);
            }
        }
    }
}
