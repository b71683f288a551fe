//! A log in a folder: appended, killed, opened again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::batch::tests::batch;
use super::batch::{HEADER, Header};
use super::record::records;
use super::*;

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tapline-broker-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const RULES: Rules = Rules {
    max_message_bytes: 1 << 20,
    segment_bytes: 4 << 10,
    log_append_time: false,
    compacted: false,
    max_time_ahead: 3_600_000,
    max_time_behind: i64::MAX,
};
const ID: uuid::Uuid = uuid::Uuid::from_u128(7);

fn open(folder: &Path) -> Log {
    Log::open(folder.join("t-0"), ID, 0, 0).unwrap()
}

pub(crate) fn one(value: &[u8]) -> Vec<u8> {
    batch((-1, -1, -1), 0, &[(None, Some(value))])
}

fn bytes(slice: &Slice) -> Vec<u8> {
    match slice {
        Slice::Bytes(bytes) => bytes.to_vec(),
        Slice::File {
            file,
            position,
            length,
        } => {
            let mut out = vec![0; *length as usize];
            std::os::unix::fs::FileExt::read_exact_at(&**file, &mut out, *position).unwrap();
            out
        }
    }
}

type Found = Vec<(i64, Option<Vec<u8>>, Option<Vec<u8>>)>;

/// Every record from `offset` on: offset, key, value.
fn contents(log: &Log, mut offset: i64) -> Found {
    let mut out = Vec::new();
    loop {
        let slice = bytes(&log.read(offset, 1 << 20, true, usize::MAX).unwrap());
        if slice.is_empty() {
            return out;
        }
        let mut rest = slice.as_slice();
        while rest.len() >= HEADER {
            let header = Header::parse(rest).unwrap();
            let Some(body) = rest.get(HEADER..header.size as usize) else {
                break;
            };
            assert_eq!(header.crc_with(body), header.crc);
            for record in records(body, header.count) {
                let record = record.unwrap();
                let at = header.base_offset + record.offset_delta;
                if at >= offset {
                    out.push((
                        at,
                        record.key.map(<[u8]>::to_vec),
                        record.value.map(<[u8]>::to_vec),
                    ));
                }
            }
            offset = header.next_offset();
            rest = &rest[header.size as usize..];
        }
    }
}

#[test]
fn what_is_not_synced_is_not_shown() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let appended = log.append(&one(b"a"), &RULES, 0).unwrap();
    assert_eq!((appended.base_offset, appended.end), (0, 1));
    assert_eq!(log.high_watermark(), 0);
    assert!(contents(&log, 0).is_empty());
    log.sync();
    assert_eq!(log.high_watermark(), 1);
    assert_eq!(contents(&log, 0), [(0, None, Some(b"a".to_vec()))]);
}

#[test]
fn offsets_outside_the_log_are_refused() {
    let folder = Folder::new();
    let log = open(&folder.0);
    assert_eq!(log.read(0, 100, true, usize::MAX).unwrap().len(), 0);
    assert_eq!(
        log.read(1, 100, true, usize::MAX).unwrap_err().error,
        ResponseError::OffsetOutOfRange
    );
    assert_eq!(
        log.read(-1, 100, true, usize::MAX).unwrap_err().error,
        ResponseError::OffsetOutOfRange
    );
}

#[test]
fn a_log_of_many_segments_is_read_from_any_offset_before_and_after_a_restart() {
    let folder = Folder::new();
    let log = open(&folder.0);
    for n in 0..500_i64 {
        let batch = batch(
            (-1, -1, -1),
            n,
            &[(None, Some(&[7; 50])), (None, Some(&n.to_be_bytes()))],
        );
        log.append(&batch, &RULES, 0).unwrap();
        if n % 7 == 0 {
            log.sync();
        }
    }
    log.sync();
    assert!(log.bases().len() > 10);
    let check = |log: &Log| {
        let all = contents(log, 0);
        assert_eq!(all.len(), 1000);
        for from in [0, 1, 2, 499, 500, 997, 998, 999, 1000] {
            assert_eq!(
                contents(log, from),
                all[usize::try_from(from).unwrap()..],
                "from {from}"
            );
        }
        assert_eq!(log.find_time(0).unwrap(), Some((0, 0)));
        assert_eq!(log.find_time(250).unwrap(), Some((500, 250)));
        assert_eq!(log.find_time(499).unwrap(), Some((998, 499)));
        assert_eq!(log.find_time(500).unwrap(), None);
        assert_eq!(log.max_time(), Some(499));
    };
    check(&log);
    drop(log);
    let killed = open(&folder.0);
    check(&killed);
    killed.finish(0);
    drop(killed);
    let stopped = open(&folder.0);
    check(&stopped);
    assert_eq!(stopped.high_watermark(), 1000);
    assert_eq!(stopped.delete_before(601).unwrap(), 601);
    assert_eq!(contents(&stopped, 601).len(), 399);
    assert_eq!(
        stopped.read(600, 100, true, 0).unwrap_err().error,
        ResponseError::OffsetOutOfRange
    );
}

