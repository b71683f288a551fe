//! A broker in a process of its own, killed with SIGKILL at random moments under load. What it had acknowledged is there
//! afterwards, at its offset, once; and idempotent producers go on where they were.

// Helpers of a test may say what they expect, too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tapline_broker::{Broker, Config};

const KILLS: usize = 25;
const TOPICS: [&str; 3] = ["one", "two", "three"];

/// Not a test: the broker that the test below starts. Its data folder is the first line of its input.
#[test]
#[ignore = "started by the other test"]
fn serve_until_killed() {
    let mut folder = String::new();
    std::io::stdin().read_line(&mut folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let broker = Broker::open(Config::new(folder.trim())).await.unwrap();
        println!("\nlistens on {}", broker.address());
        std::future::pending::<()>().await;
    });
}

struct Killed {
    child: Child,
    address: String,
}

impl Killed {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve_until_killed", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", folder.display()).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the broker ended").unwrap();
            if let Some(address) = line.strip_prefix("listens on ") {
                break address.to_owned();
            }
        };
        Self { child, address }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client as small as it gets: one request at a time.
struct Client(TcpStream);

impl Client {
    fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(stream))
    }

    fn ask<R: Request + HeaderVersion>(&mut self, request: &R, version: i16) -> std::io::Result<R::Response> {
        let mut bytes = BytesMut::new();
        bytes.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version);
        header.encode(&mut bytes, R::header_version(version)).unwrap();
        request.encode(&mut bytes, version).unwrap();
        let length = i32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.0.write_all(&bytes)?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        Ok(R::Response::decode(&mut answer, version).unwrap())
    }
}

fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// One record, whose value is `number`, from an idempotent producer whose sequence number it is, too.
fn batch(producer: i64, number: i32) -> Vec<u8> {
    let mut record = vec![0, 0, 0, 1, 8]; // attributes, deltas, null key, 4 bytes
    record.extend_from_slice(&number.to_be_bytes());
    record.push(0); // no headers
    let mut covered = Vec::new();
    covered.put_i16(0);
    covered.put_i32(0);
    covered.put_i64(1000);
    covered.put_i64(1000);
    covered.put_i64(producer);
    covered.put_i16(0);
    covered.put_i32(number);
    covered.put_i32(1);
    covered.put_u8(u8::try_from(record.len() * 2).unwrap());
    covered.extend_from_slice(&record);
    let mut out = Vec::new();
    out.put_i64(0);
    out.put_i32(i32::try_from(covered.len() + 9).unwrap());
    out.put_i32(-1);
    out.put_i8(2);
    out.put_u32(crc32c::crc32c(&covered));
    out.extend_from_slice(&covered);
    out
}

/// The numbers in a topic, in their order.
fn numbers(client: &mut Client, topic: &'static str) -> Vec<i32> {
    let mut numbers = Vec::new();
    loop {
        let offset = i64::try_from(numbers.len()).unwrap();
        let partition = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic(name(topic))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic]);
        let response = client.ask(&request, 12).unwrap();
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let mut records = partition.records.clone().unwrap();
        if records.is_empty() {
            return numbers;
        }
        while records.len() > 12 {
            assert_eq!(
                records.get_i64(),
                i64::try_from(numbers.len()).unwrap(),
                "an offset is missing or there twice"
            );
            let length = usize::try_from(records.get_i32()).unwrap();
            if records.len() < length {
                break;
            }
            let batch = records.split_to(length);
            numbers.push((&batch[49 + 6..]).get_i32());
        }
    }
}

/// Produces to one topic until the broker is gone. Returns the next number, and whether the one before was acknowledged.
fn produce(address: &str, topic: &'static str, producer: i64, mut next: i32) -> i32 {
    let Ok(mut client) = Client::connect(address) else {
        return next;
    };
    loop {
        let partition = PartitionProduceData::default().with_records(Some(batch(producer, next).into()));
        let data = TopicProduceData::default()
            .with_name(name(topic))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_transactional_id(None)
            .with_topic_data(vec![data]);
        let Ok(response) = client.ask(&request, 9) else {
            return next;
        };
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (0, i64::from(next)),
            "{topic}: {:?}",
            partition.error_message
        );
        next += 1;
    }
}

