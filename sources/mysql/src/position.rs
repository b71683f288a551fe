//! Positions in the binlog, as Debezium's offsets keep them, and how they move.
//!
//! An offset says where the transaction that was being read begins (file and position of its BEGIN, and the GTIDs before
//! it), how many of its events are behind, and how many rows of the event after those. A restart reads the transaction
//! again and skips by counting, and so can Debezium.

use serde_json::{Map, Value as Json};
use tapline_api::offset::{Offset, Partition};
use tapline_api::{Error, Result, Value};
use tapline_cdc::java::hash_map_order;

use crate::binlog::Malformed;
use crate::binlog::gtid::{Gtid, GtidSet, MariaGtid, MariaGtids};
use crate::ddl::Flavor;

/// The source partition of a connector.
pub(crate) fn partition(server: &str) -> Partition {
    Partition::new([("server".to_owned(), Json::from(server))])
}

/// A place in the log: file and position.
pub(crate) type Place = (String, u64);

/// A stored position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) file: String,
    pub(crate) pos: u64,
    /// What was executed before the transaction at `pos`.
    pub(crate) gtids: Option<String>,
    /// Events of the transaction that are behind, its BEGIN among them.
    pub(crate) event: u64,
    /// Rows of the next event that are behind.
    pub(crate) row: u64,
    pub(crate) ts_sec: Option<i64>,
    pub(crate) server_id: u32,
    /// Whether a snapshot was being taken.
    pub(crate) snapshot: bool,
}

impl Position {
    /// The offset record's value; `transaction` are the entries of transaction metadata.
    pub(crate) fn to_offset(&self, transaction: Vec<(String, Json)>) -> Offset {
        let mut entries: Vec<(String, Json)> = Vec::with_capacity(9);
        let mut put = |name: &str, value: Json| entries.push((name.to_owned(), value));
        // First, as Debezium puts it: it shares a bucket with `event`.
        if self.server_id != 0 {
            put("server_id", self.server_id.into());
        }
        if let Some(gtids) = &self.gtids {
            put("gtids", gtids.as_str().into());
        }
        put("file", self.file.as_str().into());
        put("pos", self.pos.into());
        if self.event != 0 {
            put("event", self.event.into());
        }
        if self.row != 0 {
            put("row", self.row.into());
        }
        if let Some(ts_sec) = self.ts_sec {
            put("ts_sec", ts_sec.into());
        }
        if self.snapshot {
            put("snapshot", "INITIAL".into());
        }
        entries.extend(transaction);
        hash_map_order(&mut entries, |(name, _)| name);
        Offset::new(entries)
    }

    /// Reads an offset that we or Debezium wrote.
    ///
    /// # Errors
    /// A config error when a value has another type: somebody has edited it.
    pub(crate) fn from_offset(offset: &Offset) -> Result<Self> {
        let malformed = |name: &str, value: &Json| {
            Error::config(format!(
                "the stored offset's '{name}' is {value}, which is no position"
            ))
            .hint("mend it by PATCH /connectors/NAME/offsets")
        };
        let number = |name: &str| -> Result<u64> {
            match offset.get(name) {
                None | Some(Json::Null) => Ok(0),
                Some(value) => value.as_u64().ok_or_else(|| malformed(name, value)),
            }
        };
        let text = |name: &str| -> Result<Option<String>> {
            match offset.get(name) {
                None | Some(Json::Null) => Ok(None),
                Some(Json::String(text)) => Ok(Some(text.clone())),
                Some(value) => Err(malformed(name, value)),
            }
        };
        let snapshot = match offset.get("snapshot") {
            None | Some(Json::Null | Json::Bool(false)) => false,
            Some(Json::Bool(true)) => true,
            Some(Json::String(text)) => !text.eq_ignore_ascii_case("false"),
            Some(value) => return Err(malformed("snapshot", value)),
        };
        let file = text("file")?.ok_or_else(|| malformed("file", &Json::Null))?;
        Ok(Self {
            file,
            pos: number("pos")?,
            gtids: text("gtids")?.filter(|gtids| !gtids.trim().is_empty()),
            event: number("event")?,
            row: number("row")?,
            ts_sec: offset.get("ts_sec").and_then(Json::as_i64),
            server_id: u32::try_from(number("server_id")?).unwrap_or(0),
            snapshot,
        })
    }
}

