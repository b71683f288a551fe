//! What the server is told: how far its log has been received, and what of it is stored.

use tapline_api::{Error, Result};
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::options::OnFailure;

use super::Stream;
use crate::lsn::Lsn;
use crate::pgoutput::EPOCH_MICROS;
use crate::wire::Connection;

impl Stream<'_> {
    /// Standby status update: what has been received, and what is confirmed as written, flushed and applied.
    pub(super) async fn confirm(&mut self, connection: &mut Connection, ask: bool) -> Result<()> {
        let confirmed = if self.options.confirms {
            *self.confirmed.borrow_and_update()
        } else {
            Lsn::NONE
        };
        let mut message = [0u8; 34];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(room) = message.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        put(b"r");
        put(&self.received.max(confirmed).0.to_be_bytes());
        put(&confirmed.0.to_be_bytes());
        put(&confirmed.0.to_be_bytes());
        put(&(Clock::now().micros() - EPOCH_MICROS).to_be_bytes());
        put(&[u8::from(ask)]);
        let sending = connection.send_copy_data(&message);
        tokio::pin!(sending);
        loop {
            match tokio::time::timeout(self.options.flush_timeout, &mut sending).await {
                Ok(sent) => return Ok(sent?),
                Err(_) => self.flush_timed_out(confirmed)?,
            }
        }
    }

    /// `lsn.flush.timeout.action`: the position was not taken within `lsn.flush.timeout.ms`. Cut off, the message would
    /// spoil the connection, so without an error it is waited for on.
    fn flush_timed_out(&self, lsn: Lsn) -> Result<()> {
        let text = format!(
            "LSN flush operation for LSN '{lsn}' did not complete within the configured timeout of {} ms.",
            self.options.flush_timeout.as_millis()
        );
        match self.options.on_flush_timeout {
            OnFailure::Fail => Err(Error::fatal(text)
                .exception("org.apache.kafka.connect.errors.ConnectException")
                .hint("set lsn.flush.timeout.ms, or lsn.flush.timeout.action to warn or ignore")),
            OnFailure::Warn => {
                tracing::warn!("{text}");
                Ok(())
            }
            OnFailure::Skip => Ok(()),
        }
    }
}
