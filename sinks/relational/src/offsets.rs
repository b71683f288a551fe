//! Exactly once: the consumed offsets, kept in the target beside the rows.
//!
//! ```text
//!  open   BEGIN · SELECT … FOR UPDATE · epoch + 1 · COMMIT       waits for a former owner's transaction, then fences it
//!  put    BEGIN · offset: from → to, if epoch is ours · rows · COMMIT
//! ```
//!
//! A row per connector, cluster, topic (by id, where it is known) and partition. The compare-and-set is in the transaction
//! that writes the rows: a former owner that wakes up finds another epoch and writes nothing, and a batch that comes again,
//! because its acknowledgement was lost, is recognized by its offsets.
//!
//! Topic ids are not always known, and a topic that was made anew must not be taken for the old one, whose offsets would hide
//! its records. So consumption starts one record early, where the target is ahead of the group: that record's timestamp
//! must be the one that was stored.

use std::collections::HashMap;
use std::sync::Arc;

use tapline_api::record::{SinkRecord, TopicPartition};
use tapline_api::sink::{Assigned, SinkOffsets};
use tapline_api::{Error, Kind, Result};

use crate::dialect::Dialect;
use crate::names::TableId;

/// How a database words what the offsets need.
pub(crate) struct Syntax {
    pub(crate) begin: &'static str,
    pub(crate) for_update: &'static str,
    /// Behind CREATE TABLE.
    pub(crate) table_options: &'static str,
}

/// The offsets of a task's partitions.
pub(crate) struct Offsets {
    table: TableId,
    connector: Arc<str>,
    cluster: Arc<str>,
    owned: HashMap<TopicPartition, Owned>,
}

struct Owned {
    topic_id: String,
    /// The next offset as it stands in the target; -1 if there is none.
    next: i64,
    /// The timestamp of the last record that was written.
    stamp: Option<i64>,
    epoch: i64,
    /// The first record is still to be compared.
    unproven: bool,
}

/// What a batch does to the offsets.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scan {
    /// Records that the target has already, by index; empty if there are none.
    pub(crate) known: Vec<bool>,
    moves: Vec<Move>,
}

#[derive(Debug, PartialEq)]
struct Move {
    partition: TopicPartition,
    next: i64,
    stamp: Option<i64>,
}

impl Offsets {
    pub(crate) fn new(table: TableId, connector: Arc<str>, cluster: Arc<str>) -> Self {
        Self {
            table,
            connector,
            cluster,
            owned: HashMap::new(),
        }
    }

