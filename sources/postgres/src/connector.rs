//! The connector: validation against the live server, and what `tapline doctor` finds.

use async_trait::async_trait;
use tapline_api::config::Config;
use tapline_api::offset::{Offset, Partition};
use tapline_api::source::{Finding, SourceConnector, SourceTask};
use tapline_api::{Error, Kind, Result};
use tapline_databases::postgres::{identifier, literal, qualified};

use crate::catalog::Catalog;
use crate::config::{Autocreate, Options, findings};
use crate::driver::require_logical;
use crate::position::Position;
use crate::publication::captured_tables;
use crate::slot::usable;
use crate::task::Task;

/// `io.debezium.connector.postgresql.PostgresConnector`.
#[derive(Debug)]
pub(crate) struct Connector;

const HOST: &str = "database.hostname";

#[async_trait]
impl SourceConnector for Connector {
    async fn validate(&self, config: &Config) -> Vec<(String, String)> {
        let found = findings(config);
        if !found.is_empty() {
            return found;
        }
        let options = match Options::new(config) {
            Ok(options) => options,
            Err(error) => return vec![(HOST.to_owned(), error.to_string())],
        };
        let limit = options.validation_timeout;
        match tokio::time::timeout(limit, live(&options)).await {
            Ok(Ok(())) => Vec::new(),
            Ok(Err((option, error))) => {
                let text = format!("Error while validating connector config: {error}");
                vec![(option.to_owned(), text)]
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
        Box::new(Task::default())
    }

    fn alter_offsets(&self, _: &Config, offsets: &[(Partition, Option<Offset>)]) -> Result<bool> {
        for (partition, offset) in offsets {
            if partition
                .0
                .get("server")
                .and_then(|server| server.as_str())
                .is_none()
            {
                return Err(Error::config(
                    "a source partition of this connector is {\"server\": topic.prefix}".to_owned(),
                ));
            }
            if let Some(offset) = offset.as_ref().filter(|_| partition.0.len() == 1) {
                Position::from_offset(offset).map_err(|error| error.with_kind(Kind::Config))?;
            }
        }
        // The slot keeps a position of its own.
        Ok(false)
    }

    async fn diagnose(&self, config: &Config) -> Vec<Finding> {
        let mut report = Report::default();
        for (option, text) in findings(config) {
            report.bad(&option, text, None);
        }
        match Options::new(config) {
            Ok(options) => {
                if let Err(error) = examine(&options, &mut report).await {
                    report.bad("connection", error.to_string(), None);
                }
            }
            Err(error) => report.bad("configuration", error.to_string(), None),
        }
        report.0
    }
}

/// What would make a start fail, with the option that it is about.
async fn live(options: &Options) -> Result<(), (&'static str, Error)> {
    let on_host = |error| (HOST, error);
    let catalog = Catalog::connect(options, false)
        .await
        .map_err(|error| (option_of(&error), error))?;
    let server = catalog.server().await.map_err(on_host)?;
    if options.snapshot_mode.streams() {
        require_logical(&server).map_err(on_host)?;
    }
    if !server.may_log_in_and_replicate {
        // Debezium only logs this; the task would fail.
        tracing::error!(
            "Postgres roles LOGIN and REPLICATION are not assigned to user: {}",
            options.settings.user
        );
    }
    Ok(())
}

/// Which option a failed log-in is about.
fn option_of(error: &Error) -> &'static str {
    let text = error.message();
    let code = |code: &str| text.contains(&format!("SQLSTATE {code}"));
    if code("28P01") || text.contains("asks for a password") {
        "database.password"
    } else if code("28000") {
        "database.user"
    } else if code("3D000") {
        "database.dbname"
    } else if text.contains("sslrootcert") || text.contains("sslmode") {
        "database.sslmode"
    } else {
        HOST
    }
}

/// Findings in the order in which they were made.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn add(&mut self, ok: bool, subject: &str, message: String, cure: Option<String>) {
        self.0.push(Finding {
            subject: subject.to_owned(),
            ok,
            message,
            cure,
        });
    }

    fn good(&mut self, subject: &str, message: impl Into<String>) {
        self.add(true, subject, message.into(), None);
    }

    fn bad(&mut self, subject: &str, message: impl Into<String>, cure: Option<String>) {
        self.add(false, subject, message.into(), cure);
    }
}

