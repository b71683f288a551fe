//! Streaming up to a place, before a killed snapshot is resumed there: nothing that was read then lacks a change, and no row
//! goes back in time.

use tapline_api::Result;
use tapline_api::offset::OffsetMark;
use tapline_cdc::snapshot::run_partition;

use super::Stream;
use super::packet::event_of;
use crate::binlog::event::Header;
use crate::position::Position;
use crate::wire::Connection;

impl Stream<'_> {
    /// Streams what lies before `goal`, a place between two transactions, as far as the sieve lets it out. `connection` was
    /// asked for the log up to its present end.
    pub(crate) async fn catch_up(&mut self, mut connection: Connection, goal: &Position) -> Result<()> {
        connection.set_patience(self.silence);
        loop {
            let Some(mut block) = connection.take_block() else {
                connection.read().await?;
                continue;
            };
            while let Some(packet) = block.next_packet() {
                let bytes = block.bytes().get(packet.clone()).unwrap_or_default();
                // The log's end.
                if bytes.first() == Some(&0xfe) && bytes.len() < 9 {
                    connection.close().await;
                    return self.hand_out().await;
                }
                let event = event_of(&block, packet)?;
                let header = Header::read(&event).map_err(|error| self.malformed(&error))?;
                if !header.is_artificial() && self.tracker.is_at(header.next, header.length, goal) {
                    connection.close().await;
                    return self.hand_out().await;
                }
                self.on_event(event, false).await?;
                while self.next_of_payload().await? {
                    if self.is_full() {
                        self.hand_out().await?;
                    }
                }
                if self.is_full() {
                    self.hand_out().await?;
                }
            }
        }
    }

    /// Sends what there is, with a position that says that a snapshot is under way.
    async fn hand_out(&mut self) -> Result<()> {
        let (position, within) = match self.events.records.is_empty() {
            true => (self.tracker.position(), false),
            false => self.tracker.position_of_records(),
        };
        let position = Position {
            snapshot: true,
            ..position
        };
        let offset = position.to_offset(Vec::new());
        let (records, bytes) = self.events.take();
        let mut marks = self.kept.marks(records.len(), &offset, &self.tables);
        // A table that is held from here on is held after the next kill, too.
        for mut mark in self.heard.drain(..) {
            mark.after = records.len();
            marks.push(mark);
        }
        marks.push(OffsetMark {
            after: records.len(),
            partition: run_partition(self.options.naming.prefix()),
            offset: Some(offset.clone()),
        });
        let batch = self.output.batch(records, bytes, marks, Some(offset));
        self.tracker.stored(within);
        self.output.deliver(batch).await
    }
}