#[test]
fn a_clean_stop_leaves_nothing_to_read_at_the_next_start() {
    let folder = Folder::new();
    let log = open(&folder.0);
    for _ in 0..50 {
        log.append(&batch((5, 0, -1), 0, &[(None, None)]), &RULES, 0)
            .unwrap_err();
        log.append(&one(&[1; 300]), &RULES, 0).unwrap();
    }
    log.finish(0);
    drop(log);
    let found = super::recover::recover(&folder.0.join("t-0"), 0).unwrap();
    assert_eq!((found.scanned, found.cut), (0, 0));
}

#[test]
fn a_read_is_bounded_and_ends_with_a_whole_batch_when_asked() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let rules = Rules {
        segment_bytes: 1 << 20,
        ..RULES
    };
    let size = one(&[1; 300]).len();
    for _ in 0..300 {
        log.append(&one(&[1; 300]), &rules, 0).unwrap();
    }
    log.sync();
    assert_eq!(log.read(10, 10, false, usize::MAX).unwrap().len(), 0);
    assert_eq!(log.read(10, 10, true, usize::MAX).unwrap().len(), size);
    assert_eq!(
        log.read(10, u32::MAX, true, usize::MAX).unwrap().len(),
        290 * size
    );
    let read = log.read(10, 80 << 10, true, usize::MAX).unwrap().len();
    assert!(read <= 80 << 10 && read.is_multiple_of(size), "{read}");
}

#[test]
fn what_a_producer_may_not_write_is_refused_with_kafkas_code() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let good = one(b"v");
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = Header::parse(&good).unwrap();
        change(&mut header);
        header.crc = header.crc_with(&good[HEADER..]);
        [&header.bytes()[..], &good[HEADER..]].concat()
    };
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (what, batch, error) in [
        ("damaged", flipped, ResponseError::CorruptMessage),
        (
            "cut",
            good[..good.len() - 1].to_vec(),
            ResponseError::CorruptMessage,
        ),
        ("empty", Vec::new(), ResponseError::CorruptMessage),
        (
            "two",
            [good.clone(), good.clone()].concat(),
            ResponseError::InvalidRecord,
        ),
        (
            "old format",
            with(&|header| header.magic = 1),
            ResponseError::InvalidRecord,
        ),
        (
            "control",
            with(&|header| header.attributes = 0x20),
            ResponseError::InvalidRecord,
        ),
        (
            "transaction",
            with(&|header| header.attributes = 0x10),
            ResponseError::InvalidTxnState,
        ),
        (
            "codec",
            with(&|header| header.attributes = 5),
            ResponseError::UnsupportedCompressionType,
        ),
        (
            "count",
            with(&|header| header.count = 2),
            ResponseError::InvalidRecord,
        ),
        (
            "no records",
            with(&|header| (header.count, header.last_offset_delta) = (0, 0)),
            ResponseError::InvalidRecord,
        ),
        (
            "future",
            with(&|header| header.max_timestamp = 3_600_001),
            ResponseError::InvalidTimestamp,
        ),
        ("large", one(&vec![0; 2 << 20]), ResponseError::MessageTooLarge),
    ] {
        assert_eq!(log.append(&batch, &RULES, 0).unwrap_err().error, error, "{what}");
    }
    let compacted = Rules {
        compacted: true,
        ..RULES
    };
    assert_eq!(
        log.append(&good, &compacted, 0).unwrap_err().error,
        ResponseError::InvalidRecord
    );
    log.sync();
    assert!(contents(&log, 0).is_empty());
}

#[test]
fn log_append_time_is_set_under_a_new_checksum() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let rules = Rules {
        log_append_time: true,
        ..RULES
    };
    assert_eq!(log.append(&one(b"v"), &rules, 1234).unwrap().append_time, 1234);
    log.sync();
    assert_eq!(contents(&log, 0).len(), 1);
    assert_eq!(log.find_time(1234).unwrap(), Some((0, 1234)));
    drop(log);
    assert_eq!(open(&folder.0).high_watermark(), 1);
}

