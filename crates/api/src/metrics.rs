//! Figures that connectors, tasks and the worker keep, without knowing who reads them.
//!
//! A figure is an atomic: to count costs one addition. The worker renders all living ones; a figure dies with the
//! last clone of its [`Metrics`], so a deleted connector leaves nothing behind. Names are those of the JMX
//! exporter for Debezium and Kafka Connect (`debezium_metrics_*`, `kafka_connect_*`), so that people's dashboards work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

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
    rows: Mutex<Rows>,
}

type Labels = Vec<(String, String)>;

#[derive(Default)]
struct Rows {
    list: Vec<Row>,
    /// Where in the list; a connector may have a figure for each of ten thousand tables.
    places: HashMap<(&'static str, Labels), usize>,
}

struct Row {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: Labels,
    value: Arc<AtomicI64>,
    /// Whether the value is a moment, of which the age is told.
    since: bool,
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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let mut samples = Vec::new();
        for scope in scopes {
            let rows = scope.rows.lock().unwrap_or_else(PoisonError::into_inner);
            for row in &rows.list {
                let value = row.value.load(Ordering::Relaxed);
                samples.push(Sample {
                    name: row.name,
                    help: row.help,
                    kind: row.kind,
                    labels: scope.labels.iter().chain(&row.labels).cloned().collect(),
                    value: match row.since {
                        false => value,
                        true if value == 0 => -1,
                        true => now.saturating_sub(value).max(0),
                    },
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
        self.metric(MetricType::Gauge, false, name, help, labels)
    }

    /// A gauge of the milliseconds since a moment: set it to the moment, in milliseconds since 1970. Until then it is -1.
    pub fn since(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Metric {
        self.metric(MetricType::Gauge, true, name, help, labels)
    }

    /// A counter; asked for again with the same name and labels, the same one.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Metric {
        self.metric(MetricType::Counter, false, name, help, labels)
    }

    fn metric(
        &self,
        kind: MetricType,
        since: bool,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Metric {
        let labels = owned(labels);
        let mut rows = self.0.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name, labels);
        if let Some(row) = rows.places.get(&key).and_then(|place| rows.list.get(*place)) {
            return Metric(row.value.clone());
        }
        let value = Arc::new(AtomicI64::new(0));
        let place = rows.list.len();
        rows.list.push(Row {
            name,
            help,
            kind,
            labels: key.1.clone(),
            value: value.clone(),
            since,
        });
        rows.places.insert(key, place);
        Metric(value)
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
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

    #[test]
    fn an_age_is_told_once_there_is_a_moment() {
        let registry = Registry::default();
        let scope = registry.scope(&[]);
        let last = scope.since("last", "Last.", &[]);
        assert_eq!(registry.samples()[0].value, -1);
        last.set(1);
        assert!(registry.samples()[0].value > 1_000_000_000_000);
        last.set(i64::MAX);
        assert_eq!(registry.samples()[0].value, 0);
    }
}
