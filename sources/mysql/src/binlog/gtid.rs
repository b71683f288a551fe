//! Sets of global transaction ids, MySQL's and MariaDB's.
//!
//! <https://dev.mysql.com/doc/refman/9.0/en/replication-gtids-concepts.html>, <https://mariadb.com/kb/en/gtid/>

use std::collections::BTreeMap;
use std::fmt;

use super::Malformed;
use super::reader::Reader;

/// A source's transactions: its UUID, and a tag or nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) uuid: [u8; 16],
    pub(crate) tag: String,
}

/// One transaction of MySQL's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gtid {
    pub(crate) origin: Origin,
    pub(crate) number: u64,
}

/// One transaction of MariaDB's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MariaGtid {
    pub(crate) domain: u32,
    pub(crate) server: u32,
    pub(crate) number: u64,
}

/// A set of MySQL's transactions: by origin, intervals with both ends in, in order and never touching.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GtidSet(BTreeMap<Origin, Vec<(u64, u64)>>);

/// Where a replica of MariaDB's is: the last transaction of each domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MariaGtids(BTreeMap<u32, (u32, u64)>);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(36);
        for (index, byte) in self.uuid.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(DIGITS.get(usize::from(digit)).copied().map_or('0', char::from));
            }
        }
        f.write_str(&text)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        Ok(())
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin, self.number)
    }
}

impl fmt::Display for MariaGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.number)
    }
}

impl Gtid {
    /// From the body of a GTID event.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body, "a GTID event");
        r.skip(1)?;
        let uuid = r.take(16)?;
        Ok(Self {
            origin: Origin {
                uuid: uuid.try_into().map_err(|_| Malformed::Short("a GTID event"))?,
                tag: String::new(),
            },
            number: r.u64()?,
        })
    }

    /// From the body of a GTID_TAGGED event, whose fields are numbered and whose integers have variable lengths.
    pub(crate) fn read_tagged(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body, "a GTID_TAGGED event");
        // Version of the format, size of the message, last field that must be known.
        for _ in 0..3 {
            varint(&mut r)?;
        }
        let (mut uuid, mut tag, mut number) = ([0; 16], String::new(), 0);
        for expected in 0..4 {
            if varint(&mut r)? != expected {
                return Err(Malformed::bad(
                    "a GTID_TAGGED event has its fields in another order",
                ));
            }
            match expected {
                0 => {
                    varint(&mut r)?;
                }
                1 => {
                    for byte in &mut uuid {
                        *byte = u8::try_from(varint(&mut r)?)
                            .map_err(|_| Malformed::bad("a GTID_TAGGED event has an impossible UUID"))?;
                    }
                }
                // Signed: the lowest bit is the sign.
                2 => number = varint(&mut r)? >> 1,
                _ => {
                    let length = usize::try_from(varint(&mut r)?).unwrap_or(usize::MAX);
                    tag = String::from_utf8_lossy(r.take(length)?).into_owned();
                }
            }
        }
        Ok(Self {
            origin: Origin { uuid, tag },
            number,
        })
    }
}

/// mysql::serialization's unsigned integer: as many low bits set as bytes follow.
fn varint(r: &mut Reader<'_>) -> Result<u64, Malformed> {
    let first = r.u8()?;
    let more = usize::try_from(first.trailing_ones()).unwrap_or(8);
    let rest = r.uint(more)?;
    if more >= 8 {
        return Ok(rest);
    }
    let high = u64::from(first) >> (more + 1);
    Ok(rest << (7 - more) | high)
}

impl MariaGtid {
    /// From the body of a GTID event of MariaDB's and the header's server id; whether it stands alone, without a
    /// transaction around it.
    pub(crate) fn read(body: &[u8], server: u32) -> Result<(Self, bool), Malformed> {
        let mut r = Reader::new(body, "a GTID event");
        let number = r.u64()?;
        let domain = r.u32()?;
        let alone = r.u8()? & 1 != 0;
        Ok((
            Self {
                domain,
                server,
                number,
            },
            alone,
        ))
    }
}