/// What was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gtids {
    MySql(GtidSet),
    MariaDb(MariaGtids),
}

/// One transaction's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnyGtid {
    MySql(Gtid),
    MariaDb(MariaGtid),
}

impl Gtids {
    /// Reads the text form.
    pub(crate) fn parse(flavor: Flavor, text: &str) -> Result<Self, Malformed> {
        Ok(match flavor {
            Flavor::MySql => Self::MySql(GtidSet::parse(text)?),
            Flavor::MariaDb => Self::MariaDb(MariaGtids::parse(text)?),
        })
    }

    fn add(&mut self, gtid: &AnyGtid) {
        match (self, gtid) {
            (Self::MySql(set), AnyGtid::MySql(gtid)) => set.add(gtid),
            (Self::MariaDb(set), AnyGtid::MariaDb(gtid)) => set.add(*gtid),
            _ => {}
        }
    }

    /// Whether a transaction is among them.
    fn has(&self, gtid: &AnyGtid) -> bool {
        match (self, gtid) {
            (Self::MySql(set), AnyGtid::MySql(gtid)) => {
                let mut one = GtidSet::default();
                one.add(gtid);
                set.contains_all(&one)
            }
            (Self::MariaDb(set), AnyGtid::MariaDb(gtid)) => {
                let mut one = MariaGtids::default();
                one.add(*gtid);
                one.beyond(set).is_empty()
            }
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::MySql(set) => set.is_empty(),
            Self::MariaDb(set) => set.is_empty(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::MySql(set) => set.to_string(),
            Self::MariaDb(set) => set.to_string(),
        }
    }
}

/// Follows a stream: Debezium's `BinlogOffsetContext`.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// Where a restart begins.
    restart: Position,
    /// What is executed wholly.
    gtids: Gtids,
    /// The transaction that is being read.
    current: Option<AnyGtid>,
    /// Its id, as events have it.
    pub(crate) gtid: Value,
    /// The file that is being read.
    pub(crate) file: String,
    /// Where the event that is being read begins.
    pub(crate) pos: u64,
    /// Where the next one does.
    pub(crate) next: u64,
    in_transaction: bool,
    /// Events that a restart has still to skip, from the first BEGIN on, and whether that has come.
    skip_events: u64,
    skipping: bool,
    skip_rows: u64,
    /// Where the last rows stand, until another transaction begins.
    told: Option<Told>,
    /// The id of a transaction that has ended, which counts as executed when the next one begins.
    ended: Option<AnyGtid>,
    /// Whether the position has moved since it was last asked for, by more than the end of the last rows' transaction.
    pub(crate) moved: bool,
    /// Whether that end has not been stored.
    pub(crate) owes_end: bool,
}

/// A place within a transaction: what Debezium stores with the transaction's last record.
#[derive(Debug, Clone, Copy)]
struct Told {
    pos: u64,
    event: u64,
    row: u64,
    ts_sec: Option<i64>,
}

impl Tracker {
    /// From a stored position on.
    pub(crate) fn new(position: Position, gtids: Gtids) -> Self {
        Self {
            gtids,
            current: None,
            gtid: Value::Null,
            file: position.file.clone(),
            pos: position.pos,
            next: position.pos,
            in_transaction: false,
            skip_events: position.event,
            skipping: false,
            skip_rows: position.row,
            told: None,
            ended: None,
            moved: false,
            owes_end: false,
            restart: position,
        }
    }

    /// The position to store now.
    pub(crate) fn position(&self) -> Position {
        let executed = match &self.ended {
            Some(ended) => {
                let mut gtids = self.gtids.clone();
                gtids.add(ended);
                self.text(&gtids)
            }
            None => self.text(&self.gtids),
        };
        Position {
            gtids: executed,
            snapshot: false,
            ..self.restart.clone()
        }
    }

