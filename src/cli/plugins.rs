//! `tapline plugins`: what this binary holds. No worker is asked.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::json;
use tapline_api::config::{ConfigKey, Default};
use tapline_api::{Error, Result};

use super::{markdown, print, print_json, table};
use crate::herder::validate::Definition;
use crate::plugins::{self, Plugin};

/// `tapline plugins`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Prints this plugin's options: a Java class name, or its simple name
    class: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Writes the reference pages into a folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["class", "json"])]
    markdown: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    if let Some(folder) = &args.markdown {
        markdown::write(folder)?;
    } else if let Some(class) = &args.class {
        options(class, args.json)?;
    } else {
        list(args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> Result<()> {
    let all = plugins::all();
    if json {
        let entry = |plugin: &Plugin| json!({ "class": plugin.class, "type": plugin.kind, "version": plugin.version });
        return print_json(&all.iter().map(entry).collect::<Vec<_>>());
    }
    let row = |plugin: &Plugin| {
        vec![
            plugin.kind.to_owned(),
            plugin.class.to_owned(),
            plugin.version.to_owned(),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    print(&table::render(&["TYPE", "CLASS", "VERSION"], &rows))
}

fn options(class: &str, json: bool) -> Result<()> {
    let all = plugins::all();
    let Some(plugin) = all.iter().find(|plugin| plugin.is_named(class)) else {
        return Err(Error::config(format!("there is no plugin {class}")).hint("`tapline plugins` lists them"));
    };
    let keys = plugin.config.keys();
    if json {
        return print_json(&keys.iter().map(Definition::of).collect::<Vec<_>>());
    }
    let row = |key: &ConfigKey| {
        vec![
            key.name.to_owned(),
            key.kind.name().to_lowercase(),
            default(key),
            key.importance.name().to_lowercase(),
            key.doc.to_owned(),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    let head = ["OPTION", "TYPE", "DEFAULT", "IMPORTANCE", "WHAT IT DOES"];
    print(&format!(
        "{} {} {}\n\n{}",
        plugin.kind,
        plugin.class,
        plugin.version,
        table::render(&head, &rows)
    ))
}

/// A default as people read it.
pub(super) fn default(key: &ConfigKey) -> String {
    match key.default {
        Default::Required => "(required)".to_owned(),
        Default::Null => "-".to_owned(),
        Default::Value("") => "\"\"".to_owned(),
        Default::Value(text) => text.to_owned(),
    }
}