    /// Makes the table unless it is there. `false`: the user has no right to.
    pub(crate) async fn prepare(&self, dialect: &mut dyn Dialect) -> Result<bool> {
        let name = dialect.qualified(&self.table);
        let look = format!("SELECT epoch FROM {name} WHERE 1 = 0");
        if dialect.query(&look).await.is_ok() {
            return Ok(true);
        }
        let options = dialect.syntax().table_options;
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {name} (connector varchar(255) NOT NULL, cluster_id varchar(64) NOT NULL, topic_id \
             varchar(64) NOT NULL, kafka_topic varchar(255) NOT NULL, kafka_partition integer NOT NULL, kafka_offset bigint \
             NOT NULL, kafka_timestamp bigint, epoch bigint NOT NULL, PRIMARY KEY (connector, cluster_id, topic_id, \
             kafka_topic, kafka_partition)){options}"
        );
        match dialect.query(&create).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::Retriable => Err(error),
            // Another task may have been faster.
            Err(error) => match dialect.query(&look).await {
                Ok(_) => Ok(true),
                Err(_) => {
                    tracing::warn!(table = %self.table, %error, "the table of offsets can't be made");
                    Ok(false)
                }
            },
        }
    }

    /// Takes partitions over from whoever had them. Returns where to start.
    pub(crate) async fn open(
        &mut self,
        dialect: &mut dyn Dialect,
        partitions: &[Assigned],
    ) -> Result<SinkOffsets> {
        let mut starts = SinkOffsets::new();
        for assigned in partitions {
            let key = &assigned.partition;
            let topic_id = assigned.topic_id.map(hex).unwrap_or_default();
            let (stored, stamp, epoch) = self.take(dialect, key, &topic_id).await?;
            let unproven = topic_id.is_empty() && stored > assigned.group_offset.unwrap_or(-1) && stored > 0;
            if stored >= 0 {
                starts.insert(key.clone(), if unproven { stored - 1 } else { stored });
            }
            let owned = Owned {
                topic_id,
                next: stored,
                stamp,
                epoch,
                unproven,
            };
            self.owned.insert(key.clone(), owned);
        }
        Ok(starts)
    }

    pub(crate) fn close(&mut self, partitions: &[TopicPartition]) {
        self.owned.retain(|key, _| !partitions.contains(key));
    }

    /// Reads the owned rows again, on a new connection: a commit whose answer was lost may have been done.
    pub(crate) async fn read_again(&mut self, dialect: &mut dyn Dialect) -> Result<()> {
        let keys: Vec<_> = self.owned.keys().cloned().collect();
        for key in keys {
            let Some(owned) = self.owned.get(&key) else {
                continue;
            };
            let at = self.place(dialect, &key, &owned.topic_id);
            let found = locked(dialect, &self.table, &at, None).await?;
            let Some(owned) = self.owned.get_mut(&key) else {
                continue;
            };
            match found {
                Some((next, stamp, epoch)) if epoch == owned.epoch => {
                    owned.next = next;
                    owned.stamp = stamp;
                }
                _ => return Err(fenced(&key)),
            }
        }
        Ok(())
    }

    async fn take(
        &self,
        dialect: &mut dyn Dialect,
        key: &TopicPartition,
        topic_id: &str,
    ) -> Result<(i64, Option<i64>, i64)> {
        let at = self.place(dialect, key, topic_id);
        let table = dialect.qualified(&self.table);
        let raise = format!("UPDATE {table} SET epoch = epoch + 1 WHERE {at}");
        if let Some((next, stamp, epoch)) = locked(dialect, &self.table, &at, Some(&raise)).await? {
            return Ok((next, stamp, epoch + 1));
        }
        // Never one that a former owner of a row that was deleted may still have.
        let epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |time| i64::try_from(time.as_micros()).unwrap_or(1));
        let insert = format!(
            "INSERT INTO {table} (connector, cluster_id, topic_id, kafka_topic, kafka_partition, kafka_offset, epoch) VALUES \
             ({}, {}, {}, {}, {}, -1, {epoch})",
            dialect.literal(&self.connector),
            dialect.literal(&self.cluster),
            dialect.literal(topic_id),
            dialect.literal(&key.topic),
            key.partition
        );
        match dialect.query(&insert).await {
            Ok(_) => Ok((-1, None, epoch)),
            // Somebody else takes it at the same moment.
            Err(error) if error.kind() == Kind::Data => {
                Err(Error::retriable("another task has just taken the partition").cause(error))
            }
            Err(error) => Err(error),
        }
    }

    fn place(&self, dialect: &dyn Dialect, key: &TopicPartition, topic_id: &str) -> String {
        format!(
            "connector = {} AND cluster_id = {} AND topic_id = {} AND kafka_topic = {} AND kafka_partition = {}",
            dialect.literal(&self.connector),
            dialect.literal(&self.cluster),
            dialect.literal(topic_id),
            dialect.literal(&key.topic),
            key.partition
        )
    }

    /// Looks through a batch: which records are in the target already, and how far it goes.
    ///
    /// # Errors
    /// A fatal error where the topic is not the one whose offsets are stored.
    pub(crate) fn scan(&mut self, batch: &[SinkRecord]) -> Result<Scan> {
        let mut scan = Scan::default();
        let mut rest = batch;
        let mut start = 0;
        while let Some(first) = rest.first() {
            let same = |record: &&SinkRecord| {
                record.origin.partition == first.origin.partition
                    && (Arc::ptr_eq(&record.origin.topic, &first.origin.topic)
                        || record.origin.topic == first.origin.topic)
            };
            let count = rest.iter().take_while(same).count();
            let (run, behind) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            self.scan_run(run, start, batch.len(), &mut scan)?;
            start += count;
            rest = behind;
        }
        Ok(scan)
    }

    fn scan_run(&mut self, run: &[SinkRecord], start: usize, total: usize, scan: &mut Scan) -> Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let key = TopicPartition {
            topic: first.origin.topic.clone(),
            partition: first.origin.partition,
        };
        let Some(owned) = self.owned.get_mut(&key) else {
            return Ok(());
        };
        if std::mem::take(&mut owned.unproven) {
            let offset = first.origin.offset;
            let same = offset == owned.next - 1 && first.record.timestamp == owned.stamp;
            // With the record gone (compacted, expired, a transaction's marker) nothing speaks against it.
            if !same && offset < owned.next {
                owned.unproven = true;
                return Err(anew(&key, owned.next, offset));
            }
        }
        if first.origin.offset < owned.next {
            scan.known.resize(total, false);
            let known = scan.known.iter_mut().skip(start);
            for (known, record) in known.zip(run) {
                *known = record.origin.offset < owned.next;
            }
        }
        let next = last.origin.offset + 1;
        if next > owned.next {
            let stamp = last.record.timestamp;
            match scan.moves.iter_mut().find(|known| known.partition == key) {
                Some(known) => (known.next, known.stamp) = (next, stamp),
                None => scan.moves.push(Move {
                    partition: key,
                    next,
                    stamp,
                }),
            }
        }
        Ok(())
    }

    /// The statements that advance the offsets: each must change one row.
    pub(crate) fn advance(&self, dialect: &dyn Dialect, scan: &Scan) -> Vec<String> {
        let table = dialect.qualified(&self.table);
        let statement = |step: &Move| {
            let owned = self.owned.get(&step.partition)?;
            let at = self.place(dialect, &step.partition, &owned.topic_id);
            let stamp = step.stamp.map_or("NULL".to_owned(), |stamp| stamp.to_string());
            Some(format!(
                "UPDATE {table} SET kafka_offset = {}, kafka_timestamp = {stamp} WHERE {at} AND kafka_offset = {} AND epoch = \
                 {}",
                step.next, owned.next, owned.epoch
            ))
        };
        scan.moves.iter().filter_map(statement).collect()
    }

    /// The batch is committed.
    pub(crate) fn advanced(&mut self, scan: Scan) {
        for step in scan.moves {
            if let Some(owned) = self.owned.get_mut(&step.partition) {
                owned.next = step.next;
                owned.stamp = step.stamp;
            }
        }
    }

    /// Forgets offsets that a user altered (KIP-875), in whatever cluster they are of: the group's, which are set too,
    /// then say where to start.
    pub(crate) async fn forget(
        &self,
        dialect: &mut dyn Dialect,
        partitions: &[TopicPartition],
    ) -> Result<()> {
        let table = dialect.qualified(&self.table);
        for key in partitions {
            let at = format!(
                "connector = {} AND kafka_topic = {} AND kafka_partition = {}",
                dialect.literal(&self.connector),
                dialect.literal(&key.topic),
                key.partition
            );
            let sql = format!("DELETE FROM {table} WHERE {at}");
            dialect.query(&sql).await?;
        }
        Ok(())
    }
}