#[test]
fn a_batch_sent_again_gets_its_first_offset_even_after_a_kill() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let mut sent = Vec::new();
    for n in 0..40 {
        let batch = batch((9, 1, n * 2), 0, &[(None, Some(&[3; 200])), (None, None)]);
        sent.push((log.append(&batch, &RULES, 0).unwrap(), batch));
    }
    let known = log.producers();
    log.sync();
    drop(log);
    let log = open(&folder.0);
    assert_eq!(log.producers(), known);
    for (first, batch) in &sent[35..] {
        assert_eq!(log.append(batch, &RULES, 0).unwrap(), *first);
    }
    assert_eq!(
        log.append(&sent[3].1, &RULES, 0).unwrap_err().error,
        ResponseError::OutOfOrderSequenceNumber
    );
    assert_eq!(
        log.append(&batch((9, 1, 80), 0, &[(None, None)]), &RULES, 0)
            .unwrap()
            .base_offset,
        80
    );
}

#[test]
fn a_closed_log_refuses_and_wakes_who_waits() {
    let folder = Folder::new();
    let log = Arc::new(open(&folder.0));
    let waiting = Arc::new(tokio::sync::Notify::new());
    let guard = log.watch(&waiting);
    log.close(ResponseError::UnknownTopicOrPartition);
    drop(guard);
    assert_eq!(
        log.append(&one(b"v"), &RULES, 0).unwrap_err().error,
        ResponseError::UnknownTopicOrPartition
    );
    assert_eq!(
        log.read(0, 1, true, usize::MAX).unwrap_err().error,
        ResponseError::UnknownTopicOrPartition
    );
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(waiting.notified());
}

const COMPACTION: Compaction = Compaction {
    delete_retention_ms: 1000,
    min_lag_ms: 0,
    min_dirty_ratio: 0.5,
    segment_bytes: 1 << 20,
};

#[test]
fn compaction_keeps_the_last_record_of_each_key_at_its_offset() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let rules = Rules {
        compacted: true,
        ..RULES
    };
    for n in 0..300_i64 {
        let key = (n % 10).to_be_bytes();
        let value = n.to_be_bytes();
        // the last of key 3 is a tombstone
        let value = (n != 293).then_some(&value[..]);
        let batch = batch(
            (4, 0, i32::try_from(n).unwrap() * 2),
            n,
            &[(Some(b"same"), Some(b"x")), (Some(&key), value)],
        );
        log.append(&batch, &rules, 0).unwrap();
    }
    log.sync();
    let before = log.size();
    let (known, next) = (log.producers(), log.high_watermark());
    compact(&log, &COMPACTION, 0).unwrap();
    let check = |log: &Log, tombstone: bool| {
        let mut expected: Vec<_> = (290..300_i64)
            .map(|n| {
                (
                    n * 2 + 1,
                    Some((n % 10).to_be_bytes().to_vec()),
                    (n != 293).then(|| n.to_be_bytes().to_vec()),
                )
            })
            .filter(|(_, _, value)| value.is_some() || tombstone)
            .collect();
        expected.insert(
            expected.len() - 1,
            (598, Some(b"same".to_vec()), Some(b"x".to_vec())),
        );
        assert_eq!(contents(log, 0), expected);
        assert_eq!((log.high_watermark(), log.producers()), (next, known.clone()));
        assert!(log.size() < before / 5);
    };
    check(&log, true);
    drop(log);
    let log = open(&folder.0);
    check(&log, true);
    assert_eq!(log.find_time(295).unwrap(), Some((591, 295)));
    // nothing is new, so nothing is done, until half of the log is
    compact(&log, &COMPACTION, 5000).unwrap();
    check(&log, true);
    for n in 0..60 {
        let batch = batch((-1, -1, -1), 0, &[(Some(b"other"), Some(&[n; 200]))]);
        log.append(&batch, &rules, 0).unwrap();
    }
    log.sync();
    compact(&log, &COMPACTION, 5000).unwrap();
    let left = contents(&log, 0);
    assert_eq!(left.len(), 11);
    assert!(
        left.iter().all(|(_, _, value)| value.is_some()),
        "the tombstone's time is over"
    );
    assert_eq!(log.append(&one(b"v"), &RULES, 0).unwrap().base_offset, 660);
}

