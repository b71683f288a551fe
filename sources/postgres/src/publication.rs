//! The publication, as `publication.autocreate.mode` says.

use std::fmt::Write as _;

use tapline_api::{Error, Result};
use tapline_cdc::options::Skipped;
use tapline_databases::postgres::{self, identifier, qualified};

use crate::catalog::Catalog;
use crate::config::{Autocreate, Options};

/// Creates the publication, or brings it up to date, where the mode asks for it.
///
/// # Errors
/// A config error when there is none and none may be made, or when the user may not make it.
pub(crate) async fn prepare(catalog: &Catalog, options: &Options, standby: bool) -> Result<()> {
    let name = &options.publication;
    let exists = catalog.publication(name).await?;
    let statement = match (exists, options.autocreate) {
        (None, Autocreate::Disabled) => {
            return Err(Error::config(
                "Publication autocreation is disabled, please create one and restart the connector.",
            )
            .hint(format!(
                "run CREATE PUBLICATION {} FOR ALL TABLES, or set publication.autocreate.mode",
                identifier(name)
            )));
        }
        (None, _) if standby => {
            return Err(Error::config(format!(
                "publication '{name}' does not exist, and a standby can't create it"
            ))
            .hint("create it on the primary"));
        }
        (None, Autocreate::AllTables) => {
            format!(
                "CREATE PUBLICATION {} FOR ALL TABLES{}",
                identifier(name),
                with_clause(options)
            )
        }
        (None, Autocreate::NoTables) => {
            format!("CREATE PUBLICATION {}{}", identifier(name), with_clause(options))
        }
        (None, Autocreate::Filtered) => format!(
            "CREATE PUBLICATION {} FOR TABLE {}{}",
            identifier(name),
            captured(catalog, options).await?,
            with_clause(options)
        ),
        (Some(true), Autocreate::Filtered) => {
            return Err(Error::config(format!(
                "A logical publication for all tables named '{name}' for plugin 'pgoutput' and database '{}' is already \
                 active on the server and can not be altered. If you need to exclude some tables or include only \
                 specific subset, please recreate the publication with necessary configuration or let plugin recreate \
                 it by dropping existing publication. Otherwise please change the 'publication.autocreate.mode' \
                 property to 'all_tables'.",
                options.settings.dbname
            )));
        }
        (Some(false), Autocreate::Filtered) if !standby => {
            let wanted = captured_tables(catalog, options).await?;
            if catalog.publication_tables(name).await? == wanted {
                return Ok(());
            }
            format!(
                "ALTER PUBLICATION {} SET TABLE {}",
                identifier(name),
                captured(catalog, options).await?
            )
        }
        (Some(_), _) => return Ok(()),
    };
    tracing::info!(statement, "preparing the publication");
    match catalog.execute(&statement).await {
        Ok(()) => Ok(()),
        Err(error) => Err(refused(catalog, options, &statement, error).await),
    }
}

async fn refused(catalog: &Catalog, options: &Options, statement: &str, error: postgres::Error) -> Error {
    let denied = error.is("42501");
    let error = Error::from(error);
    if !denied {
        return error;
    }
    let obstacles = obstacles(catalog, options).await.unwrap_or_default();
    let cures: Vec<&str> = obstacles.iter().map(|obstacle| obstacle.cure.as_str()).collect();
    let hint = match cures.is_empty() {
        true => "FOR ALL TABLES needs a superuser, FOR TABLE the tables' owner".to_owned(),
        false => cures.join("; "),
    };
    Error::config(format!(
        "publication can't be prepared by {statement}: {}",
        error.message()
    ))
    .with_kind(error.kind())
    .hint(format!(
        "{hint}; or create the publication as a superuser, and set publication.autocreate.mode=disabled"
    ))
}

/// A right that is missing, and who gives it.
#[derive(Debug)]
pub(crate) struct Obstacle {
    pub(crate) what: String,
    pub(crate) cure: String,
}

