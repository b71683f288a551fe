//! Debezium's figures under the names that the JMX exporter gives them: `debezium_metrics_*` with the labels `plugin`,
//! `name` (`topic.prefix`) and `context` (`snapshot`, `streaming`, `schema-history`), so that people's boards work.
//!
//! Events are counted in plain numbers where they are made ([`Seen`]) and added to the figures once per batch. What is
//! text in Debezium (the last event, the last transaction's id) the exporter leaves out, and so do we.

mod lag;

use std::sync::{Arc, Mutex, PoisonError};

use tapline_api::metrics::{Metric, Metrics};

use self::lag::Lag;
use crate::clock::Instant;

/// Makes the figures of one task.
#[derive(Clone)]
pub struct SourceMetrics {
    scope: Metrics,
    labels: Vec<(String, String)>,
}

/// What a batch has had, since the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Inserts.
    pub creates: i64,
    /// Updates.
    pub updates: i64,
    /// Deletes.
    pub deletes: i64,
    /// Truncates and messages.
    pub others: i64,
    /// Of tables that are not captured.
    pub filtered: i64,
    /// Updates that changed nothing captured, left out by `skip.messages.without.change`.
    pub unchanged: i64,
    /// That could not be made, left out by `event.processing.failure.handling.mode`.
    pub erroneous: i64,
    /// Transactions.
    pub committed: i64,
}

/// Figures of both contexts.
#[derive(Clone, Debug)]
pub struct EventMetrics {
    total: Metric,
    creates: Metric,
    updates: Metric,
    deletes: Metric,
    filtered: Metric,
    erroneous: Metric,
    last: Metric,
}

/// The context `streaming`.
#[derive(Clone, Debug)]
pub struct StreamingMetrics {
    events: EventMetrics,
    behind: Metric,
    behind_so_far: Behind,
    connected: Metric,
    committed: Metric,
    unchanged: Metric,
}

/// What `MilliSecondsBehindSource` was since the start; not told before there is anything.
#[derive(Clone, Debug)]
struct Behind {
    maker: SourceMetrics,
    lag: Arc<Mutex<(Lag, Vec<Metric>)>>,
}

/// The context `snapshot`.
#[derive(Clone, Debug)]
pub struct SnapshotMetrics {
    maker: SourceMetrics,
    events: EventMetrics,
    tables: Metric,
    remaining: Metric,
    running: Metric,
    completed: Metric,
    aborted: Metric,
    skipped: Metric,
    paused: Metric,
    seconds: Metric,
}

/// The context `schema-history`.
#[derive(Clone, Debug)]
pub struct SchemaHistoryMetrics {
    recovered: Metric,
    applied: Metric,
    last_recovered: Metric,
    last_applied: Metric,
    started: Metric,
}

/// How much is read ahead.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    capacity: i64,
    remaining: Metric,
    bytes: Metric,
}

impl SourceMetrics {
    /// Figures in `scope`; `plugin` is the connector's JMX domain (`postgres`, `mysql`), `name` its `topic.prefix`, `tags`
    /// are `custom.metric.tags`.
    pub fn new(scope: Metrics, plugin: &str, name: &str, tags: &[(String, String)]) -> Self {
        let mut labels = vec![
            ("plugin".to_owned(), plugin.to_owned()),
            ("name".to_owned(), name.to_owned()),
        ];
        labels.extend(tags.iter().cloned());
        Self { scope, labels }
    }

    fn labels<'a>(&'a self, context: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut labels = vec![("context", context)];
        labels.extend(
            self.labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        labels
    }

    fn gauge(&self, context: &str, name: &'static str, help: &'static str) -> Metric {
        self.scope.gauge(name, help, &self.labels(context))
    }

    fn since(&self, context: &str, name: &'static str, help: &'static str) -> Metric {
        self.scope.since(name, help, &self.labels(context))
    }

    /// A figure of ours, under the same labels but the context.
    pub fn own(&self, name: &'static str, help: &'static str) -> Metric {
        let labels: Vec<(&str, &str)> = self
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.scope.gauge(name, help, &labels)
    }

    fn events(&self, context: &str) -> EventMetrics {
        let gauge = |name, help| self.gauge(context, name, help);
        EventMetrics {
            total: gauge(
                "debezium_metrics_TotalNumberOfEventsSeen",
                "Events since the last start.",
            ),
            creates: gauge(
                "debezium_metrics_TotalNumberOfCreateEventsSeen",
                "Create events since the last start.",
            ),
            updates: gauge(
                "debezium_metrics_TotalNumberOfUpdateEventsSeen",
                "Update events since the last start.",
            ),
            deletes: gauge(
                "debezium_metrics_TotalNumberOfDeleteEventsSeen",
                "Delete events since the last start.",
            ),
            filtered: gauge(
                "debezium_metrics_NumberOfEventsFiltered",
                "Events of tables that are not captured.",
            ),
            erroneous: gauge(
                "debezium_metrics_NumberOfErroneousEvents",
                "Events that could not be processed.",
            ),
            last: self.since(
                context,
                "debezium_metrics_MilliSecondsSinceLastEvent",
                "Milliseconds since the last event; -1 before the first.",
            ),
        }
    }

