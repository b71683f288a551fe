//! Fetch: batches as they lie in the files. The answer is encoded here, since it says where in a file records are, and
//! the connection streams them from there; so a fetch of 50 MiB holds no more memory than one of 50 KiB.
//!
//! A fetch that finds less than `min.bytes` waits for the high watermark of any of its partitions to move. Fetch
//! sessions (KIP-227) are declined with session id 0, which makes a client name all its partitions each time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{FetchRequest, TopicName};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Answer, Node, Pending, blocking, check_epoch};
use crate::log::{Log, Refusal, Slice, Watching};

/// Of all small reads of one fetch together, this much is held in memory; the rest is streamed.
const INLINE_BYTES: usize = 256 << 10;
/// The longest that a fetch waits, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A fetch's answer: its parts, one after the other, are the message behind the response header.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) parts: Vec<Slice>,
}

#[derive(Clone)]
struct Topic {
    name: TopicName,
    id: Uuid,
    partitions: Vec<Partition>,
}

#[derive(Clone)]
struct Partition {
    index: i32,
    log: Result<Arc<Log>, ResponseError>,
    offset: i64,
    max_bytes: u32,
}

/// One partition's part of the answer.
struct Read {
    index: i32,
    error: i16,
    high_watermark: i64,
    start: i64,
    records: Slice,
}

impl Node {
    pub(super) fn fetch(self: &Arc<Self>, request: FetchRequest, version: i16) -> Pending {
        let committed = request.isolation_level == 1;
        if request.session_id != 0 {
            let error = ResponseError::FetchSessionIdNotFound.code();
            return Pending::Done(Answer::Fetched(encode(
                version,
                error,
                &[],
                Vec::new(),
                committed,
            )));
        }
        let node = self.clone();
        let wait = async move {
            let topics = Arc::new(node.resolve(&request, version));
            match node.wait_and_read(&request, &topics).await {
                Ok(reads) => Answer::Fetched(encode(version, 0, &topics, reads, committed)),
                Err(_) => Answer::Close,
            }
        };
        Pending::Waiting(wait.boxed())
    }

    fn resolve(&self, request: &FetchRequest, version: i16) -> Vec<Topic> {
        let mut topics = Vec::with_capacity(request.topics.len());
        for wanted in &request.topics {
            let (topic, unknown) = if version >= 13 {
                (self.topics.by_id(wanted.topic_id), ResponseError::UnknownTopicId)
            } else {
                (
                    self.topics.get(&wanted.topic),
                    ResponseError::UnknownTopicOrPartition,
                )
            };
            let partitions = wanted.partitions.iter().map(|partition| {
                let log = topic.as_ref().ok_or(unknown).and_then(|topic| {
                    check_epoch(partition.current_leader_epoch)?;
                    topic
                        .log(partition.partition)
                        .cloned()
                        .ok_or(ResponseError::UnknownTopicOrPartition)
                });
                let max_bytes = u32::try_from(partition.partition_max_bytes).unwrap_or(0);
                Partition {
                    index: partition.partition,
                    log,
                    offset: partition.fetch_offset,
                    max_bytes,
                }
            });
            let (name, id) = (wanted.topic.clone(), wanted.topic_id);
            topics.push(Topic {
                name,
                id,
                partitions: partitions.collect(),
            });
        }
        topics
    }

    async fn wait_and_read(
        &self,
        request: &FetchRequest,
        topics: &Arc<Vec<Topic>>,
    ) -> Result<Vec<Vec<Read>>, Refusal> {
        let most = usize::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(self.config.max_fetch_bytes);
        let least = usize::try_from(request.min_bytes).unwrap_or(0);
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST_WAIT);
        let until = Instant::now() + wait;
        let moved = Arc::new(Notify::new());
        let mut watching: Vec<Watching> = Vec::new();
        loop {
            let expired = Instant::now() >= until;
            if expired
                || least == 0
                || topics
                    .iter()
                    .flat_map(|topic| &topic.partitions)
                    .any(Partition::has_news)
            {
                let topics = topics.clone();
                let reads = blocking(move || read(&topics, most)).await?;
                let all = || reads.iter().flatten();
                let bytes: usize = all().map(|read| read.records.len()).sum();
                if expired || bytes >= least || all().any(|read| read.error != 0) {
                    return Ok(reads);
                }
            }
            if watching.is_empty() {
                let logs = topics
                    .iter()
                    .flat_map(|topic| &topic.partitions)
                    .filter_map(|one| one.log.as_ref().ok());
                watching.extend(logs.map(|log| log.watch(&moved)));
                // What came between the read and the watch is seen in the next turn.
                continue;
            }
            // A timeout shows as `expired`.
            let _ = tokio::time::timeout_at(until, moved.notified()).await;
            watching.clear();
        }
    }
}

impl Partition {
    /// Whether a read may give anything but emptiness.
    fn has_news(&self) -> bool {
        self.log.as_ref().map_or(true, |log| {
            log.mark().borrow().closed.is_some() || log.high_watermark() != self.offset
        })
    }
}

