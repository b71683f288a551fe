//! `tapline doctor`: is this configuration right, and is its system ready for it?
//!
//! First the declarations, as REST's `validate`; then, for a source, what it finds in the live system, each with
//! what to run to mend it. Nothing is changed, and no worker is asked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::json;
use tapline_api::config::Config;
use tapline_api::connector::{AnyConnector, ConnectorPlugin};
use tapline_api::source::Finding;
use tapline_api::{Error, Result};

use super::{connector_file, print, print_json, table};
use crate::herder::validate;
use crate::worker::config::WorkerConfig;
use crate::worker::providers::Providers;

const TIMEOUT: Duration = Duration::from_secs(60);

/// `tapline doctor`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The connector's file (.json or .properties)
    file: PathBuf,
    /// The worker's properties, for its converters and config providers
    #[arg(long, value_name = "FILE")]
    worker: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let worker = match &args.worker {
        Some(file) => connector_file::properties(file)?,
        None => Config::new(),
    };
    let providers = Providers::new(&worker)?;
    let worker = WorkerConfig::new(providers.resolve(&worker)?, PathBuf::new())?;
    let config = providers.resolve(&connector_file::read(&args.file)?.config)?;
    let findings = examine(&worker, &config).await?;
    if args.json {
        print_json(&findings.iter().map(entry).collect::<Vec<_>>())?;
    } else {
        print(&report(&findings))?;
    }
    let healthy = findings.iter().all(|finding| finding.ok);
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn examine(worker: &WorkerConfig, config: &Config) -> Result<Vec<Finding>> {
    let plugin = validate::plugin(config).map_err(|error| Error::config(error.to_string()))?;
    let infos = validate::declared(worker, plugin, config);
    let mut findings: Vec<Finding> = Vec::new();
    for entry in &infos.configs {
        findings.extend(entry.value.errors.iter().map(|error| Finding {
            subject: entry.value.name.clone(),
            ok: false,
            message: error.clone(),
            cure: None,
        }));
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    findings.push(Finding {
        subject: "configuration".to_owned(),
        ok: true,
        message: format!("{} options, none is wrong in itself", config.len()),
        cure: None,
    });
    let live = tokio::time::timeout(TIMEOUT, live(plugin, config)).await;
    findings.extend(live.map_err(|_| {
        Error::retriable(format!(
            "the system did not answer within {} seconds",
            TIMEOUT.as_secs()
        ))
    })?);
    Ok(findings)
}

async fn live(plugin: &ConnectorPlugin, config: &Config) -> Vec<Finding> {
    match plugin.connector {
        AnyConnector::Source(source) => source.diagnose(config).await,
        AnyConnector::Sink(sink) => {
            let found = sink.validate(config).await.into_iter();
            found
                .map(|(subject, message)| Finding {
                    subject,
                    ok: false,
                    message,
                    cure: None,
                })
                .collect()
        }
    }
}

fn entry(finding: &Finding) -> serde_json::Value {
    json!({
        "subject": finding.subject,
        "ok": finding.ok,
        "message": finding.message,
        "cure": finding.cure,
    })
}

/// What is wrong comes with its cure on the next line.
fn report(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let mut message = finding.message.clone();
        if let (false, Some(cure)) = (finding.ok, &finding.cure) {
            message.push_str("\n→ ");
            message.push_str(&cure.replace('\n', "\n  "));
        }
        let mark = if finding.ok { "ok" } else { "WRONG" };
        vec![mark.to_owned(), finding.subject.clone(), message]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    let said = match wrong {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        n => format!("{n} things are wrong"),
    };
    format!("{}\n{said}\n", table::render(&["", "WHAT", "FOUND"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(subject: &str, ok: bool, cure: Option<&str>) -> Finding {
        Finding {
            subject: subject.to_owned(),
            ok,
            message: "found".to_owned(),
            cure: cure.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_wrong_comes_with_its_cure() {
        let findings = [
            finding("wal_level", false, Some("ALTER SYSTEM …")),
            finding("slot", true, Some("x")),
        ];
        assert_eq!(
            report(&findings),
            "       WHAT       FOUND\nWRONG  wal_level  found\n                  → ALTER SYSTEM …\n\
             ok     slot       found\n\n1 thing is wrong\n"
        );
    }

    #[tokio::test]
    async fn a_configuration_that_is_wrong_in_itself_is_not_taken_to_its_system() {
        let worker = WorkerConfig::new(Config::new(), PathBuf::new()).unwrap();
        let config = Config::from_iter([("name", "a"), ("connector.class", "FileStreamSource")]);
        let findings = examine(&worker, &config).await.unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].subject, "topic");
    }
}