    /// The position to store with the records so far: that of the last one where nothing but its transaction's end has come
    /// since, as Debezium does; and whether it is that.
    pub(crate) fn position_of_records(&self) -> (Position, bool) {
        let Some(told) = self.told else {
            return (self.position(), false);
        };
        let position = Position {
            pos: told.pos,
            event: told.event,
            row: told.row,
            ts_sec: told.ts_sec,
            gtids: self.text(&self.gtids),
            snapshot: false,
            ..self.restart.clone()
        };
        (position, true)
    }

    fn text(&self, gtids: &Gtids) -> Option<String> {
        if gtids.is_empty() {
            return self.restart.gtids.clone();
        }
        Some(gtids.text())
    }

    /// ROTATE: the next file, and where it is read from; the one that was made up at the beginning says so too.
    pub(crate) fn rotate(&mut self, file: String, pos: u64) {
        self.pos = pos;
        self.next = pos;
        if !self.in_transaction && self.skip_events == 0 && file != self.restart.file {
            self.restart.file.clone_from(&file);
            self.restart.pos = pos;
            self.restart.event = 0;
            self.restart.row = 0;
            self.told = None;
            self.moved = true;
        }
        self.file = file;
    }

    /// An event of a file begins. `next` is what its header has of where the one after it begins; `None` of one inside a
    /// compressed transaction, which has no place of its own.
    pub(crate) fn event(&mut self, next: Option<u32>, length: u32, server_id: u32, seconds: Option<i64>) {
        self.restart.server_id = server_id;
        if let Some(seconds) = seconds {
            self.restart.ts_sec = Some(seconds);
        }
        let Some(next) = next else { return };
        self.next = end_of(self.next, next, length);
        self.pos = self.next.saturating_sub(length.into());
        if !self.in_transaction && self.skip_events == 0 {
            self.restart.file.clone_from(&self.file);
            self.restart.pos = self.next;
            self.restart.event = 0;
            self.restart.row = 0;
        }
    }

    /// The server has left out what lies before `pos` of the file, as it says itself.
    pub(crate) fn reach(&mut self, pos: u64) {
        self.next = self.next.max(pos);
    }

    /// Whether an event begins at `goal`, or behind it; see [`event`](Self::event).
    pub(crate) fn is_at(&self, next: u32, length: u32, goal: &Position) -> bool {
        let begin = end_of(self.next, next, length).saturating_sub(length.into());
        is_at_or_behind((&self.file, begin), (&goal.file, goal.pos))
    }

    /// Whether the transaction that is being read is among those that `seen` names: executed GTIDs, or what lies before
    /// `file:position`.
    pub(crate) fn is_within(&self, flavor: Flavor, seen: &str) -> bool {
        if let Ok(seen) = Gtids::parse(flavor, seen) {
            return self.current.as_ref().is_some_and(|gtid| seen.has(gtid));
        }
        let Some((file, pos)) = seen.rsplit_once(':') else {
            return false;
        };
        let pos = pos.parse().unwrap_or(0);
        !is_at_or_behind((&self.file, self.pos), (file, pos))
    }

    /// A transaction's id. One that was not closed by a commit (a DDL statement's) is behind now.
    pub(crate) fn begin_gtid(&mut self, gtid: AnyGtid, text: Value) {
        self.close_gtid();
        self.current = Some(gtid);
        self.gtid = text;
    }

    /// Without GTIDs: events have none.
    pub(crate) fn no_gtid(&mut self) {
        self.close_gtid();
        self.gtid = Value::Null;
    }

    fn close_gtid(&mut self) {
        self.told = None;
        for gtid in [self.ended.take(), self.current.take()].into_iter().flatten() {
            self.gtids.add(&gtid);
            self.moved = true;
        }
    }

    /// BEGIN, at the event that is being read.
    pub(crate) fn begin(&mut self) {
        self.in_transaction = true;
        self.told = None;
        if self.skip_events > 0 {
            self.skipping = true;
            // What is stored already says more.
            return;
        }
        self.restart.file.clone_from(&self.file);
        self.restart.pos = self.pos;
        self.restart.event = 0;
        self.restart.row = 0;
    }

