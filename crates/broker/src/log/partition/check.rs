//! What a batch must be like before it is appended. Pure.

use kafka_protocol::ResponseError;

use crate::log::batch::{Corrupt, HEADER, Header};
use crate::log::{Refusal, record};

/// A topic's settings, as far as an append asks for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) max_message_bytes: u32,
    pub(crate) segment_bytes: u32,
    pub(crate) log_append_time: bool,
    pub(crate) compacted: bool,
    /// How far a batch's times may lie after the broker's clock, and before it; milliseconds.
    pub(crate) max_time_ahead: i64,
    pub(crate) max_time_behind: i64,
}

/// Exactly one whole batch that a producer may write.
pub(super) fn batch<'a>(batch: &'a [u8], rules: &Rules, now: i64) -> Result<(Header, &'a [u8]), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(ResponseError::InvalidRecord, message));
    let header = Header::parse(batch).map_err(|corrupt| match corrupt {
        Corrupt::Magic(magic) => Refusal::new(
            ResponseError::InvalidRecord,
            format!("record format {magic}; only 2 is taken"),
        ),
        other => Refusal::new(ResponseError::CorruptMessage, format!("{other:?}")),
    })?;
    let Some(records) = batch.get(HEADER..header.size as usize) else {
        return Err(Refusal::new(ResponseError::CorruptMessage, "the batch is cut"));
    };
    if batch.len() != header.size as usize {
        return invalid("more than one batch");
    }
    if header.size > rules.max_message_bytes {
        let message = format!(
            "{} bytes; max.message.bytes is {}",
            header.size, rules.max_message_bytes
        );
        return Err(Refusal::new(ResponseError::MessageTooLarge, message));
    }
    if header.crc_with(records) != header.crc {
        return Err(Refusal::new(
            ResponseError::CorruptMessage,
            "the checksum does not match",
        ));
    }
    if header.count <= 0 || header.last_offset_delta != header.count - 1 {
        return invalid("the count of records does not match their offsets");
    }
    if header.is_control() {
        return invalid("clients may not write control records");
    }
    if header.is_transactional() {
        return Err(Refusal::new(
            ResponseError::InvalidTxnState,
            "this broker has no transactions yet",
        ));
    }
    if header.has_producer() && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return invalid("a producer id without epoch or sequence");
    }
    if !header.has_known_compression() {
        return Err(ResponseError::UnsupportedCompressionType.into());
    }
    let ahead = header.max_timestamp.saturating_sub(now) > rules.max_time_ahead;
    let behind =
        header.base_timestamp >= 0 && now.saturating_sub(header.base_timestamp) > rules.max_time_behind;
    if !rules.log_append_time && (ahead || behind) {
        let message = format!("times up to {} at {now}", header.max_timestamp);
        return Err(Refusal::new(ResponseError::InvalidTimestamp, message));
    }
    if rules.compacted && !header.is_compressed() {
        let keyless = |record: Result<record::Record<'_>, _>| record.is_ok_and(|record| record.key.is_none());
        if record::records(records, header.count).any(keyless) {
            return invalid("a compacted topic takes only records with a key");
        }
    }
    Ok((header, records))
}