/// Commits ever greater positions until the broker is gone. Returns the last one that was acknowledged.
fn commit(address: &str, mut done: i64) -> i64 {
    let Ok(mut client) = Client::connect(address) else {
        return done;
    };
    loop {
        let topics = TOPICS.map(|topic| {
            let partition = OffsetCommitRequestPartition::default().with_committed_offset(done + 1);
            OffsetCommitRequestTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![partition])
        });
        let request = OffsetCommitRequest::default().with_group_id(StrBytes::from_static_str("g").into());
        let Ok(response) = client.ask(&request.with_topics(topics.to_vec()), 8) else {
            return done;
        };
        assert!(
            response
                .topics
                .iter()
                .all(|topic| topic.partitions[0].error_code == 0)
        );
        done += 1;
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = std::env::temp_dir().join(format!("tapline-broker-kill-{}", std::process::id()));
    let mut acknowledged = [0; TOPICS.len()];
    let mut committed = 0;
    let mut producers = Vec::new();
    let mut seed = std::process::id();
    for _ in 0..=KILLS {
        let broker = Killed::start(&folder);
        let mut client = Client::connect(&broker.address).unwrap();
        if producers.is_empty() {
            let topics = TOPICS.map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
            let request = MetadataRequest::default()
                .with_topics(Some(topics.to_vec()))
                .with_allow_auto_topic_creation(true);
            client.ask(&request, 12).unwrap();
            for _ in TOPICS {
                let request = InitProducerIdRequest::default().with_transactional_id(None);
                producers.push(client.ask(&request, 4).unwrap().producer_id.0);
            }
        }
        for (topic, acknowledged) in TOPICS.into_iter().zip(&mut acknowledged) {
            let numbers = numbers(&mut client, topic);
            assert!(
                numbers
                    .iter()
                    .copied()
                    .eq(0..i32::try_from(numbers.len()).unwrap()),
                "{topic}: each once, in order"
            );
            // One may have been written and not acknowledged; it is sent again, and taken for what it is.
            let there = i32::try_from(numbers.len()).unwrap();
            assert!(
                (*acknowledged..=*acknowledged + 1).contains(&there),
                "{topic}: {there} of {acknowledged}"
            );
        }
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_topics(None);
        let response = client
            .ask(&OffsetFetchRequest::default().with_groups(vec![group]), 8)
            .unwrap();
        let positions = response.groups[0]
            .topics
            .iter()
            .map(|topic| topic.partitions[0].committed_offset);
        let positions: Vec<_> = positions.collect();
        assert!(committed == 0 || positions.len() == TOPICS.len());
        assert!(
            positions
                .iter()
                .all(|at| (committed..=committed + 1).contains(at)),
            "{positions:?} of {committed}"
        );
        assert!(
            positions.iter().all(|at| *at == positions[0]),
            "a commit is whole or not at all: {positions:?}"
        );
        committed = positions.first().copied().unwrap_or(0).max(committed);

        // xorshift: any moment within the next 300 ms
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        let until = Instant::now() + Duration::from_millis(u64::from(seed % 300));
        let address = broker.address.clone();
        std::thread::scope(|scope| {
            let running: Vec<_> = TOPICS
                .into_iter()
                .zip(&producers)
                .zip(acknowledged)
                .map(|((topic, producer), next)| {
                    let address = &address;
                    scope.spawn(move || produce(address, topic, *producer, next))
                })
                .collect();
            let (from, to) = (committed, &address);
            let committing = scope.spawn(move || commit(to, from));
            while Instant::now() < until {
                std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
            }
            drop(broker);
            for (thread, acknowledged) in running.into_iter().zip(&mut acknowledged) {
                *acknowledged = thread.join().unwrap();
            }
            committed = committing.join().unwrap();
        });
    }
    println!("{KILLS} kills; acknowledged: {acknowledged:?} records, {committed} commits");
    let _ = std::fs::remove_dir_all(&folder);
}
