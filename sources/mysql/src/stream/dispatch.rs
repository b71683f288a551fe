//! An event: what it is, what becomes of one that can't be read, and where it leaves the position.

use bytes::Bytes;
use tapline_api::{Error, Kind, Result, Value};
use tapline_cdc::clock::Instant as Clock;
use tapline_cdc::intern::constant;
use tapline_cdc::options::OnFailure;

use super::Stream;
use crate::binlog::Malformed;
use crate::binlog::event::{self, Header, code};
use crate::binlog::gtid::{Gtid, MariaGtid};
use crate::binlog::payload::{self, Payload};
use crate::binlog::reader::Reader;
use crate::position::AnyGtid;

impl Stream<'_> {
    /// The next event of a compressed transaction; false when there is none.
    pub(super) async fn next_of_payload(&mut self) -> Result<bool> {
        let Some(payload) = &mut self.payload else {
            return Ok(false);
        };
        match payload.next_event() {
            Ok(Some(event)) => {
                self.on_event(event, true).await?;
                Ok(true)
            }
            Ok(None) => {
                self.payload = None;
                Ok(false)
            }
            Err(error) => Err(self.malformed(&error)),
        }
    }

    /// An error with the place.
    pub(super) fn malformed(&self, error: &Malformed) -> Error {
        self.at_place(Error::fatal(error.to_string()))
    }

    pub(super) fn at_place(&self, error: Error) -> Error {
        self.at(self.tracker.pos, error)
    }

    fn at(&self, position: u64, error: Error) -> Error {
        let kind = error.kind();
        Error::fatal(format!(
            "the event at position {position} of {}: {}",
            self.tracker.file,
            error.message()
        ))
        .exception("io.debezium.DebeziumException")
        .with_kind(kind)
    }

    /// What becomes of an event that can't be read (`event.deserialization.failure.handling.mode`).
    pub(super) fn unreadable(&self, error: Error) -> Result<()> {
        match self.options.on_unreadable {
            OnFailure::Fail => {
                Err(error.hint("event.deserialization.failure.handling.mode=warn leaves such events out"))
            }
            OnFailure::Warn => {
                tracing::warn!(%error, "an event can't be read, and is left out");
                Ok(())
            }
            OnFailure::Skip => {
                tracing::debug!(%error, "an event can't be read, and is left out");
                Ok(())
            }
        }
    }

    pub(super) async fn on_event(&mut self, bytes: Bytes, in_payload: bool) -> Result<()> {
        // Until the header can be believed, the event stands behind the last one.
        let unbelieved = |error: Malformed| self.at(self.tracker.next, Error::fatal(error.to_string()));
        let header = Header::read(&bytes).map_err(unbelieved)?;
        let checksums = self.checksums && !in_payload;
        let (range, whole) = match event::body(&bytes, &header, checksums) {
            Ok(range) => (range, true),
            Err(error) => {
                // Without the others the position would be lost.
                let error = unbelieved(error);
                if !holds_rows(header.code) {
                    return Err(error);
                }
                self.unreadable(error)?;
                (0..0, false)
            }
        };
        let body = bytes.slice(range);
        match header.code {
            code::HEARTBEAT => return Ok(()),
            code::HEARTBEAT_V2 => {
                // It comes for what was left out, too.
                if let Ok(Some(pos)) = event::heartbeat(&body) {
                    self.tracker.reach(pos);
                }
                return Ok(());
            }
            _ => {}
        }
        if header.code == code::ROTATE {
            let (pos, file) = event::rotate(&body).map_err(|e| self.malformed(&e))?;
            self.origin.file = constant(&file);
            self.tracker.rotate(file, pos);
            return Ok(());
        }
        if header.code == code::FORMAT_DESCRIPTION {
            self.checksums = event::has_checksums(&body);
            self.maps.clear();
        }
        if header.is_artificial() && !in_payload {
            return Ok(());
        }
        let seconds = i64::from(header.timestamp);
        let (next, length) = match whole {
            true => (header.next, header.length),
            false => (0, u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
        };
        self.tracker.event(
            (!in_payload).then_some(next),
            length,
            header.server_id,
            Some(seconds),
        );
        if self.committed_at.is_none() {
            self.origin.at = Clock::from_micros(seconds * 1_000_000);
        }
        self.origin.server_id = header.server_id.into();
        self.origin.pos = i64::try_from(self.tracker.pos).unwrap_or(i64::MAX);
        if whole {
            self.on_body(&header, body).await?;
        }
        // A payload is one event of the file; what is in it is counted in its place.
        if header.code != code::TRANSACTION_PAYLOAD {
            self.tracker.complete();
        }
        if self.signals.is_some() && !self.tracker.in_transaction() {
            self.settle().await?;
        }
        Ok(())
    }

    async fn on_body(&mut self, header: &Header, body: Bytes) -> Result<()> {
        match header.code {
            kind if is_rows(kind) => {
                let before = self.events.records.len();
                let size = self.events.bytes;
                match self.on_rows(header.code, body) {
                    // What a value is worth, other options decide.
                    Err(error) if error.kind() == Kind::Fatal => {
                        self.unreadable(error)?;
                        self.events.records.truncate(before);
                        self.events.bytes = size;
                    }
                    read => read?,
                }
                self.lend(async |signals, context| signals.changed(before, context).await)
                    .await
            }
            code::TABLE_MAP => self.on_table_map(body).await,
            code::GTID => {
                let gtid = Gtid::read(&body).map_err(|e| self.malformed(&e))?;
                self.committed_at = commit_time(&body);
                self.on_gtid(gtid);
                Ok(())
            }
            code::GTID_TAGGED => {
                let gtid = Gtid::read_tagged(&body).map_err(|e| self.malformed(&e))?;
                self.committed_at = None;
                self.on_gtid(gtid);
                Ok(())
            }
            // ANONYMOUS_GTID
            34 => {
                self.committed_at = commit_time(&body);
                if let Some(at) = self.committed_at {
                    self.origin.at = at;
                }
                self.tracker.no_gtid();
                self.origin.gtid = Value::Null;
                self.foreign = false;
                Ok(())
            }
            code::MARIADB_GTID => {
                let (gtid, alone) =
                    MariaGtid::read(&body, header.server_id).map_err(|e| self.malformed(&e))?;
                let text = Value::from(gtid.to_string());
                self.tracker.begin_gtid(AnyGtid::MariaDb(gtid), text.clone());
                self.origin.gtid = text;
                self.tracker.begin();
                if !alone {
                    self.begin_transaction();
                }
                Ok(())
            }
            code::QUERY => self.on_query(body).await,
            code::QUERY_COMPRESSED => {
                let query = event::query(&body).map_err(|e| self.malformed(&e))?;
                let head = body.len() - query.sql.len();
                let sql = payload::mariadb(query.sql).map_err(|e| self.malformed(&e))?;
                let mut whole = body.get(..head).unwrap_or_default().to_vec();
                whole.extend(sql);
                self.on_query(whole.into()).await
            }
            code::XID | code::XA_PREPARE => {
                self.end_transaction();
                Ok(())
            }
            code::ROWS_QUERY => {
                let text = body.get(1..).unwrap_or_default();
                self.on_rows_query(text);
                Ok(())
            }
            code::ANNOTATE_ROWS => {
                self.on_rows_query(&body);
                Ok(())
            }
            code::TRANSACTION_PAYLOAD => {
                self.payload = Some(Payload::new(&body).map_err(|e| self.malformed(&e))?);
                self.tracker.stay();
                Ok(())
            }
            code::INCIDENT => self.unreadable(self.at_place(Error::fatal(
                "the server lost events of its own log here (an INCIDENT event)",
            ))),
            code::START_ENCRYPTION | code::STOP => Ok(()),
            _ => Ok(()),
        }
    }

    fn on_rows_query(&mut self, text: &[u8]) {
        if self.options.include_query {
            self.origin.query = Value::from(String::from_utf8_lossy(text).into_owned());
        }
    }
}