impl GtidSet {
    /// Reads MySQL's text form; white space is ignored.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let bad = |part: &str| Malformed::bad(format!("'{part}' is no set of GTIDs"));
        let mut set = Self::default();
        for member in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut parts = member.split(':').map(str::trim);
            let uuid = parse_uuid(parts.next().unwrap_or_default()).ok_or_else(|| bad(member))?;
            let mut tag = String::new();
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    tag = part.to_ascii_lowercase();
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let first: u64 = first.trim().parse().map_err(|_| bad(member))?;
                let last: u64 = last.trim().parse().map_err(|_| bad(member))?;
                if first == 0 || last < first || last == u64::MAX {
                    return Err(bad(member));
                }
                let origin = Origin {
                    uuid,
                    tag: tag.clone(),
                };
                set.add_range(&origin, first, last);
            }
        }
        Ok(set)
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts one transaction in. The usual one follows the last.
    pub(crate) fn add(&mut self, gtid: &Gtid) {
        if let Some(ranges) = self.0.get_mut(&gtid.origin)
            && let Some((_, last)) = ranges.last_mut()
            && *last + 1 == gtid.number
        {
            *last = gtid.number;
            return;
        }
        self.add_range(&gtid.origin, gtid.number, gtid.number);
    }

    fn add_range(&mut self, origin: &Origin, first: u64, last: u64) {
        let ranges = self.0.entry(origin.clone()).or_default();
        ranges.push((first, last));
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges.drain(..) {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        *ranges = merged;
    }

    /// Whether all of `other` is in this set.
    pub(crate) fn contains_all(&self, other: &Self) -> bool {
        other.minus(self).is_empty()
    }

    /// What is in this set and not in `other`.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut left = BTreeMap::new();
        for (origin, ranges) in &self.0 {
            let mut rest = ranges.clone();
            for (cut_first, cut_last) in other.0.get(origin).into_iter().flatten() {
                rest = rest
                    .into_iter()
                    .flat_map(|(first, last)| {
                        let before = (first, last.min(cut_first.saturating_sub(1)));
                        let after = (first.max(cut_last + 1), last);
                        [before, after].into_iter().filter(|(first, last)| first <= last)
                    })
                    .collect();
            }
            if !rest.is_empty() {
                left.insert(origin.clone(), rest);
            }
        }
        Self(left)
    }

    /// Both sets' members.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (origin, ranges) in &other.0 {
            for (first, last) in ranges {
                sum.add_range(origin, *first, *last);
            }
        }
        sum
    }

    /// The members whose origin passes.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(origin, _)| {
            let text = Origin {
                uuid: origin.uuid,
                tag: String::new(),
            };
            keep(&text.to_string())
        });
        Self(
            kept.map(|(origin, ranges)| (origin.clone(), ranges.clone()))
                .collect(),
        )
    }

    /// The form that COM_BINLOG_DUMP_GTID takes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let tagged = self.0.keys().any(|origin| !origin.tag.is_empty());
        let count = self.0.len() as u64;
        let head = if tagged { 1 << 56 | count << 8 | 1 } else { count };
        let mut out = head.to_le_bytes().to_vec();
        for (origin, ranges) in &self.0 {
            out.extend(origin.uuid);
            if tagged {
                // At most 32 letters: one byte, shifted.
                out.push(u8::try_from(origin.tag.len() << 1).unwrap_or_default());
                out.extend(origin.tag.as_bytes());
            }
            out.extend((ranges.len() as u64).to_le_bytes());
            for (first, last) in ranges {
                out.extend(first.to_le_bytes());
                out.extend((last + 1).to_le_bytes());
            }
        }
        out
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<[u8; 16]> = None;
        for (origin, ranges) in &self.0 {
            if before == Some(origin.uuid) {
                write!(f, ":{}", origin.tag)?;
            } else {
                if before.is_some() {
                    f.write_str(",")?;
                }
                write!(f, "{origin}")?;
            }
            before = Some(origin.uuid);
            for (first, last) in ranges {
                if first == last {
                    write!(f, ":{first}")?;
                } else {
                    write!(f, ":{first}-{last}")?;
                }
            }
        }
        Ok(())
    }
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: Vec<u32> = text
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    if hex.len() != 32 {
        return None;
    }
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::try_from(pair.iter().fold(0, |n, digit| n << 4 | digit)).ok()?;
    }
    Some(uuid)
}

impl MariaGtids {
    /// Reads `domain-server-sequence,…`.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut gtids = Self::default();
        for member in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut numbers = member.splitn(3, '-').map(str::parse::<u64>);
            let mut next = || numbers.next().and_then(Result::ok);
            let (domain, server, number) = (next(), next(), next());
            let parsed = domain
                .and_then(|n| u32::try_from(n).ok())
                .zip(server.and_then(|n| u32::try_from(n).ok()))
                .zip(number);
            let Some(((domain, server), number)) = parsed else {
                return Err(Malformed::bad(format!("'{member}' is no GTID of MariaDB's")));
            };
            gtids.0.insert(domain, (server, number));
        }
        Ok(gtids)
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last transaction of its domain.
    pub(crate) fn add(&mut self, gtid: MariaGtid) {
        self.0.insert(gtid.domain, (gtid.server, gtid.number));
    }

    /// The transactions that `self` has and `other` has not, by domain: the first and the last of each.
    pub(crate) fn beyond(&self, other: &Self) -> String {
        let mut gaps = Vec::new();
        for (domain, (server, last)) in &self.0 {
            let seen = other.0.get(domain).map_or(0, |(_, number)| *number);
            if seen < *last {
                gaps.push(format!("{domain}-{server}-{} to {last}", seen + 1));
            }
        }
        gaps.join(", ")
    }
}

