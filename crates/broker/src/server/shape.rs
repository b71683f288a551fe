//! A look at a request before it is decoded: every array must have room for as many elements as it announces.
//!
//! The codec reserves memory for the announced count, so that a few damaged bytes could ask for 2³¹ elements, and the
//! allocator's failure would end the whole process. A shape lists a request's fields up to its last array, as in Kafka's
//! message definitions: `1 2 4 8` are integers of so many bytes, `u` a UUID, `s` a string, `b` bytes, `[…]` an array of
//! structs, `(…)` one of single values; `{from-to}` names the versions that have the field, before an array's content
//! or behind anything else. Tagged fields follow each struct in flexible versions.

use kafka_protocol::messages::ApiKey;

/// The shape of a request; none when it has no arrays.
fn shape(key: ApiKey) -> Option<&'static str> {
    Some(match key {
        ApiKey::Produce => "s24[s{-12}u{13-}[4b]]",
        ApiKey::Fetch => "4{-14}44414{7-}4{7-}[s{-12}u{13-}[44{9-}84{12-}8{5-}4]][{7-}s{-12}u{13-}(4)]",
        ApiKey::ListOffsets => "41{2-}[s[44{4-}8]]",
        ApiKey::Metadata => "[u{10-}s]",
        ApiKey::OffsetCommit => "s4ss{7-}8{2-4}[s[484{6-}s]]",
        ApiKey::OffsetFetch => "s{-7}[{-7}s(4)][{8-}ss{9-}4{9-}[s(4)]]",
        ApiKey::FindCoordinator => "s{-3}1{1-}({4-}s)",
        ApiKey::JoinGroup => "s44{1-}ss{5-}s[sb]",
        ApiKey::LeaveGroup => "ss{-2}[{3-}sss{5-}]",
        ApiKey::SyncGroup => "s4ss{3-}s{5-}s{5-}[sb]",
        ApiKey::DescribeGroups | ApiKey::DeleteGroups => "(s)",
        ApiKey::ListGroups => "({4-}s)({5-}s)",
        ApiKey::CreateTopics => "[s42[4(4)][ss]]",
        ApiKey::DeleteTopics => "[{6-}su]({-5}s)",
        ApiKey::DeleteRecords => "[s[48]]",
        ApiKey::OffsetForLeaderEpoch => "4{3-}[s[444]]",
        ApiKey::DescribeConfigs => "[1s(s)]",
        ApiKey::AlterConfigs => "[1s[ss]]",
        ApiKey::CreatePartitions => "[s4[(4)]]",
        ApiKey::IncrementalAlterConfigs => "[1s[s1s]]",
        ApiKey::OffsetDelete => "s[s[4]]",
        ApiKey::DescribeTopicPartitions => "[s]",
        _ => return None,
    })
}

/// The bytes can't be a request of this kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Walks the body of a request.
pub(super) fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<(), Malformed> {
    let Some(shape) = shape(key) else { return Ok(()) };
    let flexible = key.request_header_version(version) >= 2;
    let mut walk = Walk {
        version,
        flexible,
        bytes: body,
    };
    walk.fields(shape)
}

struct Walk<'a> {
    version: i16,
    flexible: bool,
    bytes: &'a [u8],
}

