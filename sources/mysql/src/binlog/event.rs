//! Events: the header that all have, the checksum, and the bodies that are looked at.

use std::ops::Range;

use super::Malformed;
use super::reader::Reader;

/// Codes of event types.
pub(crate) mod code {
    pub(crate) const QUERY: u8 = 2;
    pub(crate) const STOP: u8 = 3;
    pub(crate) const ROTATE: u8 = 4;
    pub(crate) const FORMAT_DESCRIPTION: u8 = 15;
    pub(crate) const XID: u8 = 16;
    pub(crate) const TABLE_MAP: u8 = 19;
    pub(crate) const WRITE_ROWS_V1: u8 = 23;
    pub(crate) const UPDATE_ROWS_V1: u8 = 24;
    pub(crate) const DELETE_ROWS_V1: u8 = 25;
    pub(crate) const INCIDENT: u8 = 26;
    pub(crate) const HEARTBEAT: u8 = 27;
    pub(crate) const ROWS_QUERY: u8 = 29;
    pub(crate) const WRITE_ROWS: u8 = 30;
    pub(crate) const UPDATE_ROWS: u8 = 31;
    pub(crate) const DELETE_ROWS: u8 = 32;
    pub(crate) const GTID: u8 = 33;
    pub(crate) const PREVIOUS_GTIDS: u8 = 35;
    pub(crate) const XA_PREPARE: u8 = 38;
    pub(crate) const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub(crate) const TRANSACTION_PAYLOAD: u8 = 40;
    pub(crate) const HEARTBEAT_V2: u8 = 41;
    pub(crate) const GTID_TAGGED: u8 = 42;
    /// MariaDB's.
    pub(crate) const ANNOTATE_ROWS: u8 = 160;
    pub(crate) const MARIADB_GTID: u8 = 162;
    pub(crate) const GTID_LIST: u8 = 163;
    pub(crate) const START_ENCRYPTION: u8 = 164;
    pub(crate) const QUERY_COMPRESSED: u8 = 165;
    pub(crate) const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub(crate) const UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub(crate) const DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub(crate) const WRITE_ROWS_COMPRESSED: u8 = 169;
    pub(crate) const UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub(crate) const DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// The length of the common header.
pub(crate) const HEADER: usize = 19;
const CHECKSUM: usize = 4;
/// The event was made up by the dump thread, not read from a file.
const ARTIFICIAL: u16 = 0x20;

/// The common header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Seconds since 1970, when the statement began.
    pub(crate) timestamp: u32,
    pub(crate) code: u8,
    pub(crate) server_id: u32,
    /// Header, body and checksum.
    pub(crate) length: u32,
    /// Where the next event begins, modulo 2^32; 0 of what was made up, of what ends at a multiple of 2^32, and in
    /// transactions of MariaDB 12.
    pub(crate) next: u32,
    pub(crate) flags: u16,
}

impl Header {
    /// Reads one.
    pub(crate) fn read(event: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(event, "an event's header");
        Ok(Self {
            timestamp: r.u32()?,
            code: r.u8()?,
            server_id: r.u32()?,
            length: r.u32()?,
            next: r.u32()?,
            flags: r.u16()?,
        })
    }

    /// Whether no file holds it. What begins a dump in the middle of a file says so by its place alone.
    pub(crate) fn is_artificial(&self) -> bool {
        let begins = matches!(
            self.code,
            code::FORMAT_DESCRIPTION
                | code::ROTATE
                | code::START_ENCRYPTION
                | code::PREVIOUS_GTIDS
                | code::GTID_LIST
        );
        self.flags & ARTIFICIAL != 0 || self.next == 0 && begins
    }
}

/// Where the body of an event lies, its checksum taken off and, where there is one, compared.
pub(crate) fn body(event: &[u8], header: &Header, checksums: bool) -> Result<Range<usize>, Malformed> {
    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
    if length != event.len() || event.len() < HEADER {
        return Err(Malformed::bad(format!(
            "an event says that it has {length} bytes, and has {}",
            event.len()
        )));
    }
    let end = match header.code {
        // Tells itself how those after it are; has a checksum in any case, which nothing asks for.
        code::FORMAT_DESCRIPTION => return Ok(HEADER..event.len()),
        // What was made up before the format is known has one or not.
        code::ROTATE if header.is_artificial() => {
            if matches(event) {
                event.len() - CHECKSUM
            } else {
                event.len()
            }
        }
        _ if !checksums => event.len(),
        _ if matches(event) => event.len() - CHECKSUM,
        _ => return Err(Malformed::bad("an event's checksum does not fit its bytes")),
    };
    Ok(HEADER..end.max(HEADER))
}

