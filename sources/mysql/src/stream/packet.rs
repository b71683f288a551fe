//! The dump's packets: an event each, or what ended the dump.

use std::ops::Range;

use bytes::Bytes;
use tapline_api::{Error, Result};

use crate::binlog::event::HEADER;
use crate::wire::{Block, server_error};

/// The event in a packet, or the error that ends the dump.
pub(super) fn event_of(block: &Block, packet: Range<usize>) -> Result<Bytes> {
    let bytes = block.bytes().slice(packet);
    match bytes.first() {
        Some(0) if bytes.len() > HEADER => Ok(bytes.slice(1..)),
        Some(0xff) => Err(dump_error(&bytes)),
        Some(0xfe) => Err(Error::retriable(
            "the server has ended the stream; it is being shut down, or another replica has our server id",
        )),
        _ => Err(Error::fatal("the server sent a packet that is no event")),
    }
}

fn dump_error(packet: &[u8]) -> Error {
    let error = server_error(packet);
    let text = error.to_string();
    match error.code() {
        Some(1236)
            if text.contains("same server_uuid/server_id") || text.contains("server_id as this replica") =>
        {
            Error::config(text).hint("give every connector and replica a database.server.id of its own")
        }
        Some(1236) => Error::fatal(text)
            .exception("io.debezium.DebeziumException")
            .hint(
                "what the connector has not read is not in the server's log any more; a snapshot is needed",
            ),
        _ => error.into(),
    }
}
