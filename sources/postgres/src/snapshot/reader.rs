//! One session that reads chunks, as long as there are any.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tapline_api::Result;
use tapline_cdc::envelope::{ReadAtOnce, SnapshotMarker};
use tapline_cdc::snapshot::{Asks, Outlet, Work};
use tapline_databases::postgres::Pace;
use tokio::time::{Instant, sleep_until};

use super::{Source, unreadable};
use crate::config::Options;
use crate::event::{Events, Origin};
use crate::wire::{Connection, Frame, copy_error};

/// How often to tell how far a table is.
const PROGRESS: Duration = Duration::from_secs(10);

/// A session, and where its rows go.
#[derive(Debug)]
pub(super) struct Reader {
    options: Arc<Options>,
    connection: Connection,
    events: Events,
    origin: Origin,
    outlet: Outlet,
}

impl Reader {
    pub(super) fn new(
        options: Arc<Options>,
        connection: Connection,
        events: Events,
        origin: Origin,
        outlet: Outlet,
    ) -> Self {
        Self {
            options,
            connection,
            events,
            origin,
            outlet,
        }
    }

    /// Reads what there is to read.
    pub(super) async fn run(mut self, asks: Asks<Source>) -> Result<()> {
        while let Some(work) = asks.next(&mut self.outlet).await? {
            self.chunk(work).await?;
        }
        self.outlet.finish().await?;
        self.connection.close(false).await;
        Ok(())
    }

    async fn chunk(&mut self, work: Work<Source>) -> Result<()> {
        let table = &work.plan.plan.table;
        self.connection
            .copy_out(&work.sql)
            .await
            .map_err(|error| unreadable(&self.options.settings.user, &table.schema, &table.name, error))?;
        let (mut rows, mut told) = (0u64, Instant::now());
        let mut pace = Pace::rows(told);
        loop {
            while let Some(mut block) = self.connection.take_block()? {
                let plan = &work.plan.plan;
                let reading = self.events.reading(plan, SnapshotMarker::True, &self.origin);
                while let Some(frame) = block.next_frame() {
                    match frame.tag {
                        b'd' => {
                            if rows == 0 {
                                self.outlet.begin(work.weight).await?;
                                let first = self.events.reading(plan, work.first, &self.origin);
                                self.row(&work, block.bytes(), frame, (work.first, &first))?;
                            } else {
                                let shared = (SnapshotMarker::True, &reading);
                                self.row(&work, block.bytes(), frame, shared)?;
                            }
                            rows += 1;
                        }
                        // ReadyForQuery ends the statement, after CopyDone and CommandComplete.
                        b'Z' => return self.outlet.end(&work, rows).await,
                        b'E' => return Err(copy_error(block.bytes(), &frame).into()),
                        _ => {}
                    }
                    if self.outlet.is_full() {
                        self.outlet.flush(false).await?;
                    }
                }
            }
            if told.elapsed() > PROGRESS {
                let rows = work.rows.load(Ordering::Relaxed) + rows;
                tracing::info!(table = &*work.table, rows, "reading");
                told = Instant::now();
            }
            if Instant::now() < pace.ready_at() {
                sleep_until(pace.ready_at()).await;
            }
            let read = self.connection.read().await?;
            if pace.read(read, Instant::now()) {
                self.connection.unwatch()?;
            }
        }
    }

    #[inline]
    fn row(
        &mut self,
        work: &Work<Source>,
        block: &Bytes,
        frame: Frame,
        (marker, reading): (SnapshotMarker, &ReadAtOnce),
    ) -> Result<()> {
        let size = frame.body.len();
        let plan = &work.plan.plan;
        let row = plan.copied(block, frame.body, &mut self.events.arena)?;
        let record = self.events.read(plan, row, reading, size);
        let bytes = std::mem::take(&mut self.events.bytes);
        self.outlet.row(record, marker, bytes);
        Ok(())
    }
}
