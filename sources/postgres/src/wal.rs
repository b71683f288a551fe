//! How much log the slot holds back at the server, and whether that is more than `slot.max.retained.bytes` allows.
//!
//! A slot that nobody confirms keeps the server's log until its disk is full. The figure is read with the control
//! session, seldom and with a short patience: what streams must not wait for it.

use std::time::Duration;

use tapline_api::metrics::Metric;
use tapline_cdc::metrics::SourceMetrics;
use tokio::time::{Instant, timeout};

use crate::catalog::Catalog;

/// How often to look.
const EVERY: Duration = Duration::from_secs(10);
/// How long to wait for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to repeat the warning.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Watches one slot.
#[derive(Debug)]
pub(crate) struct WalWatch {
    slot: String,
    /// Zero for no budget.
    budget: i64,
    due: Instant,
    warn_due: Instant,
    retained: Metric,
    over: Metric,
}

impl WalWatch {
    pub(crate) fn new(slot: &str, budget: i64, metrics: &SourceMetrics) -> Self {
        metrics
            .own(
                "tapline_slot_max_retained_bytes",
                "slot.max.retained.bytes: how much log the slot may hold back at the server; 0 for no limit.",
            )
            .set(budget);
        let now = Instant::now();
        Self {
            slot: slot.to_owned(),
            budget,
            due: now,
            warn_due: now,
            retained: metrics.own(
                "tapline_slot_retained_bytes",
                "Bytes of log that the replication slot holds back at the server.",
            ),
            over: metrics.own(
                "tapline_slot_over_budget",
                "Whether the slot holds back more than slot.max.retained.bytes.",
            ),
        }
    }

    /// Looks, when it is time.
    pub(crate) async fn look(&mut self, catalog: &Catalog, now: Instant) {
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        let Ok(Ok(Some(retained))) = timeout(PATIENCE, catalog.retained(&self.slot)).await else {
            return;
        };
        self.retained.set(retained);
        let over = self.budget > 0 && retained > self.budget;
        self.over.set(over.into());
        if over && now >= self.warn_due {
            self.warn_due = now + WARN_EVERY;
            tracing::warn!(
                slot = self.slot,
                retained,
                budget = self.budget,
                "the replication slot holds back more log than slot.max.retained.bytes: the connector does not keep up, \
                 or its records are not acknowledged"
            );
        }
    }
}
