//! Looking ahead in the log: whether any statement from here to its end names a table. If none does, the table is now what
//! it was here.

use tapline_api::{Error, Result};
use tapline_databases::mysql::literal;

use crate::binlog::Malformed;
use crate::binlog::event::{self, HEADER, Header, Session, code};
use crate::binlog::payload;
use crate::catalog::Server;
use crate::config::Options;
use crate::ddl::Flavor;
use crate::position::{Place, end_of, is_at_or_behind};
use crate::quarantine::names;
use crate::value::charset::Charset;
use crate::wire::Connection;

/// How much is looked at at most.
const MOST: u64 = 1 << 30;

/// Whether a statement between the two places may name `table`. `None` when it is too far to look.
///
/// The log is read by a session of its own, which ends at the end of the log; the server sends it nothing that waits.
pub(crate) async fn names_table(
    options: &Options,
    server: &Server,
    from: (&str, u64),
    to: &Place,
    table: &str,
) -> Result<Option<bool>> {
    let mut connection = Connection::open(&options.settings, options.query_timeout).await?;
    let checksums = server.checksum.eq_ignore_ascii_case("CRC32");
    let algorithm = literal(if checksums { "CRC32" } else { "NONE" });
    connection
        .execute(&format!(
            "SET @master_binlog_checksum={algorithm}, @source_binlog_checksum={algorithm}"
        ))
        .await?;
    if options.flavor == Flavor::MariaDb {
        connection.execute("SET @mariadb_slave_capability=4").await?;
    }
    // Without a server id, as `mysqlbinlog` does it: it takes no other replica's place.
    if from.1 > u64::from(u32::MAX) && options.flavor == Flavor::MySql {
        connection.dump_gtid(0, from.0, from.1, None, true).await?;
    } else {
        connection.dump(0, from.0, from.1, false, true).await?;
    }
    let mut place = (from.0.to_owned(), from.1);
    let mut checksums = checksums;
    let mut seen = 0u64;
    let bad = |error: Malformed| Error::fatal(error.to_string());
    loop {
        let Some(mut block) = connection.take_block() else {
            connection.read().await?;
            continue;
        };
        while let Some(packet) = block.next_packet() {
            let bytes = block.bytes().slice(packet);
            let bytes = match bytes.first() {
                Some(0) if bytes.len() > HEADER => bytes.slice(1..),
                Some(0xfe) => return Ok(Some(false)),
                _ => return Ok(None),
            };
            seen += bytes.len() as u64;
            if seen > MOST {
                return Ok(None);
            }
            let header = Header::read(&bytes).map_err(bad)?;
            if !header.is_artificial() && header.code != code::FORMAT_DESCRIPTION {
                place.1 = end_of(place.1, header.next, header.length);
            }
            match header.code {
                code::FORMAT_DESCRIPTION => {
                    let range = event::body(&bytes, &header, checksums).map_err(bad)?;
                    checksums = event::has_checksums(bytes.get(range).unwrap_or_default());
                }
                code::ROTATE => {
                    let range = event::body(&bytes, &header, checksums).map_err(bad)?;
                    let (pos, file) = event::rotate(bytes.get(range).unwrap_or_default()).map_err(bad)?;
                    place = (file, pos);
                }
                code::QUERY | code::QUERY_COMPRESSED => {
                    let range = event::body(&bytes, &header, checksums).map_err(bad)?;
                    let query = event::query(bytes.get(range).unwrap_or_default()).map_err(bad)?;
                    let sql = match header.code {
                        code::QUERY => query.sql.to_vec(),
                        _ => payload::mariadb(query.sql).map_err(bad)?,
                    };
                    let collation = Session::read(query.status).client_collation;
                    let charset = collation.map_or(Charset::Utf8, Charset::of_collation);
                    let sql = charset.text_of(&sql).to_lowercase();
                    if !is_boundary(&sql) && names(&sql, table) {
                        return Ok(Some(true));
                    }
                }
                _ => {}
            }
            if is_at_or_behind((&place.0, place.1), (&to.0, to.1)) {
                return Ok(Some(false));
            }
        }
    }
}

/// Whether a statement, in small letters, is a transaction's begin or end.
fn is_boundary(sql: &str) -> bool {
    matches!(sql.trim(), "begin" | "commit" | "rollback")
}