    /// A compressed transaction, which has its BEGIN inside: until that has come, a restart begins at this event.
    pub(crate) fn stay(&mut self) {
        if self.skip_events == 0 {
            self.restart.pos = self.pos;
        }
    }

    /// The transaction has ended with the event that is being read.
    pub(crate) fn commit(&mut self) {
        self.in_transaction = false;
        self.skip_events = 0;
        self.skipping = false;
        self.skip_rows = 0;
        self.ended = self.current.take().or(self.ended.take());
        self.restart.file.clone_from(&self.file);
        self.restart.pos = self.next;
        self.restart.event = 0;
        self.restart.row = 0;
        match self.told {
            Some(_) => self.owes_end = true,
            None => self.moved = true,
        }
    }

    /// The event that was being read is behind.
    pub(crate) fn complete(&mut self) {
        if self.skipping {
            self.skip_events = self.skip_events.saturating_sub(1);
            self.skipping = self.skip_events > 0;
            return;
        }
        if self.in_transaction {
            self.restart.event += 1;
            self.restart.row = 0;
        }
    }

    /// Whether this event was handled before the restart.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether a transaction is being read.
    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// How many rows of the first rows event after the restart were handled before it.
    pub(crate) fn take_skipped_rows(&mut self) -> u64 {
        std::mem::take(&mut self.skip_rows)
    }

    /// All `rows` of the event that is being read are behind.
    pub(crate) fn rows(&mut self, rows: u64) {
        self.restart.row = rows;
        self.tell();
    }

    /// A record of this transaction stands here.
    pub(crate) fn tell(&mut self) {
        self.told = Some(Told {
            pos: self.restart.pos,
            event: self.restart.event,
            row: self.restart.row,
            ts_sec: self.restart.ts_sec,
        });
        self.moved = true;
    }

    /// What follows is behind the last record's transaction.
    pub(crate) fn tell_all(&mut self) {
        self.told = None;
    }

    /// What [`position_of_records`](Self::position_of_records) gave is on its way; `within` as it said.
    pub(crate) fn stored(&mut self, within: bool) {
        self.moved = false;
        self.owes_end &= within;
    }

    /// The second that stands in offsets.
    pub(crate) fn set_seconds(&mut self, seconds: i64) {
        self.restart.ts_sec = Some(seconds);
    }
}

/// Where an event ends that begins at `from` or behind it: its header has the lower half of that alone, `next`. Files go on
/// beyond 4 GiB. Zero says nothing: within a transaction MariaDB 12 leaves it out (`binlog_legacy_event_pos`), and an event
/// may end at 4 GiB; then the event begins at `from`.
pub(crate) fn end_of(from: u64, next: u32, length: u32) -> u64 {
    const HALF: u64 = 1 << 32;
    if next == 0 {
        return from.saturating_add(length.into());
    }
    let end = from & !(HALF - 1) | u64::from(next);
    if end < from { end.saturating_add(HALF) } else { end }
}

/// Whether the first place is the second one, or behind it. Files are numbered.
pub(crate) fn is_at_or_behind(place: (&str, u64), other: (&str, u64)) -> bool {
    let number = |file: &str| -> u64 {
        let digits = file.rsplit('.').next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    };
    (number(place.0), place.1) >= (number(other.0), other.1)
}

