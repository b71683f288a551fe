//! The connector: validation against the live server, and what `tapline doctor` finds.

use async_trait::async_trait;
use tapline_api::config::Config;
use tapline_api::offset::{Offset, Partition};
use tapline_api::source::{Finding, SourceConnector, SourceTask};
use tapline_api::{Error, Kind, Result};

use crate::catalog::Catalog;
use crate::config::{Options, findings};
use crate::doctor;
use crate::driver::require_logical;
use crate::position::Position;
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
        doctor::diagnose(config).await
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
