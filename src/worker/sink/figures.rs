//! `sink-task-metrics` and what `connector-task-metrics` say of commits.

use std::time::Duration;

use tapline_api::metrics::Metric;
use tokio::time::Instant;

use crate::worker::task::TaskContext;

/// A task's figures.
pub(super) struct Figures {
    sent: Metric,
    put_ms: Metric,
    pub(super) partitions: Metric,
    commits: Metric,
    commit_failures: Metric,
    commit_ms: Metric,
    batch_max: Metric,
    pub(super) committed_at: Instant,
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
            batch_max: gauge(
                "kafka_connect_connector_task_batch_size_max",
                "The largest batch.",
            ),
            committed_at: Instant::now(),
        }
    }

    pub(super) fn since_commit(&self) -> Duration {
        self.committed_at.elapsed()
    }

    pub(super) fn put(&self, records: usize, took: Duration) {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        self.sent.add(records);
        raise(&self.batch_max, records);
        raise(&self.put_ms, i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
    }

    pub(super) fn committed(&self, took: Duration, well: bool) {
        if well {
            &self.commits
        } else {
            &self.commit_failures
        }
        .add(1);
        raise(
            &self.commit_ms,
            i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        );
    }
}

fn raise(figure: &Metric, to: i64) {
    if to > figure.get() {
        figure.set(to);
    }
}
