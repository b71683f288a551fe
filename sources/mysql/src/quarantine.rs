//! Tables whose schema at the stream's place is not known: their changes are left out, and nobody else's. But what has gone is
//! told by its key, as far as that can be found: reading the rows again would not tell it.
//!
//! ```text
//!  a change of a table ── schema not known ──▶ held ── asked of the server: schema, end of the log ──▶ answered
//!                                               ▲                                                         │
//!                                               └───────────── a statement names the table ───────────────┤
//!                            read again ◀── released ◀── the stream has come to that end ─────────────────┘
//! ```
//!
//! What the server says of a table holds from the end of its log on, if no statement on the way there names the table. Then
//! the table is released: its changes are told again, and its rows are read by an incremental snapshot; those of a table
//! without a key by a blocking one. Until then what is held, why and since where lies beside the offsets, so that a restart
//! goes on with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tapline_api::Result;
use tapline_api::offset::{Offset, OffsetMark, Partition};
use tapline_api::source::OffsetReader;
use tokio::time::Instant;

use crate::position::{Place, is_at_or_behind};
use crate::schema::{Table, TableId};

/// How long to wait after a server's answer that is not understood either.
const AGAIN: Duration = Duration::from_secs(10);

/// What the server says of a table.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) table: Arc<Table>,
    /// As the server would make it.
    pub(crate) statement: String,
    /// From where on that holds.
    pub(crate) from: Place,
}

#[derive(Debug)]
struct Held {
    why: String,
    /// The offset at the first change that was left out.
    since: Json,
    due: Instant,
    answer: Option<Answer>,
}

/// The tables that are held.
#[derive(Debug)]
pub(crate) struct Quarantine {
    server: Arc<str>,
    tables: BTreeMap<TableId, Held>,
}

impl Quarantine {
    /// None, for the server of this topic prefix.
    pub(crate) fn new(server: impl Into<Arc<str>>) -> Self {
        Self {
            server: server.into(),
            tables: BTreeMap::new(),
        }
    }

    fn partition(&self) -> Partition {
        Partition::new([
            ("server".to_owned(), json!(&*self.server)),
            ("tapline".to_owned(), json!("quarantine")),
        ])
    }

    /// Reads back what was held when the last run ended.
    pub(crate) async fn restore(&mut self, offsets: &dyn OffsetReader) -> Result<()> {
        let stored = offsets.offset(&self.partition()).await?;
        let tables = stored.as_ref().and_then(|offset| offset.get("tables"));
        for (name, held) in tables.and_then(Json::as_object).into_iter().flatten() {
            if let Some(id) = TableId::parse(name) {
                let why = held.get("why").and_then(Json::as_str).unwrap_or_default();
                self.put(id, why, held.get("position").cloned().unwrap_or_default());
            }
        }
        Ok(())
    }

    fn put(&mut self, id: TableId, why: &str, since: Json) {
        tracing::warn!(table = %id, why, "changes of a table are left out until its schema is known");
        let held = Held {
            why: why.to_owned(),
            since,
            due: Instant::now(),
            answer: None,
        };
        self.tables.insert(id, held);
    }

    /// Whether a table's changes are left out.
    pub(crate) fn holds(&self, id: &TableId) -> bool {
        !self.tables.is_empty() && self.tables.contains_key(id)
    }

    /// Holds a table from this offset on; the mark that remembers it.
    pub(crate) fn hold(&mut self, id: TableId, why: &str, since: &Offset) -> OffsetMark {
        self.put(id, why, Json::Object(Map::clone(&since.0)));
        self.mark()
    }

    /// Lets a table go; the mark that remembers it.
    pub(crate) fn release(&mut self, id: &TableId) -> OffsetMark {
        self.tables.remove(id);
        self.mark()
    }

