//! The reference pages, from the plugins' own declarations.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tapline_api::config::ConfigKey;
use tapline_api::{Error, Result};

use super::plugins::default;
use crate::herder::validate;
use crate::plugins::{self, Plugin};
use crate::worker::config::CONFIG as WORKER;

const TITLES: [(&str, &str); 6] = [
    ("source", "Sources"),
    ("sink", "Sinks"),
    ("converter", "Converters"),
    ("header_converter", "Header converters"),
    ("transformation", "Transformations"),
    ("predicate", "Predicates"),
];

const NOTE: &str = "<!-- Written by `make docs` from the plugins' declarations: edit those. -->\n";

/// Writes a page per plugin, one for the worker, one for what every connector has, and the list of all.
pub(super) fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| in_folder(folder, &error))?;
    let all = plugins::all();
    page(folder, "README.md", &index(&all))?;
    page(
        folder,
        "worker.md",
        &section("The worker", WORKER.keys(), "A worker's properties file."),
    )?;
    let mut every = String::new();
    for (title, def) in validate::every_connector() {
        let _ = write!(every, "\n## {title}\n\n{}", options(def.keys()));
    }
    page(
        folder,
        "connectors.md",
        &format!("{NOTE}# Options of connectors\n{every}"),
    )?;
    for plugin in all
        .iter()
        .filter(|plugin| plugin.kind != "header_converter" || is_only_for_headers(plugin, &all))
    {
        let what = format!(
            "`{}`, {}, version {}.",
            plugin.class,
            plugin.kind.replace('_', " "),
            plugin.version
        );
        let title = simple(plugin.class);
        page(
            folder,
            &file(plugin),
            &section(&title, plugin.config.keys(), &what),
        )?;
    }
    Ok(())
}

fn page(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| in_folder(&path, &error))
}

fn in_folder(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("{}: {error}", path.display()))
}

fn is_only_for_headers(plugin: &Plugin, all: &[Plugin]) -> bool {
    !all.iter()
        .any(|other| other.kind == "converter" && other.class == plugin.class)
}

fn index(all: &[Plugin]) -> String {
    let mut out = format!(
        "{NOTE}# Reference\n\n| page | what |\n|---|---|\n| [worker](worker.md) | a worker's properties |\n\
         | [connectors](connectors.md) | what every connector has |\n"
    );
    for (kind, title) in TITLES {
        let _ = write!(out, "\n## {title}\n\n| class | version |\n|---|---|\n");
        for plugin in all.iter().filter(|plugin| plugin.kind == kind) {
            let _ = writeln!(
                out,
                "| [{}]({}) | {} |",
                plugin.class,
                file(plugin),
                plugin.version
            );
        }
    }
    out
}

fn section(title: &str, keys: &[ConfigKey], what: &str) -> String {
    let mut out = format!("{NOTE}# {title}\n\n{what}\n\n");
    if keys.is_empty() {
        out.push_str("It has no options.\n");
    } else {
        out.push_str(&options(keys));
    }
    out
}

/// A table of options, those that matter most first.
fn options(keys: &[ConfigKey]) -> String {
    let mut keys: Vec<&ConfigKey> = keys.iter().collect();
    keys.sort_by_key(|key| key.importance as u8);
    let mut out =
        "| option | type | default | importance | what it does |\n|---|---|---|---|---|\n".to_owned();
    for key in keys {
        let default = match default(key).as_str() {
            text @ ("-" | "(required)") => text.to_owned(),
            text => format!("`{text}`"),
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            cell(key.name),
            key.kind.name().to_lowercase(),
            cell(&default),
            key.importance.name().to_lowercase(),
            cell(key.doc)
        );
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// `InsertField$Value` of `org.apache.kafka.connect.transforms.InsertField$Value`.
fn simple(class: &str) -> String {
    class.rsplit('.').next().unwrap_or(class).to_owned()
}

fn file(plugin: &Plugin) -> String {
    format!("{}.md", plugin.class.replace('$', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_api::config::{Importance, Kind};

    #[test]
    fn what_matters_most_comes_first_and_cells_hold_no_bars() {
        let keys = [
            ConfigKey::new("b", Kind::Int, "Bytes.").default("1"),
            ConfigKey::new("a", Kind::String, "One of x|y.")
                .required()
                .importance(Importance::High),
        ];
        assert_eq!(
            options(&keys),
            "| option | type | default | importance | what it does |\n|---|---|---|---|---|\n\
             | `a` | string | (required) | high | One of x\\|y. |\n| `b` | int | `1` | low | Bytes. |\n"
        );
    }
}
