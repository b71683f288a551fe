//! Where transactions begin and end.

use tapline_api::Value;

use super::Stream;
use crate::binlog::gtid::Gtid;
use crate::position::AnyGtid;

impl Stream<'_> {
    pub(super) fn on_gtid(&mut self, gtid: Gtid) {
        if let Some(at) = self.committed_at {
            self.origin.at = at;
            self.tracker.set_seconds(at.millis() / 1000);
        }
        let (included, excluded) = (&self.options.sources_included, &self.options.sources_excluded);
        let chosen = self.options.filter_by_source && !(included.is_empty() && excluded.is_empty());
        self.foreign = chosen && {
            let uuid = gtid.origin.to_string();
            let uuid = uuid.split(':').next().unwrap_or_default();
            !included.is_empty() && !included.matches(uuid) || !excluded.is_empty() && excluded.matches(uuid)
        };
        let text = Value::from(gtid.to_string());
        self.origin.gtid = text.clone();
        self.tracker.begin_gtid(AnyGtid::MySql(gtid), text);
    }

    pub(super) fn on_begin(&mut self, thread: u32) {
        self.origin.thread = Value::Int64(thread.into());
        self.tracker.begin();
        self.begin_transaction();
    }

    pub(super) fn begin_transaction(&mut self) {
        let Some(transactions) = &mut self.events.transactions else {
            return;
        };
        let id = match &self.origin.gtid {
            Value::String(gtid) => gtid.to_string(),
            _ => format!("file={},pos={}", self.tracker.file, self.tracker.pos),
        };
        if self.tracker.is_skipping() && transactions.id() == Some(&id) {
            // It goes on where the stored offset left it.
            return;
        }
        transactions.begin(id.clone());
        if !self.tracker.is_skipping() {
            let record = transactions.begun(id, self.origin.at.millis());
            self.events.push_boundary(record);
        }
    }

    pub(super) fn end_transaction(&mut self) {
        let skipping = self.tracker.is_skipping();
        if self.tracker.in_transaction()
            && let Some(transactions) = &mut self.events.transactions
            && let Some(id) = transactions.id().map(str::to_owned)
        {
            self.ended = transactions.offset_entries();
            let record = transactions.ended(id, self.origin.at.millis());
            transactions.forget();
            if !skipping {
                self.events.push_boundary(record);
                self.tracker.tell();
            }
        }
        self.events.seen.committed += 1;
        self.tracker.commit();
        self.origin.thread = Value::Null;
        self.origin.query = Value::Null;
        self.committed_at = None;
        self.foreign = false;
    }
}