/// What the schema history calls the source.
pub(crate) fn source(server: &str) -> Map<String, Json> {
    [("server".to_owned(), Json::from(server))].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(offset: &Offset) -> String {
        serde_json::to_string(&*offset.0).unwrap()
    }

    const UUID: &str = "0998461a-e6ea-11f1-8cee-02fc00000001";

    fn position() -> Position {
        Position {
            file: "binlog.000001".into(),
            pos: 10_132,
            gtids: Some(format!("{UUID}:1-38")),
            event: 2,
            row: 1,
            ts_sec: Some(1_795_407_348),
            server_id: 1,
            snapshot: false,
        }
    }

    #[test]
    fn an_offset_has_the_bytes_that_debezium_recorded() {
        assert_eq!(
            text(&position().to_offset(Vec::new())),
            format!(
                r#"{{"ts_sec":1795407348,"file":"binlog.000001","pos":10132,"gtids":"{UUID}:1-38","row":1,"server_id":1,"event":2}}"#
            )
        );
        let transaction = vec![
            ("transaction_id".to_owned(), Json::from("x:10")),
            (
                "transaction_data_collection_order_fx.zz_end".to_owned(),
                Json::from(1),
            ),
        ];
        let ended = Position {
            event: 3,
            row: 0,
            ..position()
        };
        assert_eq!(
            text(&ended.to_offset(transaction)),
            format!(
                r#"{{"transaction_id":"x:10","ts_sec":1795407348,"file":"binlog.000001","pos":10132,"gtids":"{UUID}:1-38","server_id":1,"event":3,"transaction_data_collection_order_fx.zz_end":1}}"#
            )
        );
    }

    #[test]
    fn an_offset_reads_back() {
        assert_eq!(
            Position::from_offset(&position().to_offset(Vec::new())).unwrap(),
            position()
        );
        let running = Position {
            snapshot: true,
            ..position()
        };
        assert!(
            Position::from_offset(&running.to_offset(Vec::new()))
                .unwrap()
                .snapshot
        );
        let edited = Offset::new([("file".to_owned(), Json::from(7))]);
        assert!(Position::from_offset(&edited).is_err());
    }

    fn gtid(number: u64) -> (AnyGtid, Value) {
        let set = GtidSet::parse(&format!("{UUID}:{number}")).unwrap();
        let mut body = vec![0u8];
        body.extend(set.encode().get(8..24).unwrap());
        body.extend(number.to_le_bytes());
        let gtid = Gtid::read(&body).unwrap();
        (AnyGtid::MySql(gtid.clone()), Value::from(gtid.to_string()))
    }

    /// BEGIN, TABLE_MAP, a rows event of three rows, XID; the position after the rows event and after all.
    fn transaction(tracker: &mut Tracker, number: u64, at: u32) -> (u64, Position) {
        let (id, value) = gtid(number);
        tracker.event(Some(at + 50), 50, 1, Some(7));
        tracker.begin_gtid(id, value);
        tracker.complete();
        tracker.event(Some(at + 100), 50, 1, None);
        tracker.begin();
        tracker.complete();
        tracker.event(Some(at + 150), 50, 1, None);
        tracker.complete();
        tracker.event(Some(at + 200), 50, 1, None);
        let mut seen = 0;
        if !tracker.is_skipping() {
            seen = 3 - tracker.take_skipped_rows();
            tracker.rows(3);
        }
        let stored = tracker.position();
        tracker.complete();
        tracker.event(Some(at + 250), 50, 1, None);
        tracker.commit();
        tracker.complete();
        (seen, stored)
    }

    #[test]
    fn a_restart_within_a_transaction_repeats_and_skips_nothing() {
        let start = Position {
            file: "b.1".into(),
            pos: 4,
            ..Position::default()
        };
        let executed = || Gtids::MySql(GtidSet::parse(&format!("{UUID}:1-4")).unwrap());
        let mut tracker = Tracker::new(start, executed());
        let (seen, stored) = transaction(&mut tracker, 5, 1000);
        assert_eq!(seen, 3);
        assert_eq!((stored.pos, stored.event, stored.row), (1050, 2, 3));
        assert_eq!(stored.gtids, Some(format!("{UUID}:1-4")));
        assert_eq!(tracker.position().gtids, Some(format!("{UUID}:1-5")));
        assert_eq!((tracker.position().pos, tracker.position().event), (1250, 0));
        let mut again = Tracker::new(stored.clone(), executed());
        assert_eq!(transaction(&mut again, 5, 1000).0, 0);
        assert_eq!(transaction(&mut again, 6, 2000).0, 3);
        let part = Position { row: 1, ..stored };
        assert_eq!(transaction(&mut Tracker::new(part, executed()), 5, 1000).0, 2);
    }

    #[test]
    fn positions_go_beyond_four_gibibytes() {
        let start = Position {
            file: "b.1".into(),
            pos: u64::from(u32::MAX) - 10,
            ..Position::default()
        };
        let mut tracker = Tracker::new(start, Gtids::MySql(GtidSet::default()));
        tracker.event(Some(39), 50, 1, None);
        assert_eq!((tracker.next, tracker.pos), ((1 << 32) + 39, (1 << 32) - 11));
        // A transaction of nine gibibytes.
        tracker.begin();
        for n in 1u64..=900 {
            let end = (1 << 32) + 39 + n * 10_000_000;
            tracker.event(
                Some(u32::try_from(end & 0xffff_ffff).unwrap()),
                10_000_000,
                1,
                None,
            );
            assert_eq!((tracker.next, tracker.pos), (end, end - 10_000_000));
            tracker.complete();
        }
        let inside = tracker.position();
        assert_eq!((inside.pos, inside.event), ((1 << 32) - 11, 900));
        tracker.commit();
        assert_eq!(tracker.position().pos, (1 << 32) + 39 + 9_000_000_000);
    }

    #[test]
    fn an_event_without_a_place_begins_where_the_last_one_ended() {
        let four = 1u64 << 32;
        // It ends at four gibibytes.
        assert_eq!(end_of(four - 50, 0, 50), four);
        assert_eq!(end_of(four, 70, 70), four + 70);
        // MariaDB has not filled it in.
        assert_eq!(end_of(3 * four + 1000, 0, 50), 3 * four + 1050);
        let start = Position {
            file: "b.1".into(),
            pos: 4,
            ..Position::default()
        };
        let mut tracker = Tracker::new(start, Gtids::MySql(GtidSet::default()));
        // What was left out ends beyond the first half.
        tracker.reach(four + 500);
        tracker.event(Some(560), 60, 1, None);
        assert_eq!(tracker.pos, four + 500);
    }

    #[test]
    fn places_are_ordered_by_the_number_of_the_file() {
        assert!(is_at_or_behind(("b.000010", 4), ("b.000009", 900)));
        assert!(is_at_or_behind(("b.1000000", 4), ("b.999999", 900)));
        assert!(is_at_or_behind(("b.1", 4), ("b.1", 4)));
        assert!(!is_at_or_behind(("b.1", 4), ("b.1", 5)));
    }

    #[test]
    fn what_a_snapshot_saw_is_told_by_gtids_or_by_the_place() {
        let mut tracker = Tracker::new(
            Position {
                file: "b.000002".into(),
                pos: 4,
                ..Position::default()
            },
            Gtids::MySql(GtidSet::default()),
        );
        let within = |tracker: &Tracker, seen: &str| tracker.is_within(Flavor::MySql, seen);
        tracker.event(Some(500), 100, 1, None);
        assert!(within(&tracker, "b.000002:401") && within(&tracker, "b.000010:4"));
        assert!(!within(&tracker, "b.000002:400") && !within(&tracker, "b.000001:9000"));
        let gtid = Gtid {
            origin: crate::binlog::gtid::Origin {
                uuid: *b"\x09\x98\x46\x1a\xe6\xea\x11\xf1\x8c\xee\x02\xfc\x00\x00\x00\x01",
                tag: String::new(),
            },
            number: 7,
        };
        tracker.begin_gtid(AnyGtid::MySql(gtid), Value::Null);
        assert!(within(&tracker, &format!("{UUID}:1-7")) && !within(&tracker, &format!("{UUID}:1-6:8-9")));
        let goal = |pos| Position {
            file: "b.000002".into(),
            pos,
            ..Position::default()
        };
        assert!(tracker.is_at(700, 200, &goal(500)) && !tracker.is_at(700, 200, &goal(501)));
        assert!(tracker.is_at(0, 200, &goal(500)) && !tracker.is_at(0, 200, &goal(501)));
    }
}
