//! `post.processors`: what the log did not have of a row is asked of its table.

use bytes::Bytes;
use tapline_api::{Result, Value};
use tapline_databases::postgres as pg;

use super::Stream;
use crate::pgoutput::Message;
use crate::reselect::{Key, open, shown, statement};

impl Stream<'_> {
    /// With `post.processors`: the relation and the key of a changed row.
    pub(super) fn key_of(&self, block: &Bytes, message: &Message) -> Option<(u32, Key)> {
        let reselect = self.options.reselect.as_ref()?;
        let (Message::Insert { relation, new } | Message::Update { relation, new, .. }) = message else {
            return None;
        };
        let plan = self.decoder.plans.get(relation)?.as_ref()?;
        let key = plan.key_texts(block, new, reselect.by_event_key);
        (!key.is_empty()).then_some((*relation, key))
    }

    /// Asks the table for what the events from `before` on lack of their rows.
    pub(super) async fn reselect(&mut self, relation: u32, key: &Key, before: usize) -> Result<()> {
        let (Some(reselect), Some(Some(plan))) = (&self.options.reselect, self.decoder.plans.get(&relation))
        else {
            return Ok(());
        };
        for index in before..self.events.records.len() {
            let after = self
                .events
                .records
                .get(index)
                .and_then(|record| record.value.as_struct())
                .and_then(|envelope| envelope.at(1)?.as_struct())
                .filter(|after| after.schema().id() == plan.row_schema.id());
            let missing = after
                .map(|after| plan.missing(after, reselect))
                .unwrap_or_default();
            if missing.is_empty() {
                continue;
            }
            let names: Vec<&str> = missing
                .iter()
                .map(|(column, _)| plan.column_name(*column))
                .collect();
            let sql = statement(&plan.table, &names, key);
            let asking = async {
                if self.reselecting.is_none() {
                    self.reselecting = Some(open(self.options).await?);
                }
                match &mut self.reselecting {
                    Some(connection) => connection.query(&sql).await,
                    None => Ok(Vec::new()),
                }
            };
            let found = match tokio::time::timeout(self.options.query_timeout, asking).await {
                Ok(found) => found,
                Err(_) => Err(pg::Error::Timeout(
                    "a row could not be read again in time".to_owned(),
                )),
            };
            let row = match found {
                Ok(rows) => rows.into_iter().next(),
                Err(error) => {
                    self.reselecting = None;
                    reselect.failed(format!(
                        "Failed to re-select columns for table {} and key {}: {error}",
                        plan.collection,
                        shown(key)
                    ))?;
                    continue;
                }
            };
            let Some(row) = row else {
                reselect.failed(format!(
                    "Failed to find row in table {} with key {}.",
                    plan.collection,
                    shown(key)
                ))?;
                continue;
            };
            for ((column, field), cell) in missing.into_iter().zip(row) {
                let value = plan.reselected(column, cell, &mut self.events.arena)?;
                if let Some(record) = self.events.records.get_mut(index)
                    && let Value::Struct(envelope) = &mut record.value
                    && let Some(Value::Struct(after)) = envelope.values_mut().get_mut(1)
                    && let Some(place) = after.values_mut().get_mut(field)
                {
                    *place = value;
                }
            }
        }
        Ok(())
    }
}
