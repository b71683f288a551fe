//! Positions in the binlog, as Debezium's offsets keep them, and how they move.
//!
//! An offset says where the transaction that was being read begins (file and position of its BEGIN, and the GTIDs before
//! it), how many of its events are behind, and how many rows of the event after those. A restart reads the transaction
//! again and skips by counting, and so can Debezium.

mod gtids;
mod tracker;

use serde_json::{Map, Value as Json};
use tapline_api::offset::{Offset, Partition};
use tapline_api::{Error, Result};
use tapline_cdc::java::hash_map_order;

pub(crate) use self::gtids::{AnyGtid, Gtids};
pub(crate) use self::tracker::{Tracker, end_of};

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

    #[test]
    fn places_are_ordered_by_the_number_of_the_file() {
        assert!(is_at_or_behind(("b.000010", 4), ("b.000009", 900)));
        assert!(is_at_or_behind(("b.1000000", 4), ("b.999999", 900)));
        assert!(is_at_or_behind(("b.1", 4), ("b.1", 4)));
        assert!(!is_at_or_behind(("b.1", 4), ("b.1", 5)));
    }
}