fn matches(event: &[u8]) -> bool {
    let Some((content, sum)) = event.split_last_chunk::<CHECKSUM>() else {
        return false;
    };
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum() == u32::from_le_bytes(*sum)
}

/// Whether events that follow a FORMAT_DESCRIPTION have checksums.
pub(crate) fn has_checksums(body: &[u8]) -> bool {
    // Version, server version, time, header length; a byte per event type; the algorithm, and the checksum.
    body.len() > 2 + 50 + 4 + 1 + CHECKSUM && body.iter().rev().nth(CHECKSUM) == Some(&1)
}

/// ROTATE: the next file and where it begins.
pub(crate) fn rotate(body: &[u8]) -> Result<(u64, String), Malformed> {
    let mut r = Reader::new(body, "a ROTATE event");
    let position = r.u64()?;
    Ok((position, String::from_utf8_lossy(r.rest()).into_owned()))
}

/// HEARTBEAT_V2: where in the file the server stands, beyond what the header has room for.
pub(crate) fn heartbeat(body: &[u8]) -> Result<Option<u64>, Malformed> {
    const WHAT: &str = "a HEARTBEAT event";
    let mut r = Reader::new(body, WHAT);
    while !r.is_empty() {
        let field = r.lenenc()?;
        if field == 0 {
            break;
        }
        let length = r.length()?;
        let value = r.take(length)?;
        if field == 2 {
            return Reader::new(value, WHAT).lenenc().map(Some);
        }
    }
    Ok(None)
}

/// QUERY: a statement, and what it was run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) thread: u32,
    pub(crate) error: u16,
    pub(crate) database: &'a [u8],
    pub(crate) sql: &'a [u8],
    /// The status variables, which tell the session's modes and character sets.
    pub(crate) status: &'a [u8],
}

/// Reads a QUERY event.
pub(crate) fn query(body: &[u8]) -> Result<Query<'_>, Malformed> {
    let mut r = Reader::new(body, "a QUERY event");
    let thread = r.u32()?;
    let _seconds = r.u32()?;
    let database = usize::from(r.u8()?);
    let error = r.u16()?;
    let status = usize::from(r.u16()?);
    let status = r.take(status)?;
    let database = r.take(database)?;
    r.skip(1)?;
    Ok(Query {
        thread,
        error,
        database,
        sql: r.rest(),
        status,
    })
}

/// What a QUERY event's status variables tell that a parser needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Session {
    /// `sql_mode` as a bit set.
    pub(crate) sql_mode: Option<u64>,
    /// The collation's number of the client, in whose character set the text is.
    pub(crate) client_collation: Option<u16>,
    /// The collation of the session's default database's… server, for `CREATE DATABASE` without a character set.
    pub(crate) server_collation: Option<u16>,
    /// `collation_database` when it is not the database's own.
    pub(crate) database_collation: Option<u16>,
}

impl Session {
    /// Reads the variables up to the first one that is not known: their lengths are known by their codes alone.
    pub(crate) fn read(status: &[u8]) -> Self {
        let mut session = Self::default();
        let mut r = Reader::new(status, "status variables");
        // What is cut off tells nothing more.
        let _ = session.fill(&mut r);
        session
    }

