//! Tables whose changes are left out until their schema is known (`quarantine`).

use tapline_api::Result;
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::headers::new_uuid;
use tapline_cdc::notification::Aggregate;
use tapline_cdc::signal::Execute;
use tokio::time::Instant;

use super::Stream;
use crate::quarantine::Answer;
use crate::schema::TableId;
use crate::signals::Signals;

impl Stream<'_> {
    /// Leaves a table's changes out from here on, until its schema is known.
    pub(super) fn hold(&mut self, id: TableId, why: &str) {
        self.tables.remove(&id);
        self.plans.remove(&id);
        self.kept.forget(&id);
        let since = self.tracker.position().to_offset(Vec::new());
        self.tell_of_held("QUARANTINED", &id, why);
        let mark = self.quarantine.hold(id, why, &since);
        self.heard.push(mark);
        self.tracker.moved = true;
    }

    pub(super) fn let_go(&mut self, id: &TableId, why: &str) {
        tracing::info!(table = %id, why, "a table is released");
        let mark = self.quarantine.release(id);
        self.heard.push(mark);
        self.tracker.moved = true;
        self.unknown.remove(id);
        self.maps.clear();
        self.tell_of_held("RELEASED", id, why);
    }

    fn tell_of_held(&mut self, kind: &str, id: &TableId, why: &str) {
        let data = [
            ("data_collections", id.to_string()),
            ("reason", why.to_owned()),
            ("position", format!("{}:{}", self.tracker.file, self.tracker.pos)),
        ];
        let notifier = &self.options.notifier;
        let record = notifier.notify(&new_uuid(), Aggregate::Quarantine, kind, &data, Clock::now());
        self.events.records.extend(record);
    }

    /// Asks the server for held tables, and releases those whose answer holds by now. The stream stands between two
    /// transactions.
    pub(super) async fn look_at_held(&mut self) -> Result<()> {
        for id in self.quarantine.take_due(Instant::now()) {
            let Some(statement) = self.catalog.create_table(&id).await? else {
                self.let_go(&id, "it is not there any more");
                continue;
            };
            match self.table_of(&id, &statement) {
                Ok((_, table)) => {
                    let end = self.catalog.end().await?;
                    let answer = Answer {
                        table,
                        statement,
                        from: (end.file, end.pos),
                    };
                    self.quarantine.answered(&id, answer);
                }
                Err(why) => tracing::warn!(table = %id, why, "a table stays held"),
            }
        }
        let (file, next) = (self.tracker.file.clone(), self.tracker.next);
        let answers = self.quarantine.reached((&file, next));
        if answers.is_empty() {
            return Ok(());
        }
        if self.signals.is_none() {
            self.signals = Some(Signals::new(self.options, None, None));
        }
        for Answer { table, statement, .. } in answers {
            let id = table.id.clone();
            self.let_go(&id, "the server has told its schema; its rows are read again");
            self.tables.put(table.clone());
            self.adopt(&id, table.clone(), statement).await?;
            let execute = Execute {
                blocking: table.key.is_empty(),
                collections: vec![literal_pattern(&id.to_string())],
                conditions: Vec::new(),
                surrogate_key: None,
            };
            self.lend(async |signals, context| signals.read_again(&new_uuid(), &execute, context).await)
                .await?;
        }
        self.settle().await
    }
}

/// A regular expression that this text alone matches.
fn literal_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
