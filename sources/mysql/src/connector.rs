//! The connectors: validation against the live server, and what `tapline doctor` finds.

use async_trait::async_trait;
use tapline_api::config::Config;
use tapline_api::offset::{Offset, Partition};
use tapline_api::source::{Finding, SourceConnector, SourceTask};
use tapline_api::{Error, Kind, Result};

use crate::catalog::Catalog;
use crate::config::{Options, SnapshotMode, findings};
use crate::ddl::Flavor;
use crate::driver::require_rows;
use crate::position::Position;
use crate::task::Task;

/// `io.debezium.connector.mysql.MySqlConnector`, `io.debezium.connector.mariadb.MariaDbConnector`.
#[derive(Debug)]
pub(crate) struct Connector(pub(crate) Flavor);

const HOST: &str = "database.hostname";

#[async_trait]
impl SourceConnector for Connector {
    async fn validate(&self, config: &Config) -> Vec<(String, String)> {
        let found = findings(config);
        if !found.is_empty() {
            return found;
        }
        let options = match Options::new(config, self.0) {
            Ok(options) => options,
            Err(error) => return vec![(HOST.to_owned(), error.to_string())],
        };
        let limit = options.validation_timeout;
        match tokio::time::timeout(limit, live(&options)).await {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(error)) => {
                let text = format!("Unable to connect: {error}");
                vec![(HOST.to_owned(), text)]
            }
            Err(_) => vec![(
                HOST.to_owned(),
                format!("Connection validation timed out after {} ms", limit.as_millis()),
            )],
        }
    }

    fn task_configs(&self, config: &Config, _: u32) -> Result<Vec<Config>> {
        // The log is one stream: always one task.
        Ok(vec![config.clone()])
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(Task::new(self.0))
    }

    fn alter_offsets(&self, _: &Config, offsets: &[(Partition, Option<Offset>)]) -> Result<bool> {
        for (partition, offset) in offsets {
            let server = partition.0.get("server").and_then(|server| server.as_str());
            if server.is_none() {
                return Err(Error::config(
                    "a source partition of this connector is {\"server\": topic.prefix}",
                ));
            }
            if let Some(offset) = offset.as_ref().filter(|_| partition.0.len() == 1) {
                Position::from_offset(offset).map_err(|error| error.with_kind(Kind::Config))?;
            }
        }
        // The server keeps no position of ours.
        Ok(true)
    }

    async fn diagnose(&self, config: &Config) -> Vec<Finding> {
        let mut report = Vec::new();
        let mut add = |ok: bool, subject: &str, message: String, cure: Option<&str>| {
            report.push(Finding {
                subject: subject.to_owned(),
                ok,
                message,
                cure: cure.map(str::to_owned),
            });
        };
        for (option, text) in findings(config) {
            add(false, &option, text, None);
        }
        let options = match Options::new(config, self.0) {
            Ok(options) => options,
            Err(error) => {
                add(false, "configuration", error.to_string(), None);
                return report;
            }
        };
        let looked = async {
            let mut catalog = Catalog::connect(&options).await?;
            let server = catalog.server().await?;
            let tables = catalog.tables().await?;
            Ok::<_, Error>((server, tables))
        };
        match looked.await {
            Ok((server, tables)) => {
                add(
                    true,
                    "connection",
                    format!("connected to {}", options.settings.address()),
                    None,
                );
                match require_rows(&server) {
                    Ok(()) => add(true, "binlog_format", "the log holds rows".to_owned(), None),
                    Err(error) => add(
                        false,
                        "binlog_format",
                        error.to_string(),
                        Some("SET PERSIST binlog_format = ROW; -- and log_bin in the server's configuration"),
                    ),
                }
                let full = server.image.is_empty() || server.image.eq_ignore_ascii_case("FULL");
                add(
                    full,
                    "binlog_row_image",
                    format!("is {}", server.image),
                    (!full).then_some("SET PERSIST binlog_row_image = FULL;"),
                );
                add(
                    server.gtids,
                    "gtid_mode",
                    match server.gtids {
                        true => "positions survive a failover to another server".to_owned(),
                        false => "is off: after a failover to another server a snapshot is needed".to_owned(),
                    },
                    (!server.gtids)
                        .then_some("SET PERSIST gtid_mode = ON; -- step by step, see MySQL's manual"),
                );
                let captured = tables
                    .iter()
                    .filter(|id| options.captures(&id.database, &id.table))
                    .count();
                add(
                    captured > 0,
                    "tables",
                    format!("{captured} are captured"),
                    (captured == 0).then_some("widen database.include.list, table.include.list"),
                );
            }
            Err(error) => add(false, "connection", error.to_string(), None),
        }
        report
    }
}

/// What would make a start fail.
async fn live(options: &Options) -> Result<()> {
    let mut catalog = Catalog::connect(options).await?;
    let server = catalog.server().await?;
    if options.snapshot_mode != SnapshotMode::InitialOnly {
        require_rows(&server)?;
    }
    catalog.connection.close().await;
    Ok(())
}
