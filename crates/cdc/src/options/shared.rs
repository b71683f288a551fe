//! The options that every change source of a database has, typed once.

use std::time::Duration;

use tapline_api::Result;
use tapline_api::adjust::Adjustment;
use tapline_api::config::{Config, Parsed};

use super::{Guardrail, OnFailure, Overrides, Skipped, metric_tags};
use crate::channels::Channels;
use crate::filter::{KeyColumns, PatternList};
use crate::mapper::ColumnMappers;
use crate::notification::Notifier;

/// So many chunks make what a kill may repeat: the next ones are read while the last one is being stored.
const CHUNKS: u64 = 4;

/// What a task reads of its configuration, whatever its database is.
#[derive(Debug, Clone)]
pub struct Shared {
    /// `database.initial.statements`, one by one.
    pub initial_statements: Vec<String>,
    /// `database.query.timeout.ms`; a day for no limit.
    pub query_timeout: Duration,
    /// `connection.validation.timeout.ms`
    pub validation_timeout: Duration,
    /// `snapshot.include.collection.list`
    pub snapshot_tables: PatternList,
    /// `snapshot.select.statement.overrides`
    pub overrides: Overrides,
    /// `snapshot.tables.order.by.row.count`; `None` for the usual order.
    pub small_tables_first: Option<bool>,
    /// How many sessions read a snapshot.
    pub snapshot_threads: usize,
    /// About how many bytes of a table a killed snapshot repeats at most, per session.
    pub snapshot_repeated_bytes: u64,
    /// About how many bytes of a table make a chunk.
    pub snapshot_chunk_bytes: u64,
    /// `snapshot.lock.timeout.ms`
    pub lock_timeout: Duration,
    /// `snapshot.delay.ms`
    pub snapshot_delay: Duration,
    /// `streaming.delay.ms`
    pub streaming_delay: Duration,
    /// `message.key.columns`
    pub key_columns: KeyColumns,
    /// Masks, hashes, cuts, and what is told of types.
    pub mappers: ColumnMappers,
    /// `schema.name.adjustment.mode`
    pub schema_names: Adjustment,
    /// `field.name.adjustment.mode`
    pub field_names: Adjustment,
    /// `event.converting.failure.handling.mode`
    pub on_bad_value: OnFailure,
    /// `skipped.operations`
    pub skipped: Skipped,
    /// `skip.messages.without.change`
    pub skip_unchanged: bool,
    /// `tombstones.on.delete`
    pub tombstones: bool,
    /// `provide.transaction.metadata`
    pub transactions: bool,
    /// `extended.headers.enabled`
    pub extended_headers: bool,
    /// `heartbeat.interval.ms`; zero for none.
    pub heartbeat: Duration,
    /// `heartbeat.action.query`
    pub heartbeat_query: Option<String>,
    /// Records of a batch.
    pub batch_records: usize,
    /// Bytes of a batch, of `max.queue.size.in.bytes`.
    pub batch_bytes: usize,
    /// `max.queue.size`, which is only told.
    pub queue_records: usize,
    /// `custom.metric.tags`
    pub metric_tags: Vec<(String, String)>,
    /// `guardrail.collections.*`
    pub guardrail: Guardrail,
    /// Nothing is written to the database: no watermarks.
    pub read_only: bool,
    /// Where signals come from.
    pub channels: Channels,
    /// Where notifications go.
    pub notifier: Notifier,
    /// Rows of an incremental snapshot's chunk.
    pub chunk_size: usize,
    /// Whether a window is closed by deleting what opened it.
    pub watermark_deletes: bool,
}