#[test]
fn who_reads_while_segments_are_joined_finds_them() {
    let folder = Folder::new();
    let log = open(&folder.0);
    let rules = Rules {
        compacted: true,
        ..RULES
    };
    let always = Compaction {
        min_dirty_ratio: 0.0,
        ..COMPACTION
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..40_u8 {
                for n in 0..20_u8 {
                    let batch = batch((-1, -1, -1), 0, &[(Some(&[n]), Some(&[round; 50]))]);
                    log.append(&batch, &rules, 0).unwrap();
                    if n % 5 == 0 {
                        log.roll().unwrap();
                    }
                }
                log.sync();
                compact(&log, &always, 0).unwrap();
            }
        });
        while !writer.is_finished() {
            contents(&log, 0);
        }
        writer.join().unwrap();
    });
    assert_eq!(contents(&log, 0).len(), 20);
}

#[test]
fn a_compaction_that_was_killed_before_it_removed_the_old_files_loses_and_repeats_nothing() {
    let folder = Folder::new();
    let log = open(&folder.0);
    for n in 0..200_i64 {
        let key = (n % 50).to_be_bytes();
        log.append(
            &batch((-1, -1, -1), 0, &[(Some(&key), Some(&[1; 100]))]),
            &RULES,
            0,
        )
        .unwrap();
    }
    log.finish(0);
    let keep: Vec<_> = fs::read_dir(log.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    compact(&log, &COMPACTION, 0).unwrap();
    let expected = contents(&log, 0);
    for (path, bytes) in keep {
        if !path.exists() {
            fs::write(&path, bytes).unwrap();
        }
    }
    drop(log);
    let log = open(&folder.0);
    assert_eq!(contents(&log, 0), expected);
    assert_eq!(log.high_watermark(), 200);
}

/// A log of `batches`, killed after its last sync; the bytes of its only file, and where each batch ends.
fn killed(folder: &Path, batches: &[Vec<u8>]) -> (PathBuf, Vec<usize>) {
    let log = open(folder);
    let rules = Rules {
        segment_bytes: u32::MAX,
        ..RULES
    };
    let mut ends = vec![0];
    for batch in batches {
        log.append(batch, &rules, 0).unwrap();
        ends.push(ends.last().unwrap() + batch.len());
    }
    log.sync();
    (folder.join("t-0/00000000000000000000.log"), ends)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_file_cut_at_any_byte_keeps_every_whole_batch(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..12),
        at in any::<prop::sample::Index>(), garbage in proptest::collection::vec(any::<u8>(), 0..200), described: bool,
    ) {
        let folder = Folder::new();
        let batches: Vec<_> = (0_i32..).zip(&values).map(|(n, value)| batch((8, 0, n), 0, &[(None, Some(value))])).collect();
        let half = batches.len() / 2;
        if described {
            killed(&folder.0, &batches[..half]);
            open(&folder.0).finish(0);
        }
        let (file, ends) = killed(&folder.0, &batches[if described { half } else { 0 }..]);
        let mut bytes = fs::read(&file).unwrap();
        let offset = if described { batches[..half].iter().map(Vec::len).sum() } else { 0 };
        let cut = offset + at.index(bytes.len() - offset + 1);
        let whole = ends.iter().filter(|end| **end + offset <= cut).count() - 1 + if described { half } else { 0 };
        bytes.truncate(cut);
        bytes.extend(&garbage);
        fs::write(&file, &bytes).unwrap();

        let log = open(&folder.0);
        prop_assert_eq!(log.high_watermark(), i64::try_from(whole).unwrap());
        let read: Vec<_> = contents(&log, 0).into_iter().map(|(_, _, value)| value.unwrap()).collect();
        prop_assert_eq!(&read[..], &values[..whole]);
        // and it goes on with the next sequence number, at the next offset
        if let Some(next) = batches.get(whole) {
            prop_assert_eq!(log.append(next, &RULES, 0).unwrap().base_offset, i64::try_from(whole).unwrap());
        }
    }

    #[test]
    fn any_bit_flipped_behind_what_is_described_cuts_there(bit in any::<prop::sample::Index>()) {
        let folder = Folder::new();
        let (file, ends) = killed(&folder.0, &[one(b"one"), one(b"two"), one(b"three")]);
        let mut bytes = fs::read(&file).unwrap();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &bytes).unwrap();
        let batch = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
        let within = bit / 8 - ends[batch];
        let log = open(&folder.0);
        // base offset and leader epoch are the broker's own, and not covered by the checksum
        if (8..12).contains(&within) || within >= 16 {
            prop_assert_eq!(log.high_watermark(), i64::try_from(batch).unwrap());
        }
    }
}
