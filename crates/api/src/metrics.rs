//! Figures that connectors, tasks and the worker keep, without knowing who reads them.
//!
//! A figure is an atomic: to count costs one addition. The worker renders all living ones; a figure dies with the
//! last clone of its [`Metrics`], so a deleted connector leaves nothing behind. Names are those of the JMX
//! exporter for Debezium and Kafka Connect (`debezium_metrics_*`, `kafka_connect_*`), so that people's dashboards work.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How Prometheus should read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// Goes up and down.
    Gauge,
    /// Only goes up.
    Counter,
}

/// One figure. Clones share it.
#[derive(Clone, Debug)]
pub struct Metric(Arc<AtomicI64>);

impl Metric {
    /// Adds `n`.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All figures of the process.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Weak<Scope>>>>);

/// The figures of one connector or task, under labels of its own.
#[derive(Clone)]
pub struct Metrics(Arc<Scope>);

struct Scope {
    labels: Vec<(String, String)>,
    rows: Mutex<Vec<Row>>,
}

struct Row {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: Vec<(String, String)>,
    value: Arc<AtomicI64>,
}

/// One figure as it stands now.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// Gauge or counter.
    pub kind: MetricType,
    /// Its scope's labels, then its own.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: i64,
}

impl Registry {
    /// A scope with labels that all its figures bear.
    pub fn scope(&self, labels: &[(&str, &str)]) -> Metrics {
        let scope = Arc::new(Scope {
            labels: owned(labels),
            rows: Mutex::default(),
        });
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.retain(|scope| scope.strong_count() > 0);
        scopes.push(Arc::downgrade(&scope));
        Metrics(scope)
    }

    /// All living figures, sorted by name, so that those of one name stand together.
    pub fn samples(&self) -> Vec<Sample> {
        let scopes: Vec<_> = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let mut samples = Vec::new();
        for scope in scopes {
            for row in scope.rows.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                samples.push(Sample {
                    name: row.name,
                    help: row.help,
                    kind: row.kind,
                    labels: scope.labels.iter().chain(&row.labels).cloned().collect(),
                    value: row.value.load(Ordering::Relaxed),
                });
            }
        }
        samples.sort_by(|a, b| a.name.cmp(b.name).then_with(|| a.labels.cmp(&b.labels)));
        samples
    }
}

impl Metrics {
    /// A gauge; asked for again with the same name and labels, the same one.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Metric {
        self.metric(MetricType::Gauge, name, help, labels)
    }

    /// A counter; asked for again with the same name and labels, the same one.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Metric {
        self.metric(MetricType::Counter, name, help, labels)
    }

    fn metric(
        &self,
        kind: MetricType,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Metric {
        let labels = owned(labels);
        let mut rows = self.0.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.iter().find(|row| row.name == name && row.labels == labels) {
            return Metric(row.value.clone());
        }
        let value = Arc::new(AtomicI64::new(0));
        rows.push(Row {
            name,
            help,
            kind,
            labels,
            value: value.clone(),
        });
        Metric(value)
    }
}

fn owned(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_dies_with_its_scope() {
        let registry = Registry::default();
        let scope = registry.scope(&[("connector", "a")]);
        scope.counter("rows", "Rows.", &[]).add(2);
        scope.counter("rows", "Rows.", &[]).add(1);
        let samples = registry.samples();
        assert_eq!((samples.len(), samples[0].value), (1, 3));
        drop(scope);
        assert!(registry.samples().is_empty());
    }
}