    /// The context `streaming`.
    pub fn streaming(&self) -> StreamingMetrics {
        let gauge = |name, help| self.gauge("streaming", name, help);
        let behind = gauge(
            "debezium_metrics_MilliSecondsBehindSource",
            "Milliseconds between the last event's commit and its handling; -1 before the first.",
        );
        behind.set(-1);
        StreamingMetrics {
            events: self.events("streaming"),
            behind,
            behind_so_far: Behind {
                maker: self.clone(),
                lag: Arc::default(),
            },
            connected: gauge(
                "debezium_metrics_Connected",
                "Whether the connector is connected to the database.",
            ),
            committed: gauge(
                "debezium_metrics_NumberOfCommittedTransactions",
                "Transactions handled.",
            ),
            unchanged: gauge(
                "debezium_metrics_NumberOfUnchangedEventsSkipped",
                "Updates left out because they change nothing captured.",
            ),
        }
    }

    /// The context `snapshot`.
    pub fn snapshot(&self) -> SnapshotMetrics {
        let gauge = |name, help| self.gauge("snapshot", name, help);
        SnapshotMetrics {
            events: self.events("snapshot"),
            tables: gauge("debezium_metrics_TotalTableCount", "Tables of the snapshot."),
            remaining: gauge(
                "debezium_metrics_RemainingTableCount",
                "Tables that the snapshot has yet to read.",
            ),
            running: gauge(
                "debezium_metrics_SnapshotRunning",
                "Whether a snapshot is running.",
            ),
            completed: gauge(
                "debezium_metrics_SnapshotCompleted",
                "Whether the last snapshot was completed.",
            ),
            aborted: gauge(
                "debezium_metrics_SnapshotAborted",
                "Whether the last snapshot was aborted.",
            ),
            skipped: gauge(
                "debezium_metrics_SnapshotSkipped",
                "Whether no snapshot was due at the last start.",
            ),
            paused: gauge("debezium_metrics_SnapshotPaused", "Whether a snapshot is paused."),
            seconds: gauge(
                "debezium_metrics_SnapshotDurationInSeconds",
                "Seconds that the snapshot has taken so far.",
            ),
            maker: self.clone(),
        }
    }

    /// The context `schema-history`.
    pub fn schema_history(&self) -> SchemaHistoryMetrics {
        const CONTEXT: &str = "schema-history";
        SchemaHistoryMetrics {
            recovered: self.gauge(
                CONTEXT,
                "debezium_metrics_ChangesRecovered",
                "Schema changes read back at the start.",
            ),
            applied: self.gauge(
                CONTEXT,
                "debezium_metrics_ChangesApplied",
                "Schema changes since the start, those read back among them.",
            ),
            last_recovered: self.since(
                CONTEXT,
                "debezium_metrics_MilliSecondsSinceLastRecoveredChange",
                "Milliseconds since the last schema change was read back.",
            ),
            last_applied: self.since(
                CONTEXT,
                "debezium_metrics_MilliSecondsSinceLastAppliedChange",
                "Milliseconds since the last schema change was applied.",
            ),
            started: self.gauge(
                CONTEXT,
                "debezium_metrics_RecoveryStartTime",
                "When reading back began, in seconds since 1970.",
            ),
        }
    }

    /// What waits between source and worker; `capacity` is `max.queue.size`, `bytes` its bound in bytes.
    pub fn queue(&self, context: &str, capacity: usize, bytes: usize) -> QueueMetrics {
        let capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
        let gauge = |name, help| self.gauge(context, name, help);
        gauge(
            "debezium_metrics_QueueTotalCapacity",
            "Most events that are read ahead.",
        )
        .set(capacity);
        gauge(
            "debezium_metrics_MaxQueueSizeInBytes",
            "Most bytes that are read ahead.",
        )
        .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let remaining = gauge(
            "debezium_metrics_QueueRemainingCapacity",
            "How many more events may be read ahead.",
        );
        remaining.set(capacity);
        QueueMetrics {
            capacity,
            remaining,
            bytes: gauge(
                "debezium_metrics_CurrentQueueSizeInBytes",
                "Bytes that are read ahead.",
            ),
        }
    }
}