async fn examine(options: &Options, report: &mut Report) -> Result<()> {
    let mut catalog = Catalog::connect(options, false).await?;
    let server = catalog.server().await?;
    report.good(
        "connection",
        format!("connected to {}", options.settings.address()),
    );
    if server.wal_level == "logical" {
        report.good("wal_level", "is logical");
    } else {
        report.bad(
            "wal_level",
            format!("is {}", server.wal_level),
            Some("ALTER SYSTEM SET wal_level = logical; -- then restart the server".to_owned()),
        );
    }
    if server.may_log_in_and_replicate {
        report.good(
            "rights",
            format!("{} may log in and replicate", options.settings.user),
        );
    } else {
        report.bad(
            "rights",
            format!("{} has no REPLICATION", options.settings.user),
            Some(format!(
                "ALTER ROLE {} REPLICATION;",
                identifier(&options.settings.user)
            )),
        );
    }
    examine_publication(options, &catalog, report).await?;
    examine_slot(options, &catalog, report).await?;
    let tables = captured_tables(&catalog, options).await?;
    if tables.is_empty() {
        report.bad(
            "tables",
            "no table is captured",
            Some("widen schema.include.list, table.include.list".to_owned()),
        );
    } else {
        report.good("tables", format!("{} are captured", tables.len()));
    }
    for (schema, table) in &tables {
        examine_table(&mut catalog, schema, table, report).await?;
    }
    Ok(())
}

async fn examine_publication(options: &Options, catalog: &Catalog, report: &mut Report) -> Result<()> {
    let name = &options.publication;
    match (catalog.publication(name).await?, options.autocreate) {
        (Some(true), _) => report.good("publication", format!("{name} is for all tables")),
        (Some(false), Autocreate::Filtered) => {
            report.good("publication", format!("{name} is kept up to date"))
        }
        (Some(false), _) => {
            let published = catalog.publication_tables(name).await?;
            let captured = captured_tables(catalog, options).await?;
            let missing: Vec<String> = captured
                .iter()
                .filter(|t| !published.contains(t))
                .map(|(s, t)| qualified(s, t))
                .collect();
            if missing.is_empty() {
                report.good("publication", format!("{name} has all captured tables"));
            } else {
                let list = missing.join(", ");
                let cure = format!("ALTER PUBLICATION {} ADD TABLE {list};", identifier(name));
                report.bad(
                    "publication",
                    format!("{name} lacks captured tables: {list}"),
                    Some(cure),
                );
            }
        }
        (None, Autocreate::Disabled) => report.bad(
            "publication",
            format!("{name} does not exist, and publication.autocreate.mode is disabled"),
            Some(format!("CREATE PUBLICATION {} FOR ALL TABLES;", identifier(name))),
        ),
        (None, _) => report.good("publication", format!("{name} will be created")),
    }
    Ok(())
}

async fn examine_slot(options: &Options, catalog: &Catalog, report: &mut Report) -> Result<()> {
    match catalog.slot(&options.slot).await? {
        None => report.good("slot", format!("{} will be created", options.slot)),
        Some(slot) => match usable(options, &slot) {
            Ok(()) => report.good("slot", format!("{} can be streamed from", options.slot)),
            Err(error) => report.bad(
                "slot",
                error.to_string(),
                Some(format!(
                    "SELECT pg_drop_replication_slot({});",
                    literal(&options.slot)
                )),
            ),
        },
    }
    Ok(())
}

async fn examine_table(catalog: &mut Catalog, schema: &str, table: &str, report: &mut Report) -> Result<()> {
    let name = format!("{schema}.{table}");
    let Some(found) = catalog.table(schema, table).await? else {
        return Ok(());
    };
    let identity = catalog.replica_identity(schema, table).await?;
    let usable = match identity.as_str() {
        "f" | "i" => true,
        "d" => catalog.has_primary_key(schema, table).await?,
        _ => false,
    };
    if !usable {
        report.bad(
            &name,
            "has no replica identity: updates and deletes of published tables fail",
            Some(format!(
                "ALTER TABLE {} REPLICA IDENTITY FULL; -- or add a primary key",
                qualified(schema, table)
            )),
        );
    } else if found.key.is_empty() {
        report.good(
            &name,
            "has no key: its records have none either, unless message.key.columns names one",
        );
    }
    if !catalog.may_select(schema, table).await? {
        report.bad(
            &name,
            "may not be read, which a snapshot needs",
            Some(format!(
                "GRANT SELECT ON {} TO CURRENT_USER; -- as its owner",
                qualified(schema, table)
            )),
        );
    }
    Ok(())
}
