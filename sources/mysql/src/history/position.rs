//! Which of two positions in a log comes first, as Debezium's `BinlogHistoryRecordComparator` has it.

use serde_json::{Map, Value as Json};

use crate::binlog::gtid::{GtidSet, MariaGtids};
use crate::ddl::Flavor;

/// A position to compare others with: usually the stored offset.
pub struct Position<'a> {
    offset: &'a Map<String, Json>,
    gtids: Option<Gtids>,
}

#[derive(PartialEq)]
enum Gtids {
    MySql(GtidSet),
    MariaDb(MariaGtids),
}

impl Gtids {
    fn parse(flavor: Flavor, text: &str) -> Option<Self> {
        match flavor {
            Flavor::MySql => GtidSet::parse(text).ok().map(Self::MySql),
            Flavor::MariaDb => MariaGtids::parse(text).ok().map(Self::MariaDb),
        }
    }

    fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(one), Self::MySql(other)) => other.contains_all(one),
            (Self::MariaDb(one), Self::MariaDb(other)) => one.beyond(other).is_empty(),
            _ => false,
        }
    }
}

impl<'a> Position<'a> {
    /// From an offset.
    pub fn new(flavor: Flavor, offset: &'a Map<String, Json>) -> Self {
        let gtids = text(offset, "gtids").and_then(|gtids| Gtids::parse(flavor, gtids));
        Self { offset, gtids }
    }

    /// Whether what was recorded at `self` had happened when the log was at `desired`.
    pub fn is_at_or_before(&self, desired: &Self) -> bool {
        match (&self.gtids, &desired.gtids) {
            (Some(recorded), Some(wanted)) if recorded == wanted => {
                let snapshot = |offset: &Map<String, Json>| offset.contains_key("snapshot");
                if !snapshot(self.offset) && snapshot(desired.offset) {
                    return false;
                }
                integer(self.offset, "event", 0) <= integer(desired.offset, "event", 0)
            }
            (Some(recorded), Some(wanted)) => recorded.within(wanted),
            // GTIDs are switched on, and hardly ever off.
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => self.is_at_or_before_in_files(desired),
        }
    }

    fn is_at_or_before_in_files(&self, desired: &Self) -> bool {
        let number = |name: &str, otherwise: i64| {
            (
                integer(self.offset, name, otherwise),
                integer(desired.offset, name, otherwise),
            )
        };
        let (recorded, wanted) = number("server_id", 0);
        if recorded != wanted {
            // Files of two servers have nothing to do with each other.
            let (recorded, wanted) = number("ts_sec", 0);
            return recorded <= wanted;
        }
        let file = |offset: &Map<String, Json>| {
            let name = text(offset, "file").unwrap_or_default();
            name.rsplit_once('.')
                .and_then(|(_, number)| number.parse::<u64>().ok())
        };
        let place = |offset| {
            (
                file(offset),
                integer(offset, "pos", -1),
                integer(offset, "event", 0),
                integer(offset, "row", -1),
            )
        };
        place(self.offset) <= place(desired.offset)
    }
}

fn text<'a>(offset: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    offset.get(name).and_then(Json::as_str)
}

fn integer(offset: &Map<String, Json>, name: &str, otherwise: i64) -> i64 {
    offset.get(name).and_then(Json::as_i64).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flavor: Flavor, recorded: &str, desired: &str) -> bool {
        let [recorded, desired]: [Map<String, Json>; 2] =
            [recorded, desired].map(|text| serde_json::from_str(text).unwrap());
        Position::new(flavor, &recorded).is_at_or_before(&Position::new(flavor, &desired))
    }

    #[test]
    fn files_are_compared_by_number_then_position_event_and_row() {
        for (recorded, desired, expected) in [
            (
                r#"{"file":"b.000009","pos":9}"#,
                r#"{"file":"b.000010","pos":4}"#,
                true,
            ),
            (
                r#"{"file":"b.1000000","pos":4}"#,
                r#"{"file":"b.999999","pos":4}"#,
                false,
            ),
            (
                r#"{"file":"b.1","pos":4294967300}"#,
                r#"{"file":"b.1","pos":4294967299}"#,
                false,
            ),
            (
                r#"{"file":"b.1","pos":4,"event":2}"#,
                r#"{"file":"b.1","pos":4,"event":1}"#,
                false,
            ),
            (
                r#"{"file":"b.1","pos":4}"#,
                r#"{"file":"b.1","pos":4,"row":1}"#,
                true,
            ),
            (
                r#"{"file":"a.9","pos":9,"server_id":1,"ts_sec":5}"#,
                r#"{"file":"b.1","pos":4,"server_id":2,"ts_sec":6}"#,
                true,
            ),
        ] {
            assert_eq!(
                check(Flavor::MySql, recorded, desired),
                expected,
                "{recorded} {desired}"
            );
        }
    }

    #[test]
    fn gtids_decide_where_there_are_any() {
        let a = "0998461a-e6ea-11f1-8cee-02fc00000001";
        let b = "0998461a-e6ea-11f1-8cee-02fc00000002";
        let at = |gtids: &str| format!(r#"{{"file":"x.1","pos":1,"gtids":"{gtids}"}}"#);
        for (recorded, desired, expected) in [
            (format!("{a}:1-3"), format!("{a}:1-4"), true),
            (format!("{a}:1-5"), format!("{a}:1-4"), false),
            (format!("{a}:1-3"), format!("{b}:1-9,{a}:1-3"), true),
            (format!("{b}:1"), format!("{a}:1-9"), false),
        ] {
            assert_eq!(check(Flavor::MySql, &at(&recorded), &at(&desired)), expected);
        }
        for (recorded, desired, expected) in [
            ("0-1-5", "0-2-6", true),
            ("0-1-7", "0-1-6", false),
            ("0-1-5,1-1-1", "0-1-6", false),
        ] {
            assert_eq!(check(Flavor::MariaDb, &at(recorded), &at(desired)), expected);
        }
        assert!(check(
            Flavor::MySql,
            r#"{"file":"x.9","pos":1}"#,
            &at(&format!("{a}:1"))
        ));
        assert!(!check(
            Flavor::MySql,
            &at(&format!("{a}:1")),
            r#"{"file":"x.9","pos":1}"#
        ));
    }

    #[test]
    fn what_was_streamed_comes_after_the_snapshot_it_began_with() {
        let gtids = "0998461a-e6ea-11f1-8cee-02fc00000001:1-2";
        let streamed = format!(r#"{{"file":"x.1","pos":1,"gtids":"{gtids}"}}"#);
        let snapshot = format!(r#"{{"file":"x.1","pos":1,"gtids":"{gtids}","snapshot":"INITIAL"}}"#);
        assert!(!check(Flavor::MySql, &streamed, &snapshot));
        assert!(check(Flavor::MySql, &snapshot, &streamed));
    }
}