impl Shared {
    /// Of a configuration and what was parsed of it, by all of a connector's declarations.
    ///
    /// # Errors
    /// A config error for the first value that is wrong.
    pub fn new(config: &Config, parsed: &Parsed) -> Result<Self> {
        let lower = |name: &str| parsed.text(name).unwrap_or_default().trim().to_lowercase();
        let adjustment = |name: &str| Adjustment::named(&lower(name)).unwrap_or_default();
        let query_timeout = parsed.millis("database.query.timeout.ms")?;
        let prefix = parsed.required("topic.prefix")?;
        let snapshot_repeated_bytes = parsed.count("internal.snapshot.chunk.bytes")?.max(1) as u64;
        let snapshot_tables = config.get("snapshot.include.collection.list").unwrap_or_default();
        Ok(Self {
            initial_statements: statements(parsed.text("database.initial.statements").unwrap_or_default()),
            query_timeout: match query_timeout.is_zero() {
                true => Duration::from_secs(86_400),
                false => query_timeout,
            },
            validation_timeout: parsed.millis("connection.validation.timeout.ms")?,
            snapshot_tables: PatternList::new("snapshot.include.collection.list", snapshot_tables)?,
            overrides: Overrides::new(config)?,
            small_tables_first: match lower("snapshot.tables.order.by.row.count").as_str() {
                "ascending" => Some(true),
                "descending" => Some(false),
                _ => None,
            },
            snapshot_threads: parsed.count("snapshot.max.threads")?.clamp(1, 64),
            snapshot_repeated_bytes,
            snapshot_chunk_bytes: (snapshot_repeated_bytes / CHUNKS).max(1),
            lock_timeout: parsed.millis("snapshot.lock.timeout.ms")?,
            snapshot_delay: parsed.millis("snapshot.delay.ms")?,
            streaming_delay: parsed.millis("streaming.delay.ms")?,
            key_columns: KeyColumns::new(parsed.text("message.key.columns").unwrap_or_default())?,
            mappers: ColumnMappers::new(config)?,
            schema_names: adjustment("schema.name.adjustment.mode"),
            field_names: adjustment("field.name.adjustment.mode"),
            on_bad_value: OnFailure::named(&lower("event.converting.failure.handling.mode"))
                .unwrap_or(OnFailure::Warn),
            skipped: Skipped::new(config, parsed),
            skip_unchanged: parsed.boolean("skip.messages.without.change")?,
            tombstones: parsed.boolean("tombstones.on.delete")?,
            transactions: parsed.boolean("provide.transaction.metadata")?,
            extended_headers: parsed.boolean("extended.headers.enabled")?,
            heartbeat: parsed.millis("heartbeat.interval.ms")?,
            heartbeat_query: parsed
                .text("heartbeat.action.query")
                .filter(|query| !query.is_empty())
                .map(str::to_owned),
            batch_records: parsed.count("max.batch.size")?.clamp(1, 65_536),
            batch_bytes: match parsed.count("max.queue.size.in.bytes")? {
                0 => 1 << 20,
                // Two batches wait and one is being built.
                limit => (limit / 3).clamp(16 * 1024, 16 << 20),
            },
            queue_records: parsed.count("max.queue.size")?,
            metric_tags: metric_tags(parsed.list("custom.metric.tags"))?,
            guardrail: Guardrail::new(parsed)?,
            read_only: parsed.boolean("read.only")?,
            channels: Channels::new(config, prefix, parsed.millis("signal.poll.interval.ms")?)?,
            notifier: Notifier::new(
                prefix,
                parsed.list("notification.enabled.channels"),
                parsed.text("notification.sink.topic.name"),
            )?,
            chunk_size: parsed.count("incremental.snapshot.chunk.size")?.clamp(1, 1 << 20),
            watermark_deletes: lower("incremental.snapshot.watermarking.strategy") == "insert_delete",
        })
    }
}

/// Splits at single semicolons; two stand for one.
fn statements(text: &str) -> Vec<String> {
    text.replace(";;", "\u{1}")
        .split(';')
        .map(|statement| statement.replace('\u{1}', ";").trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_semicolons_are_one() {
        assert_eq!(statements("set a=1; select ';;' ;"), ["set a=1", "select ';'"]);
    }
}
