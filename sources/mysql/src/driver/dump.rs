//! The connection that the log comes over.

use std::time::Duration;

use tapline_api::{Error, Result};
use tapline_databases::mysql::literal;

use super::Driver;
use crate::binlog::Malformed;
use crate::binlog::gtid::GtidSet;
use crate::catalog::{RECEIVE_BUFFER, Server};
use crate::config::Options;
use crate::ddl::Flavor;
use crate::position::{Gtids, Position};
use crate::wire::Connection;

impl Driver {
    /// What is executed at a position, and whether the log is asked for by that.
    pub(super) fn gtids_of(&self, position: &Position) -> Result<(Gtids, bool)> {
        let bad = |error: Malformed| Error::config(format!("the stored offset's 'gtids': {error}"));
        let text = position.gtids.as_ref().filter(|_| !self.options.ignore_gtids);
        let gtids = Gtids::parse(self.options.flavor, text.map_or("", String::as_str)).map_err(bad)?;
        Ok((gtids, text.is_some()))
    }

    /// Opens the stream's connection and asks for the log; `ends` for what there is now alone.
    pub(super) async fn dump(
        &self,
        server: &Server,
        position: &Position,
        gtids: &Gtids,
        by_gtid: bool,
        ends: bool,
    ) -> Result<Connection> {
        let options = &self.options;
        let mut settings = options.settings.clone();
        settings.receive_buffer = Some(RECEIVE_BUFFER);
        let mut connection = Connection::open(&settings, options.query_timeout).await?;
        let checksum = match server.checksum.eq_ignore_ascii_case("CRC32") {
            true => "CRC32",
            false => "NONE",
        };
        // Both servers send with checksums only to those who know of them, under a name for each.
        let mut session = vec![
            format!("SET @master_binlog_checksum='{checksum}', @source_binlog_checksum='{checksum}'"),
            format!(
                "SET @slave_uuid={0}, @replica_uuid={0}",
                literal(&replica_uuid(options.server_id))
            ),
        ];
        let watched = options.keep_alive.unwrap_or(Duration::from_secs(60));
        let nanos = watched.as_nanos().clamp(1_000_000, 4_294_967_000_000_000);
        session.push(format!(
            "SET @master_heartbeat_period={nanos}, @source_heartbeat_period={nanos}"
        ));
        if options.flavor == Flavor::MariaDb {
            session.push("SET @mariadb_slave_capability=4".to_owned());
            if by_gtid && let Gtids::MariaDb(at) = gtids {
                session.push(format!("SET @slave_connect_state={}", literal(&at.to_string())));
                session.push("SET @slave_gtid_strict_mode=0, @slave_gtid_ignore_duplicates=0".to_owned());
            }
        }
        for statement in &session {
            connection.execute(statement).await?;
        }
        connection.register(options.server_id).await?;
        match (gtids, by_gtid) {
            (Gtids::MySql(set), true) => {
                let executed = GtidSet::parse(&server.executed).unwrap_or_default();
                let purged = GtidSet::parse(&server.purged).unwrap_or_default();
                // What other sources executed, and the connector is not to see, counts as seen.
                let unwanted = executed.minus(&self.wanted(&executed));
                let set = set.plus(&unwanted).plus(&purged.minus(&self.wanted(&purged)));
                connection
                    .dump_gtid(options.server_id, "", 4, Some(&set.encode()), ends)
                    .await?;
            }
            (Gtids::MariaDb(_), true) => {
                let flags = options.include_query;
                connection.dump(options.server_id, "", 4, flags, ends).await?;
            }
            _ => {
                let pos = position.pos.max(4);
                if pos > u64::from(u32::MAX) && options.flavor == Flavor::MySql {
                    connection
                        .dump_gtid(options.server_id, &position.file, pos, None, ends)
                        .await?;
                } else {
                    let annotate = options.flavor == Flavor::MariaDb && options.include_query;
                    connection
                        .dump(options.server_id, &position.file, pos, annotate, ends)
                        .await?;
                }
            }
        }
        // The stream watches for silence itself, over reads that are interrupted.
        connection.set_patience(Duration::from_secs(86_400));
        Ok(connection)
    }
}

/// How long the server may be silent: three heartbeats that did not come.
pub(super) fn silence(options: &Options) -> Duration {
    match options.keep_alive {
        Some(interval) => (interval * 3).max(Duration::from_secs(30)),
        None => Duration::from_secs(86_400),
    }
}

/// A replica's UUID, which a MySQL server wants to tell replicas apart; the same for the same id.
fn replica_uuid(server_id: u32) -> String {
    format!("7a9d1e00-0000-4000-8000-0000{server_id:08x}")
}