/// A row, locked, and then what else is to be done with it in the same transaction.
async fn locked(
    dialect: &mut dyn Dialect,
    table: &TableId,
    at: &str,
    then: Option<&str>,
) -> Result<Option<(i64, Option<i64>, i64)>> {
    let Syntax {
        begin, for_update, ..
    } = dialect.syntax();
    let select = format!(
        "SELECT kafka_offset, kafka_timestamp, epoch FROM {} WHERE {at}{for_update}",
        dialect.qualified(table)
    );
    dialect.query(begin).await?;
    let work = async {
        let rows = dialect.query(&select).await?;
        if let (Some(then), false) = (then, rows.is_empty()) {
            dialect.query(then).await?;
        }
        Ok(rows)
    };
    let rows: Result<_> = work.await;
    let end = dialect
        .query(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .await;
    let rows = rows?;
    end?;
    let number = |cell: Option<&Option<String>>| cell.and_then(|cell| cell.as_ref()?.parse::<i64>().ok());
    Ok(rows.first().map(|row| {
        (
            number(row.first()).unwrap_or(-1),
            number(row.get(1)),
            number(row.get(2)).unwrap_or(0),
        )
    }))
}

/// Somebody else owns the partition now. Retriable: the rebalance that took it away is under way.
pub(crate) fn fenced(key: &TopicPartition) -> Error {
    Error::retriable(format!(
        "the target's offset of topic '{}' partition {} is another task's by now",
        key.topic, key.partition
    ))
}

/// The same, where the target only says that it is so.
pub(crate) fn fenced_somewhere() -> Error {
    Error::retriable("the target's offsets are another task's by now, or were changed")
}

fn anew(key: &TopicPartition, stored: i64, found: i64) -> Error {
    Error::fatal(format!(
        "topic '{}' partition {} is not the one whose offset {stored} is stored in the target: the record at offset {found} is \
         another one",
        key.topic, key.partition
    ))
    .hint("was the topic made anew? reset the connector's offsets (DELETE /connectors/NAME/offsets) to start from its begin")
}

fn hex(id: [u8; 16]) -> String {
    let mut out = String::with_capacity(32);
    crate::digits::hex(&id, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::Record;
    use tapline_api::record::{Origin, TimestampType};

    fn record(partition: i32, offset: i64) -> SinkRecord {
        SinkRecord {
            record: Record {
                timestamp: Some(offset * 10),
                ..Record::new("t")
            },
            origin: Origin {
                topic: "t".into(),
                partition,
                offset,
                timestamp_type: TimestampType::None,
            },
        }
    }

    fn owning(next: i64, stamp: Option<i64>, unproven: bool) -> Offsets {
        let table = TableId {
            schema: None,
            name: "o".into(),
        };
        let mut offsets = Offsets::new(table, "c".into(), "k".into());
        let key = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let owned = Owned {
            topic_id: String::new(),
            next,
            stamp,
            epoch: 1,
            unproven,
        };
        offsets.owned.insert(key, owned);
        offsets
    }

    #[test]
    fn what_the_target_has_is_known_and_the_batch_goes_to_its_last_record() {
        let mut offsets = owning(5, None, false);
        let batch = [
            record(0, 3),
            record(1, 0),
            record(0, 4),
            record(0, 7),
            record(1, 1),
        ];
        let scan = offsets.scan(&batch).unwrap();
        assert_eq!(scan.known, [true, false, true, false, false]);
        assert_eq!(
            (scan.moves.len(), scan.moves[0].next, scan.moves[0].stamp),
            (1, 8, Some(70))
        );
        offsets.advanced(scan);
        let again = offsets.scan(&batch).unwrap();
        assert_eq!((again.moves.len(), again.known[3]), (0, true));
        assert_eq!(offsets.scan(&[record(0, 8)]).unwrap().known, Vec::<bool>::new());
    }

    #[test]
    fn a_topic_made_anew_is_refused() {
        // The record before the stored offset is the one that was written.
        assert_eq!(
            owning(5, Some(40), true).scan(&[record(0, 4)]).unwrap().known,
            [true]
        );
        // It is gone.
        assert!(owning(5, Some(40), true).scan(&[record(0, 6)]).is_ok());
        // It is another one, or the topic starts over.
        for (stamp, offset) in [(Some(41), 4), (None, 4), (Some(40), 0)] {
            let error = owning(5, stamp, true).scan(&[record(0, offset)]).unwrap_err();
            assert_eq!(error.kind(), Kind::Fatal);
            assert!(error.message().contains("another one"), "{error}");
        }
    }
}