impl fmt::Display for MariaGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (domain, (server, number))) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{domain}-{server}-{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "0998461a-e6ea-11f1-8cee-02fc00000001";
    const B: &str = "1998461a-e6ea-11f1-8cee-02fc00000001";

    fn set(text: &str) -> GtidSet {
        GtidSet::parse(text).unwrap()
    }

    #[test]
    fn a_set_is_printed_as_the_server_prints_it() {
        let text = format!("{A}:1-5:7,{B}:1-2:tag:4:zag:1-9");
        assert_eq!(set(&text).to_string(), text);
        assert_eq!(
            set(&format!("{A}:7:1-3:4-5 ,\n{B}:2:1")).to_string(),
            format!("{A}:1-5:7,{B}:1-2")
        );
        assert!(GtidSet::parse("nonsense:1").is_err() && GtidSet::parse(&format!("{A}:5-1")).is_err());
    }

    #[test]
    fn what_is_purged_and_not_seen_is_the_gap() {
        let seen = set(&format!("{A}:1-10"));
        let purged = set(&format!("{A}:1-12,{B}:3"));
        assert_eq!(purged.minus(&seen).to_string(), format!("{A}:11-12,{B}:3"));
        assert!(set(&format!("{A}:1-20")).contains_all(&seen) && !seen.contains_all(&purged));
        assert_eq!(
            set(&format!("{A}:1-10"))
                .minus(&set(&format!("{A}:4-5")))
                .to_string(),
            format!("{A}:1-3:6-10")
        );
        assert_eq!(seen.plus(&purged).to_string(), format!("{A}:1-12,{B}:3"));
    }

    #[test]
    fn the_dump_gets_half_open_intervals() {
        let bytes = set(&format!("{A}:1-5")).encode();
        assert_eq!(bytes.len(), 8 + 16 + 8 + 16);
        assert_eq!(bytes[..8], 1u64.to_le_bytes());
        assert_eq!(bytes[32..40], 1u64.to_le_bytes());
        assert_eq!(bytes[40..], 6u64.to_le_bytes());
    }

    #[test]
    fn a_gtid_event_names_its_transaction() {
        let mut body = vec![1];
        body.extend(parse_uuid(A).unwrap());
        body.extend(38u64.to_le_bytes());
        assert_eq!(Gtid::read(&body).unwrap().to_string(), format!("{A}:38"));
        let mut body = 10u64.to_le_bytes().to_vec();
        body.extend([0, 0, 0, 0, 1]);
        let (gtid, alone) = MariaGtid::read(&body, 3).unwrap();
        assert_eq!((gtid.to_string().as_str(), alone), ("0-3-10", true));
    }

    #[test]
    fn mariadbs_position_is_the_last_of_each_domain() {
        let mut gtids = MariaGtids::parse("1-1-7, 0-1-38").unwrap();
        assert_eq!(gtids.to_string(), "0-1-38,1-1-7");
        gtids.add(MariaGtid {
            domain: 0,
            server: 2,
            number: 39,
        });
        assert_eq!(gtids.to_string(), "0-2-39,1-1-7");
        assert_eq!(
            gtids.beyond(&MariaGtids::parse("0-1-37,1-1-9").unwrap()),
            "0-2-38 to 39"
        );
        assert_eq!(MariaGtids::parse("5-1-2").unwrap().beyond(&gtids), "5-1-1 to 2");
        assert!(MariaGtids::parse("0-1").is_err());
    }

    proptest! {
        #[test]
        fn sets_keep_what_they_are_told(numbers in proptest::collection::vec(1u64..40, 0..60), cut in proptest::collection::vec(1u64..40, 0..30)) {
            let make = |numbers: &[u64]| {
                let mut set = GtidSet::default();
                for number in numbers {
                    set.add(&Gtid { origin: Origin { uuid: [1; 16], tag: String::new() }, number: *number });
                }
                set
            };
            let (a, b) = (make(&numbers), make(&cut));
            let mut left: Vec<u64> = numbers.iter().copied().filter(|n| !cut.contains(n)).collect();
            left.sort_unstable();
            prop_assert_eq!(a.minus(&b), make(&left));
            prop_assert_eq!(GtidSet::parse(&a.to_string()).unwrap(), a);
        }
    }
}
