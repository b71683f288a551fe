//! One session that reads chunks, as long as there are any.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tapline_api::{Kind, Result};
use tapline_cdc::envelope::SnapshotMarker;
use tapline_cdc::snapshot::{Asks, Outlet, Work};
use tapline_databases::mysql;

use super::{Source, unreadable};
use crate::event::{Events, Origin};
use crate::wire::Connection;

/// How often to tell how far a table is.
const PROGRESS: Duration = Duration::from_secs(10);

/// A session, and where its rows go.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) user: Arc<str>,
    pub(super) connection: Connection,
    pub(super) events: Events,
    pub(super) origin: Origin,
    pub(super) outlet: Outlet,
}

impl Reader {
    /// Reads what there is to read.
    pub(super) async fn run(mut self, asks: Asks<Source>) -> Result<()> {
        while let Some(work) = asks.next(&mut self.outlet).await? {
            let rows = self.chunk(&work).await?;
            self.outlet.end(&work, rows).await?;
        }
        self.outlet.finish().await?;
        // Its transaction keeps old rows at the server.
        self.connection.execute("COMMIT").await?;
        self.connection.close().await;
        Ok(())
    }

    async fn chunk(&mut self, work: &Work<Source>) -> Result<u64> {
        let Self {
            user,
            connection,
            events,
            origin,
            outlet,
        } = self;
        let plan = &work.plan.plan;
        let failed = |error: mysql::Error| match error.code() {
            // Its structure has changed since the transaction began: another one goes on.
            Some(1412) => tapline_api::Error::from(error).with_kind(Kind::Retriable),
            _ => unreadable(user, &plan.table.id, error),
        };
        let mut rows = match connection.stream_rows(&work.sql).await {
            Err(error) if error.code() == Some(1146) => {
                tracing::warn!(table = &*work.table, "it was dropped before it was read");
                return Ok(0);
            }
            rows => rows.map_err(failed)?,
        };
        let (mut read, mut told) = (0u64, tokio::time::Instant::now());
        while let Some(mut block) = rows.next_block().await? {
            let reading = events.reading(plan, SnapshotMarker::True, origin);
            while let Some(at) = rows.row(&mut block).map_err(failed)? {
                if read == 0 {
                    outlet.begin(work.weight).await?;
                }
                let row = plan.queried(block.bytes(), at, &mut events.arena)?;
                let (marker, record) = match read {
                    0 => {
                        let first = events.reading(plan, work.first, origin);
                        (work.first, events.read(plan, row, &first))
                    }
                    _ => (SnapshotMarker::True, events.read(plan, row, &reading)),
                };
                outlet.row(record, marker, std::mem::take(&mut events.bytes));
                read += 1;
                if outlet.is_full() {
                    outlet.flush(false).await?;
                }
            }
            if told.elapsed() > PROGRESS {
                let rows = work.rows.load(Ordering::Relaxed) + read;
                tracing::info!(table = &*work.table, rows, "reading");
                told = tokio::time::Instant::now();
            }
        }
        Ok(read)
    }
}
