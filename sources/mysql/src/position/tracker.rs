//! How the position moves with the events that are read.

use tapline_api::Value;

use super::{AnyGtid, Gtids, Position, is_at_or_behind};
use crate::ddl::Flavor;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::gtid::{Gtid, GtidSet};

    const UUID: &str = "0998461a-e6ea-11f1-8cee-02fc00000001";

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