/// Reads in the order of the request, until `most` bytes. The first partition that has anything gives a whole batch,
/// however large (KIP-74).
fn read(topics: &[Topic], most: usize) -> Vec<Vec<Read>> {
    let mut total = 0;
    let mut inline = INLINE_BYTES;
    let mut read = |partition: &Partition| {
        let left = u32::try_from(most.saturating_sub(total)).unwrap_or(u32::MAX);
        let records = partition.log.clone().map_err(Refusal::from).and_then(|log| {
            log.read(
                partition.offset,
                partition.max_bytes.min(left),
                total == 0,
                inline,
            )
        });
        let log = partition.log.as_ref().ok();
        let (error, records) = match records {
            Ok(records) => (0, records),
            Err(refusal) => (refusal.error.code(), Slice::Bytes(Bytes::new())),
        };
        total += records.len();
        if let Slice::Bytes(bytes) = &records {
            inline = inline.saturating_sub(bytes.len());
        }
        // After the read: it must not be below what was read.
        let high_watermark = log.map_or(-1, |log| log.high_watermark());
        let start = log.map_or(-1, |log| log.start());
        Read {
            index: partition.index,
            error,
            high_watermark,
            start,
            records,
        }
    };
    topics
        .iter()
        .map(|topic| topic.partitions.iter().map(&mut read).collect())
        .collect()
}

/// The message as Kafka's `FetchResponse.json` has it, versions 4 to 18.
fn encode(version: i16, error: i16, topics: &[Topic], reads: Vec<Vec<Read>>, committed: bool) -> Fetched {
    let flexible = version >= 12;
    let mut out =
        BytesMut::with_capacity(64 + reads.iter().map(|reads| 80 + reads.len() * 64).sum::<usize>());
    let mut parts = Vec::new();
    out.put_i32(0); // throttle time
    if version >= 7 {
        out.put_i16(error);
        out.put_i32(0); // session id
    }
    put_length(&mut out, topics.len(), flexible);
    for (topic, reads) in topics.iter().zip(reads) {
        if version >= 13 {
            out.put_slice(topic.id.as_bytes());
        } else if flexible {
            put_length(&mut out, topic.name.len(), true);
            out.put_slice(topic.name.as_bytes());
        } else {
            // A name that was found, or that came in with a length of 16 bits.
            out.put_i16(i16::try_from(topic.name.len()).unwrap_or(0));
            out.put_slice(topic.name.as_bytes());
        }
        put_length(&mut out, reads.len(), flexible);
        for read in reads {
            out.put_i32(read.index);
            out.put_i16(read.error);
            out.put_i64(read.high_watermark);
            out.put_i64(read.high_watermark); // last stable offset
            if version >= 5 {
                out.put_i64(read.start);
            }
            // aborted transactions
            match (committed, flexible) {
                (true, _) => put_length(&mut out, 0, flexible),
                (false, true) => out.put_u8(0),
                (false, false) => out.put_i32(-1),
            }
            if version >= 11 {
                out.put_i32(-1); // preferred read replica
            }
            put_length(&mut out, read.records.len(), flexible);
            match read.records {
                Slice::Bytes(bytes) => out.put_slice(&bytes),
                file @ Slice::File { .. } => {
                    parts.push(Slice::Bytes(out.split().freeze()));
                    parts.push(file);
                }
            }
            put_no_tags(&mut out, flexible);
        }
        put_no_tags(&mut out, flexible);
    }
    put_no_tags(&mut out, flexible);
    parts.push(Slice::Bytes(out.freeze()));
    Fetched { parts }
}

/// The length of an array or of bytes: in flexible versions a varint, one more than it is.
fn put_length(out: &mut BytesMut, length: usize, flexible: bool) {
    if !flexible {
        out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        return;
    }
    let mut rest = u32::try_from(length + 1).unwrap_or(u32::MAX);
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8((rest & 0x7f) as u8);
}

fn put_no_tags(out: &mut BytesMut, flexible: bool) {
    if flexible {
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::FetchResponse;
    use kafka_protocol::protocol::{Decodable, StrBytes};

    #[test]
    fn the_answer_is_what_the_codec_reads_in_every_version() {
        let id = Uuid::from_u128(0x1234);
        let topic = |name: &'static str| Topic {
            name: TopicName(StrBytes::from_static_str(name)),
            id,
            partitions: Vec::new(),
        };
        for version in 4..=18 {
            for committed in [false, true] {
                let read = |index, length| Read {
                    index,
                    error: 3,
                    high_watermark: 77,
                    start: 5,
                    records: Slice::Bytes(vec![9; length].into()),
                };
                let topics = [topic("one"), topic("two")];
                let reads = vec![vec![read(0, 0), read(1, 127), read(2, 20_000)], vec![]];
                let fetched = encode(version, 70, &topics, reads, committed);
                let mut bytes = BytesMut::new();
                for part in fetched.parts {
                    match part {
                        Slice::Bytes(part) => bytes.extend_from_slice(&part),
                        Slice::File { .. } => panic!("nothing here comes from a file"),
                    }
                }
                let mut bytes = bytes.freeze();
                let response = FetchResponse::decode(&mut bytes, version).unwrap();
                assert!(bytes.is_empty(), "version {version}");
                assert_eq!(response.error_code, if version >= 7 { 70 } else { 0 });
                assert_eq!(response.responses.len(), 2);
                let one = &response.responses[0];
                assert_eq!(one.topic_id, if version >= 13 { id } else { Uuid::nil() });
                assert_eq!(one.topic.as_str(), if version >= 13 { "" } else { "one" });
                let lengths: Vec<_> = one
                    .partitions
                    .iter()
                    .map(|one| one.records.as_ref().unwrap().len())
                    .collect();
                assert_eq!(lengths, [0, 127, 20_000]);
                assert_eq!(
                    (one.partitions[1].high_watermark, one.partitions[1].error_code),
                    (77, 3)
                );
                assert_eq!(
                    one.partitions[1].log_start_offset,
                    if version >= 5 { 5 } else { -1 }
                );
                assert_eq!(one.partitions[1].aborted_transactions.is_some(), committed);
            }
        }
    }
}
