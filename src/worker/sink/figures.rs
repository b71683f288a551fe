//! `sink-task-metrics` and what `connector-task-metrics` say of commits.

use std::time::Duration;

use tapline_api::metrics::Metric;
use tokio::time::Instant;

use crate::worker::task::TaskContext;

/// A task's figures.
pub(super) struct Figures {
    sent: Metric,
    put_ms: Metric,
    put_ms_average: Metric,
    active: Metric,
    active_max: Metric,
    active_average: Metric,
    commit_number: Metric,
    completed: Metric,
    pub(super) partitions: Metric,
    commits: Metric,
    commit_failures: Metric,
    commit_ms: Metric,
    commit_ms_average: Metric,
    batch_max: Metric,
    batch_average: Metric,
    pub(super) committed_at: Instant,
    /// Sums and counts, for the averages of a task's life.
    put_times: Average,
    commit_times: Average,
    batches: Average,
    actives: Average,
    /// Records that were put and not flushed, and that were flushed and not committed.
    put: i64,
    flushed: i64,
}

impl Figures {
    pub(super) fn new(context: &TaskContext) -> Self {
        let counter = |name, help| context.metrics.counter(name, help, &[]);
        let gauge = |name, help| context.metrics.gauge(name, help, &[]);
        Self {
            sent: counter(
                "kafka_connect_sink_task_sink_record_send_total",
                "Records put to the sink, after transformations.",
            ),
            put_ms: gauge(
                "kafka_connect_sink_task_put_batch_max_time_ms",
                "The longest put.",
            ),
            put_ms_average: gauge(
                "kafka_connect_sink_task_put_batch_avg_time_ms",
                "The puts' time, on average.",
            ),
            active: gauge(
                "kafka_connect_sink_task_sink_record_active_count",
                "Records that were put, with their offsets not committed yet.",
            ),
            active_max: gauge(
                "kafka_connect_sink_task_sink_record_active_count_max",
                "The most of them.",
            ),
            active_average: gauge(
                "kafka_connect_sink_task_sink_record_active_count_avg",
                "How many of them there were after a put, on average.",
            ),
            commit_number: gauge(
                "kafka_connect_sink_task_offset_commit_seq_no",
                "The number of the last commit of offsets.",
            ),
            completed: counter(
                "kafka_connect_sink_task_offset_commit_completion_total",
                "Commits of offsets that were completed.",
            ),
            partitions: gauge(
                "kafka_connect_sink_task_partition_count",
                "Partitions of this task.",
            ),
            commits: counter(
                "kafka_connect_connector_task_offset_commit_success_total",
                "Commits of offsets.",
            ),
            commit_failures: counter(
                "kafka_connect_connector_task_offset_commit_failure_total",
                "Commits of offsets that failed.",
            ),
            commit_ms: gauge(
                "kafka_connect_connector_task_offset_commit_max_time_ms",
                "The longest commit of offsets.",
            ),
            commit_ms_average: gauge(
                "kafka_connect_connector_task_offset_commit_avg_time_ms",
                "The commits' time, on average.",
            ),
            batch_max: gauge(
                "kafka_connect_connector_task_batch_size_max",
                "The largest batch.",
            ),
            batch_average: gauge(
                "kafka_connect_connector_task_batch_size_avg",
                "The batches' size, on average.",
            ),
            committed_at: Instant::now(),
            put_times: Average::default(),
            commit_times: Average::default(),
            batches: Average::default(),
            actives: Average::default(),
            put: 0,
            flushed: 0,
        }
    }

    pub(super) fn since_commit(&self) -> Duration {
        self.committed_at.elapsed()
    }

    pub(super) fn put(&mut self, records: usize, took: Duration) {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.sent.add(records);
        raise(&self.batch_max, records);
        self.batch_average.set(self.batches.with(records));
        raise(&self.put_ms, millis(took));
        self.put_ms_average.set(self.put_times.with(millis(took)));
        self.put += records;
        let active = self.put + self.flushed;
        self.active.set(active);
        raise(&self.active_max, active);
        self.active_average.set(self.actives.with(active));
    }

    /// What was put is durable.
    pub(super) fn flush(&mut self) {
        self.flushed += std::mem::take(&mut self.put);
    }

    /// Offsets of all that is durable were committed, or not.
    pub(super) fn committed(&mut self, took: Duration, well: bool) {
        self.commit_number.add(1);
        if well {
            self.completed.add(1);
            self.commits.add(1);
            self.flushed = 0;
            self.active.set(self.put);
        } else {
            self.commit_failures.add(1);
        }
        raise(&self.commit_ms, millis(took));
        self.commit_ms_average.set(self.commit_times.with(millis(took)));
    }
}

/// A sum, and of how many.
#[derive(Default)]
struct Average {
    sum: i64,
    count: i64,
}

impl Average {
    /// The average with one more.
    fn with(&mut self, value: i64) -> i64 {
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
        self.sum.checked_div(self.count).unwrap_or(0)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn raise(figure: &Metric, to: i64) {
    if to > figure.get() {
        figure.set(to);
    }
}