impl EventMetrics {
    fn count(&self, seen: Seen, at: Instant) {
        let total = seen.creates + seen.updates + seen.deletes + seen.others;
        for (metric, n) in [
            (&self.total, total),
            (&self.creates, seen.creates),
            (&self.updates, seen.updates),
            (&self.deletes, seen.deletes),
            (&self.filtered, seen.filtered),
            (&self.erroneous, seen.erroneous),
        ] {
            if n != 0 {
                metric.add(n);
            }
        }
        if total > 0 {
            self.last.set(at.millis());
        }
    }
}

/// The names behind `MilliSecondsBehindSource`, and what they tell.
const BEHIND: [(&str, &str); 6] = [
    (
        "debezium_metrics_MilliSecondsBehindSourceMinValue",
        "Least since the last start.",
    ),
    (
        "debezium_metrics_MilliSecondsBehindSourceMaxValue",
        "Most since the last start.",
    ),
    (
        "debezium_metrics_MilliSecondsBehindSourceAverageValue",
        "Mean since the last start.",
    ),
    (
        "debezium_metrics_MilliSecondsBehindSourceP50",
        "Median since the last start.",
    ),
    (
        "debezium_metrics_MilliSecondsBehindSourceP95",
        "95th percentile since the last start.",
    ),
    (
        "debezium_metrics_MilliSecondsBehindSourceP99",
        "99th percentile since the last start.",
    ),
];