    fn mark(&self) -> OffsetMark {
        let held = |(id, held): (&TableId, &Held)| {
            let entry = json!({"why": held.why, "position": held.since});
            (id.quoted('"'), entry)
        };
        let tables: Map<String, Json> = self.tables.iter().map(held).collect();
        let offset = Offset::new([("tables".to_owned(), Json::Object(tables))]);
        OffsetMark {
            after: 0,
            partition: self.partition(),
            offset: (!self.tables.is_empty()).then_some(offset),
        }
    }

    /// A statement: what the server said of tables that it may name is not sure any more.
    pub(crate) fn heard(&mut self, sql: &str) {
        if self.tables.is_empty() {
            return;
        }
        let sql = sql.to_lowercase();
        for (id, held) in &mut self.tables {
            if held.answer.is_some() && names(&sql, &id.table) {
                held.answer = None;
                held.due = Instant::now();
            }
        }
    }

    /// When to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let open = self.tables.values().filter(|held| held.answer.is_none());
        open.map(|held| held.due).min()
    }

    /// Whether there is anything to look at.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut tables = self.tables.values();
        tables.any(|held| held.answer.is_some() || held.due <= now)
    }

    /// Tables to ask the server about. Each is asked for again only after a while.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<TableId> {
        let mut due = Vec::new();
        for (id, held) in &mut self.tables {
            if held.answer.is_none() && held.due <= now {
                held.due = now + AGAIN;
                due.push(id.clone());
            }
        }
        due
    }

    /// What the server says.
    pub(crate) fn answered(&mut self, id: &TableId, answer: Answer) {
        if let Some(held) = self.tables.get_mut(id) {
            held.answer = Some(answer);
        }
    }

    /// The answers that hold at this place.
    pub(crate) fn reached(&self, place: (&str, u64)) -> Vec<Answer> {
        let answers = self.tables.values().filter_map(|held| held.answer.as_ref());
        answers
            .filter(|answer| is_at_or_behind(place, (&answer.from.0, answer.from.1)))
            .cloned()
            .collect()
    }
}

/// Whether a statement, in small letters, may name a table. A name with a quote in it is written doubled: any statement may.
pub(crate) fn names(sql: &str, table: &str) -> bool {
    table.contains('`') || table.contains('"') || sql.contains(&table.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &TableId, pos: u64) -> Answer {
        Answer {
            table: Arc::new(Table::new(id.clone())),
            statement: "CREATE TABLE …".to_owned(),
            from: ("b.000002".to_owned(), pos),
        }
    }

    #[test]
    fn a_table_is_released_where_the_servers_answer_holds() {
        let mut quarantine = Quarantine::new("g");
        let (one, two) = (TableId::new("fx", "one"), TableId::new("fx", "Two"));
        let since = Offset::new([("pos".to_owned(), json!(4))]);
        quarantine.hold(one.clone(), "a reason", &since);
        let mark = quarantine.hold(two.clone(), "another", &since);
        assert_eq!(
            mark.offset.unwrap().get("tables").unwrap().to_string(),
            r#"{"\"fx\".\"Two\"":{"why":"another","position":{"pos":4}},"\"fx\".\"one\"":{"why":"a reason","position":{"pos":4}}}"#
        );
        assert!(quarantine.holds(&one) && !quarantine.holds(&TableId::new("fx", "three")));
        let now = Instant::now();
        assert_eq!(quarantine.take_due(now).len(), 2);
        assert_eq!(quarantine.take_due(now), []);
        quarantine.answered(&one, answer(&one, 700));
        quarantine.answered(&two, answer(&two, 900));
        assert!(quarantine.reached(("b.000002", 699)).is_empty());
        let reached = quarantine.reached(("b.000002", 700));
        assert_eq!(reached.len(), 1);
        assert_eq!(reached[0].table.id, one);
        quarantine.heard("ALTER TABLE fx.`tWO` ADD x INT");
        assert_eq!(quarantine.reached(("b.000003", 4)).len(), 1);
        quarantine.release(&one);
        assert!(quarantine.release(&two).offset.is_none());
    }
}