    fn fill(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        while !r.is_empty() {
            match r.u8()? {
                0 => r.skip(4)?,
                1 => self.sql_mode = Some(r.u64()?),
                2 => {
                    let n = usize::from(r.u8()?);
                    r.skip(n + 1)?;
                }
                3 => r.skip(4)?,
                4 => {
                    self.client_collation = Some(r.u16()?);
                    r.skip(2)?;
                    self.server_collation = Some(r.u16()?);
                }
                5 | 6 => {
                    let n = usize::from(r.u8()?);
                    r.skip(n)?;
                }
                7 => r.skip(2)?,
                8 => self.database_collation = Some(r.u16()?),
                9 => r.skip(8)?,
                10 => r.skip(4)?,
                11 => {
                    for _ in 0..2 {
                        let n = usize::from(r.u8()?);
                        r.skip(n)?;
                    }
                }
                12 => {
                    let n = r.u8()?;
                    if n != 254 {
                        for _ in 0..n {
                            while r.u8()? != 0 {}
                        }
                    }
                }
                13 | 128 => r.skip(3)?,
                16 => r.skip(1)?,
                17 => r.skip(8)?,
                18 => r.skip(2)?,
                19 | 20 => r.skip(1)?,
                _ => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn event(code: u8, next: u32, flags: u16, body: &[u8], checksum: bool) -> Vec<u8> {
        let length = HEADER + body.len() + if checksum { 4 } else { 0 };
        let mut out = 1_700_000_000u32.to_le_bytes().to_vec();
        out.push(code);
        out.extend(1u32.to_le_bytes());
        out.extend(u32::try_from(length).unwrap().to_le_bytes());
        out.extend(next.to_le_bytes());
        out.extend(flags.to_le_bytes());
        out.extend(body);
        if checksum {
            let mut crc = flate2::Crc::new();
            crc.update(&out);
            out.extend(crc.sum().to_le_bytes());
        }
        out
    }

    #[test]
    fn a_checksum_is_compared_and_taken_off() {
        let mut bytes = event(code::XID, 500, 0, &[7; 8], true);
        let header = Header::read(&bytes).unwrap();
        assert_eq!(
            (header.code, header.next, header.timestamp),
            (16, 500, 1_700_000_000)
        );
        assert_eq!(body(&bytes, &header, true).unwrap(), 19..27);
        assert_eq!(body(&bytes, &header, false).unwrap(), 19..31);
        bytes[20] ^= 1;
        assert!(
            body(&bytes, &header, true)
                .unwrap_err()
                .to_string()
                .contains("checksum")
        );
        bytes.pop();
        assert!(body(&bytes, &header, true).is_err());
    }

    #[test]
    fn a_made_up_rotation_may_have_a_checksum_or_not() {
        for checksum in [true, false] {
            let mut content = 4u64.to_le_bytes().to_vec();
            content.extend(b"binlog.000007");
            let bytes = event(code::ROTATE, 0, ARTIFICIAL, &content, checksum);
            let header = Header::read(&bytes).unwrap();
            let body = body(&bytes, &header, true).unwrap();
            assert_eq!(rotate(&bytes[body]).unwrap(), (4, "binlog.000007".to_owned()));
        }
    }

    #[test]
    fn only_what_begins_a_dump_is_made_up_by_its_place_alone() {
        let read = |code, next, flags| Header::read(&event(code, next, flags, &[], false)).unwrap();
        assert!(read(code::FORMAT_DESCRIPTION, 0, 0).is_artificial());
        assert!(read(code::WRITE_ROWS, 9, ARTIFICIAL).is_artificial());
        // It ends at four gibibytes.
        assert!(!read(code::WRITE_ROWS, 0, 0).is_artificial());
        assert!(!read(code::FORMAT_DESCRIPTION, 126, 0).is_artificial());
    }

    #[test]
    fn a_heartbeat_tells_a_place_beyond_four_gibibytes() {
        let mut body = vec![1, 4, b'b', b'.', b'0', b'1', 2, 9, 0xfe];
        body.extend(5_000_000_000u64.to_le_bytes());
        body.push(0);
        assert_eq!(heartbeat(&body), Ok(Some(5_000_000_000)));
        assert_eq!(
            heartbeat(&[1, 1, b'b', 2, 3, 0xfc, 0x39, 0x30, 0]),
            Ok(Some(12_345))
        );
        assert_eq!(heartbeat(&[0]), Ok(None));
        assert!(heartbeat(&[2, 9, 1]).is_err());
    }

    #[test]
    fn a_query_tells_the_modes_of_its_session() {
        let mut status = vec![0, 0, 0, 0, 0, 1];
        status.extend(0x20u64.to_le_bytes());
        status.extend([6, 3, b's', b't', b'd', 4, 45, 0, 45, 0, 255, 0, 99]);
        let mut bytes = 9u32.to_le_bytes().to_vec();
        bytes.extend([0, 0, 0, 0, 2, 0, 0, u8::try_from(status.len()).unwrap(), 0]);
        bytes.extend(&status);
        bytes.extend(b"fx\0CREATE TABLE t(a int)");
        let query = query(&bytes).unwrap();
        assert_eq!(
            (query.thread, query.database, query.sql),
            (9, &b"fx"[..], &b"CREATE TABLE t(a int)"[..])
        );
        let session = Session::read(query.status);
        assert_eq!(
            (session.sql_mode, session.client_collation),
            (Some(0x20), Some(45))
        );
        assert_eq!(session.server_collation, Some(255));
    }
}