/// Whether an event can be left out without losing the place.
fn holds_rows(kind: u8) -> bool {
    kind == code::TABLE_MAP || is_rows(kind)
}

/// Whether an event is rows that were written.
fn is_rows(kind: u8) -> bool {
    matches!(
        kind,
        code::WRITE_ROWS
            | code::UPDATE_ROWS
            | code::DELETE_ROWS
            | code::WRITE_ROWS_V1
            | code::UPDATE_ROWS_V1
            | code::DELETE_ROWS_V1
            | code::PARTIAL_UPDATE_ROWS
            | code::WRITE_ROWS_COMPRESSED_V1..=code::DELETE_ROWS_COMPRESSED
    )
}

/// The commit's time from a GTID event, which has it since MySQL 8.0.1, in microseconds; which is what Debezium
/// tells of rows.
fn commit_time(body: &[u8]) -> Option<Clock> {
    let mut r = Reader::from(body, 1 + 16 + 8 + 1 + 16, "a GTID event");
    let immediate = r.uint(7).ok()?;
    let original = match immediate >> 55 {
        0 => immediate,
        _ => r.uint(7).ok()?,
    };
    let micros = i64::try_from(original & !(1 << 55))
        .ok()
        .filter(|micros| *micros > 0)?;
    Some(Clock::from_micros(micros))
}
