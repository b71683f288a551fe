//! `tapline doctor`: what in the live server would stop this configuration, and what to run to mend it. Looks only.

use tapline_api::Result;
use tapline_api::config::Config;
use tapline_api::source::Finding;
use tapline_databases::postgres::{identifier, literal, qualified};

use crate::catalog::Catalog;
use crate::config::{Autocreate, Options, findings};
use crate::publication::{self, captured_tables};
use crate::slot::usable;

/// All findings about this configuration.
pub(crate) async fn diagnose(config: &Config) -> Vec<Finding> {
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
        let are = if tables.len() == 1 { "is" } else { "are" };
        report.good("tables", format!("{} {are} captured", tables.len()));
    }
    for (schema, table) in &tables {
        examine_table(options, &mut catalog, schema, table, report).await?;
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
        (None, _) => match publication::obstacles(catalog, options).await?.as_slice() {
            [] => report.good("publication", format!("{name} will be created")),
            obstacles => {
                for obstacle in obstacles {
                    let message = format!("{name} can't be created: {}", obstacle.what);
                    report.bad("publication", message, Some(obstacle.cure.clone()));
                }
            }
        },
    }
    Ok(())
}

async fn examine_slot(options: &Options, catalog: &Catalog, report: &mut Report) -> Result<()> {
    match catalog.slot(&options.slot).await? {
        None => report.good(
            "slot",
            format!(
                "{} will be created; if this connector has run before, its slot is gone, and changes since with it",
                options.slot
            ),
        ),
        Some(slot) => match usable(options, &slot) {
            Ok(()) => report.good("slot", format!("{} can be streamed from", options.slot)),
            Err(error) => report.bad(
                "slot",
                error.message(),
                Some(format!(
                    "SELECT pg_drop_replication_slot({});",
                    literal(&options.slot)
                )),
            ),
        },
    }
    Ok(())
}

async fn examine_table(
    options: &Options,
    catalog: &mut Catalog,
    schema: &str,
    table: &str,
    report: &mut Report,
) -> Result<()> {
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
        let user = identifier(&options.settings.user);
        report.bad(
            &name,
            "may not be read, which a snapshot needs",
            Some(format!(
                "GRANT USAGE ON SCHEMA {} TO {user}; GRANT SELECT ON {} TO {user}; -- as their owner",
                identifier(schema),
                qualified(schema, table)
            )),
        );
    }
    Ok(())
}