/// Why this user can't create the publication that the mode asks for.
pub(crate) async fn obstacles(catalog: &Catalog, options: &Options) -> Result<Vec<Obstacle>> {
    let user = identifier(&options.settings.user);
    let rights = catalog.publishing_rights().await?;
    let mut found = Vec::new();
    if rights.superuser {
        return Ok(found);
    }
    if options.autocreate == Autocreate::AllTables {
        found.push(Obstacle {
            what: format!("{} is no superuser, which FOR ALL TABLES needs", options.settings.user),
            cure: format!(
                "CREATE PUBLICATION {} FOR ALL TABLES; -- as a superuser; or set publication.autocreate.mode=filtered",
                identifier(&options.publication)
            ),
        });
        return Ok(found);
    }
    if !rights.create {
        let database = &options.settings.dbname;
        found.push(Obstacle {
            what: format!("{} has no CREATE on database {database}", options.settings.user),
            cure: format!("GRANT CREATE ON DATABASE {} TO {user}", identifier(database)),
        });
    }
    if options.autocreate == Autocreate::Filtered {
        let captured = captured_tables(catalog, options).await?;
        let foreign = catalog.tables_of_others(&captured).await?;
        for (schema, table) in foreign {
            found.push(Obstacle {
                what: format!("{} does not own {schema}.{table}", options.settings.user),
                cure: format!("ALTER TABLE {} OWNER TO {user}", qualified(&schema, &table)),
            });
        }
    }
    Ok(found)
}

/// The captured tables, sorted by name.
pub(crate) async fn captured_tables(catalog: &Catalog, options: &Options) -> Result<Vec<(String, String)>> {
    let all = catalog.tables().await?;
    Ok(all
        .into_iter()
        .filter(|(schema, table, builtin)| {
            options.filters.table(schema, table, *builtin) || options.is_signal_table(schema, table)
        })
        .map(|(schema, table, _)| (schema, table))
        .collect())
}

async fn captured(catalog: &Catalog, options: &Options) -> Result<String> {
    let tables = captured_tables(catalog, options).await?;
    if tables.is_empty() {
        return Err(Error::config(format!(
            "No table filters found for filtered publication {}",
            options.publication
        ))
        .hint("no table matches schema.*.list and table.*.list"));
    }
    let names: Vec<String> = tables
        .iter()
        .map(|(schema, table)| qualified(schema, table))
        .collect();
    Ok(names.join(", "))
}

fn with_clause(options: &Options) -> String {
    let mut parts = Vec::new();
    if options.publish_via_root {
        parts.push("publish_via_partition_root = true".to_owned());
    }
    parts.extend(publish(options.skipped));
    let mut out = String::new();
    if !parts.is_empty() {
        let _ = write!(out, " WITH ({})", parts.join(", "));
    }
    out
}

/// Operations that the user skips need not be sent.
fn publish(skipped: Skipped) -> Option<String> {
    let any = skipped.creates || skipped.updates || skipped.deletes || skipped.truncates;
    if !skipped.given || !any {
        return None;
    }
    let all = [
        (skipped.creates, "insert"),
        (skipped.updates, "update"),
        (skipped.deletes, "delete"),
        (skipped.truncates, "truncate"),
    ];
    let kept: Vec<&str> = all
        .iter()
        .filter(|(skip, _)| !skip)
        .map(|(_, name)| *name)
        .collect();
    Some(format!("publish = '{}'", kept.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_options;

    #[test]
    fn a_new_publication_leaves_out_what_the_user_skips() {
        assert_eq!(with_clause(&test_options(&[])), "");
        assert_eq!(
            with_clause(&test_options(&[
                ("skipped.operations", "u,d"),
                ("publish.via.partition.root", "true")
            ])),
            " WITH (publish_via_partition_root = true, publish = 'insert,truncate')"
        );
        assert_eq!(with_clause(&test_options(&[("skipped.operations", "none")])), "");
    }
}