impl Behind {
    /// So many events of a batch were this far behind.
    fn add(&self, millis: u64, events: u64) {
        let mut held = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let (lag, metrics) = &mut *held;
        if metrics.is_empty() {
            metrics.extend(BEHIND.map(|(name, help)| self.maker.gauge("streaming", name, help)));
        }
        lag.add(millis, events);
        let (least, most, mean) = lag.summary();
        let percentiles = [50, 95, 99].map(|percent| lag.percentile(percent));
        let values = [least, most, mean].into_iter().chain(percentiles);
        for (metric, value) in metrics.iter().zip(values) {
            metric.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

impl StreamingMetrics {
    /// Streaming begins or has ended.
    pub fn connected(&self, connected: bool) {
        self.connected.set(connected.into());
    }

    /// A batch has been built at `at`, the last of whose events was committed at `committed`.
    pub fn batch(&self, seen: Seen, committed: Instant, at: Instant) {
        self.events.count(seen, at);
        let events = seen.creates + seen.updates + seen.deletes + seen.others;
        if events > 0 {
            let behind = (at.millis() - committed.millis()).max(0);
            self.behind.set(behind);
            self.behind_so_far
                .add(behind.cast_unsigned(), events.cast_unsigned());
        }
        if seen.committed != 0 {
            self.committed.add(seen.committed);
        }
        if seen.unchanged != 0 {
            self.unchanged.add(seen.unchanged);
        }
    }
}

impl SnapshotMetrics {
    /// No snapshot is due.
    pub fn skipped(&self) {
        self.skipped.set(1);
    }

    /// A snapshot of so many tables begins, `remaining` of which are still to be read.
    pub fn started(&self, tables: usize, remaining: usize) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.tables.set(number(tables));
        self.remaining.set(number(remaining));
        self.running.set(1);
        for flag in [&self.completed, &self.aborted, &self.skipped, &self.paused] {
            flag.set(0);
        }
        self.seconds.set(0);
    }

    /// A table has been read.
    pub fn table_read(&self) {
        self.remaining.add(-1);
    }

    /// The figure of a table's rows; `table` as Debezium names it (`schema.table`). To be kept while the table is read.
    pub fn rows_of(&self, table: &str) -> Metric {
        let mut labels = self.maker.labels("snapshot");
        labels.push(("table", table));
        let scope = &self.maker.scope;
        scope.gauge(
            "debezium_metrics_RowsScanned",
            "Rows that the snapshot has read of a table.",
            &labels,
        )
    }

    /// So many rows more went out, `seconds` after the snapshot began.
    pub fn batch(&self, rows: usize, seconds: u64, at: Instant) {
        let seen = Seen {
            creates: i64::try_from(rows).unwrap_or(i64::MAX),
            ..Seen::default()
        };
        // Debezium counts rows that were read as events, but not as creates.
        self.events.count(
            Seen {
                creates: 0,
                others: seen.creates,
                ..seen
            },
            at,
        );
        self.seconds.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// The snapshot has ended, completed or not, after `seconds`.
    pub fn ended(&self, completed: bool, seconds: u64) {
        self.running.set(0);
        self.completed.set(completed.into());
        self.aborted.set((!completed).into());
        self.seconds.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// The snapshot waits, or goes on.
    pub fn paused(&self, paused: bool) {
        self.paused.set(paused.into());
        self.running.set((!paused).into());
    }
}

impl SchemaHistoryMetrics {
    /// Reading back begins.
    pub fn recovering(&self, at: Instant) {
        self.started.set(at.millis() / 1000);
    }

    /// A change was read back.
    pub fn recovered(&self, at: Instant) {
        self.recovered.add(1);
        self.last_recovered.set(at.millis());
        self.applied(at);
    }

    /// A change was applied.
    pub fn applied(&self, at: Instant) {
        self.applied.add(1);
        self.last_applied.set(at.millis());
    }
}

impl QueueMetrics {
    /// A batch waits.
    pub fn put(&self, records: usize, bytes: usize) {
        self.change(records, bytes, 1);
    }

    /// A batch was taken.
    pub fn taken(&self, records: usize, bytes: usize) {
        self.change(records, bytes, -1);
    }

    fn change(&self, records: usize, bytes: usize, sign: i64) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX).min(self.capacity);
        self.remaining.add(-sign * number(records));
        self.bytes.add(sign * i64::try_from(bytes).unwrap_or(0));
    }
}

impl std::fmt::Debug for SourceMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceMetrics")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::metrics::Registry;

    fn value(registry: &Registry, name: &str, label: (&str, &str)) -> Option<i64> {
        let samples = registry.samples();
        let found = samples.iter().find(|sample| {
            sample.name == format!("debezium_metrics_{name}")
                && sample
                    .labels
                    .iter()
                    .any(|(name, value)| (name.as_str(), value.as_str()) == label)
        });
        found.map(|sample| sample.value)
    }

    #[test]
    fn figures_bear_the_exporters_names_and_labels() {
        let registry = Registry::default();
        let tags = [("env".to_owned(), "prod".to_owned())];
        let metrics = SourceMetrics::new(registry.scope(&[("connector", "c")]), "postgres", "shop", &tags);
        let streaming = metrics.streaming();
        let at = |millis: i64| Instant::from_micros(millis * 1000);
        assert_eq!(
            value(&registry, "MilliSecondsBehindSource", ("context", "streaming")),
            Some(-1)
        );
        streaming.connected(true);
        let seen = Seen {
            creates: 2,
            updates: 1,
            committed: 1,
            filtered: 7,
            ..Seen::default()
        };
        streaming.batch(seen, at(1000), at(1250));
        for (name, expected) in [
            ("MilliSecondsBehindSource", 250),
            ("TotalNumberOfEventsSeen", 3),
            ("TotalNumberOfCreateEventsSeen", 2),
            ("NumberOfEventsFiltered", 7),
            ("NumberOfCommittedTransactions", 1),
            ("Connected", 1),
        ] {
            assert_eq!(
                value(&registry, name, ("plugin", "postgres")),
                Some(expected),
                "{name}"
            );
            assert_eq!(value(&registry, name, ("env", "prod")), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_snapshot_tells_how_far_it_is() {
        let registry = Registry::default();
        let metrics = SourceMetrics::new(registry.scope(&[]), "mysql", "shop", &[]);
        let snapshot = metrics.snapshot();
        snapshot.started(3, 2);
        let rows = snapshot.rows_of("public.orders");
        rows.add(5);
        snapshot.batch(5, 1, Instant::from_micros(1));
        snapshot.table_read();
        snapshot.ended(true, 2);
        for (name, expected) in [
            ("TotalTableCount", 3),
            ("RemainingTableCount", 1),
            ("SnapshotCompleted", 1),
            ("SnapshotRunning", 0),
            ("SnapshotDurationInSeconds", 2),
            ("TotalNumberOfEventsSeen", 5),
            ("TotalNumberOfCreateEventsSeen", 0),
        ] {
            assert_eq!(
                value(&registry, name, ("context", "snapshot")),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(
            value(&registry, "RowsScanned", ("table", "public.orders")),
            Some(5)
        );
    }

    #[test]
    fn the_queue_fills_and_empties() {
        let registry = Registry::default();
        let metrics = SourceMetrics::new(registry.scope(&[]), "postgres", "shop", &[]);
        let queue = metrics.queue("streaming", 100, 1000);
        queue.put(30, 300);
        let label = ("name", "shop");
        assert_eq!(value(&registry, "QueueRemainingCapacity", label), Some(70));
        assert_eq!(value(&registry, "CurrentQueueSizeInBytes", label), Some(300));
        queue.taken(30, 300);
        assert_eq!(value(&registry, "QueueRemainingCapacity", label), Some(100));
    }
}