impl Walk<'_> {
    fn fields(&mut self, mut shape: &str) -> Result<(), Malformed> {
        while let Some(field) = shape.chars().next() {
            let (content, rest) = match field {
                '[' | '(' => split_at_end(shape),
                _ => ("", shape.get(1..).unwrap_or_default()),
            };
            let (here, content, rest) = match field {
                '[' | '(' => {
                    let (here, content) = self.versions(content);
                    (here, content, rest)
                }
                _ => {
                    let (here, rest) = self.versions(rest);
                    (here, content, rest)
                }
            };
            shape = rest;
            if here {
                self.field(field, content)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, field: char, content: &str) -> Result<(), Malformed> {
        match field {
            's' => {
                let length = if self.flexible {
                    self.compact()?
                } else {
                    self.number::<2>()?
                };
                self.skip(length.max(0))
            }
            'b' => {
                let length = if self.flexible {
                    self.compact()?
                } else {
                    self.number::<4>()?
                };
                self.skip(length.max(0))
            }
            'u' => self.skip(16),
            '[' | '(' => self.array(content, field == '['),
            digit => self.skip(i64::from(digit.to_digit(10).unwrap_or(0))),
        }
    }

    fn array(&mut self, content: &str, structs: bool) -> Result<(), Malformed> {
        let count = if self.flexible {
            self.compact()?
        } else {
            self.number::<4>()?
        };
        // No element takes less than a byte.
        if usize::try_from(count).is_ok_and(|count| count > self.bytes.len()) {
            return Err(Malformed);
        }
        for _ in 0..count {
            self.fields(content)?;
            if structs && self.flexible {
                self.tags()?;
            }
        }
        Ok(())
    }

    fn tags(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.skip(i64::from(length))?;
        }
        Ok(())
    }

    /// A `{from-to}` at the beginning: whether this version is in it, and what follows.
    fn versions<'s>(&self, shape: &'s str) -> (bool, &'s str) {
        let Some((range, rest)) = shape.strip_prefix('{').and_then(|shape| shape.split_once('}')) else {
            return (true, shape);
        };
        let (from, to) = range.split_once('-').unwrap_or_default();
        let here =
            self.version >= from.parse().unwrap_or(0) && self.version <= to.parse().unwrap_or(i16::MAX);
        (here, rest)
    }

    /// A length of a flexible version: one less than it says; -1 for null.
    fn compact(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(Malformed)?;
            self.bytes = rest;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// A big-endian integer of two or four bytes.
    fn number<const BYTES: usize>(&mut self) -> Result<i64, Malformed> {
        let (head, rest) = self.bytes.split_first_chunk::<BYTES>().ok_or(Malformed)?;
        self.bytes = rest;
        let negative = head.first().is_some_and(|byte| byte & 0x80 != 0);
        let start = if negative { -1 } else { 0 };
        Ok(head
            .iter()
            .fold(start, |value, byte| (value << 8) | i64::from(*byte)))
    }

    fn skip(&mut self, bytes: i64) -> Result<(), Malformed> {
        self.bytes = usize::try_from(bytes)
            .ok()
            .and_then(|bytes| self.bytes.get(bytes..))
            .ok_or(Malformed)?;
        Ok(())
    }
}

/// What is between the bracket that a shape begins with and its partner, and what follows that.
fn split_at_end(shape: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, character) in shape.char_indices() {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (
                shape.get(1..at).unwrap_or_default(),
                shape.get(at + 1..).unwrap_or_default(),
            );
        }
    }
    (shape, "")
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::RequestKind;
    use proptest::prelude::*;

    use super::*;
    use crate::node::{API_VERSIONS, supported};

    fn all() -> Vec<(ApiKey, i16)> {
        let versions = |(key, min, max)| {
            (min..=max).filter_map(move |version| supported(key, version).map(|key| (key, version)))
        };
        API_VERSIONS().into_iter().flat_map(versions).collect()
    }

    #[test]
    fn every_request_of_a_client_passes() {
        for (key, version) in all() {
            let request = crate::node::tests::request(key, version, uuid::Uuid::from_u128(1));
            let mut bytes = BytesMut::new();
            RequestKind::encode(&request, &mut bytes, version).unwrap();
            assert_eq!(check(key, version, &bytes), Ok(()), "{key:?} {version}");
            // Cut anywhere, it either fails here or is refused by the codec.
            for length in 0..bytes.len() {
                let mut cut = Bytes::copy_from_slice(&bytes[..length]);
                if check(key, version, &cut).is_ok() {
                    assert!(
                        RequestKind::decode(key, &mut cut, version).is_err(),
                        "{key:?} {version} cut at {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_count_that_has_no_room_is_refused() {
        // Metadata version 1: 2³¹ - 1 topics
        assert_eq!(
            check(ApiKey::Metadata, 1, &[0x7f, 0xff, 0xff, 0xff, 0, 0]),
            Err(Malformed)
        );
        assert_eq!(
            check(ApiKey::Metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
            Err(Malformed)
        );
        assert_eq!(check(ApiKey::Metadata, 1, &[0xff, 0xff, 0xff, 0xff]), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn damaged_requests_are_refused_or_decoded_and_never_end_the_process(
            which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), damage in proptest::collection::vec(any::<u8>(), 1..8),
        ) {
            let all = all();
            let (key, version) = *which.get(&all);
            let request = crate::node::tests::request(key, version, uuid::Uuid::from_u128(1));
            let mut bytes = BytesMut::new();
            RequestKind::encode(&request, &mut bytes, version).unwrap();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                for (byte, damage) in bytes[at..].iter_mut().zip(&damage) {
                    *byte = *damage;
                }
            }
            if check(key, version, &bytes).is_ok() {
                let _ = RequestKind::decode(key, &mut bytes.freeze(), version);
            }
        }
    }
}
